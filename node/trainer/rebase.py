"""What becomes of local work when the network's base moves, and which of it still counts? (R16, R17)

Pure: steps, examples and float32 vectors. Knows nothing of sockets, files, torch or who averaged what.

`Progress` says what a trainer has done and offered; `Progress.adopt` hears which of it a block counts, and
says how the weights move: nothing is lost, nothing counts twice. Where that can be told no more (a checkpoint
from before a block, or another process that went on from the same one), work is dropped, not repeated.
"""

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Flat: TypeAlias = NDArray[np.float32]
"""A snapshot: one contiguous float32 vector."""

MAX_CARRY = 10
"""Intervals whose examples are carried over when their contribution was not counted."""

MAX_STANDING = 2
"""Offers before the newest that are kept in mind."""

_SLICE = 1 << 18
"""float32 values in 1 MiB: work stays in cache, and needs no second vector."""


# -- the weights --------------------------------------------------------------------------------------------


def rebase(weights: Flat, base: Flat, since: Flat) -> None:
    """Move `weights` from `since` to `base`, in place: w ← w + (base − since).

    All have the same length. A value that is bitwise that of `since` becomes exactly that of `base`: so
    weights that are bitwise what was sent become the base, and what is frozen gathers no rounding errors.
    """
    for start in range(0, len(weights), _SLICE):
        part, new, old = (one[start : start + _SLICE] for one in (weights, base, since))
        untouched = part.view(np.uint32) == old.view(np.uint32)
        part += new - old
        np.copyto(part, new, where=untouched)


@dataclass(frozen=True, slots=True)
class Stay:
    """The base is the one that the weights rest on already."""


@dataclass(frozen=True, slots=True)
class Copy:
    """The weights become the base; `because` says what work is dropped, if any is."""

    because: str = ""


@dataclass(frozen=True, slots=True)
class FromBase:
    """w ← w + (new base − old base): nothing of the local work was counted, and all of it is kept."""


@dataclass(frozen=True, slots=True)
class FromSent:
    """w ← w + (new base − what was sent at this step): work up to it is in the base, later work is kept."""

    last_step: int


Move = Stay | Copy | FromBase | FromSent


# -- the steps ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pair:
    """The newest contribution of this node that a block counts: (run, last step). An empty run: none."""

    run: bytes
    last_step: int


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval that no block counts yet."""

    last_step: int
    examples: int


@dataclass(frozen=True, slots=True)
class Sent:
    """An offer that a block may yet count."""

    last_step: int
    stands: bool = True
    """Whether its header may be signed: there is one for each height, whatever is offered later (R4)."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a contribution stands for: the steps (first, last] of its run, trained from `base`."""

    first_step: int
    last_step: int
    base: bytes
    examples: int


