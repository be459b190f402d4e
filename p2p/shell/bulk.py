"""How do snapshots' chunks travel beside the core's messages?

The receiver pulls: nothing is sent that it did not ask for, so its asks are its credit. Each ask or answer is
a small header, sealed by the link in order with all else; a chunk follows its header as a frame of its own,
sealed already for whom it is for. Knows nothing of what is in a chunk, nor whether it was wanted: that is for
the data plane to judge. Every header fits its layout to the byte, or its sender misbehaved.

    header = what (1) | stream kind (1) | stream id (32) | rest
    ask     first (8) | count (2)
    grant   key (32)
    list    size (8) | signature length (1) | signature | hashes (32 each)
    chunk   index (8)
    refuse  because (UTF-8)
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Protocol

from comind.crypto.identity import SIGNATURE_BYTES
from comind.crypto.sealing import KEY_BYTES, TAG_BYTES
from comind.p2p.core.errors import PeerMisbehaved
from comind.p2p.core.messages import MAX_CHUNKS
from comind.p2p.core.snapshot import CHUNK_BYTES, HASH_BYTES, chunk_count
from comind.p2p.core.words import NodeId
from comind.p2p.shell.reasons import one_line

MAX_ASK = 64
"""Chunks that one ask may name. Who asks for much more in all, and does not read it, is dropped."""

MAX_SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES
MAX_REFUSAL_BYTES = 400

Buffer = bytes | memoryview


class StreamKind(Enum):
    CONTRIBUTION = 1
    """One member's snapshot for one attempt; the id is the OPEN's hash (R7)."""
    AVERAGE = 2
    """The average of one attempt; the id is the OPEN's hash (R7)."""
    SNAPSHOT = 3
    """A snapshot that a peer holds; the id is its root."""


@dataclass(frozen=True, slots=True)
class Stream:
    kind: StreamKind
    id: bytes
    """32 bytes."""


# -- events -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """The peer has room for these chunks: first, first + 1, ... up to `count`, which is 1 to `MAX_ASK`."""

    peer: NodeId
    stream: Stream
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Granted:
    """The key under which this peer broadcasts the stream."""

    peer: NodeId
    stream: Stream
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Listed:
    """What the peer says the stream's chunks hash to; the signature (64 bytes, or none) is not checked."""

    peer: NodeId
    stream: Stream
    size: int
    """float32 values; there is one hash for each of their chunks."""
    hashes: tuple[bytes, ...]
    signature: bytes


@dataclass(frozen=True, slots=True)
class ChunkCame:
    """A sealed chunk, asked for or not: at most `MAX_SEALED_CHUNK_BYTES`, else unchecked."""

    peer: NodeId
    stream: Stream
    index: int
    sealed: memoryview = field(repr=False)


@dataclass(frozen=True, slots=True)
class StreamRefused:
    peer: NodeId
    stream: Stream
    because: str


BulkEvent = Asked | Granted | Listed | ChunkCame | StreamRefused


class BulkPort(Protocol):
    """What the data plane may do with a peer. To whom there is no link, nothing goes."""

    def ask(self, peer: NodeId, stream: Stream, first: int, count: int) -> None:
        """Give credit for chunks first to first + count - 1; `count` is 1 to `MAX_ASK`."""

    def grant(self, peer: NodeId, stream: Stream, key: bytes) -> None:
        """Tell the key (32 bytes) of what this node broadcasts."""

    def chunk_list(
        self, peer: NodeId, stream: Stream, size: int, hashes: Sequence[bytes], signature: bytes
    ) -> None:
        """Tell what the chunks of `size` float32 values hash to; `signature` has 64 bytes or none."""

    def chunk(self, peer: NodeId, stream: Stream, index: int, sealed: Buffer) -> None:
        """Send a sealed chunk. It is not copied: the buffer must not change any more."""

    def refuse(self, peer: NodeId, stream: Stream, because: str) -> None:
        """Say that what was asked of this stream will not come."""

    def upload_secret(self, peer: NodeId) -> tuple[bytes, ...] | None:
        """The bulk secrets that this node and the peer share, 32 bytes each; None without a link.

        Seal with the first. What comes may be sealed with any of them, since two links that were made at
        once, one from each side, leave one, and both sides do not drop the other in the same moment.
        """


# -- bytes --------------------------------------------------------------------------------------------------


class _What(IntEnum):
    ASK = 1
    GRANT = 2
    LIST = 3
    CHUNK = 4
    REFUSE = 5


_START = struct.Struct("!BB32s")
_ASK = struct.Struct("!QH")
_CHUNK = struct.Struct("!Q")
_LIST = struct.Struct("!QB")


