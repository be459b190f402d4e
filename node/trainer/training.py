"""How does a trainer follow its network: what does it offer, what does it adopt, what is left? (R16, R17)

Joins `conversation` (what the daemon said), `rebase` (what it means for the work) and `shared` (the files).
Works on flat vectors: whether they come from torch or from numpy is no matter here.
"""

import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from comind.node.attach import Closed, Offered
from comind.node.trainer import shared
from comind.node.trainer.conversation import Conversation
from comind.node.trainer.rebase import (
    MAX_CARRY,
    Copy,
    Flat,
    FromBase,
    FromSent,
    Move,
    Progress,
    Stay,
    rebase,
    restore,
)
from comind.node.trainer.round import Round, told_by
from comind.node.trainer.schema import Schema
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.words import NO_ROOT

MAX_RETURN_S = 120.0
LOOK_EVERY_S = 0.1
"""A daemon that goes before training has begun is waited for so long, and looked for so often."""
FINISHING_ROUNDS = 3
"""Who finishes may have an older offer counted first, or find the door closed."""


class Weights(Protocol):
    """The weights that are trained, wherever they lie."""

    def read_into(self, flat: Flat) -> None: ...

    def write_from(self, flat: Flat) -> None: ...


@dataclass(frozen=True, slots=True)
class Saved:
    """All that a checkpoint needs beside the weights, so that it neither loses nor repeats a contribution."""

    progress: Progress
    base: Flat
    sent: Mapping[int, Flat]
    """What was offered at each step of `progress.sent`."""


