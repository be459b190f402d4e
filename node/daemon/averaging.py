"""How does an averager make the average, and let everyone have it? (R7, S3)

It asks the contributors for chunks, adds them in roster order, and seals each sum once for all. What it has
asked for lies in one window over the sequence (chunk 0 of each part, chunk 1 of each part, ...), so that it
holds as much at a hundred members as at three. Knows nothing of why it averages.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from comind.crypto.errors import CannotOpen
from comind.crypto.sealing import TAG_BYTES, ChunkOpener, ChunkSealer
from comind.crypto.statement import statement
from comind.node.daemon import mean
from comind.node.daemon.outgoing import Ask, Chunk, ChunkList, Grant, Misbehaved, Output, Refuse
from comind.node.daemon.slabs import Slabs
from comind.node.daemon.snapshots import Snapshots
from comind.node.daemon.uploading import Source, upload_key
from comind.p2p.core.effects import Average, Averaged, Lost, OpenHash
from comind.p2p.core.signing import Signer
from comind.p2p.core.snapshot import VALUE_BYTES, chunk_count, chunk_hash, chunk_values
from comind.p2p.core.words import NetworkId, NodeId, Root
from comind.p2p.shell.bulk import MAX_ASK, Stream, StreamKind

WINDOW = 32
"""Chunks that are asked for and not added yet, over all contributors."""
BURST = 8
"""Chunks that are added before others have their turn."""


def chunks_statement(network: NetworkId, open: OpenHash, size: int, root: Root) -> bytes:
    """Return what an averager signs: the root binds every chunk's hash."""
    return statement("chunks", network, open, size, root)


@dataclass(slots=True)
class _Part:
    node: NodeId
    factor: np.float32
    own: Source | None
    openers: dict[bytes, ChunkOpener] = field(default_factory=dict)


class Averaging:
    """One average of one attempt; `own` is this node's part, `key` a fresh one that seals the broadcast."""

    def __init__(
        self,
        average: Average,
        network: NetworkId,
        signer: Signer,
        own: Source | None,
        snapshots: Snapshots,
        slabs: Slabs,
        key: bytes,
    ) -> None:
        self.open = average.open
        self.own = own
        self.over = False
        """Whether there is nothing more to gather: it is whole, or failed."""
        self._size = average.size
        self._chunks = chunk_count(average.size)
        self._network = network
        self._signer = signer
        factors = mean.scales([part.weight for part in average.parts])
        self._parts = [
            _Part(part.node, factor, own if part.node == signer.node_id else None)
            for part, factor in zip(average.parts, factors, strict=True)
        ]
        self._place = {part.node: place for place, part in enumerate(self._parts)}
        self._front = 0
        """How many of the sequence are added."""
        self._asked = 0
        self._came: dict[int, tuple[memoryview, Sequence[bytes]]] = {}
        self._slabs = slabs
        self._sum, self._share, self._scratch = (slabs.take(chunk_bytes(average.size)) for _ in range(3))
        self._hashes: list[bytes] = []
        self._writer = snapshots.writer(average.size)
        self._broadcast = _Broadcast(average.open, average.size, key, slabs)
        slabs.expect(self._chunks)

    # -- gathering ------------------------------------------------------------------------------------------

    @property
    def has_work(self) -> bool:
        """Whether `go_on` has something to do now."""
        return not self.over and self._is_here()

    def go_on(self) -> Iterator[Output]:
        """Ask for what the window holds, and add some of what is here."""
        for _ in range(BURST):
            if self.over:
                return
            if self._asked - self._front <= WINDOW // 2:
                yield from self._ask_for_more()
            if not self._is_here():
                return
            if self._front == self._chunks * len(self._parts):
                yield from self._finish()
            else:
                yield from self._add_next()

    def came(
        self, peer: NodeId, index: int, sealed: memoryview, secrets: Sequence[bytes]
    ) -> Iterator[Output]:
        """Take a sealed chunk of a contributor; it may be under any of these link secrets."""
        if self.over:
            return
        place = self._place.get(peer)
        position = index * len(self._parts) + (place or 0)
        if place is None or not self._front <= position < self._asked or position in self._came:
            yield Misbehaved(peer, "it sent a chunk that was not asked for")
            return
        self._came[position] = sealed, secrets
        yield from self.go_on()

    def refused(self, peer: NodeId, because: str) -> Iterator[Output]:
        if not self.over and self._owes(peer):
            yield from self._fail(peer, because)

    def link_down(self, peer: NodeId) -> Iterator[Output]:
        self._broadcast.forget(peer)
        if not self.over and self._owes(peer):
            yield from self._fail(peer, "its link broke")

    def _owes(self, peer: NodeId) -> bool:
        if (place := self._place.get(peer)) is None:
            return False
        parts = len(self._parts)
        first = self._front + (place - self._front) % parts
        return any(position not in self._came for position in range(first, self._chunks * parts, parts))

    def _is_here(self) -> bool:
        """Whether the next of the sequence is here, or there is no next."""
        parts = self._parts
        if self._front == self._chunks * len(parts):
            return True
        return parts[self._front % len(parts)].own is not None or self._front in self._came

    def _ask_for_more(self) -> Iterator[Output]:
        upto = min(self._front + WINDOW, self._chunks * len(self._parts))
        wanted: dict[NodeId, list[int]] = defaultdict(list)
        for position in range(self._asked, upto):
            index, place = divmod(position, len(self._parts))
            if self._parts[place].own is None:
                wanted[self._parts[place].node].append(index)
        self._asked = max(self._asked, upto)
        for node, indices in wanted.items():
            yield Ask(node, Stream(StreamKind.CONTRIBUTION, self.open), indices[0], len(indices))

    def _add_next(self) -> Iterator[Output]:
        """Read or open the next of the sequence, look through it, and only then add it."""
        index, place = divmod(self._front, len(self._parts))
        part = self._parts[place]
        size_bytes = chunk_values(self._size, index) * VALUE_BYTES
        share = self._share[:size_bytes]
        if (wrong := self._get(part, index, share)) is None:
            wrong = mean.what_is_wrong(mean.values_of(share))
        if wrong is not None:
            yield from self._fail(part.node, f"{wrong} in its chunk {index}", at_fault=True)
            return
        total = self._sum[:size_bytes]
        acc, scratch = mean.values_of(total), mean.values_of(self._scratch[:size_bytes])
        if place == 0:
            mean.begin(acc)
        mean.add(acc, mean.values_of(share), part.factor, scratch)
        self._front += 1
        if place == len(self._parts) - 1:
            self._hashes.append(chunk_hash(total))
            self._writer.put(index, total)
            yield from self._broadcast.add(index, total)

    def _get(self, part: _Part, index: int, share: memoryview) -> str | None:
        if part.own is not None:
            part.own.read_into(index, share)
            return None
        sealed, secrets = self._came.pop(self._front)
        if len(sealed) != len(share) + TAG_BYTES:
            return "bytes too many or too few"
        for secret in secrets:
            if secret not in part.openers:
                key = upload_key(secret, self._network, self.open, part.node, self._signer.node_id)
                part.openers[secret] = ChunkOpener(key)
            try:
                part.openers[secret].open_into(index, sealed, share)
            except CannotOpen:
                continue
            return None
        return "bytes that do not open"

    def _finish(self) -> Iterator[Output]:
        self.over = True
        root = self._writer.finish(self._hashes)
        signature = self._signer.sign(chunks_statement(self._network, self.open, self._size, root))
        yield Averaged(self.open, root)
        yield from self._broadcast.finish(tuple(self._hashes), signature)

    def _fail(self, peer: NodeId, because: str, at_fault: bool = False) -> Iterator[Output]:
        self.abandon()
        yield Lost(self.open, peer, because, at_fault)
        yield from self._broadcast.refuse("its averager lost a contribution")

    def abandon(self) -> None:
        """Stop gathering, and free what was gathered."""
        self.over = True
        self._came.clear()
        self._writer.abandon()

    # -- letting everyone have it ---------------------------------------------------------------------------

    def asked(self, peer: NodeId, first: int, count: int) -> Iterator[Output]:
        """Give a receiver what is there of the average, and the rest when it is."""
        yield from self._broadcast.asked(peer, first, count)


