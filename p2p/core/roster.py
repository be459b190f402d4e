"""Who is a member, who votes, and is this set of signers a quorum? (R1, R2)

Knows nothing of blocks' bytes, of links, or of whose turn it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from comind.p2p.core.messages import (
    MAX_MEMBERS,
    Admit,
    Allow,
    CanLead,
    Change,
    Deny,
    Expel,
    GiveVote,
    Move,
    Pause,
    Remove,
    Resume,
    TakeVote,
)
from comind.p2p.core.words import Height, NodeId, Settings

PRESENT_BLOCKS_FOR_A_VOTE = 3
VOTERS_THAT_NONE_LOSES = 3
"""A silent voter keeps its vote while no more than so many vote (R2)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One member, as the chain knows it."""

    node: NodeId
    name: str
    addresses: tuple[str, ...]
    admitted: Height
    can_lead: bool
    voter: bool = False
    led_at: int = -1
    """Height of the last average that it originated; -1: none."""
    led: int = 0
    counted: int = 0
    """Averages that count a contribution of it."""
    present: int = 0
    """Blocks in which it was present, since it was admitted or lost its vote."""
    silent: int = 0
    """Blocks in a row in which it was not."""


@dataclass(frozen=True, slots=True)
class Roster:
    """The members in order of admission, then NodeId."""

    entries: tuple[Entry, ...]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __contains__(self, node: object) -> bool:
        return any(entry.node == node for entry in self.entries)

    def get(self, node: NodeId) -> Entry | None:
        return next((entry for entry in self.entries if entry.node == node), None)

    def nodes(self) -> tuple[NodeId, ...]:
        return tuple(entry.node for entry in self.entries)

    def voters(self) -> tuple[NodeId, ...]:
        return tuple(entry.node for entry in self.entries if entry.voter)

    def is_quorum(self, signers: frozenset[NodeId]) -> bool:
        """Say whether these are more than half of the voters, or exactly half with the first one (R1).

        Of any set of voters and its complement exactly one is a quorum.
        """
        voters = self.voters()
        count = len(signers.intersection(voters))
        return 2 * count > len(voters) or (2 * count == len(voters) > 0 and voters[0] in signers)

    def in_order(self, nodes: frozenset[NodeId] | set[NodeId]) -> tuple[NodeId, ...]:
        return tuple(node for node in self.nodes() if node in nodes)

    def with_change(self, change: Change, height: Height) -> "Roster":
        """Return the roster after one change of a block of this height; it is valid (see `objection`)."""
        match change:
            case Admit():
                entry = Entry(
                    NodeId(change.node),
                    change.name,
                    change.addresses,
                    admitted=height,
                    can_lead=change.can_lead,
                )
                ordered = sorted((*self.entries, entry), key=lambda one: (one.admitted, one.node))
                return Roster(tuple(ordered))
            case Remove() | Expel():
                return Roster(tuple(entry for entry in self.entries if entry.node != change.node))
            case GiveVote():
                return self._with(change.node, voter=True)
            case TakeVote():
                return self._with(change.node, voter=False, present=0)
            case CanLead():
                return self._with(change.node, can_lead=change.can_lead)
            case Move():
                return self._with(change.node, name=change.name, addresses=change.addresses)
            case Pause() | Resume() | Allow() | Deny():
                return self

    def with_presence(self, present: frozenset[bytes]) -> "Roster":
        return Roster(
            tuple(
                replace(entry, present=entry.present + 1, silent=0)
                if entry.node in present
                else replace(entry, silent=entry.silent + 1)
                for entry in self.entries
            )
        )

    def with_average(self, height: Height, originator: bytes, counted: frozenset[bytes]) -> "Roster":
        return Roster(
            tuple(
                replace(
                    entry,
                    led_at=height if entry.node == originator else entry.led_at,
                    led=entry.led + (entry.node == originator),
                    counted=entry.counted + (entry.node in counted),
                )
                for entry in self.entries
            )
        )

    def objection(self, change: Change, settings: Settings) -> str | None:
        """Say why this change cannot be made to this roster (R2); None if it can."""
        if isinstance(change, Pause | Resume | Allow | Deny):
            return None
        entry = self.get(NodeId(change.node))
        if isinstance(change, Admit):
            if len(self.entries) >= MAX_MEMBERS:
                return f"the roster is full: {MAX_MEMBERS} members"
            return "it is on the roster already" if entry else None
        if entry is None:
            return "it is not on the roster"
        match change:
            case Remove() if entry.voter and len(self.voters()) == 1:
                return "it is the only voter"
            case Expel() if entry.voter and len(self.voters()) == 1:
                return "it is the only voter: wait until another one votes"
            case GiveVote() if entry.voter:
                return "it has a vote"
            case GiveVote() if entry.present < PRESENT_BLOCKS_FOR_A_VOTE:
                return f"it was present for {entry.present} blocks of {PRESENT_BLOCKS_FOR_A_VOTE}"
            case GiveVote() if len(self.voters()) >= settings.max_voters:
                return f"{settings.max_voters} vote already"
            case TakeVote() if not entry.voter:
                return "it has no vote"
            case TakeVote() if len(self.voters()) <= VOTERS_THAT_NONE_LOSES:
                return f"no more than {VOTERS_THAT_NONE_LOSES} vote"
            case TakeVote() if entry.silent < settings.passive_after:
                return f"it was silent for {entry.silent} rounds of {settings.passive_after}"
        return None

    def changes_vote(self, change: Change) -> bool:
        match change:
            case GiveVote() | TakeVote():
                return True
            case Remove() | Expel():
                entry = self.get(NodeId(change.node))
                return entry is not None and entry.voter
        return False

    def _with(self, node: bytes, **fields: object) -> "Roster":
        return Roster(
            tuple(
                replace(entry, **fields) if entry.node == node else entry  # type: ignore[arg-type]
                for entry in self.entries
            )
        )