def is_bulk(plaintext: bytes) -> bool:
    """Whether this is a header of the data plane: a message of the core starts as a MessagePack map does."""
    return bool(plaintext) and _What.ASK <= plaintext[0] <= _What.REFUSE


def ask_header(stream: Stream, first: int, count: int) -> bytes:
    assert 1 <= count <= MAX_ASK, f"an ask for {count} chunks"
    return _start(_What.ASK, stream) + _ASK.pack(first, count)


def grant_header(stream: Stream, key: bytes) -> bytes:
    assert len(key) == KEY_BYTES, f"a key of {len(key)} bytes"
    return _start(_What.GRANT, stream) + key


def list_header(stream: Stream, size: int, hashes: Sequence[bytes], signature: bytes) -> bytes:
    assert len(signature) in (0, SIGNATURE_BYTES), f"a signature of {len(signature)} bytes"
    assert len(hashes) == chunk_count(size) <= MAX_CHUNKS, f"{len(hashes)} hashes for {size} values"
    return _start(_What.LIST, stream) + _LIST.pack(size, len(signature)) + signature + b"".join(hashes)


def chunk_header(stream: Stream, index: int, sealed: Buffer) -> bytes:
    assert TAG_BYTES <= memoryview(sealed).nbytes <= MAX_SEALED_CHUNK_BYTES
    return _start(_What.CHUNK, stream) + _CHUNK.pack(index)


def refuse_header(stream: Stream, because: str) -> bytes:
    return _start(_What.REFUSE, stream) + because.encode("utf-8", "replace")[:MAX_REFUSAL_BYTES]


def read(peer: NodeId, header: bytes, chunk: memoryview | None) -> BulkEvent:
    """Turn what a peer sent into an event, or say what is wrong with it. `chunk` is the second frame, if any.

    Raises:
        PeerMisbehaved: the header fits no layout, or there is a chunk too many, too few or too long.
    """
    try:
        what, kind, name = _START.unpack_from(header)
        stream = Stream(StreamKind(kind), name)
        rest = header[_START.size :]
        if (what == _What.CHUNK) != (chunk is not None):
            raise PeerMisbehaved("a bulk header with a chunk too many or too few")
        match _What(what):
            case _What.ASK:
                return _read_ask(peer, stream, *_ASK.unpack(rest))
            case _What.GRANT:
                return _read_grant(peer, stream, rest)
            case _What.LIST:
                return _read_list(peer, stream, rest)
            case _What.CHUNK:
                return _read_chunk(peer, stream, rest, chunk)
            case _What.REFUSE:
                return _read_refusal(peer, stream, rest)
    except (struct.error, ValueError):
        raise PeerMisbehaved("a malformed bulk header") from None


def _start(what: _What, stream: Stream) -> bytes:
    assert len(stream.id) == 32, f"a stream id of {len(stream.id)} bytes"
    return _START.pack(what, stream.kind.value, stream.id)


def _read_ask(peer: NodeId, stream: Stream, first: int, count: int) -> Asked:
    if not 1 <= count <= MAX_ASK or first + count > MAX_CHUNKS:
        raise PeerMisbehaved("an ask for more chunks than may be")
    return Asked(peer, stream, first, count)


def _read_grant(peer: NodeId, stream: Stream, key: bytes) -> Granted:
    if len(key) != KEY_BYTES:
        raise ValueError
    return Granted(peer, stream, key)


def _read_list(peer: NodeId, stream: Stream, rest: bytes) -> Listed:
    size, signed = _LIST.unpack_from(rest)
    hashes_at = _LIST.size + signed
    fits = signed in (0, SIGNATURE_BYTES) and chunk_count(size) <= MAX_CHUNKS
    if not fits or len(rest) != hashes_at + chunk_count(size) * HASH_BYTES:
        raise PeerMisbehaved("a chunk list that does not fit its size")
    hashes = tuple(rest[at : at + HASH_BYTES] for at in range(hashes_at, len(rest), HASH_BYTES))
    return Listed(peer, stream, size, hashes, rest[_LIST.size : hashes_at])


def _read_chunk(peer: NodeId, stream: Stream, rest: bytes, chunk: memoryview | None) -> ChunkCame:
    (index,) = _CHUNK.unpack(rest)
    if chunk is None or index >= MAX_CHUNKS or not TAG_BYTES <= chunk.nbytes <= MAX_SEALED_CHUNK_BYTES:
        raise PeerMisbehaved("a chunk that is too long or too short")
    return ChunkCame(peer, stream, index, chunk)


def _read_refusal(peer: NodeId, stream: Stream, text: bytes) -> StreamRefused:
    if len(text) > MAX_REFUSAL_BYTES:
        raise ValueError
    return StreamRefused(peer, stream, one_line(text.decode("utf-8", "replace")))
