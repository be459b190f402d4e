"""What of the chain and of snapshots' bytes is missing here, and who is asked for it?

One member at a time. Knows nothing of what a block decides.
"""

from dataclasses import dataclass, field

from comind.p2p.core.discovery import Discovery
from comind.p2p.core.effects import Fetch
from comind.p2p.core.here import Here
from comind.p2p.core.messages import MAX_BLOCK_BYTES, AskBlocks, Blocks, Committed
from comind.p2p.core.words import NO_ROOT, Height, NodeId, Root

MAX_BLOCKS_A_MESSAGE = 256
ASK_AGAIN_MS = 1_000


@dataclass(slots=True)
class Catchup:
    """The questions that are out."""

    here: Here
    people: Discovery
    asked: tuple[NodeId, int] | None = None
    """Whom for blocks, and when."""
    silent: set[NodeId] = field(default_factory=set)
    """Who was asked and did not answer in time: others that are ahead are asked first."""
    fetching: dict[Root, NodeId] = field(default_factory=dict)
    failed: dict[Root, set[NodeId]] = field(default_factory=dict)
    """Who could not give a root; forgotten at every heartbeat."""

    def ask(self, peer: NodeId) -> None:
        """Ask this peer for the blocks that follow ours, unless a question is out already."""
        if self.asked is not None and self.asked[0] in self.people.links:
            if self.here.now_ms - self.asked[1] < ASK_AGAIN_MS:
                return
            self.silent.add(self.asked[0])
        self.asked = (peer, self.here.now_ms)
        self.here.send((peer,), AskBlocks(first=self.here.chain.next))

    def answered(self, peer: NodeId) -> None:
        self.silent.discard(peer)
        if self.asked is not None and self.asked[0] == peer:
            self.asked = None

    def look_around(self) -> None:
        """At each heartbeat: ask whoever is ahead."""
        self.failed.clear()
        ahead = [node for node in self.people.links if self.people.height_of(node) > self.here.chain.height]
        if ahead:
            self.silent.intersection_update(ahead)
            if self.silent.issuperset(ahead):
                self.silent.clear()
            willing = [node for node in ahead if node not in self.silent]
            self.ask(max(willing, key=lambda node: (self.people.height_of(node), node)))

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

    def fetch(self, root: Root, size: int, holders: tuple[NodeId, ...]) -> None:
        """See to it that the bytes of this root come, from one of these."""
        if root == NO_ROOT or root in self.here.held:
            return
        if self.fetching.get(root) in self.people.links:
            return
        failed = self.failed.get(root, set())
        peer = next((node for node in holders if node in self.people.links and node not in failed), None)
        if peer is not None:
            self.fetching[root] = peer
            self.here.do(Fetch(root, size, peer))

    def fetch_failed(self, root: Root, peer: NodeId) -> None:
        self.failed.setdefault(root, set()).add(peer)
        if self.fetching.get(root) == peer:
            del self.fetching[root]

    def held(self, root: Root) -> None:
        self.fetching.pop(root, None)
        self.failed.pop(root, None)
