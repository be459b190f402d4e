"""How does the data plane work beside the loop?

One thread seals, opens, hashes and adds, which release the GIL; the loop alone speaks with peers. Tasks go
in, outputs come out, and a descriptor wakes the loop. Knows nothing of what a transfer is: `transfers` does.
"""

import threading
from collections import deque

from comind.node.daemon import mean
from comind.node.daemon.outgoing import (
    Ask,
    Chunk,
    ChunkList,
    FromPeer,
    Grant,
    Misbehaved,
    Output,
    Refuse,
    ToPeer,
)
from comind.node.daemon.transfers import Task, Transfers
from comind.node.daemon.wakeup import Wakeup
from comind.p2p.core.effects import LinkDown, LinkUp
from comind.p2p.core.words import Incarnation, NodeId
from comind.p2p.shell.bulk import Asked, BulkEvent, BulkPort, ChunkCame, Stream

MAX_QUEUED_ASKS = 256
"""Of one peer: asks that the thread has not looked at yet."""


class Plane:
    """The thread. Its methods are the loop's, and return at once; `wakeup` is set when there are outputs."""

    def __init__(self, transfers: Transfers) -> None:
        self.wakeup = Wakeup()
        self._transfers = transfers
        self._tasks: deque[Task] = deque()
        self._outputs: deque[Output] = deque()
        self._asks: dict[NodeId, int] = {}
        self._credit: dict[NodeId, dict[Stream, int]] = {}
        """Chunks that were asked for and have not come, so that nobody fills the queue with others."""
        self._peers: dict[NodeId, Incarnation] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="plane", daemon=True)
        self._thread.start()

    def do(self, task: Task) -> None:
        """Have this done, after all that was given before."""
        with self._changed:
            self._tasks.append(task)
            self._changed.notify()

    def hear(self, event: BulkEvent, port: BulkPort) -> Misbehaved | None:
        """Take what a peer sent; or say why it is not even queued."""
        misbehaved = self._judge(event)
        if misbehaved is None:
            self.do(FromPeer(event, port.upload_secret(event.peer) or ()))
        return misbehaved

    def _judge(self, event: BulkEvent) -> Misbehaved | None:
        match event:
            case ChunkCame():
                credit = self._credit.get(event.peer, {})
                if not credit.get(event.stream):
                    return Misbehaved(event.peer, "it sent a chunk that was not asked for")
                credit[event.stream] -= 1
                if not credit[event.stream]:
                    del credit[event.stream]
            case Asked():
                self._asks[event.peer] = self._asks.get(event.peer, 0) + 1
                if self._asks[event.peer] > MAX_QUEUED_ASKS:
                    return Misbehaved(event.peer, "it asks faster than it can be answered")
        return None

    def link(self, event: LinkUp | LinkDown) -> None:
        """Take note of a link; of a peer that is gone or was started again, nothing more comes."""
        incarnation = event.incarnation if isinstance(event, LinkUp) else None
        if self._peers.get(event.peer) != incarnation:
            self._credit.pop(event.peer, None)
        if incarnation is None:
            self._peers.pop(event.peer, None)
        else:
            self._peers[event.peer] = incarnation
        self.do(event)

    def collect(self) -> list[Output]:
        """Return what has come out since the last call."""
        assert self._closing or self._thread.is_alive(), "the plane's thread ended"
        self.wakeup.clear()
        outputs = []
        while self._outputs:
            outputs.append(self._outputs.popleft())
        if not self._tasks:
            self._asks.clear()
        return outputs

    def say(self, output: ToPeer, port: BulkPort) -> None:
        """Say to a peer what the data plane wants said."""
        match output:
            case Ask(peer, stream, first, count):
                credit = self._credit.setdefault(peer, {})
                credit[stream] = credit.get(stream, 0) + count
                port.ask(peer, stream, first, count)
            case Grant(peer, stream, key):
                port.grant(peer, stream, key)
            case ChunkList(peer, stream, size, hashes, signature):
                port.chunk_list(peer, stream, size, hashes, signature)
            case Chunk(peer, stream, index, sealed):
                port.chunk(peer, stream, index, sealed)
            case Refuse(peer, stream, because):
                port.refuse(peer, stream, because)

    def close(self) -> None:
        """End the thread, and let go of everything."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._transfers.close()

    def _run(self) -> None:
        assert mean.keeps_small_numbers(), "a library has switched denormals off: averages would differ"
        try:
            while not self._closing:
                task = self._next()
                for output in self._transfers.work() if task is None else self._transfers.do(task):
                    self._outputs.append(output)
                    self.wakeup.set()
        finally:
            self.wakeup.set()

    def _next(self) -> Task | None:
        """Return the next task; None where there is none now, but work that goes on without one."""
        with self._changed:
            while not (self._tasks or self._closing):
                wait_ms = self._transfers.work_in_ms()
                if wait_ms == 0:
                    break
                self._changed.wait(None if wait_ms is None else wait_ms / 1_000)
            return self._tasks.popleft() if self._tasks else None
