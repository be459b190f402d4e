"""Where do whole snapshots lie, and is each still what its root says?

`ROOT.f32` holds the float32 values, `ROOT.hashes` the size and the chunks' hashes. A file gets its name only
when it is whole, so it outlives the process from then on; `settle` makes it outlive the power, in slices, so
that no promise waits long behind it. After `sync_first` (`durability = power`, R9) each does before anybody
is told of it: bytes, hashes, and the folder in which they have their names. Knows nothing of rounds or peers.

A file that is needed no more is written anew for a later snapshot, which saves its pages (10 times faster),
but only where the kernel grants a lease: then nobody, and no trainer either, has it open or mapped.
"""

import fcntl
import mmap
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from comind.node.daemon.partials import Partial, Partials
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

MAX_SPARES = 2
SETTLE_BYTES = 8 << 20
_SIZE_BYTES = 8


class Snapshot:
    """One whole snapshot in the store, open for reading until `close`."""

    def __init__(self, root: Root, size: int, hashes: Sequence[bytes], descriptor: int) -> None:
        self.root = root
        self.size = size
        self.hashes = tuple(hashes)
        self._descriptor = descriptor

    def read_into(self, index: int, out: memoryview) -> None:
        """Read chunk `index` into `out`, which has its length in bytes.

        Raises:
            OSError: the disk failed, or the file is shorter than it should be.
        """
        read_into(self._descriptor, index * CHUNK_BYTES, out)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Writer:
    """A snapshot that is being written, chunk by chunk, in any order."""

    def __init__(self, store: "Snapshots", size: int, part: Path, descriptor: int) -> None:
        self.size = size
        self._store = store
        self._part = part
        self._descriptor = descriptor

    def put(self, index: int, chunk: memoryview) -> None:
        """Write the bytes of chunk `index`.

        Raises:
            OSError: the disk is full or failed.
        """
        start, left = index * CHUNK_BYTES, chunk.cast("B")
        while left:
            written = os.pwrite(self._descriptor, left, start)
            start, left = start + written, left[written:]

    def finish(self, hashes: Sequence[bytes]) -> Root:
        """Give the file the name of its root, when every chunk was put; `hashes` are theirs, in order."""
        root = root_of(self.size, hashes)
        if self._store.syncs:
            os.fsync(self._descriptor)  # before it has its name: what failed to reach the disk never gets one
        self._store._take(root, self.size, hashes, self._part)
        self._store.outlive_power(root)
        self._close()
        return root

    def abandon(self) -> None:
        """Give up: the file is free for the next."""
        if self._descriptor >= 0:
            self._store._spare(self._part)
            self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class PartialWriter(Writer):
    """A snapshot that is fetched by its root: what came of it outlives the process."""

    def __init__(self, store: "Snapshots", partial: Partial, descriptor: int) -> None:
        super().__init__(store, partial.size, partial.file, descriptor)
        self.partial = partial

    def list(self, hashes: Sequence[bytes]) -> None:
        """Take note of what the chunks hash to, which was checked.

        Raises:
            OSError: the disk is full or failed.
        """
        self._store.partials.list(self.partial, hashes)

    def finish(self, hashes: Sequence[bytes]) -> Root:
        root = super().finish(hashes)
        self._store.partials.forget(root)
        return root

    def abandon(self) -> None:
        """Stop: another writer may go on with it later."""
        if self._descriptor >= 0:
            self._store.partials.rest(self.partial)
            self._close()


