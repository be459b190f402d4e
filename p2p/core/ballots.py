"""Which votes for the next block are in, and are they a quorum of one view and hash? (R9, R10)

Keeps a bounded number of votes a voter. Knows nothing of what a vote binds its signer to.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from comind.p2p.core.messages import Vote
from comind.p2p.core.roster import Roster
from comind.p2p.core.words import BlockHash, NodeId, View

VOTES_KEPT_PER_VOTER = 12


@dataclass(slots=True)
class Ballots:
    """The votes of one height, already verified."""

    votes: dict[NodeId, dict[tuple[str, View], Vote]] = field(default_factory=dict)

    def add(self, vote: Vote) -> bool:
        """Keep a vote; False if it says nothing new. The newest incarnation's word stands."""
        kept = self.votes.setdefault(NodeId(vote.node), {})
        key = (vote.kind, View(vote.view))
        before = kept.get(key)
        if before is not None and before.promise >= vote.promise:
            return False
        kept[key] = vote
        if len(kept) > VOTES_KEPT_PER_VOTER:
            del kept[min(kept, key=lambda one: one[1])]
        return key in kept and (before is None or before.block != vote.block)

    def quorum(self, kind: str, view: View, block: BlockHash, roster: Roster) -> tuple[Vote, ...] | None:
        """Return the votes of this kind, view and block, in roster order, if they are a quorum."""
        votes = {
            node: kept[kind, view]
            for node, kept in self.votes.items()
            if (kind, view) in kept and kept[kind, view].block == block
        }
        if not roster.is_quorum(frozenset(votes)):
            return None
        return tuple(votes[node] for node in roster.voters() if node in votes)

    def committed(self, roster: Roster) -> Iterator[tuple[View, BlockHash, tuple[Vote, ...]]]:
        """Yield every (view, block) that a quorum committed: at most one, or S1 is broken."""
        candidates = {
            (View(vote.view), BlockHash(vote.block))
            for kept in self.votes.values()
            for vote in kept.values()
            if vote.kind == "commit"
        }
        for view, block in sorted(candidates):
            if (votes := self.quorum("commit", view, block, roster)) is not None:
                yield view, block, votes

    def for_block(self, kind: str, block: BlockHash) -> tuple[NodeId, ...]:
        return tuple(
            node
            for node, kept in self.votes.items()
            if any(vote.kind == kind and vote.block == block for vote in kept.values())
        )
