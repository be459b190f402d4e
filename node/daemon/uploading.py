"""How does a contributor let the averager have its chunks? (R7)

Sealed for it alone, each once under each key, when it asks. Knows nothing of the average.
"""

from collections.abc import Iterator
from typing import Protocol

from comind.crypto.sealing import TAG_BYTES, ChunkSealer, derive_key
from comind.node.daemon.outgoing import Chunk, Misbehaved, Output
from comind.node.daemon.slabs import Slabs
from comind.p2p.core.effects import OpenHash
from comind.p2p.core.snapshot import VALUE_BYTES, chunk_count, chunk_values
from comind.p2p.core.words import NetworkId, NodeId
from comind.p2p.shell.bulk import Stream, StreamKind


class Source(Protocol):
    """A snapshot that can be read chunk by chunk."""

    size: int

    def read_into(self, index: int, out: memoryview) -> None:
        """Raises OSError: it cannot be read."""


def upload_key(secret: bytes, network: NetworkId, open: OpenHash, sender: NodeId, receiver: NodeId) -> bytes:
    """Return the key of one contribution to one attempt, over one link.

    The OPEN's hash binds height, view and attempt; the link's secret binds both incarnations, whose greeting
    made it.
    """
    return derive_key(secret, "upload", network, open, sender, receiver)


class Uploading:
    """One contribution, for as long as its attempt may need it."""

    def __init__(
        self, open: OpenHash, network: NetworkId, me: NodeId, averager: NodeId, source: Source, slabs: Slabs
    ) -> None:
        self.averager = averager
        self.source = source
        self._stream = Stream(StreamKind.CONTRIBUTION, open)
        self._ids = (network, open, me, averager)
        self._slabs = slabs
        self._sealers: dict[bytes, tuple[ChunkSealer, set[int]]] = {}

    def asked(self, peer: NodeId, first: int, count: int, secret: bytes | None) -> Iterator[Output]:
        """Seal what is asked for. `secret` is that of the link over which it goes; None: the link is gone.

        Raises:
            OSError: the trainer's file cannot be read.
        """
        if peer != self.averager or first + count > chunk_count(self.source.size):
            yield Misbehaved(peer, "it asked for a contribution that is not for it")
            return
        if secret is None:
            return
        sealer, sealed = self._sealer(secret)
        for index in range(first, first + count):
            if index in sealed:
                yield Misbehaved(peer, "it asked for a chunk twice")
                return
            sealed.add(index)
            yield Chunk(peer, self._stream, index, self._seal(sealer, index))

    def _sealer(self, secret: bytes) -> tuple[ChunkSealer, set[int]]:
        if secret not in self._sealers:
            self._sealers[secret] = (ChunkSealer(upload_key(secret, *self._ids)), set())
        return self._sealers[secret]

    def _seal(self, sealer: ChunkSealer, index: int) -> memoryview:
        size_bytes = chunk_values(self.source.size, index) * VALUE_BYTES
        slab = self._slabs.take(size_bytes + TAG_BYTES)
        self.source.read_into(index, slab[:size_bytes])
        sealer.seal_into(index, slab[:size_bytes], slab)
        return slab
