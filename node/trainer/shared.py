"""How do weights cross to the daemon and back without a copy in a socket?

In unnamed files that both map: a trainer makes a fresh one for each offer, and maps what it is given. Knows
nothing of what the values mean.
"""

import fcntl
import mmap
import os
import tempfile

import numpy as np

from comind.node.trainer.rebase import Flat

VALUE_BYTES = 4


def create(size: int) -> tuple[Flat, int]:
    """Return a new shared vector of `size` zeros and the descriptor of its file, which the caller closes.

    On Linux the file can neither shrink nor grow: a reader of a mapping that shrank would be killed.
    """
    descriptor = _unnamed_file()
    try:
        os.ftruncate(descriptor, size * VALUE_BYTES)
        if hasattr(fcntl, "F_ADD_SEALS"):
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        mapping = mmap.mmap(descriptor, size * VALUE_BYTES)
    except BaseException:
        os.close(descriptor)
        raise
    return np.frombuffer(mapping, np.float32), descriptor


def take(descriptor: int, size: int) -> Flat | None:
    """Map the file of `size` values that came with a word, and close its descriptor; None if it is none such.

    The mapping is private: nothing that is done to the vector reaches the file.
    """
    try:
        if os.fstat(descriptor).st_size != size * VALUE_BYTES:
            return None
        mapping = mmap.mmap(descriptor, size * VALUE_BYTES, access=mmap.ACCESS_COPY)
    finally:
        os.close(descriptor)
    return np.frombuffer(mapping, np.float32)


def _unnamed_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("comind-offer", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    descriptor, name = tempfile.mkstemp(prefix="comind-offer-")
    os.unlink(name)
    return descriptor
