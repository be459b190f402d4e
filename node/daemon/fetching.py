"""How does a member get a snapshot that it missed, from all that hold it at once? (R10)

The hashes that make its root come from the first that gives them. Each chunk is asked of one holder, of the
quick more than of the slow, and of a second one when nothing else is left; who gives nothing is set aside.
What is in the file stays there, whoever goes. Knows nothing of rounds, nor of why it is wanted.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from comind.crypto.errors import CannotOpen
from comind.crypto.sealing import TAG_BYTES, ChunkOpener
from comind.node.daemon.outgoing import Ask, Misbehaved, Output
from comind.node.daemon.slabs import Slabs
from comind.node.daemon.snapshots import Snapshots
from comind.p2p.core.effects import FetchFailed, Held
from comind.p2p.core.snapshot import VALUE_BYTES, chunk_count, chunk_hash, chunk_values, root_of
from comind.p2p.core.words import NodeId, Root
from comind.p2p.shell.bulk import Stream, StreamKind

MAX_SOURCES = 4
"""Holders that are asked at once."""
WINDOW = 8
"""Chunks that are asked for and have not come, over all sources; each has an equal share of it.

So much is on its way, and holds a round up, when one begins."""
STALLED_MS = 3_000
STEAL_AFTER_MS = 100
"""A chunk that was asked for so long ago may be asked of somebody else who has nothing else to do."""
MAX_KEYS_A_PEER = 4


class Keys:
    """The newest keys under which each peer sends us snapshots: it grants one when it begins, not again."""

    def __init__(self) -> None:
        self._openers: dict[NodeId, OrderedDict[Root, ChunkOpener]] = {}

    def granted(self, peer: NodeId, root: Root, key: bytes) -> None:
        openers = self._openers.setdefault(peer, OrderedDict())
        openers.pop(root, None)
        openers[root] = ChunkOpener(key)
        while len(openers) > MAX_KEYS_A_PEER:
            openers.popitem(last=False)

    def opener(self, peer: NodeId, root: Root) -> ChunkOpener | None:
        openers = self._openers.get(peer)
        return None if openers is None else openers.get(root)

    def forget(self, peer: NodeId) -> None:
        self._openers.pop(peer, None)


@dataclass(slots=True)
class _Source:
    """One holder, and what it owes."""

    peer: NodeId
    named: bool = True
    """Whether it may be asked; what it owes it may give all the same."""
    active: bool = False
    """Whether it is one of the few that are asked now."""
    stalled: bool = False
    """Whether nothing came of it: it is asked again once something does."""
    asked: dict[int, int] = field(default_factory=dict)
    """When each chunk was asked of it, the oldest first."""
    heard_ms: int = 0

    def since_ms(self) -> int:
        """Since when it owes something and gives nothing."""
        return max(self.heard_ms, next(iter(self.asked.values())))


class Fetching:
    """One snapshot, until it is whole."""

    def __init__(
        self,
        root: Root,
        size: int,
        snapshots: Snapshots,
        slabs: Slabs,
        keys: Keys,
        now_ms: Callable[[], int],
    ) -> None:
        """What is there of it already, from before a break or a start, is not asked for again.

        Raises:
            OSError: the disk is full or failed.
        """
        self.root = root
        self.size = size
        self.over = False
        self._now_ms = now_ms
        self._keys = keys
        self._stream = Stream(StreamKind.SNAPSHOT, root)
        self._writer = snapshots.partial_writer(root, size)
        self._listed = self._writer.partial.hashes or None
        self._there = self._writer.partial.there
        self._slab = slabs.take(chunk_values(size, 0) * VALUE_BYTES if size else 0)
        self._sources: dict[NodeId, _Source] = {}
        self._free = deque(index for index in range(chunk_count(size)) if index not in self._there)
        """What is missing and is asked of nobody that is active, mostly in order."""
        self._twice: set[int] = set()
        """What was asked of a second one, too."""

    @property
    def holders(self) -> tuple[NodeId, ...]:
        """Who may be asked."""
        return tuple(source.peer for source in self._sources.values() if source.named)

    # -- whom to ask ----------------------------------------------------------------------------------------

    def name(self, holders: Iterable[NodeId]) -> Iterator[Output]:
        """Ask these, and nobody else from now on."""
        named = tuple(holders)
        for source in self._sources.values():
            source.named = source.peer in named
            if not source.named:
                self._set_aside(source)
        for peer in named:
            self._sources.setdefault(peer, _Source(peer))
        yield from self._finish_if_whole()
        yield from self._go_on()

    def refused(self, peer: NodeId, because: str) -> Iterator[Output]:
        if (source := self._sources.get(peer)) is not None and not self.over:
            yield from self._give_up(source, because)

    def link_down(self, peer: NodeId) -> Iterator[Output]:
        if (source := self._sources.get(peer)) is not None and not self.over:
            yield from self._give_up(source, "its link broke")
            del self._sources[peer]

    def look_around(self) -> Iterator[Output]:
        """Set aside who gives nothing, and ask others for what it owes."""
        now_ms = self._now_ms()
        for source in self._active():
            if source.asked and now_ms - source.since_ms() >= STALLED_MS:
                source.stalled = True
                self._set_aside(source)
                yield FetchFailed(self.root, source.peer, f"nothing came for {STALLED_MS / 1_000:.0f} s")
        yield from self._go_on()

    def due_ms(self) -> int | None:
        """When it is time to look around, if nothing comes before; None: never."""
        times = []
        for source in self._active():
            if source.asked:
                times.append(source.since_ms() + STALLED_MS)
            elif (oldest := self._oldest_owed(source)) is not None:
                times.append(oldest[0] + STEAL_AFTER_MS)
        return min(times, default=None)

    def abandon(self) -> None:
        """Stop: what is here waits for another try."""
        self.over = True
        self._writer.abandon()

    # -- what comes -----------------------------------------------------------------------------------------

    def listed(self, peer: NodeId, size: int, hashes: Sequence[bytes]) -> Iterator[Output]:
        """Take the list of the first that gives it; every other must be the same."""
        source = self._sources.get(peer)
        if source is None or self.over or tuple(hashes) == self._listed:
            return
        if size != self.size or root_of(size, hashes) != self.root:
            yield from self._give_up(source, "it listed chunks of another snapshot", misbehaved=True)
            return
        self._listed = tuple(hashes)
        self._writer.list(hashes)
        yield from self._finish_if_whole()

    def came(self, peer: NodeId, index: int, sealed: memoryview) -> Iterator[Output]:
        source = self._sources.get(peer)
        if self.over or source is None or index not in source.asked:
            return
        wrong = self._put(peer, index, sealed) if index not in self._there else None
        if wrong is not None:
            yield from self._give_up(source, wrong, misbehaved=True)
            return
        del source.asked[index]
        source.heard_ms, source.stalled = self._now_ms(), False
        yield from self._finish_if_whole()
        yield from self._go_on()

    def _put(self, peer: NodeId, index: int, sealed: memoryview) -> str | None:
        """Open a chunk into scratch, and write it if it is the listed one; else say what is wrong with it."""
        chunk = self._slab[: chunk_values(self.size, index) * VALUE_BYTES]
        opener = self._keys.opener(peer, self.root)
        if opener is None or self._listed is None or len(sealed) != len(chunk) + TAG_BYTES:
            return "it sent a chunk that was not asked for, or does not open"
        try:
            opener.open_into(index, sealed, chunk)
        except CannotOpen:
            return "it sent a chunk that was not asked for, or does not open"
        if chunk_hash(chunk) != self._listed[index]:
            return "it sent a chunk of another snapshot"
        self._writer.put(index, chunk)
        self._there.add(index)
        return None

    def _finish_if_whole(self) -> Iterator[Output]:
        if not self.over and self._listed is not None and len(self._there) == len(self._listed):
            self.over = True
            yield Held(self._writer.finish(self._listed))

    # -- inside ---------------------------------------------------------------------------------------------

    def _active(self) -> list[_Source]:
        return [source for source in self._sources.values() if source.active]

    def _go_on(self) -> Iterator[Output]:
        """Fill the few places, and ask as far as the window has room."""
        if self.over:
            return
        for source in self._sources.values():
            if source.named and not source.active and not source.stalled:
                if len(self._active()) >= MAX_SOURCES:
                    break
                source.active, source.heard_ms = True, self._now_ms()
                if not chunk_count(self.size):  # nothing to ask for, but the list has to come all the same
                    yield Ask(source.peer, self._stream, 0, 1)
        active = self._active()
        for source in active:
            yield from self._ask(source, WINDOW // len(active))

    def _ask(self, source: _Source, most: int) -> Iterator[Output]:
        if len(source.asked) > most // 2:
            return
        indices = self._take(source, most - len(source.asked))
        if not indices and not source.asked and (oldest := self._oldest_owed(source)) is not None:
            asked_ms, index = oldest
            if self._now_ms() - asked_ms >= STEAL_AFTER_MS:
                self._twice.add(index)
                indices = [index]
        source.asked.update(dict.fromkeys(indices, self._now_ms()))
        for first, count in _runs(indices):
            yield Ask(source.peer, self._stream, first, count)

    def _take(self, source: _Source, most: int) -> list[int]:
        """Take what is free, but not what it owes already."""
        taken: list[int] = []
        passed: list[int] = []
        while self._free and len(taken) < most:
            index = self._free.popleft()
            if index not in self._there:
                (passed if index in source.asked else taken).append(index)
        self._free.extendleft(reversed(passed))
        return sorted(taken)

    def _oldest_owed(self, asker: _Source) -> tuple[int, int] | None:
        """Return when and which chunk was asked first of those that others owe and only one was asked for."""
        owed = (
            (asked_ms, index)
            for source in self._active()
            if source is not asker
            for index, asked_ms in source.asked.items()
            if index not in self._there and index not in self._twice
        )
        return min(owed, default=None)

    def _set_aside(self, source: _Source) -> None:
        """Let others be asked for what it owes."""
        source.active = False
        asked = set().union(*(one.asked for one in self._active()), self._free)
        self._free.extendleft(
            index for index in reversed(source.asked) if index not in self._there and index not in asked
        )

    def _give_up(self, source: _Source, because: str, misbehaved: bool = False) -> Iterator[Output]:
        self._set_aside(source)
        source.asked.clear()
        if source.named:
            yield FetchFailed(self.root, source.peer, because)
        source.named, source.stalled = False, False
        if misbehaved:
            yield Misbehaved(source.peer, because)
        yield from self._go_on()


def _runs(indices: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Return (first, count) of each row of indices, which are in order."""
    start = 0
    for at in range(1, len(indices) + 1):
        if at == len(indices) or indices[at] != indices[at - 1] + 1:
            yield indices[start], at - start
            start = at
