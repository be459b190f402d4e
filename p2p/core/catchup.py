"""What of the chain and of snapshots' bytes is missing here, and who is asked for it?

Blocks come in ranges, each from another member, and wait for those before them. Bytes come through the data
plane, which is told of all that hold them. Knows nothing of what a block decides.
"""

from collections import deque
from dataclasses import dataclass, field

from comind.p2p.core.discovery import Discovery
from comind.p2p.core.effects import Fetch
from comind.p2p.core.errors import PeerMisbehaved
from comind.p2p.core.here import Here
from comind.p2p.core.messages import MAX_BLOCK_BYTES, AskBlocks, Blocks, Committed
from comind.p2p.core.words import NO_ROOT, Height, NodeId, Root

MAX_BLOCKS_A_MESSAGE = 256
MAX_RANGES = 4
"""Beyond the blocks that come next: so many messages of them wait at most."""
ASK_AGAIN_MS = 1_000


@dataclass(slots=True)
class Range:
    """Blocks `first` to `end - 1`: one member is asked for them, or they are here."""

    first: int
    end: int
    peer: NodeId
    asked_ms: int
    blocks: deque[Committed] | None = None
    """None until they came."""


@dataclass(slots=True)
class Fetched:
    """A snapshot that is on its way."""

    size: int
    holders: set[NodeId]
    """Whom the data plane was told of and has not given up."""


