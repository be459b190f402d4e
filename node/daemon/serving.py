"""How does a node let others have the snapshots that it holds? (R10)

Whoever asks for a root gets a fresh key, the list of hashes, and the chunks it asks for. Who asks for a chunk
again (its disk lost it, say) gets another key, so none seals a chunk twice. Knows nothing of why they ask.
"""

import secrets
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

from comind.crypto.sealing import KEY_BYTES, TAG_BYTES, ChunkSealer
from comind.node.daemon.outgoing import Chunk, ChunkList, Grant, Misbehaved, Output, Refuse
from comind.node.daemon.slabs import Slabs
from comind.node.daemon.snapshots import Snapshot, Snapshots
from comind.p2p.core.snapshot import VALUE_BYTES, chunk_count, chunk_values
from comind.p2p.core.words import NodeId, Root
from comind.p2p.shell.bulk import Stream, StreamKind

MAX_OPEN_A_PEER = 2


@dataclass(slots=True)
class _Session:
    """One snapshot for one peer, under one key."""

    snapshot: Snapshot
    sealer: ChunkSealer
    sealed: set[int] = field(default_factory=set)


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

    def asked(self, peer: NodeId, root: Root, first: int, count: int) -> Iterator[Output]:
        """Seal what is asked for.

        Raises:
            OSError: the disk failed.
        """
        wanted = range(first, first + count)
        session = self._sessions.get(peer, {}).get(root)
        if session is None or not session.sealed.isdisjoint(wanted):
            session = yield from self._begin(peer, root)
        if session is None:
            yield Refuse(peer, Stream(StreamKind.SNAPSHOT, root), "it does not hold this snapshot")
            return
        size = session.snapshot.size
        if wanted.stop > max(1, chunk_count(size)):
            yield Misbehaved(peer, "it asked for chunks that are not in a snapshot")
            return
        for index in wanted[: chunk_count(size)]:
            session.sealed.add(index)
            yield Chunk(peer, Stream(StreamKind.SNAPSHOT, root), index, self._seal(session, index))

    def forget(self, peer: NodeId) -> None:
        for session in self._sessions.pop(peer, {}).values():
            session.snapshot.close()

    def _begin(self, peer: NodeId, root: Root) -> Generator[Output, None, _Session | None]:
        snapshot = self._snapshots.open(root)
        if snapshot is None:
            return None
        sessions = self._sessions.setdefault(peer, {})
        if (before := sessions.pop(root, None)) is not None:
            before.snapshot.close()
        elif len(sessions) >= MAX_OPEN_A_PEER:
            sessions.pop(next(iter(sessions))).snapshot.close()
        key = self._fresh_key()
        session = sessions[root] = _Session(snapshot, ChunkSealer(key))
        stream = Stream(StreamKind.SNAPSHOT, root)
        yield Grant(peer, stream, key)
        yield ChunkList(peer, stream, snapshot.size, snapshot.hashes, b"")
        return session

    def _seal(self, session: _Session, index: int) -> memoryview:
        size_bytes = chunk_values(session.snapshot.size, index) * VALUE_BYTES
        slab = self._slabs.take(size_bytes + TAG_BYTES)
        session.snapshot.read_into(index, slab[:size_bytes])
        session.sealer.seal_into(index, slab[:size_bytes], slab)
        return slab