class Training:
    """One run of training, attached to the daemon while that is there."""

    def __init__(
        self,
        path: Path,
        schema: Schema,
        *,
        say: Callable[[str], None],
        max_wait_s: float | None = None,
        max_carry: int = MAX_CARRY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.progress = Progress(secrets.token_bytes(16))
        self.last_round: Round | None = None
        self.finished = False
        """Whether the network's last average is adopted: nothing more is contributed."""
        self.moves = 0
        """How many times the weights were moved to another base."""
        self.daemon = Conversation(path, self.progress.run, schema, say, clock)
        self.schema = schema
        self._say = say
        self._max_wait_s = max_wait_s
        self._max_carry = max_carry
        self._clock = clock
        self._base: Flat | None = None
        self._sent: dict[int, Flat] = {}
        self._loaded: Saved | None = None
        """A checkpoint, until the weights are looked at next: they may be restored after it."""
        self._is_foreign = False
        """Whether a checkpoint was loaded that says nothing of comind."""

    # -- the course of a training ---------------------------------------------------------------------------

    def start(self, weights: Weights) -> None:
        """Attach, and wait for the network's base and for its start; then the weights are the base.

        Raises:
            ConfigError: no daemon is there, or it takes no trainer or not this one, with its line.
        """
        try:
            self._start(weights)
        except BaseException:
            self.daemon.hang_up()
            raise
        self.daemon.has_begun()
        self.last_round = None
        what = f"average {self.daemon.round}" if self.daemon.round else "first base"
        self._say(f"training starts from the {what} of {self.daemon.network}")

    def _start(self, weights: Weights) -> None:
        daemon, waited_for = self.daemon, ""
        daemon.begin()
        while self._base is None or not daemon.started:
            if daemon.waiting_for != waited_for:
                waited_for = daemon.waiting_for
                self._say(f"training has not begun: {waited_for}")
            try:
                if daemon.wants_start:
                    self._offer_start(weights)
                daemon.hear(None)
            except Closed as why:
                self._await_return(str(why))
            self._adopt(weights, None)

    def _await_return(self, why: str) -> None:
        """Before training has begun there is nothing to go on with: wait for the daemon to come back."""
        went = f"the daemon went ({why}) before training began"
        self._say(f"{went}: waiting for it to be started again")
        ends_s = self._clock() + MAX_RETURN_S
        while not self.daemon.is_open:
            if self._clock() >= ends_s:
                raise ConfigError(f"{went}: its log says why")
            time.sleep(LOOK_EVERY_S)
            self.daemon.call_again(urgent=True)

    def trained(self, examples: int, steps: int = 1) -> None:
        """So many steps were taken, on so many examples."""
        self.progress = self.progress.trained(examples, steps)

    def follow(self, weights: Weights) -> None:
        """Adopt what has arrived, without waiting.

        Raises:
            ConfigError: the daemon refuses this trainer for good.
        """
        self.settle(weights)
        self.daemon.listen()
        self._adopt(weights, None)

    def contribute(self, weights: Weights, metrics: Mapping[str, float]) -> Round:
        """End the interval: offer the weights, wait for the round (R17), adopt what came, and say what did.

        Raises:
            ConfigError: a value is not finite, or the daemon refuses this trainer for good.
        """
        self.follow(weights)
        self.daemon.call_again(urgent=True)
        self.progress = self.progress.close(self._max_carry)
        self.last_round = self._contribute(weights, metrics)
        return self.last_round

    def finish(self, weights: Weights, metrics: Mapping[str, float]) -> Round:
        """Contribute what is left, adopt that round, and tell the daemon that this trainer has finished.

        Raises what `contribute` raises.
        """
        self.follow(weights)
        for _ in range(FINISHING_ROUNDS):
            if self.finished or not self.progress.uncounted_steps:
                break
            round = self.contribute(weights, metrics)
            if not round.contributors:  # no round will come now
                break
        if self.finished:
            self.end_on_base(weights)
            self.moves += 1
        self.daemon.finish()
        self.last_round = self.last_round or self.no_round("nothing was left to contribute")
        return self.last_round

    # -- checkpoints ----------------------------------------------------------------------------------------

    def save(self) -> Saved:
        """Return what a checkpoint needs; the vectors are copies."""
        if self._loaded is not None:
            return self._loaded
        assert self._base is not None
        return Saved(
            self.progress, self._base.copy(), {step: flat.copy() for step, flat in self._sent.items()}
        )

    def load(self, saved: Saved | None) -> None:
        """Go on from a checkpoint, which may say nothing of this network (None).

        Its weights are brought to the present base when they are next looked at.
        """
        self._loaded, self._is_foreign = saved, saved is None

    def settle(self, weights: Weights) -> None:
        """Bring weights that a checkpoint restored to the present base, before they are trained further."""
        loaded, base = self._loaded, self._base
        if base is None or self.progress.base is None or not (loaded or self._is_foreign):
            return
        self.daemon.check_process()
        self._loaded, self._is_foreign = None, False
        if loaded is None:
            self._move(weights, Copy("the checkpoint was made without comind"), base, None, {})
            self.progress, self._sent = self.progress.drop(), {}
        elif loaded.progress.uncounted_steps and self._is_base(weights):
            self._say("the checkpoint's uncounted work is not in the model: load the model's weights, too")
        elif loaded.progress != self.progress:
            adoption = restore(loaded.progress, self.progress)
            self._move(weights, adoption.move, base, loaded.base, loaded.sent)
            self.progress, self._sent = adoption.progress, {}

    def end_on_base(self, weights: Weights) -> None:
        """After the network's last average all hold it: what was trained since can never be counted."""
        if self._base is not None:
            weights.write_from(self._base)

    # -- a round --------------------------------------------------------------------------------------------

    def _contribute(self, weights: Weights, metrics: Mapping[str, float]) -> Round:
        if self.finished:
            return self.no_round("the network's averages are done")
        if not self._catch_up(weights):
            return self.no_round(self.daemon.gone)
        self._adopt(weights, None)
        if not self.progress.uncounted_steps:
            return self.no_round("nothing was trained since the newest base")
        sent = None if self._is_awaited else self._offer(weights, metrics)
        self._wait()
        if (round := self._adopt(weights, sent)) is not None:
            return round
        if self.daemon.released is None:
            because = f"no round came within {self._max_wait_s:g} s"
            return self.no_round(": ".join(filter(None, (because, self.daemon.waiting_for))))
        if self.daemon.is_open:
            self.daemon.say_once(f"training goes on without a round: {self.daemon.released}")
        return self.no_round(self.daemon.released)

    def _catch_up(self, weights: Weights) -> bool:
        if not self.daemon.catch_up() and self.daemon.wants_start:
            self._offer_start(weights)
        return self.daemon.catch_up()

    @property
    def _is_awaited(self) -> bool:
        """Whether a round may come of an offer before: another would only stand in its way."""
        return bool(self.progress.sent) and self.daemon.offers > 0 and self.daemon.released is None

    def _wait(self) -> None:
        """Wait while the daemon sees the round progress, but no longer than this trainer will (R17)."""
        daemon, max_wait_s = self.daemon, self._max_wait_s
        ends_s = None if max_wait_s is None else self._clock() + max_wait_s
        while not daemon.has_news and daemon.released is None:
            left_s = None if ends_s is None else max(0.0, ends_s - self._clock())
            if not daemon.hear(left_s) and left_s == 0.0:
                return

    def _offer(self, weights: Weights, metrics: Mapping[str, float]) -> Flat:
        claim = self.progress.claim()
        flat, descriptor = shared.create(self.schema.size)
        try:
            weights.read_into(flat)
            self.schema.refuse_unfit(flat)
            # Noted before it is said: what is interrupted in between was at least not counted unnoticed.
            self.progress = self.progress.offer(self.daemon.stands, self.daemon.announced)
            self._sent[claim.last_step] = flat
            self._forget_unsent()
            weight = claim.examples if self.daemon.weight_unit == "examples" else 1
            self.daemon.offer(
                Offered(claim.first_step, claim.last_step, claim.base, weight, dict(metrics)), descriptor
            )
        finally:
            os.close(descriptor)
        return flat

    def _offer_start(self, weights: Weights) -> None:
        flat, descriptor = shared.create(self.schema.size)
        try:
            weights.read_into(flat)
            self.schema.refuse_unfit(flat)
            self.daemon.offer(Offered(0, 0, NO_ROOT, 0, {}), descriptor)
        finally:
            os.close(descriptor)

    def no_round(self, because: str) -> Round:
        daemon = self.daemon
        return Round(
            counted=False,
            because=because,
            round=daemon.round,
            height=daemon.height,
            finished=self.finished,
        )

    # -- adopting -------------------------------------------------------------------------------------------

    def _adopt(self, weights: Weights, current: Flat | None) -> Round | None:
        """Move the weights to the newest base, if one came; `current` is what they are, if that is known."""
        arrived = self.daemon.read()
        if arrived is None:
            return None
        if arrived.anew:
            self.progress = self.progress.forget_base()
        adoption = self.progress.adopt(arrived.news.root, arrived.pair)
        finished = arrived.news.finished
        move = Copy() if finished and not isinstance(adoption.move, Stay) else adoption.move
        self._move(weights, move, arrived.base, self._base, self._sent, current)
        self.progress, self._base = adoption.progress, arrived.base
        self._forget_unsent()
        if finished and not self.finished:
            self.finished = True
            self._say(f"average {arrived.news.round} was the network's last: nothing more is contributed")
        if isinstance(adoption.move, FromSent) and adoption.move.last_step > arrived.pair.last_step:
            self._say(
                "an offer was counted that a newer one had replaced: what was trained between them is dropped"
            )
        self.last_round = told_by(arrived.news, adoption.counted)
        return self.last_round

    def _move(
        self,
        weights: Weights,
        move: Move,
        base: Flat,
        old: Flat | None,
        sent: Mapping[int, Flat],
        current: Flat | None = None,
    ) -> None:
        match move:
            case Stay():
                return
            case Copy(because):
                weights.write_from(base)
                if because:
                    self._say(f"uncounted work was dropped and the network's base adopted: {because}")
            case FromBase():
                assert old is not None
                self._shift(weights, base, old, current)
            case FromSent(last_step):
                self._shift(weights, base, sent[last_step], current)
        self.moves += 1

    def _shift(self, weights: Weights, base: Flat, since: Flat, current: Flat | None) -> None:
        if current is since:
            weights.write_from(base)
            return
        flat = np.empty(self.schema.size, np.float32)
        if current is None:
            weights.read_into(flat)
        else:
            flat[:] = current  # not in place: the daemon reads what was sent
        rebase(flat, base, since)
        weights.write_from(flat)

    def _is_base(self, weights: Weights) -> bool:
        assert self._base is not None
        flat = np.empty(self.schema.size, np.float32)
        weights.read_into(flat)
        return np.array_equal(flat.view(np.uint32), self._base.view(np.uint32))

    def _forget_unsent(self) -> None:
        """Let go of every vector that no block can count any more."""
        self._sent = {one.last_step: self._sent[one.last_step] for one in self.progress.sent}