@dataclass(slots=True)
class Catchup:
    """The questions that are out, and the answers that wait."""

    here: Here
    people: Discovery
    ranges: list[Range] = field(default_factory=list)
    """In order, none overlaps another."""
    asked: dict[NodeId, int] = field(default_factory=dict)
    """From which height on each was asked last: an answer that comes late is one all the same."""
    silent: set[NodeId] = field(default_factory=set)
    """Who was asked and did not answer in time: others that are ahead are asked first."""
    moved_ms: int = -ASK_AGAIN_MS
    """When a block of a range was taken last."""
    fetching: dict[Root, Fetched] = field(default_factory=dict)
    failed: dict[Root, set[NodeId]] = field(default_factory=dict)
    """Who could not give a root; forgotten at every heartbeat."""
    named: set[Root] = field(default_factory=set)
    """What was wanted since `let_go`."""

    # -- blocks ---------------------------------------------------------------------------------------------

    def ask(self, peer: NodeId) -> None:
        """Ask for the blocks that follow ours, this peer or whoever else is ahead, unless it is done."""
        self._give_up_the_late()
        at = int(self.here.chain.next)
        if not any(range.first <= at < range.end for range in self.ranges):
            trusted = self._is_free(peer) and peer not in self.silent
            whom = peer if trusted else self._whom(at)
            self._ask_for(at, whom or (peer if self._is_free(peer) else None))
        self._ask_further()

    def answered(self, peer: NodeId, blocks: tuple[Committed, ...]) -> bool:
        """Keep an answer until its turn comes; False: nobody asked this peer for it.

        Raises:
            PeerMisbehaved: its blocks do not follow each other.
        """
        asked = self.asked.pop(peer, None)
        found = next((one for one in self.ranges if one.first == asked and one.blocks is None), None)
        if asked is None or found is None or (blocks and blocks[0].certificate.height != asked):
            return False
        if not blocks:
            self.silent.add(peer)
            if found.peer == peer:
                self.ranges.remove(found)
            return True
        if any(one.certificate.height != height for height, one in enumerate(blocks, found.first)):
            raise PeerMisbehaved("blocks that do not follow each other")
        self.silent.discard(peer)
        found.peer = peer
        found.blocks = deque(blocks[: found.end - found.first])
        found.end = found.first + len(found.blocks)
        return True

    def take(self) -> tuple[NodeId, Committed] | None:
        """Return the block that comes next, and who gave it, if it is here."""
        self._drop_passed()
        if not self.has_next():
            return None
        blocks = self.ranges[0].blocks
        assert blocks
        while blocks[0].certificate.height < self.here.chain.next:
            blocks.popleft()
        self.moved_ms = self.here.now_ms
        return self.ranges[0].peer, blocks[0]

    def has_next(self) -> bool:
        """Whether the block that comes next is here, or one that it has passed."""
        front = self.ranges[0] if self.ranges else None
        return front is not None and bool(front.blocks) and front.first <= self.here.chain.next < front.end

    def is_moving(self) -> bool:
        """Whether blocks come one after another: the base of now is not that of soon."""
        return bool(self.ranges) and self.here.now_ms - self.moved_ms < ASK_AGAIN_MS

    def forget(self, peer: NodeId) -> None:
        """What this peer gave is of no use."""
        self.ranges = [one for one in self.ranges if one.peer != peer]

    def go_on(self) -> None:
        """Ask for more of those that are ahead and not known to be silent."""
        self._drop_passed()
        at = int(self.here.chain.next)
        if not any(range.first <= at < range.end for range in self.ranges):
            self._ask_for(at, self._whom(at))
        self._ask_further()

    def look_around(self) -> None:
        """At each heartbeat: ask whoever is ahead."""
        self.failed.clear()
        self.asked = {node: first for node, first in self.asked.items() if node in self.people.links}
        ahead = [node for node in self.people.links if self.people.height_of(node) > self.here.chain.height]
        self.silent.intersection_update(ahead)
        self._give_up_the_late()
        if ahead:
            if self.silent.issuperset(ahead):
                self.silent.clear()
            self.go_on()

    def blocks_from(self, first: Height) -> Blocks:
        """Return blocks from this height on, as many as one message holds."""
        blocks: list[Committed] = []
        size_bytes = 0
        for committed in self.here.chain.committed[first : first + MAX_BLOCKS_A_MESSAGE]:
            size_bytes += len(committed.block) + 256 * (len(committed.certificate.commits) + 1)
            if blocks and size_bytes > MAX_BLOCK_BYTES:
                break
            blocks.append(committed)
        return Blocks(blocks=tuple(blocks))

    def _ask_further(self) -> None:
        """Ask others for what comes after that: nobody for what it has not told of."""
        for _ in range(MAX_RANGES):
            at = int(self.here.chain.next)
            for one in self.ranges:
                at = one.end if one.first <= at < one.end else at
            if not self.ranges or len(self.ranges) > MAX_RANGES or not self._ask_for(at, self._whom(at)):
                return

    def _ask_for(self, first: int, peer: NodeId | None) -> bool:
        if peer is None:
            return False
        later = [one.first for one in self.ranges if one.first > first]
        end = min([first + MAX_BLOCKS_A_MESSAGE, *later])
        self.ranges.append(Range(first, end, peer, self.here.now_ms))
        self.ranges.sort(key=lambda one: one.first)
        self.asked[peer] = first
        self.here.send((peer,), AskBlocks(first=first))
        return True

    def _whom(self, first: int) -> NodeId | None:
        """Return who tells of this height, answers, and has nothing else to give now; the highest of them."""
        able = [
            node
            for node in self.people.links
            if self.people.height_of(node) >= first and node not in self.silent and self._is_free(node)
        ]
        return max(able, key=lambda node: (self.people.height_of(node), node), default=None)

    def _is_free(self, peer: NodeId) -> bool:
        return peer in self.people.links and all(
            one.peer != peer or one.blocks is not None for one in self.ranges
        )

    def _give_up_the_late(self) -> None:
        self._drop_passed()
        for one in [one for one in self.ranges if one.blocks is None]:
            late = self.here.now_ms - one.asked_ms >= ASK_AGAIN_MS
            if late or one.peer not in self.people.links:
                self.ranges.remove(one)
            if late:
                self.silent.add(one.peer)

    def _drop_passed(self) -> None:
        self.ranges = [one for one in self.ranges if one.end > self.here.chain.next]

    # -- bytes ----------------------------------------------------------------------------------------------

    def fetch(self, root: Root, size: int, holders: tuple[NodeId, ...]) -> None:
        """See to it that the bytes of this root come, from all of these that there is a link with."""
        if root == NO_ROOT or root in self.here.held:
            return
        self.named.add(root)
        failed = self.failed.get(root, set())
        able = tuple(node for node in holders if node in self.people.links and node not in failed)
        told = self.fetching.get(root)
        if told is not None:
            told.holders.intersection_update(self.people.links)
        if able and (told is None or told.holders != set(able)):
            self.fetching[root] = Fetched(size, set(able))
            self.here.do(Fetch(root, size, able))

    def let_go(self) -> None:
        """Stop what was begun and is wanted no more: what was named since the last time is."""
        for root in [root for root in self.fetching if root not in self.named]:
            self.here.do(Fetch(root, self.fetching.pop(root).size, ()))
        self.named.clear()

    def fetch_failed(self, root: Root, peer: NodeId) -> None:
        self.failed.setdefault(root, set()).add(peer)
        if root in self.fetching:
            self.fetching[root].holders.discard(peer)

    def held(self, root: Root) -> None:
        self.fetching.pop(root, None)
        self.failed.pop(root, None)
