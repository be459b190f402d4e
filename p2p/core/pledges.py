"""What has this member promised, and may it promise this? (R9, R12, R14, S6-S8)

Each promise is a record that is on disk before it is said. Knows nothing of when to promise what.
"""

import msgspec

from comind.p2p.core.effects import Promise, Promised, Seen, Send
from comind.p2p.core.here import Here
from comind.p2p.core.messages import Lock, ViewChange, ViewChanged, Vote, Voted
from comind.p2p.core.signing import sign_change, sign_vote
from comind.p2p.core.words import BlockHash, Height, Incarnation, NodeId, View

_UNSIGNED = bytes(64)


class Pledges:
    """The promises of one member: at its current height, and the count over all of them."""

    def __init__(self, here: Here, record: Promised | None) -> None:
        self._here = here
        self._record = record or Promised(height=0, view=0, count=0)
        self._started_with = self._record.count
        self.restored = False
        """Whether others saw promises that this disk does not hold: it came back from a backup (R14)."""
        self.seen: dict[NodeId, tuple[int, int]] = {
            NodeId(one.node): (one.incarnation, one.promise) for one in self._record.seen
        }

    @property
    def count(self) -> int:
        return self._record.count

    def at(self, height: Height) -> Promised:
        """Return what binds it at this height: its promise, or an empty one."""
        if self._record.height == height:
            return self._record
        return Promised(height=height, view=0, count=self._record.count)

    def saw(self, node: NodeId, incarnation: Incarnation, promise: int) -> None:
        """Remember the highest incarnation and count that were seen of a member (R14)."""
        if node == self._here.me.node or node not in self._here.chain.roster:
            return
        before = self.seen.get(node, (0, 0))
        self.seen[node] = max(before[0], incarnation), max(before[1], promise)

    def told(self, incarnation: int, promise: int) -> None:
        """Hear the highest pair that a member saw of this node (R14).

        Counts only grow, also over starts: what was seen before this start must be on the disk that it found.
        """
        mine = self._here.me.incarnation
        before_this_start = incarnation < mine and promise > self._started_with
        if incarnation > mine or promise > self.count or before_this_start:
            self.restored = True

    def given_vote(self, incarnation: int) -> None:
        """Hear that a block gives this node its vote: if it names this incarnation, abstaining ends (R14)."""
        if incarnation == self._here.me.incarnation:
            self.restored = False

    def is_stale(self, node: NodeId, incarnation: int) -> bool:
        """Whether a higher incarnation of this node was greeted before (R14)."""
        return incarnation < self.seen.get(node, (0, 0))[0]

    def prepare(
        self, height: Height, view: View, block: BlockHash, wire: bytes, to: tuple[NodeId, ...]
    ) -> Vote:
        """Vote PREPARE (R9): once for each (height, view), never below a promised view (S7, S8)."""
        bound = self.at(height)
        assert view >= bound.view, "a vote below a promised view"
        again = bound.prepared is not None and bound.prepared.view == view
        assert not again or (bound.prepared and bound.prepared.block == block), "two votes in one view"
        vote = self._vote("prepare", height, view, block)
        self._promise(msgspec.structs.replace(bound, view=view, prepared=vote, block=wire), Voted(vote), to)
        return vote

    def commit(
        self, height: Height, view: View, lock: Lock, block: BlockHash, to: tuple[NodeId, ...]
    ) -> Vote:
        """Lock, and vote COMMIT (R10)."""
        bound = self.at(height)
        assert view >= bound.view, "a vote below a promised view"
        assert bound.lock is None or bound.lock.view <= lock.view, "a lock that goes back"
        mine = bound.prepared
        assert mine is not None, "a COMMIT of no own PREPARE"
        assert (mine.view, mine.block) == (view, block), "a COMMIT of another PREPARE"
        before = bound.committed
        assert before is None or before.view != view or before.block == block, "two COMMITs in one view"
        vote = self._vote("commit", height, view, block)
        self._promise(msgspec.structs.replace(bound, view=view, committed=vote, lock=lock), Voted(vote), to)
        return vote

    def change(self, height: Height, view: View, to: tuple[NodeId, ...]) -> ViewChange:
        """Promise to sign nothing in lower views (R12); it carries the highest lock from below."""
        bound = self.at(height)
        assert view >= bound.view, "a view below a promised one"
        change = sign_change(
            self._here.signer,
            self._here.network,
            ViewChange(
                height=height,
                view=view,
                lock=bound.lock,
                node=self._here.me.node,
                incarnation=self._here.me.incarnation,
                promise=self.count + 1,
                signature=_UNSIGNED,
            ),
        )
        self._promise(msgspec.structs.replace(bound, view=view, change=change), ViewChanged(change), to)
        return change

    def _vote(self, kind: str, height: Height, view: View, block: BlockHash) -> Vote:
        vote = Vote(
            kind=kind,
            height=height,
            view=view,
            block=block,
            node=self._here.me.node,
            incarnation=self._here.me.incarnation,
            promise=self.count + 1,
            signature=_UNSIGNED,
        )
        return sign_vote(self._here.signer, self._here.network, vote)

    def _promise(self, record: Promised, message: Voted | ViewChanged, to: tuple[NodeId, ...]) -> None:
        seen = tuple(Seen(node, *pair) for node, pair in sorted(self.seen.items()))
        self._record = msgspec.structs.replace(record, count=self.count + 1, seen=seen)
        others = tuple(dict.fromkeys(node for node in to if node != self._here.me.node))
        self._here.do(Promise(self._record, (Send(others, message),) if others else ()))
