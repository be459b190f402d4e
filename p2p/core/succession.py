"""Who wants another view, and what must its chief propose? (R12, R13)

Pure bookkeeping over VIEWCHANGEs. Knows nothing of patience: when to want one is `round`'s.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from comind.p2p.core.chain import Chain
from comind.p2p.core.errors import PeerMisbehaved
from comind.p2p.core.messages import Block, Lock, NewView, ViewChange
from comind.p2p.core.roster import Roster
from comind.p2p.core.signing import Verify, change_statement
from comind.p2p.core.wire import block_hash, read
from comind.p2p.core.words import NodeId, View

CHANGES_KEPT_PER_VOTER = 3


@dataclass(frozen=True, slots=True)
class Choice:
    """A quorum of VIEWCHANGEs, and the highest lock among them."""

    new_view: NewView
    lock: Lock | None


@dataclass(slots=True)
class Succession:
    """The VIEWCHANGEs of one height, already checked."""

    changes: dict[NodeId, dict[View, ViewChange]] = field(default_factory=dict)

    def add(self, change: ViewChange) -> bool:
        """Keep a VIEWCHANGE; False if it says nothing new."""
        kept = self.changes.setdefault(NodeId(change.node), {})
        before = kept.get(View(change.view))
        if before is not None and before.promise >= change.promise:
            return False
        kept[View(change.view)] = change
        if len(kept) > CHANGES_KEPT_PER_VOTER:
            del kept[min(kept)]
        return True

    def supported(self, roster: Roster) -> View:
        """Return the highest view v for which VIEWCHANGEs to views ≥ v are a quorum; 0 if there is none."""
        highest = {node: max(kept) for node, kept in self.changes.items() if kept}
        for view in sorted(set(highest.values()), reverse=True):
            if roster.is_quorum(frozenset(node for node, wanted in highest.items() if wanted >= view)):
                return view
        return View(0)

    def choices(self, view: View, roster: Roster) -> Iterator[Choice]:
        """Yield what the chief of this view may build on, the highest lock first.

        The later ones leave out whoever holds the locks of those before, so that bytes which nobody can give
        do not bind where a quorum without that lock exists (R13).
        """
        usable = [change for node in roster.voters() if (change := self._for_view(node, view)) is not None]
        while roster.is_quorum(frozenset(NodeId(change.node) for change in usable)):
            lock = highest_lock(tuple(usable))
            yield Choice(tuple(usable), lock)
            if lock is None:
                return
            name = block_hash(lock.block)
            usable = [one for one in usable if one.lock is None or block_hash(one.lock.block) != name]

    def climbed_on(self, view: View) -> tuple[ViewChange, ...]:
        """Return the VIEWCHANGEs that let one climb to this view: the highest of each voter, if not below."""
        return tuple(
            kept[max(kept)] for kept in self.changes.values() if kept and max(kept) >= max(0, view - 1)
        )

    def _for_view(self, node: NodeId, view: View) -> ViewChange | None:
        kept = self.changes.get(node, {})
        for wanted in sorted(kept):
            lock = kept[wanted].lock
            if wanted >= view and (lock is None or lock.view < view):
                return kept[wanted]
        return None


def highest_lock(new_view: NewView) -> Lock | None:
    locks = [change.lock for change in new_view if change.lock is not None]
    return max(locks, key=lambda lock: lock.view, default=None)


def check_change(change: ViewChange, chain: Chain, verify: Verify) -> None:
    """Check a VIEWCHANGE for the next height: a voter's, and its lock a quorum's.

    Raises:
        PeerMisbehaved: with what is wrong.
    """
    if change.height != chain.next or change.node not in chain.roster.voters():
        raise PeerMisbehaved("a VIEWCHANGE of no voter")
    if change.view < 1:
        raise PeerMisbehaved("a VIEWCHANGE to view 0")
    if not verify(NodeId(change.node), change_statement(chain.network, change), change.signature):
        raise PeerMisbehaved("a forged VIEWCHANGE")
    if change.lock is not None:
        _check_lock(change.lock, change, chain, verify)


def check_new_view(new_view: NewView, view: View, chain: Chain, verify: Verify) -> Lock | None:
    """Check a NEWVIEW's quorum and locks, and return the lock that binds its chief (R13).

    Raises:
        PeerMisbehaved: with what is wrong.
    """
    if view == 0:
        if new_view:
            raise PeerMisbehaved("a NEWVIEW for view 0")
        return None
    for change in new_view:
        check_change(change, chain, verify)
        if change.view < view or (change.lock is not None and change.lock.view >= view):
            raise PeerMisbehaved("a NEWVIEW with a VIEWCHANGE to another view")
    if not chain.roster.is_quorum(frozenset(NodeId(change.node) for change in new_view)):
        raise PeerMisbehaved("a NEWVIEW without a quorum")
    return highest_lock(new_view)


def _check_lock(lock: Lock, change: ViewChange, chain: Chain, verify: Verify) -> None:
    name = block_hash(lock.block)
    if lock.view >= change.view:
        raise PeerMisbehaved("a lock from a view that it leaves")
    for vote in lock.prepares:
        if (vote.kind, vote.height, vote.view, vote.block) != ("prepare", chain.next, lock.view, name):
            raise PeerMisbehaved("a lock with a vote for something else")
    chain.check_quorum(lock.prepares, verify)
    chain.check(read(Block, lock.block), verify)
