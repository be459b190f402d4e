"""How does a node let others have the snapshots that it holds? (R10)

Whoever asks for a root gets a fresh key, the list of hashes, and the chunks it asks for, one at a time and in
turn with others. Who asks for a chunk again (its disk lost it, say) gets another key, so none seals a chunk
twice. Knows nothing of why they ask, nor when there is time for them.
"""

import secrets
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from comind.crypto.sealing import KEY_BYTES, TAG_BYTES, ChunkSealer
from comind.node.daemon.outgoing import Chunk, ChunkList, Grant, Misbehaved, Output, Refuse
from comind.node.daemon.slabs import Slabs
from comind.node.daemon.snapshots import Snapshot, Snapshots
from comind.p2p.core.snapshot import VALUE_BYTES, chunk_count, chunk_values
from comind.p2p.core.words import NodeId, Root
from comind.p2p.shell.bulk import Stream, StreamKind

MAX_OPEN_A_PEER = 4
MAX_WAITING_A_PEER = 256
"""Chunks; an honest one asks for a window at a time."""


@dataclass(slots=True)
class _Session:
    """One snapshot for one peer, under one key."""

    snapshot: Snapshot
    key: bytes = field(repr=False)
    sealer: ChunkSealer
    granted: bool = False
    ended: bool = False
    """Whether another took its place: it is closed with the last of what waits."""
    asked: set[int] = field(default_factory=set)
    waiting: int = 0


_Waiting = tuple[_Session, int | None]
"""A chunk of a session; None: the list alone, of a snapshot without chunks."""


class Serving:
    """Who is reading which of our snapshots."""

    def __init__(
        self,
        snapshots: Snapshots,
        slabs: Slabs,
        fresh_key: Callable[[], bytes] = lambda: secrets.token_bytes(KEY_BYTES),
    ) -> None:
        self._snapshots = snapshots
        self._slabs = slabs
        self._fresh_key = fresh_key
        self._sessions: dict[NodeId, dict[Root, _Session]] = {}
        self._waiting: dict[NodeId, deque[_Waiting]] = {}
        """What is to be sealed for each; whose turn it is comes first."""

    @property
    def has_work(self) -> bool:
        return bool(self._waiting)

    def asked(self, peer: NodeId, root: Root, first: int, count: int) -> Iterator[Output]:
        """Take note of what is asked for.

        Raises:
            OSError: the disk failed.
        """
        wanted = range(first, first + count)
        session = self._sessions.get(peer, {}).get(root)
        if session is None or not session.asked.isdisjoint(wanted):
            session = self._begin(peer, root)
        if session is None:
            yield Refuse(peer, Stream(StreamKind.SNAPSHOT, root), "it does not hold this snapshot")
            return
        chunks = chunk_count(session.snapshot.size)
        if wanted.stop > max(1, chunks):
            yield Misbehaved(peer, "it asked for chunks that are not in a snapshot")
            return
        waiting = self._waiting.setdefault(peer, deque())
        waiting.extend((session, index if chunks else None) for index in wanted)
        session.asked.update(wanted[:chunks])
        session.waiting += count
        if len(waiting) > MAX_WAITING_A_PEER:
            yield Misbehaved(peer, "it asks for more than it can take")

    def serve(self) -> Iterator[Output]:
        """Seal the next chunk for whoever is next."""
        peer = next(iter(self._waiting))
        waiting = self._waiting.pop(peer)
        session, index = waiting.popleft()
        session.waiting -= 1
        if waiting:
            self._waiting[peer] = waiting
        stream = Stream(StreamKind.SNAPSHOT, session.snapshot.root)
        try:
            if not session.granted:
                session.granted = True
                yield Grant(peer, stream, session.key)
                yield ChunkList(peer, stream, session.snapshot.size, session.snapshot.hashes, b"")
            if index is not None:
                yield Chunk(peer, stream, index, self._seal(session, index))
        except OSError as why:
            yield Refuse(peer, stream, f"its disk failed: {why.strerror or why}")
        finally:
            _close_if_done(session)

    def forget(self, peer: NodeId) -> None:
        for session, _ in self._waiting.pop(peer, ()):
            session.waiting = 0
            _close_if_done(session)
        for session in self._sessions.pop(peer, {}).values():
            session.snapshot.close()

    def _begin(self, peer: NodeId, root: Root) -> _Session | None:
        snapshot = self._snapshots.open(root)
        if snapshot is None:
            return None
        sessions = self._sessions.setdefault(peer, {})
        if (before := sessions.pop(root, None)) is not None:
            _end(before)
        while len(sessions) >= MAX_OPEN_A_PEER:
            _end(sessions.pop(next(iter(sessions))))
        key = self._fresh_key()
        session = sessions[root] = _Session(snapshot, key, ChunkSealer(key))
        return session

    def _seal(self, session: _Session, index: int) -> memoryview:
        size_bytes = chunk_values(session.snapshot.size, index) * VALUE_BYTES
        slab = self._slabs.take(size_bytes + TAG_BYTES)
        session.snapshot.read_into(index, slab[:size_bytes])
        session.sealer.seal_into(index, slab[:size_bytes], slab)
        return slab


def _end(session: _Session) -> None:
    session.ended = True
    _close_if_done(session)


def _close_if_done(session: _Session) -> None:
    if session.ended and not session.waiting:
        session.snapshot.close()