class _Broadcast:
    """The average's chunks, sealed once for all, and who waits for which."""

    def __init__(self, open: OpenHash, size: int, key: bytes, slabs: Slabs) -> None:
        self._stream = Stream(StreamKind.AVERAGE, open)
        self._size = size
        self._key = key
        self._sealer = ChunkSealer(key)
        self._slabs = slabs
        self._sealed: list[memoryview] = []
        self._asked: dict[NodeId, set[int]] = {}
        self._waiting: dict[int, list[NodeId]] = defaultdict(list)
        self._list: tuple[tuple[bytes, ...], bytes] | None = None
        self._refused = ""

    def asked(self, peer: NodeId, first: int, count: int) -> Iterator[Output]:
        if self._refused:
            yield Refuse(peer, self._stream, self._refused)
            return
        if peer not in self._asked:
            self._asked[peer] = set()
            yield Grant(peer, self._stream, self._key)
            if self._list is not None:
                yield ChunkList(peer, self._stream, self._size, *self._list)
        for index in range(first, min(first + count, chunk_count(self._size))):
            if index in self._asked[peer]:
                yield Misbehaved(peer, "it asked for a chunk twice")
                return
            self._asked[peer].add(index)
            if index < len(self._sealed):
                yield Chunk(peer, self._stream, index, self._sealed[index])
            else:
                self._waiting[index].append(peer)

    def add(self, index: int, chunk: memoryview) -> Iterator[Output]:
        slab = self._slabs.take(len(chunk) + TAG_BYTES)
        self._sealer.seal_into(index, chunk, slab)
        self._sealed.append(slab.toreadonly())
        for peer in self._waiting.pop(index, ()):
            yield Chunk(peer, self._stream, index, self._sealed[index])

    def finish(self, hashes: tuple[bytes, ...], signature: bytes) -> Iterator[Output]:
        self._list = hashes, signature
        for peer in self._asked:
            yield ChunkList(peer, self._stream, self._size, hashes, signature)

    def refuse(self, because: str) -> Iterator[Output]:
        self._refused = because
        self._sealed.clear()
        for peer in self._asked:
            yield Refuse(peer, self._stream, because)

    def forget(self, peer: NodeId) -> None:
        """Its link is gone: on the next one it may ask for everything again."""
        self._asked.pop(peer, None)
        for waiting in self._waiting.values():
            while peer in waiting:
                waiting.remove(peer)


def chunk_bytes(size: int) -> int:
    """Return the length of the longest chunk of a snapshot of `size` values."""
    return chunk_values(size, 0) * VALUE_BYTES if size else 0


assert WINDOW <= MAX_ASK