class Snapshots:
    """The snapshots in one folder. Every method may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        self.partials = Partials(folder)
        self._folder = folder
        self._held: dict[Root, tuple[int, tuple[bytes, ...]]] = {}
        self._spares: list[Path] = []
        self._serial = 0
        self._synced: set[Root] = set()
        """With `syncs`: those that outlive a power cut."""
        self.syncs = False
        """Whether each snapshot is synced before it is told of."""
        self._lock = threading.Lock()

    def check(self) -> list[str]:
        """Read every file once, at the start; set aside what is not what its name says, with a line each.

        Raises:
            OSError: the folder cannot be read.
        """
        lines: list[str] = []
        for leftover in self._folder.glob("*.part"):
            leftover.unlink()
        self.partials.check()
        for listed in self._folder.glob("*.hashes"):
            if not listed.with_suffix(".f32").exists():  # a crash just before the file had its name
                listed.unlink()
        for file in sorted(self._folder.glob("*.f32")):
            if file.name == "damaged.f32":
                continue
            if (found := _verify(file)) is None:
                file.rename(self._folder / "damaged.f32")
                file.with_suffix(".hashes").unlink(missing_ok=True)
                lines.append(f"snapshot {file.stem[:8]} was damaged on disk: set aside as damaged.f32")
            else:
                root, size, hashes = found
                self._held[root] = (size, hashes)
        return lines

    def held(self) -> frozenset[Root]:
        with self._lock:
            return frozenset(self._held)

    def sync_first(self) -> None:
        """From now on sync every snapshot before it is told of, and those that are held now.

        Raises:
            OSError: the disk failed.
        """
        self.syncs = True
        for root in self.held():
            self.outlive_power(root)

    def outlive_power(self, root: Root) -> None:
        """With `syncs`, return only once this snapshot, if it is held, outlives a power cut.

        Raises:
            OSError: the disk failed.
        """
        if not self.syncs or root in self._synced or root not in self.held():
            return
        for path in (self._path(root), self._path(root).with_suffix(".hashes"), self._folder):
            _sync(path)
        self._synced.add(root)

    def open(self, root: Root) -> Snapshot | None:
        """Open a snapshot for reading; None where it is not (or no more) held."""
        with self._lock:
            if (descriptor := self._open(root)) is None:
                return None
            return Snapshot(root, *self._held[root], descriptor)

    def descriptor(self, root: Root) -> int | None:
        """Return a read-only descriptor of the values, which the caller closes; None where it is not held."""
        with self._lock:
            return self._open(root)

    def writer(self, size: int) -> Writer:
        """Begin to write a snapshot of `size` values.

        Raises:
            OSError: the disk is full or failed.
        """
        with self._lock:
            while self._spares:
                spare = self._spares.pop()
                if (descriptor := _reopen(spare, size * VALUE_BYTES)) is not None:
                    return Writer(self, size, spare, descriptor)
            part = self._next_part()
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        return Writer(self, size, part, descriptor)

    def partial_writer(self, root: Root, size: int) -> PartialWriter:
        """Begin to write the snapshot of this root, or go on with what is there of it.

        Raises:
            OSError: the disk is full or failed.
        """
        if (partial := self.partials.take(root, size)) is not None:
            descriptor = os.open(partial.file, os.O_RDWR | os.O_CLOEXEC)
            return PartialWriter(self, partial, descriptor)
        writer = self.writer(size)
        return PartialWriter(self, self.partials.begin(root, size, writer._part), writer._descriptor)

    def forget(self, gone: frozenset[Root]) -> None:
        """Hold these no more; their files stay until `keep` throws them away."""
        with self._lock:
            for root in gone:
                self._held.pop(root, None)
                self._synced.discard(root)

    def keep(self, roots: frozenset[Root], gone: frozenset[Root]) -> None:
        """Throw away what is begun of others than `roots`, and the files of what is gone.

        What was written anew since it was forgotten is held again, and stays.
        """
        self.partials.keep(roots)
        with self._lock:
            for root in [root for root in gone if root not in self._held]:
                self._path(root).with_suffix(".hashes").unlink(missing_ok=True)
                part = self._next_part()
                try:
                    self._path(root).rename(part)
                except FileNotFoundError:
                    continue
                self._spare_locked(part)

    def settle(self, root: Root) -> Iterator[None]:
        """Make a snapshot outlive a power cut, one slice for each step of the iterator."""
        with self._lock:
            descriptor = self._open(root, os.O_RDWR)  # what is mapped read-only is not flushed
        if descriptor is None:
            return
        try:
            length = os.fstat(descriptor).st_size
            for start in range(0, length, SETTLE_BYTES):
                with mmap.mmap(descriptor, min(SETTLE_BYTES, length - start), offset=start) as one_slice:
                    one_slice.flush()
                yield
            os.fsync(descriptor)
            yield
            _sync(self._path(root).with_suffix(".hashes"))
            _sync(self._folder)
        except FileNotFoundError:  # it was let go meanwhile
            pass
        finally:
            os.close(descriptor)

    def _path(self, root: Root) -> Path:
        return self._folder / f"{root.hex()}.f32"

    def _open(self, root: Root, flags: int = os.O_RDONLY) -> int | None:
        if root not in self._held:
            return None
        try:
            return os.open(self._path(root), flags | os.O_CLOEXEC)
        except FileNotFoundError:  # somebody tidied up
            del self._held[root]
            return None

    def _next_part(self) -> Path:
        self._serial += 1
        return self._folder / f"{self._serial}.part"

    def _take(self, root: Root, size: int, hashes: Sequence[bytes], part: Path) -> None:
        """Name a whole file; where the same snapshot is held already, the new file is spare."""
        with self._lock:
            if root in self._held:
                self._spare_locked(part)
                return
            list_ = self._path(root).with_suffix(".hashes")
            list_.write_bytes(size.to_bytes(_SIZE_BYTES, "little") + b"".join(hashes))
            part.rename(self._path(root))
            self._held[root] = (size, tuple(hashes))

    def _spare(self, part: Path) -> None:
        with self._lock:
            self._spare_locked(part)

    def _spare_locked(self, part: Path) -> None:
        if len(self._spares) < MAX_SPARES:
            self._spares.append(part)
        else:
            part.unlink()


def read_into(descriptor: int, start: int, out: memoryview) -> None:
    """Read exactly `out`'s length from `start` on.

    Raises:
        OSError: the disk failed, or the file ends before.
    """
    left = out
    while left:
        read = os.preadv(descriptor, [left], start)
        if read == 0:
            raise OSError("a file of weights is shorter than it should be")
        start, left = start + read, left[read:]


def _verify(file: Path) -> tuple[Root, int, tuple[bytes, ...]] | None:
    """Return root, size and hashes of a file that is what its name says; None for any other."""
    try:
        root = Root(bytes.fromhex(file.stem))
        listed = file.with_suffix(".hashes").read_bytes()
        size = int.from_bytes(listed[:_SIZE_BYTES], "little")
        flat = listed[_SIZE_BYTES:]
        hashes = tuple(flat[at : at + HASH_BYTES] for at in range(0, len(flat), HASH_BYTES))
        if file.stat().st_size != size * VALUE_BYTES or root_of(size, hashes) != root:
            return None
    except (OSError, ValueError):
        return None
    return (root, size, hashes) if _has_chunks(file, size, hashes) else None


def _has_chunks(file: Path, size: int, hashes: Sequence[bytes]) -> bool:
    scratch = memoryview(mmap.mmap(-1, CHUNK_BYTES))
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for index in range(chunk_count(size)):
            chunk = scratch[: chunk_values(size, index) * VALUE_BYTES]
            read_into(descriptor, index * CHUNK_BYTES, chunk)
            if chunk_hash(chunk) != hashes[index]:
                return False
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _reopen(spare: Path, size_bytes: int) -> int | None:
    """Open a file to be written anew, if nobody has it open; else let go of it."""
    try:
        descriptor = os.open(spare, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    if _is_ours_alone(descriptor):
        os.ftruncate(descriptor, size_bytes)
        return descriptor
    os.close(descriptor)
    spare.unlink(missing_ok=True)
    return None


def _is_ours_alone(descriptor: int) -> bool:
    """Whether no other descriptor or mapping of this file is left; where nobody can say (macOS): no."""
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # SIGIO, if a backup opens it now, would kill
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return False
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
