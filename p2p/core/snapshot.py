"""How is a snapshot cut into chunks, and what is its root?

Knows nothing of tensors, files or sockets.
"""

from collections.abc import Sequence

from blake3 import blake3

from comind.crypto.statement import digest
from comind.p2p.core.words import Root

CHUNK_VALUES = 262_144
"""float32 values in a chunk; the last one is shorter."""
VALUE_BYTES = 4
CHUNK_BYTES = CHUNK_VALUES * VALUE_BYTES
HASH_BYTES = 32


def chunk_count(size: int) -> int:
    """Return the number of chunks of a snapshot of `size` float32 values (at least 0)."""
    return -(-size // CHUNK_VALUES)


def chunk_values(size: int, index: int) -> int:
    """Return how many values chunk `index` of a snapshot of `size` values has.

    Raises:
        IndexError: there is no such chunk.
    """
    if not 0 <= index < chunk_count(size):
        raise IndexError(f"a snapshot of {size} values has no chunk {index}")
    return min(CHUNK_VALUES, size - index * CHUNK_VALUES)


def chunk_hash(chunk: bytes | memoryview) -> bytes:
    """Return the BLAKE3-256 hash of a chunk's little-endian float32 bytes, 32 bytes."""
    return blake3(chunk).digest()


def root_of(size: int, hashes: Sequence[bytes]) -> Root:
    """Return the root of a snapshot of `size` values from its chunks' hashes, in order.

    Raises:
        ValueError: there is not one hash of 32 bytes for each chunk.
    """
    if len(hashes) != chunk_count(size) or any(len(one) != HASH_BYTES for one in hashes):
        raise ValueError(f"a snapshot of {size} values has {chunk_count(size)} chunks, not {len(hashes)}")
    return Root(digest("snapshot", size, b"".join(hashes)))
