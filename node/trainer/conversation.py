"""What has the daemon said, and what is it waiting for?

Turns the words of one daemon after another into a state that a training can ask for: welcomed or gone,
released or waited for, and the newest base. Knows nothing of steps, nor of what the weights do about it.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from comind.node.attach import (
    PROTOCOL,
    Announced,
    Attach,
    Called,
    Closed,
    Finished,
    News,
    Offered,
    Refused,
    Released,
    Started,
    Waiting,
    Welcome,
)
from comind.node.trainer import shared
from comind.node.trainer.attachment import PROMPT_S, Attachment, Heard
from comind.node.trainer.rebase import Flat, Pair
from comind.node.trainer.schema import Schema
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.words import Rule


@dataclass(frozen=True, slots=True)
class Arrived:
    """A base that the daemon told of."""

    news: News
    base: Flat
    anew: bool
    """Whether it belongs to another history than the base before it."""

    @property
    def pair(self) -> Pair:
        return Pair(self.news.counted_run, self.news.counted_last_step)


class Conversation:
    """What the daemon at `path` said to the run `run`. A daemon that goes away is called again."""

    def __init__(
        self,
        path: Path,
        run: bytes,
        schema: Schema,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.welcome: Welcome | None = None
        """Of this attachment; None until the daemon has answered."""
        self.caught_up = False
        """Whether the daemon has told, since it was attached, where the chain stands."""
        self.offers = 0
        """Of this attachment, since the chain is known."""
        self.stands = True
        """Whether the newest offer may be counted even if another replaces it: the daemon signs one, and may
        have done so whenever what it says of it has changed."""
        self.announced: int | None = None
        """The last step of the offer that a round holds, whatever is offered later."""
        self.started = False
        self.released: str | None = None
        """Why the newest offer is not waited for; None while it is."""
        self.waiting_for = ""
        self.called = False
        """Whether a round waits for an offer now (R5): until there is one, also where that round goes by."""
        self.gone = "no daemon is attached"
        self.height = -1
        """Of the newest block that any daemon told of."""
        self.round = 0
        self.weight_unit = ""
        self.network = ""
        self._network_id = b""
        self._attachment = Attachment(path, clock)
        self._run = run
        self._schema = schema
        self._say = say
        self._clock = clock
        self._said = ""
        self._waited = False
        """Whether the newest offer was waited for."""
        self._reason: str | None = None
        """Why an offer was released last, by this daemon."""
        self._begun = False
        self._over = False
        self._called_s = 0.0
        self._anew = False
        self._offered_at: int | None = None
        """The height that was known at the newest offer of this attachment."""
        self._newest: Arrived | None = None
        self._unread: Arrived | None = None

    # -- what stands ----------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        return self._attachment.is_open

    @property
    def is_over(self) -> bool:
        """Whether this trainer has finished."""
        return self._over

    @property
    def wants_start(self) -> bool:
        """Whether the network has no base, and is still to be offered this trainer's weights."""
        has_none = self.welcome is not None and not self.welcome.has_base and not self.caught_up
        return has_none and not self.offers

    @property
    def has_news(self) -> bool:
        return self._unread is not None

    def read(self) -> Arrived | None:
        """Return the newest base, if it was not read before."""
        arrived, self._unread = self._unread, None
        if arrived is not None:
            self._said = ""
        return arrived

    def check_process(self) -> None:
        self._attachment.check_process()

    # -- calling --------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Attach for the first time, and hear the first word: a welcome, or why it must be waited for.

        Raises:
            ConfigError: no daemon is there, or it refuses this trainer, with its line.
        """
        try:
            self._call(detached=False)
            if not self.hear(PROMPT_S):
                raise Closed("it says nothing")
        except Closed as why:
            raise ConfigError(f"no daemon answers this trainer ({why}): start one with comind node") from None

    def has_begun(self) -> None:
        """From now on training goes on whatever happens to the daemon."""
        self._begun = True

    def call_again(self, urgent: bool) -> None:
        """Attach again if the daemon is gone; between intervals (not `urgent`) with back-off."""
        if self.is_open or self._over:
            return
        self.check_process()
        if urgent or self._attachment.may_try():
            try:
                self._call(detached=True)
            except Closed:
                pass  # not yet

    def catch_up(self) -> bool:
        """Return whether the chain is known: wait for it for a little, the first time after each call.

        It cannot be while `wants_start`.
        """
        while self.is_open and not (self.caught_up or self.wants_start):
            left_s = max(0.0, self._called_s + PROMPT_S - self._clock())
            if not self.hear(left_s) and self.is_open:
                self.gone = (
                    self.waiting_for or "the daemon is there again, but does not know yet where the chain is"
                )
                return False
        return self.is_open and self.caught_up

    def offer(self, offered: Offered, descriptor: int) -> None:
        """Offer the snapshot in this file. That nobody was there to take it is told by `released`."""
        self.released, self.stands, self._waited = None, True, False
        self.offers += 1
        self.called, self._offered_at = False, self.height
        try:
            self._attachment.send(offered, descriptor)
        except Closed as why:
            self._lose(str(why))

    def listen(self) -> None:
        """Hear all that was said, without waiting."""
        self.call_again(urgent=False)
        while self.is_open and self.hear(0.0):
            pass

    def hear(self, timeout_s: float | None) -> bool:
        """Hear one word; False if none came in time, or the daemon is gone.

        Raises:
            ConfigError: the daemon refuses this trainer for good.
            Closed: it is gone before training has begun.
        """
        try:
            heard = self._attachment.hear(timeout_s)
            if heard is not None:
                self._understand(*heard)
            return heard is not None
        except Closed as why:
            self._lose(str(why))
            return False

    def finish(self) -> None:
        """Tell the daemon that this trainer has finished, and hang up. Twice is as good as once."""
        try:
            if self.is_open:
                self._attachment.send(Finished())
        except Closed:
            pass  # it is not there to be told
        finally:
            self._attachment.close()
            self.gone, self._over = "this trainer has finished", True

    def hang_up(self) -> None:
        """Leave without a word: this trainer died, to the daemon, or comes back."""
        self._attachment.close()

    def say_once(self, line: str) -> None:
        if line != self._said:
            self._said = line
            self._say(line)

    # -- inside ---------------------------------------------------------------------------------------------

    def _call(self, detached: bool) -> None:
        self.welcome, self.caught_up, self.offers, self.waiting_for = None, False, 0, ""
        self._reason, self._called_s = None, self._clock()
        self.called, self._offered_at = False, None
        self._attachment.open(
            Attach(
                protocol=PROTOCOL,
                pid=os.getpid(),
                run=self._run,
                schema=self._schema.tensors,
                size=self._schema.size,
                detached=detached,
            )
        )

    def _understand(self, word: Heard, descriptor: int | None) -> None:
        if descriptor is not None and not isinstance(word, News):
            os.close(descriptor)
            raise Closed("it sent a file that belongs to no base")
        match word:
            case Welcome():
                self._greet(word)
            case News():
                self._receive(word, self._find_base(word, descriptor))
            case Started():
                self.started = True
            case Announced(last_step):
                self.announced = last_step
            case Released(because):
                self.stands = self._waited or because != self._reason
                self.released = self._reason = because
            case Waiting(because):
                self.waiting_for, self.released = because, None
                self.stands = self._waited = True
            case Called():
                self.called = self._offered_at != self.height  # else the offer is on its way already
            case Refused(because, fatal):
                self._refuse(because, fatal)

    def _greet(self, welcome: Welcome) -> None:
        self._attachment.succeeded()
        self.welcome, self.weight_unit = welcome, welcome.weight_unit
        if self.network:
            self.say_once(f"the daemon is back, as {welcome.node} of {welcome.network}")
            moved = (welcome.network, welcome.network_id) != (self.network, self._network_id)
            if moved and welcome.parent and welcome.parent == self._network_id:
                self._newest, self.height = None, -1  # R18: it goes on where the network before it ended
            elif moved or not welcome.has_base:
                self._newest, self.height, self._anew = None, -1, True
        self.network, self._network_id = welcome.network, welcome.network_id

    def _receive(self, news: News, base: Flat) -> None:
        if not self.caught_up:
            self.caught_up, self.offers = True, 0
        if news.height < self.height:
            return  # S5: never backwards; this daemon has yet to catch up
        self.height, self.round = news.height, news.round
        self.started = self.started or news.started
        arrived, newest = Arrived(news, base, self._anew), self._newest
        if news.rule == Rule.ROSTER and newest is not None:
            if news.root == newest.news.root and arrived.pair == newest.pair:
                return  # the roster changed, and no more
        self._newest = self._unread = arrived
        self._anew, self.announced = False, None

    def _find_base(self, news: News, descriptor: int | None) -> Flat:
        if descriptor is not None:
            base = shared.take(descriptor, self._schema.size)
            if base is None or news.size != self._schema.size:
                raise Closed(f"it sent a base of {news.size} values to a model of {self._schema.size}")
            return base
        if self._newest is None or self._newest.news.root != news.root:
            raise Closed("it told of a base without sending it")
        return self._newest.base

    def _refuse(self, because: str, fatal: bool) -> None:
        if not fatal and self._begun:
            self.released = because
            return
        comes_back = self._begun and self.welcome is None
        self._attachment.failed()
        if not comes_back:
            raise ConfigError(because)
        self._lose(because)  # whoever took the place meanwhile: training need not end for it

    def _lose(self, why: str) -> None:
        self._attachment.close()
        if not self._begun:
            raise Closed(why)
        self.gone = self.released = f"the daemon is gone ({why})"
        self.say_once(f"{self.gone}: training goes on, and attaches again when it is back")
