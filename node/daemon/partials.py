"""What of a snapshot that is being fetched outlives the process? (R10)

`ROOT.partial` holds the values that came, `ROOT.chunks` the size and the hashes that make the root. Which
chunks are there is written nowhere: after a start each is hashed, and counts if its hash is the listed one.
So nothing here is ever synced. Knows nothing of who gives the chunks.
"""

import mmap
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from comind.p2p.core.snapshot import (
    CHUNK_BYTES,
    HASH_BYTES,
    VALUE_BYTES,
    chunk_count,
    chunk_hash,
    chunk_values,
    root_of,
)
from comind.p2p.core.words import Root

MAX_PARTIALS = 2
"""Files that nobody writes to now; the oldest goes first."""
_SIZE_BYTES = 8


@dataclass(slots=True)
class Partial:
    """A part of one snapshot."""

    root: Root
    size: int
    file: Path
    hashes: tuple[bytes, ...] = ()
    """Of all chunks of the snapshot; none: they are not known yet."""
    there: set[int] = field(default_factory=set)
    """The chunks that are in the file, each with the hash it should have."""


class Partials:
    """The parts in one folder. Every method may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._resting: dict[Root, Partial] = {}
        self._lock = threading.Lock()

    def check(self) -> None:
        """Look at what the last process left; what is of no use goes.

        Raises:
            OSError: the folder cannot be read.
        """
        files = sorted(self._folder.glob("*.partial"), key=lambda file: file.stat().st_mtime)
        for file in files[:-MAX_PARTIALS]:
            file.unlink()
        for file in files[-MAX_PARTIALS:]:
            if (found := _look_into(file)) is None:
                file.unlink()
            else:
                self._resting[found.root] = found
        for listed in self._folder.glob("*.chunks"):
            if not listed.with_suffix(".partial").exists():
                listed.unlink()

    def begin(self, root: Root, size: int, file: Path) -> Partial:
        """Make this file, in which there may be anything, the part of a snapshot of which nothing is here."""
        partial = Partial(root, size, self._path(root))
        file.rename(partial.file)
        return partial

    def take(self, root: Root, size: int) -> Partial | None:
        """Take a part out to go on with it, if there is one."""
        with self._lock:
            partial = self._resting.pop(root, None)
        if partial is None or (partial.size == size and partial.file.exists()):
            return partial
        _remove(partial)
        return None

    def rest(self, partial: Partial) -> None:
        """Keep a part that nobody writes to any more, as one of few."""
        with self._lock:
            self._resting[partial.root] = partial
            while len(self._resting) > MAX_PARTIALS:
                _remove(self._resting.pop(next(iter(self._resting))))

    def list(self, partial: Partial, hashes: Sequence[bytes]) -> None:
        """Write down what the chunks hash to; it was checked that this makes the root.

        Raises:
            OSError: the disk is full or failed.
        """
        partial.hashes = tuple(hashes)
        size = partial.size.to_bytes(_SIZE_BYTES, "little")
        self._path(partial.root).with_suffix(".chunks").write_bytes(size + b"".join(hashes))

    def forget(self, root: Root) -> None:
        """The snapshot is whole: what is left of its part goes."""
        with self._lock:
            self._resting.pop(root, None)
        _remove(Partial(root, 0, self._path(root)))

    def keep(self, roots: frozenset[Root]) -> None:
        """Let go of every part but of these; what is being written to stays."""
        with self._lock:
            for root in [root for root in self._resting if root not in roots]:
                _remove(self._resting.pop(root))

    def _path(self, root: Root) -> Path:
        return self._folder / f"{root.hex()}.partial"


def _remove(partial: Partial) -> None:
    partial.file.unlink(missing_ok=True)
    partial.file.with_suffix(".chunks").unlink(missing_ok=True)


def _look_into(file: Path) -> Partial | None:
    """Return what is there of a snapshot, each chunk hashed; None where nothing can be made of it."""
    try:
        root = Root(bytes.fromhex(file.stem))
        listed = file.with_suffix(".chunks").read_bytes()
        size, flat = int.from_bytes(listed[:_SIZE_BYTES], "little"), listed[_SIZE_BYTES:]
        hashes = tuple(flat[at : at + HASH_BYTES] for at in range(0, len(flat), HASH_BYTES))
        if root_of(size, hashes) != root:
            return None
        return Partial(root, size, file, hashes, _there(file, size, hashes))
    except (OSError, ValueError):
        return None


def _there(file: Path, size: int, hashes: Sequence[bytes]) -> set[int]:
    there = set()
    scratch = memoryview(mmap.mmap(-1, CHUNK_BYTES))
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for index in range(chunk_count(size)):
            chunk = scratch[: chunk_values(size, index) * VALUE_BYTES]
            read = os.preadv(descriptor, [chunk], index * CHUNK_BYTES)
            if read == len(chunk) and chunk_hash(chunk) == hashes[index]:
                there.add(index)
    finally:
        os.close(descriptor)
    return there
