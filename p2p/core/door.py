"""Does the round open now, and for whom? (R5)

Who must be there (`start_at`), who must be ready (`min_peers`, the door) and who is counted are three things.
Knows nothing of links or blocks: it is told who trains and who is ready.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from comind.p2p.core.words import NodeId, Settings


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Who trains and is heard from, and whose header is here, both in roster order."""

    training: tuple[NodeId, ...]
    ready: tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    because: str


@dataclass(frozen=True, slots=True)
class Call:
    """Ask these to contribute at their next step with what they have (adaptive doors)."""

    whom: tuple[NodeId, ...]
    because: str


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


def why_no_average(settings: Settings, training: int, round: int) -> str | None:
    """Say why no average may open with so many members training and heard from; None if one may."""
    if settings.rounds and round >= settings.rounds:
        return f"all {settings.rounds} rounds are done"
    if round == 0 and training < settings.start_at:
        return f"the first average waits for {settings.start_at} members that train: {training} so far"
    if training < settings.min_peers:
        return f"an average takes {settings.min_peers} members that train: {training} so far"
    return None
