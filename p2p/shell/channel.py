"""What is said on one connection, from its first frame on?

First the greeting, then sealed messages, in order. What does not verify is an error, after which nothing more
on it can be trusted. Knows nothing of other connections, nor what a message means.
"""

from collections import deque

from comind.crypto.errors import CannotOpen
from comind.crypto.greeting import HELLO_BYTES, REPLY_BYTES, Initiator, Link, Responder
from comind.p2p.core.errors import LinkFailed, PeerMisbehaved
from comind.p2p.core.words import NodeId
from comind.p2p.shell.bulk import Buffer
from comind.p2p.shell.connection import Connection
from comind.p2p.shell.limits import Limits
from comind.p2p.shell.sockets import MAX_FRAMES, Frames

_NODE_IN_HELLO = slice(2, 34)
_NODE_IN_REPLY = slice(0, 32)


class Channel:
    """One connection's greeting and the link that comes of it.

    `claimed` is who the other side says it is, `hello` how the greeting began: both prove nothing. `link` is
    set when the greeting is finished, and `link.peer` is proven.
    """

    def __init__(self, connection: Connection, greeting: Initiator | Responder) -> None:
        self.connection = connection
        self.dialled = isinstance(greeting, Initiator)
        self.hello = b""
        self.claimed: NodeId | None = None
        self._greeting = greeting
        self._replied = False
        self._queue: deque[tuple[Buffer, ...]] = deque()
        self._queued_bytes = 0

    @property
    def link(self) -> Link | None:
        return self._greeting.link

    @property
    def waits(self) -> bool:
        """Whether there is something to send for which the connection had no room."""
        return bool(self._queue)

    def begin(self) -> None:
        """Say hello, on a connection that this node made."""
        assert isinstance(self._greeting, Initiator)
        self.hello = self._greeting.hello()
        self.connection.send([self.hello])

    def note_claim(self, frames: Frames) -> None:
        """Note from whom the next message of the greeting claims to be, before it is taken."""
        if len(frames) != 1 or len(frames[0]) not in (HELLO_BYTES, REPLY_BYTES):
            return
        said = frames[0].bytes
        if self.dialled:
            self.claimed = NodeId(said[_NODE_IN_REPLY])
        elif self.claimed is None:
            self.hello = said
            self.claimed = NodeId(said[_NODE_IN_HELLO])

    def greet(self, frames: Frames) -> None:
        """Take the next message of the greeting, and answer it.

        Raises:
            CannotOpen: it is none, or proves nothing.
        """
        if len(frames) != 1 or len(frames[0]) > max(HELLO_BYTES, REPLY_BYTES):
            raise CannotOpen
        said = frames[0].bytes
        if isinstance(self._greeting, Initiator):
            self.connection.send([self._greeting.receive(said)])
        elif self._replied:
            self._greeting.receive_finish(said)
        else:
            self._replied = True
            self.connection.send([self._greeting.receive_hello(said)])

    def open(self, frames: Frames) -> tuple[bytes, memoryview | None]:
        """Open the next message; beside it is the chunk that came with it, if any, as it was sealed.

        Raises:
            CannotOpen: it is not what the peer sealed next.
            PeerMisbehaved: it has more frames than a message may have.
        """
        assert self.link is not None
        if len(frames) > MAX_FRAMES:
            raise PeerMisbehaved("a message of too many frames")
        return self.link.opener.open(frames[0].buffer), frames[1].buffer if len(frames) > 1 else None

    def send(self, plaintext: bytes, chunk: Buffer | None, limits: Limits) -> int:
        """Seal and send, behind what waits already; return the number of bytes that go.

        Raises:
            LinkFailed: more waits already than this node will keep.
        """
        assert self.link is not None
        sealed = self.link.sealer.seal(plaintext)
        frames = (sealed,) if chunk is None else (sealed, chunk)
        size = sum(map(_size, frames))
        if self._queue or not self.connection.send(frames):
            self._queue.append(frames)
            self._queued_bytes += size
        if self._queued_bytes > limits.queued_bytes or len(self._queue) > limits.queued_messages:
            raise LinkFailed("reads too slowly")
        return size

    def flush(self) -> None:
        """Send what waits, as far as there is room."""
        while self._queue and self.connection.send(self._queue[0]):
            self._queued_bytes -= sum(map(_size, self._queue.popleft()))


def _size(frame: Buffer) -> int:
    return memoryview(frame).nbytes
