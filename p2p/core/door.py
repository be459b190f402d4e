"""Does the round open now, and for whom? (R5)

Who must be there (`start_at`), who must be ready (`min_peers`, the door) and who is counted are three things.
Knows nothing of links or blocks: it is told who trains, who is ready, and how late others were before.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol

from comind.p2p.core.words import NodeId, Settings

LEAST_DEADLINE_MS = 1_000
"""However alike members are: a call must reach a trainer, and its next step must end."""
MOST_DEADLINE_MS = 600_000
UNKNOWN_DEADLINE_MS = 5_000
"""While nobody knows how late members come, or as many have to be called as come by themselves."""
CALL_AHEAD_MS = 10_000
"""Calls go out so long before the deadline, but not in its first half."""
AT_DEADLINE = "at its deadline"
"""So says a reason, for as long as it is true; whoever shows it may say how much time is left instead."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Who trains and is heard from, and whose header is here, both in roster order."""

    training: tuple[NodeId, ...]
    ready: tuple[NodeId, ...]
    first_ms: int = 0
    """When the first header came."""


@dataclass(frozen=True, slots=True)
class Wait:
    because: str
    ask_again_ms: int | None = None
    """When to ask again, if nothing happens before; None: nothing will be different."""
    opens_ms: int | None = None
    """The door's deadline, if it has one."""


@dataclass(frozen=True, slots=True)
class Call:
    """Ask these to contribute at their next step with what they have (adaptive doors)."""

    whom: tuple[NodeId, ...]
    because: str
    ask_again_ms: int | None = None
    opens_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Open:
    contributors: tuple[NodeId, ...]
    because: str


Decision = Wait | Call | Open


class Door(Protocol):
    def decide(self, arrivals: Arrivals, now_ms: int) -> Decision: ...


@dataclass(frozen=True, slots=True)
class DoorForAll:
    """Opens when every training member that is heard from is ready: slow is not dead."""

    names: Callable[[Sequence[NodeId]], str]

    def decide(self, arrivals: Arrivals, now_ms: int) -> Decision:
        missing = [node for node in arrivals.training if node not in arrivals.ready]
        if missing:
            return Wait(f"waiting for {self.names(missing)} to reach the interval")
        if not arrivals.ready:
            return Wait("nobody trains")
        return Open(arrivals.ready, f"all {len(arrivals.ready)} that train are ready")


@dataclass(frozen=True, slots=True)
class AdaptiveDoor:
    """Opens when all are ready, or at a deadline; before that it calls those who are still on their way."""

    names: Callable[[Sequence[NodeId]], str]
    min_peers: int
    deadline_ms: int
    """After the first was ready: see `deadline_ms`."""

    def decide(self, arrivals: Arrivals, now_ms: int) -> Decision:
        missing = tuple(node for node in arrivals.training if node not in arrivals.ready)
        if not missing or not arrivals.ready:
            return DoorForAll(self.names).decide(arrivals, now_ms)
        opens_ms = arrivals.first_ms + self.deadline_ms
        calls_ms = opens_ms - min(self.deadline_ms // 2, CALL_AHEAD_MS)
        ready, are = self.names(missing), "are" if len(missing) > 1 else "is"
        if now_ms < calls_ms:
            return Wait(f"opens {AT_DEADLINE}, or when {ready} {are} ready", calls_ms, opens_ms)
        if now_ms < opens_ms:
            because = f"opens {AT_DEADLINE}, or when {ready}, called, {are} ready"
            return Call(missing, because, opens_ms, opens_ms)
        if len(arrivals.ready) < self.min_peers:
            return Call(missing, f"past its deadline, and {ready}, called, {are} not ready yet")
        return Open(arrivals.ready, f"its deadline came before {ready} {are} ready")


def deadline_ms(arrivals: Sequence[int | None]) -> int:
    """Return how long after the first the door opens: median + 4 MAD of recent arrivals, clamped.

    Each arrival is in ms after the first of its round; None: it came when it was called, or later.
    """
    if not arrivals:
        return UNKNOWN_DEADLINE_MS
    typical_ms = _median([inf if ms is None else ms for ms in arrivals])
    if typical_ms == inf:
        return UNKNOWN_DEADLINE_MS
    spread_ms = _median([inf if ms is None else abs(ms - typical_ms) for ms in arrivals])
    if spread_ms == inf:
        return UNKNOWN_DEADLINE_MS
    return int(min(max(typical_ms + 4 * spread_ms, LEAST_DEADLINE_MS), MOST_DEADLINE_MS))


def why_no_average(settings: Settings, training: int, round: int) -> str | None:
    """Say why no average may open with so many members training and heard from; None if one may."""
    if settings.rounds and round >= settings.rounds:
        return f"all {settings.rounds} rounds are done"
    if round == 0 and training < settings.start_at:
        return f"the first average waits for {settings.start_at} members that train: {training} so far"
    if training < settings.min_peers:
        return f"an average takes {settings.min_peers} members that train: {training} so far"
    return None


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
