"""How does the data plane speak over links?

Knows headers, and that somebody seals and sends them.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from comind.p2p.core.words import NodeId
from comind.p2p.shell import bulk
from comind.p2p.shell.bulk import Buffer, BulkPort, Stream


class BulkSpeaker(BulkPort, ABC):
    """All that a `BulkPort` says, by way of one method."""

    @abstractmethod
    def _say(self, peer: NodeId, plaintext: bytes, chunk: Buffer | None = None) -> None:
        """Seal `plaintext` and send it over the link, if there is one, with `chunk` beside it."""

    def ask(self, peer: NodeId, stream: Stream, first: int, count: int) -> None:
        self._say(peer, bulk.ask_header(stream, first, count))

    def grant(self, peer: NodeId, stream: Stream, key: bytes) -> None:
        self._say(peer, bulk.grant_header(stream, key))

    def chunk_list(
        self, peer: NodeId, stream: Stream, size: int, hashes: Sequence[bytes], signature: bytes
    ) -> None:
        self._say(peer, bulk.list_header(stream, size, hashes, signature))

    def chunk(self, peer: NodeId, stream: Stream, index: int, sealed: Buffer) -> None:
        self._say(peer, bulk.chunk_header(stream, index, sealed), sealed)

    def refuse(self, peer: NodeId, stream: Stream, because: str) -> None:
        self._say(peer, bulk.refuse_header(stream, because))
