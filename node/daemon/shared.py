"""May the daemon read what a trainer hands it, and how?

A trainer's snapshot lies in an unnamed shared file. It is read, never mapped: a mapping of a file that
shrinks kills its reader. Knows nothing of what the values mean.
"""

import fcntl
import os
import stat
from dataclasses import dataclass

from comind.node.daemon.snapshots import read_into
from comind.p2p.core.snapshot import CHUNK_BYTES, VALUE_BYTES
from comind.p2p.core.words import Offer

_SHRINK_AND_GROW = 0x2 | 0x4
"""F_SEAL_SHRINK and F_SEAL_GROW of fcntl.h."""


@dataclass(frozen=True, slots=True)
class Brought:
    """A snapshot to be looked through before it is offered; whoever takes it owns the descriptor."""

    offer: Offer
    descriptor: int


class Shared:
    """A trainer's snapshot of `size` values, open until `close`."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.size = size
        self._descriptor = descriptor

    def read_into(self, index: int, out: memoryview) -> None:
        """Read chunk `index` into `out`, which has its length in bytes.

        Raises:
            OSError: the file is shorter than it was.
        """
        read_into(self._descriptor, index * CHUNK_BYTES, out)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def what_is_wrong_with_file(descriptor: int, size: int) -> str | None:
    """Say why this is no shared file of a snapshot of `size` values; None if it is one."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return "what came with it is no file"
    if status.st_size != size * VALUE_BYTES:
        return f"its file has {status.st_size} bytes, {size} values take {size * VALUE_BYTES}"
    if hasattr(fcntl, "F_GET_SEALS") and not _is_sealed(descriptor):
        return "its file is not sealed against shrinking and growing"
    return None


def _is_sealed(descriptor: int) -> bool:
    try:
        seals: int = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
    except OSError:  # a file that cannot be sealed
        return False
    return seals & _SHRINK_AND_GROW == _SHRINK_AND_GROW
