"""Where do chunks lie while they are worked on and sent?

In slabs that begin at a page (the kernel copies into others six times slower) and are used again once nobody
holds them any more, ZeroMQ's IO thread included: a fresh page costs more than what is written to it.
Knows nothing of what chunks are.
"""

import mmap
import weakref
from collections import deque

import numpy as np

from comind.p2p.core.snapshot import CHUNK_BYTES

SLAB_BYTES = CHUNK_BYTES + mmap.PAGESIZE
"""Room for a chunk and what sealing adds to it."""
LEAST_SPARE = 32


class Slabs:
    """Slabs to take and never to give back: one that nobody refers to is free again."""

    def __init__(self) -> None:
        self._free: deque[mmap.mmap] = deque()
        self._most_spare = LEAST_SPARE

    def expect(self, chunks: int) -> None:
        """Keep as many as this and a few for the next round."""
        self._most_spare = max(self._most_spare, LEAST_SPARE + chunks)

    def take(self, size_bytes: int) -> memoryview:
        """Return a writable view of so many bytes, with anything in them. Slices of it keep the slab, too."""
        try:
            slab = self._free.pop()
        except IndexError:
            slab = mmap.mmap(-1, SLAB_BYTES)
        holder = np.frombuffer(slab, np.uint8)
        weakref.finalize(holder, self._give_back, slab).atexit = False
        return holder.data[:size_bytes]

    def _give_back(self, slab: mmap.mmap) -> None:
        if len(self._free) < self._most_spare:
            self._free.append(slab)