@dataclass(frozen=True, slots=True)
class Adoption:
    """What follows from a new base."""

    progress: "Progress"
    move: Move
    counted: bool
    """Whether a contribution of this run was counted that had not been before."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where one trainer stands. Immutable: what happens makes another."""

    run: bytes
    step: int = 0
    first_step: int = 0
    """Up to this step all work is in the base, or dropped."""
    closed_step: int = 0
    """Where the running interval began."""
    examples: int = 0
    """Of the running interval."""
    intervals: tuple[Interval, ...] = ()
    base: bytes | None = None
    """Root of the base that the weights rest on; None before the first."""
    counted: Pair | None = None
    """The newest that is known of; None before the daemon has told."""
    sent: tuple[Sent, ...] = ()
    inherited: bool = False
    """Whether uncounted work comes from a checkpoint, so that another process may offer it, too."""

    @property
    def uncounted_steps(self) -> int:
        return self.step - self.first_step

    @property
    def uncounted_examples(self) -> int:
        return sum(interval.examples for interval in self.intervals) + self.examples

    def trained(self, examples: int, steps: int = 1) -> "Progress":
        """So many steps were taken, on so many examples (0 where each contribution weighs one)."""
        return replace(self, step=self.step + steps, examples=self.examples + examples)

    def close(self, max_carry: int = MAX_CARRY) -> "Progress":
        """End the running interval; of those before it, `max_carry` keep their examples."""
        if self.step == self.closed_step:
            return self
        interval = Interval(self.step, self.examples)
        kept = (*self.intervals, interval)[-1 - max_carry :]
        return replace(self, closed_step=self.step, examples=0, intervals=kept)

    def claim(self) -> Claim:
        """Return what a snapshot of the present weights would stand for."""
        assert self.base is not None
        assert self.uncounted_steps > 0
        return Claim(self.first_step, self.step, self.base, self.uncounted_examples)

    def offer(self, last_stands: bool, announced: int | None = None) -> "Progress":
        """Note that the present weights are offered, and whether a block may yet count the offer before them.

        The newest few that may be counted are kept in mind, since each costs a snapshot, and in any case the
        one whose last step the daemon has announced.
        """
        sent = list(self.sent)
        if sent and (sent[-1].last_step == self.step or not (last_stands or sent[-1].last_step == announced)):
            sent.pop()
        newest = sent[-MAX_STANDING:]
        held = [one for one in sent[:-MAX_STANDING] if one.last_step == announced]
        return replace(self, sent=(*held, *newest, Sent(self.step)))

    def adopt(self, base: bytes, counted: Pair) -> Adoption:
        """Hear that the base is now `base`, and what the chain counts of this node."""
        if self.base is None:
            return self._drop(base, counted, "")
        if counted == self.counted:
            return self._go_on(base, counted)
        if counted.run == self.run and counted.last_step > self.first_step:
            return self._was_counted(base, counted)
        if counted.run == self.run:
            return self._drop(
                base, counted, "a block counts steps of this run from before a checkpoint was loaded"
            )
        if self.inherited:
            return self._drop(base, counted, "a block may count it for another run of this node")
        return self._go_on(base, counted)

    def drop(self) -> "Progress":
        """The weights become the base: what was trained is not in them, and will not be counted."""
        assert self.base is not None
        assert self.counted is not None
        return self._drop(self.base, self.counted, "").progress

    def forget_base(self) -> "Progress":
        """Begin anew with a network that has another history: the next base is adopted whole."""
        return replace(self, base=None, counted=None, sent=())

    def _go_on(self, base: bytes, counted: Pair) -> Adoption:
        if base == self.base:
            return Adoption(replace(self, counted=counted), Stay(), counted=False)
        move = FromBase() if self.uncounted_steps else Copy()
        return Adoption(replace(self, base=base, counted=counted, sent=()), move, counted=False)

    def _was_counted(self, base: bytes, counted: Pair) -> Adoption:
        """Keep what was trained since the counted offer; if that is not in mind any more, since the next."""
        steps = [one.last_step for one in self.sent if one.last_step >= counted.last_step]
        if not steps:
            return self._drop(
                base, counted, "a block counts part of it, and nobody knows any more which part"
            )
        last_step = min(steps)
        after = replace(
            self,
            first_step=last_step,
            intervals=tuple(one for one in self.intervals if one.last_step > last_step),
            base=base,
            counted=counted,
            sent=(),
            inherited=False,
        )
        return Adoption(after, FromSent(last_step), counted=True)

    def _drop(self, base: bytes, counted: Pair, because: str) -> Adoption:
        after = Progress(self.run, self.step, self.step, self.step, base=base, counted=counted)
        return Adoption(after, Copy(because if self.uncounted_steps else ""), counted=False)


def restore(saved: Progress, now: Progress) -> Adoption:
    """Go on from a checkpoint, as the run `now`, whose base and count are the network's (R16).

    If nothing of this node was counted since, or just what the checkpoint had offered, the rest of its work
    is kept. Else it was restored to a counted step or an earlier one, or nobody can tell: it is dropped.
    Steps are numbered anew, from where `now` stands: no step of a run is ever told twice.
    """
    assert now.base is not None
    assert now.counted is not None
    adoption = replace(saved, inherited=True).adopt(now.base, now.counted)
    kept = adoption.progress
    shift = now.step - kept.first_step
    progress = replace(
        kept,
        run=now.run,
        step=kept.step + shift,
        first_step=now.step,
        closed_step=kept.closed_step + shift,
        intervals=tuple(Interval(one.last_step + shift, one.examples) for one in kept.intervals),
        sent=(),
        inherited=kept.uncounted_steps > 0,
    )
    return replace(adoption, progress=progress)
