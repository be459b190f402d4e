"""What have the members' operators decided for all? (R5, R15)

Follows from the blocks alone. Knows nothing of wishes on their way, nor of who is a member.
"""

from dataclasses import dataclass, replace

from comind.p2p.core.messages import Change, Decision, Pause, Resume
from comind.p2p.core.roster import Roster
from comind.p2p.core.words import Height, NodeId

_START = Height(0)


@dataclass(frozen=True, slots=True)
class Ruling:
    """One decision that holds: whose, why, and since which height."""

    by: NodeId
    name: str
    """What the asker was called then."""
    because: str
    at: Height

    def __str__(self) -> str:
        return f"{self.name}: {self.because}" if self.because else self.name


@dataclass(frozen=True, slots=True)
class Standing:
    """All that was decided and holds."""

    paused: Ruling | None = None
    switched: Height = _START
    """Height of the last Pause or Resume."""

    def with_change(self, change: Change, roster: Roster, height: Height) -> "Standing":
        """Return what holds after one change of a block of this height; it is valid (see `objection`)."""
        match change:
            case Pause():
                return replace(self, paused=_ruling(change, change.because, roster, height), switched=height)
            case Resume():
                return replace(self, paused=None, switched=height)
        return self

    def objection(self, change: Change, roster: Roster, height: Height) -> str | None:
        """Say why this change cannot be in the block of this height; None if it can."""
        if not isinstance(change, Decision):
            return None
        if change.after >= height:
            return "it was asked for after a block that is not there"
        if change.by not in roster:
            return "only a member can ask for it"
        match change:
            case Pause() if self.paused is not None:
                return f"the network is paused already, by {self.paused}; comind resume ends it"
            case Resume() if self.paused is None:
                return "the network is not paused: there is nothing to resume"
            case Pause() | Resume() if change.after < self.switched:
                return "it was paused or resumed since this was asked for"
        return None

    def why_paused(self) -> str | None:
        """Say who paused the network, and why; None while it is not paused."""
        return None if self.paused is None else f"paused by {self.paused}"


def told(decision: Decision, roster: Roster) -> str:
    """Tell a decision in a person's words. `roster`: the one before it."""
    asker = roster.get(NodeId(decision.by))
    name = asker.name if asker else "somebody"
    match decision:
        case Pause(because=because):
            return f"{name} paused the network" + (f": {because}" if because else "")
        case Resume():
            return f"{name} resumed the network"


def _ruling(decision: Decision, because: str, roster: Roster, height: Height) -> Ruling:
    asker = roster.get(NodeId(decision.by))
    return Ruling(NodeId(decision.by), asker.name if asker else "somebody", because, height)
