"""How does a stranger's bytes become a message, or one kind of error?

`msgpack` reads and makes bytes under caps, `msgspec` types them. Total: every input gives a value or
`PeerMisbehaved`. Knows nothing of what a message means.
"""

from typing import Any, TypeVar

import msgpack
import msgspec

from comind.crypto.statement import digest
from comind.p2p.core.errors import PeerMisbehaved
from comind.p2p.core.messages import Block, Certificate, Header, Message, Open, Propose
from comind.p2p.core.words import BlockHash

MAX_MESSAGE_BYTES = 4 << 20
"""Of one control message, before it is sealed."""

MAX_CONTAINERS = 20_000
"""Lists and maps in one message."""

_T = TypeVar("_T", Header, Block, Open, Propose, Certificate)


class _Anything(msgspec.Struct, frozen=True):
    """So that the union is compiled once, and not for every message."""

    message: Message


def encode(message: Message) -> bytes:
    """Return the bytes of a message. What is too long for its receivers is our own mistake."""
    wire = pack(message)
    assert len(wire) <= MAX_MESSAGE_BYTES, f"{type(message).__name__} of {len(wire)} bytes"
    return wire


def decode(wire: bytes | memoryview) -> Message:
    """Turn a stranger's bytes into a Message, or say what is wrong with them.

    Raises:
        PeerMisbehaved: too long, not MessagePack, unknown kind, missing or ill-typed field.
    """
    anything: _Anything = _convert({"message": _unpack(wire, MAX_MESSAGE_BYTES)}, _Anything)
    return anything.message


def read(kind: type[_T], wire: bytes) -> _T:
    """Type the bytes of a header, block or other kept thing.

    Raises:
        PeerMisbehaved: they are not what they are said to be, or not the only way to write it.
    """
    value: _T = _convert(_unpack(wire, MAX_MESSAGE_BYTES), kind)
    if pack(value) != bytes(wire):
        raise PeerMisbehaved(f"a {kind.__name__.lower()} in a second spelling")
    return value


def pack(value: Any) -> bytes:
    """Return the one encoding of a struct: fields by name, in the order of their definition."""
    return bytes(msgpack.packb(msgspec.to_builtins(value, builtin_types=(bytes,)), use_bin_type=True))


def block_hash(block: bytes) -> BlockHash:
    """Return the hash by which a block's bytes are named, 32 bytes."""
    return BlockHash(digest("block", block))


def _unpack(wire: bytes | memoryview, most: int) -> Any:
    if len(wire) > most:
        raise PeerMisbehaved("a message is too long")
    try:
        containers = _Containers()
        return msgpack.unpackb(
            wire,
            raw=False,
            list_hook=containers.count,
            object_hook=containers.count,
            strict_map_key=True,
            use_list=True,
            ext_hook=_refuse_extension,
            max_str_len=4_096,
            max_bin_len=most,
            max_array_len=1 << 17,
            max_map_len=64,
            max_ext_len=0,
        )
    except PeerMisbehaved:
        raise
    except Exception as why:  # msgpack raises many kinds on bad input, all of them the peer's fault
        raise PeerMisbehaved("a message is not MessagePack") from why


class _Containers:
    """Refuses what swells while it is read: an empty list is one byte on the wire, and fifty here."""

    def __init__(self) -> None:
        self._left = MAX_CONTAINERS

    def count(self, container: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise PeerMisbehaved("a message of too many parts")
        return container


def _refuse_extension(code: int, data: bytes) -> Any:
    raise PeerMisbehaved("a message has an extension type")


def _convert(value: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind, builtin_types=(bytes,), strict=True)
    except (msgspec.ValidationError, RecursionError) as why:
        raise PeerMisbehaved(f"a message is not well formed: {why}"[:200]) from None
