"""How does a member get an average, and know that it is the one? (R7)

Chunks are opened, hashed and written as they come; the file gets its name only once every hash is the one in
a list that its averager signed. Knows nothing of rounds. What was missed is fetched by its root: `fetching`.
"""

from collections.abc import Callable, Iterator, Sequence

from comind.crypto.errors import CannotOpen
from comind.crypto.sealing import TAG_BYTES, ChunkOpener
from comind.node.daemon import mean
from comind.node.daemon.averaging import chunks_statement
from comind.node.daemon.outgoing import Ask, Misbehaved, Output
from comind.node.daemon.slabs import Slabs
from comind.node.daemon.snapshots import Snapshots
from comind.p2p.core.effects import Held, Lost, OpenHash, Receive
from comind.p2p.core.snapshot import VALUE_BYTES, chunk_count, chunk_hash, chunk_values, root_of
from comind.p2p.core.words import NetworkId, NodeId
from comind.p2p.shell.bulk import Stream, StreamKind

WINDOW = 16
"""Chunks that are asked for and have not come yet."""


class _Pull:
    """The chunks of one stream of one peer: which were asked for, and which are open and in the file."""

    def __init__(self, peer: NodeId, stream: Stream, size: int, snapshots: Snapshots, slabs: Slabs) -> None:
        self.peer = peer
        self.stream = stream
        self.size = size
        self.writer = snapshots.writer(size)
        self.hashes: list[bytes | None] = [None] * chunk_count(size)
        """Of the chunks that are in the file."""
        self.missing = len(self.hashes)
        self._snapshots = snapshots
        self._slab = slabs.take(
            min(len(self.hashes), 1) * (chunk_values(size, 0) * VALUE_BYTES if size else 0)
        )
        self._next = 0
        self._asked: set[int] = set()
        self._opener: ChunkOpener | None = None

    def ask(self) -> Iterator[Output]:
        """Ask for what is missing, as far as the window has room for half of itself."""
        if len(self._asked) > WINDOW // 2:
            return
        while len(self._asked) < WINDOW and self._next < len(self.hashes):
            first = self._next
            while self._next < len(self.hashes) and self._is_wanted(self._next) and len(self._asked) < WINDOW:
                self._asked.add(self._next)
                self._next += 1
            if self._next > first:
                yield Ask(self.peer, self.stream, first, self._next - first)
            else:
                self._next += 1

    def granted(self, key: bytes) -> None:
        self._opener = ChunkOpener(key)

    def open(self, index: int, sealed: memoryview) -> memoryview | str:
        """Open a chunk that was asked for, into scratch; or say what is wrong with it."""
        if index not in self._asked or self._opener is None:
            return "a chunk that was not asked for"
        self._asked.discard(index)
        chunk = self._slab[: chunk_values(self.size, index) * VALUE_BYTES]
        if len(sealed) != len(chunk) + TAG_BYTES:
            return "a chunk with bytes too many or too few"
        try:
            self._opener.open_into(index, sealed, chunk)
        except CannotOpen:
            return "a chunk that does not open"
        return chunk

    def put(self, index: int, chunk: memoryview, name: bytes) -> None:
        self.writer.put(index, chunk)
        self.hashes[index] = name
        self.missing -= 1

    def whole(self) -> list[bytes]:
        return [name for name in self.hashes if name is not None]

    def _is_wanted(self, index: int) -> bool:
        return self.hashes[index] is None and index not in self._asked


class Receiving:
    """The average of one attempt, from its averager."""

    def __init__(
        self,
        receive: Receive,
        network: NetworkId,
        verify: Callable[[NodeId, bytes, bytes], bool],
        snapshots: Snapshots,
        slabs: Slabs,
    ) -> None:
        self.open: OpenHash = receive.open
        self.averager = receive.averager
        self.over = False
        self._network = network
        self._verify = verify
        self._listed: tuple[bytes, ...] | None = None
        stream = Stream(StreamKind.AVERAGE, receive.open)
        self._pull = _Pull(receive.averager, stream, receive.size, snapshots, slabs)

    def start(self) -> Iterator[Output]:
        yield from self._pull.ask()
        if not self._pull.missing:  # nothing to ask for, but the list has to come all the same
            yield Ask(self.averager, self._pull.stream, 0, 1)

    def granted(self, key: bytes) -> None:
        self._pull.granted(key)

    def listed(self, size: int, hashes: Sequence[bytes], signature: bytes) -> Iterator[Output]:
        if self.over:
            return
        if size != self._pull.size or self._listed is not None:
            yield from self._fail("it listed other chunks than its OPEN has", misbehaved=True)
            return
        signed = chunks_statement(self._network, self.open, size, root_of(size, hashes))
        if not self._verify(self.averager, signed, signature):
            yield from self._fail("its list of chunks is not signed by it", misbehaved=True)
            return
        self._listed = tuple(hashes)
        yield from self._finish_if_whole()

    def came(self, index: int, sealed: memoryview) -> Iterator[Output]:
        if self.over:
            return
        chunk = self._pull.open(index, sealed)
        if isinstance(chunk, str):
            yield from self._fail(f"it sent {chunk}", misbehaved=True)
            return
        if (wrong := mean.what_is_wrong(mean.values_of(chunk))) is not None:
            yield from self._fail(f"its average holds {wrong}")
            return
        self._pull.put(index, chunk, chunk_hash(chunk))
        yield from self._pull.ask()
        yield from self._finish_if_whole()

    def refused(self, because: str) -> Iterator[Output]:
        if not self.over:
            yield from self._fail(because)

    def link_down(self) -> Iterator[Output]:
        if not self.over:
            yield from self._fail("its link broke")

    def abandon(self) -> None:
        self.over = True
        self._pull.writer.abandon()

    def _finish_if_whole(self) -> Iterator[Output]:
        if self._listed is None or self._pull.missing:
            return
        if tuple(self._pull.whole()) != self._listed:
            yield from self._fail("its chunks are not those of its list")  # any member could have forged them
            return
        self.over = True
        yield Held(self._pull.writer.finish(self._listed))

    def _fail(self, because: str, misbehaved: bool = False) -> Iterator[Output]:
        self.abandon()
        yield Lost(self.open, self.averager, because)
        if misbehaved:
            yield Misbehaved(self.averager, because)
