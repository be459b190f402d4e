"""What have the members' operators decided for all? (R5, R15)

Follows from the blocks alone. Knows nothing of wishes on their way, nor of links.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from comind.p2p.core.messages import Admit, Allow, Change, Decision, Deny, Expel, Pause, Resume
from comind.p2p.core.roster import Roster
from comind.p2p.core.words import Height, NodeId, Settings, full_id

MAX_LISTED = 1_024
"""Nodes that are allowed, and nodes that are denied."""
_START = Height(0)
_T = TypeVar("_T")


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
    allowed: Mapping[NodeId, Height] = field(default_factory=dict)
    """Who was allowed, and when; also where nobody needs it, so that an old Deny is known for one."""
    denied: Mapping[NodeId, Ruling] = field(default_factory=dict)

    def with_change(self, change: Change, roster: Roster, height: Height) -> "Standing":
        """Return what holds after one change of a block of this height; it is valid (see `objection`)."""
        match change:
            case Pause():
                return replace(self, paused=_ruling(change, change.because, roster, height), switched=height)
            case Resume():
                return replace(self, paused=None, switched=height)
            case Expel() | Deny():
                ruling = _ruling(change, change.because, roster, height)
                denied = {**self.denied, NodeId(change.node): ruling}
                return replace(self, denied=denied, allowed=_without(self.allowed, change.node))
            case Allow():
                allowed = {**self.allowed, NodeId(change.node): height}
                return replace(self, allowed=allowed, denied=_without(self.denied, change.node))
            case Admit() if height == _START:  # the founder, who may leave and come back
                return replace(self, allowed={**self.allowed, NodeId(change.node): height})
        return self

    def objection(self, change: Change, roster: Roster, settings: Settings, height: Height) -> str | None:
        """Say why this change cannot be in the block of this height; None if it can."""
        if isinstance(change, Admit):
            return self.why_barred(NodeId(change.node), settings) if height > _START else None
        if not isinstance(change, Decision):
            return None
        if change.by not in roster:
            return "only a member can ask for it"
        if change.after >= height:
            return "it was asked for after a block that is not there"
        match change:
            case Pause() if self.paused is not None:
                return f"the network is paused already, by {self.paused}; comind resume ends it"
            case Resume() if self.paused is None:
                return "the network is not paused: there is nothing to resume"
            case Pause() | Resume() if change.after < self.switched:
                return "it was paused or resumed since this was asked for"
            case Expel() | Allow() | Deny():
                return self._objection_to_naming(change, roster, settings)
        return None

    def why_paused(self) -> str | None:
        """Say who paused the network, and why; None while it is not paused."""
        return None if self.paused is None else f"paused by {self.paused}"

    def why_barred(self, node: NodeId, settings: Settings) -> str | None:
        """Say why this node, if it is no member, gets no link; None if it may have one."""
        if node in self.denied:
            return f"denied by {self.denied[node]}"
        if settings.admission == "list" and node not in self.allowed:
            return "not allowed yet"
        return None

    def _objection_to_naming(
        self, change: Expel | Allow | Deny, roster: Roster, settings: Settings
    ) -> str | None:
        node = NodeId(change.node)
        entry, ruling = roster.get(node), self.denied.get(node)
        decided = max(self.allowed.get(node, _START), ruling.at if ruling else _START)
        match change:
            case Expel() if node == change.by:
                return "a node does not remove itself: comind leave takes it off the roster"
            case Expel() if entry is not None and entry.admitted > change.after:
                return "it was admitted anew since this was asked for"
            case Allow() | Deny() if entry is not None:
                return f"{entry.name} is a member: comind remove takes it off the roster, and denies it"
            case Deny() if ruling is not None:
                return f"it is denied already, by {ruling}; comind allow {full_id(node)} lets it in"
            case Allow() if ruling is None and node in self.allowed:
                return "it is allowed already: it joins with comind node"
            case Allow() if ruling is None and settings.admission == "key":
                return "it is not denied, and whoever holds the invite may join this network"
            case Allow() | Deny() if decided > change.after:
                return "it was decided otherwise since this was asked for"
            case Allow() if len(self.allowed) >= MAX_LISTED:
                return f"{MAX_LISTED} nodes are allowed already: comind deny one that is not needed"
            case Expel() | Deny() if len(self.denied) >= MAX_LISTED:
                return f"{MAX_LISTED} nodes are denied already: comind allow one of them first"
        return None


def told(decision: Decision, roster: Roster) -> str:
    """Tell a decision in a person's words. `roster`: the one before it."""
    because = (
        f": {decision.because}" if isinstance(decision, Pause | Expel | Deny) and decision.because else ""
    )
    return f"{_name(decision.by, roster)} {_deed(decision, roster)}{because}"


def _deed(decision: Decision, roster: Roster) -> str:
    match decision:
        case Pause():
            return "paused the network"
        case Resume():
            return "resumed the network"
        case Expel(node=node):
            return f"removed {_name(node, roster)} ({full_id(NodeId(node))})"
        case Allow(node=node):
            return f"allowed {full_id(NodeId(node))}"
        case Deny(node=node):
            return f"denied {full_id(NodeId(node))}"


def _ruling(decision: Decision, because: str, roster: Roster, height: Height) -> Ruling:
    return Ruling(NodeId(decision.by), _name(decision.by, roster), because, height)


def _name(node: bytes, roster: Roster) -> str:
    entry = roster.get(NodeId(node))
    return entry.name if entry else "somebody"


def _without(listed: Mapping[NodeId, _T], node: bytes) -> dict[NodeId, _T]:
    return {one: value for one, value in listed.items() if one != node}
