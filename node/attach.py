"""What do the daemon, its trainer and the command line say to each other?

They meet at a Unix socket in a 0700 folder: words in MessagePack behind a length, weights in unnamed shared
files whose descriptors travel beside the words. Knows nothing of rounds or tensors. All three are processes
of one user; still, every length is bounded before it is read.
"""

import socket
import struct
from collections import deque
from collections.abc import Iterator
from typing import Any

import msgspec

PROTOCOL = 1
MAX_WORDS_BYTES = 4 << 20
MAX_DESCRIPTORS = 16
_LENGTH = struct.Struct("<IB")
"""Bytes of the words, and the number of descriptors (0 or 1) that came with them."""


class Closed(Exception):
    """The other end is gone, or speaks something else."""


class _Word(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Tensor(_Word, frozen=True):
    """One tensor of a schema, in the order in which it lies in the snapshot."""

    name: str
    shape: tuple[int, ...]
    dtype: str


# -- a trainer's words --------------------------------------------------------------------------------------


class Attach(_Word, frozen=True, tag="attach"):
    """I train. Answered by `Welcome` or `Refused`."""

    protocol: int
    pid: int
    run: bytes
    schema: tuple[Tensor, ...]
    size: int
    """float32 values of a snapshot."""
    detached: bool = False
    """I was attached before, to a daemon that went away."""


class Offered(_Word, frozen=True, tag="offered"):
    """A snapshot for the next round; its shared file's descriptor comes along.

    The file is sealed against shrinking and growing, holds `size` float32 values, and is never written again.
    Without a base in the network, weight 0 and steps 0..0 offer the starting weights.
    """

    first_step: int
    last_step: int
    base: bytes
    """Root of the base that it was trained from; 32 zeros with starting weights."""
    weight: int
    metrics: dict[str, float]


class Finished(_Word, frozen=True, tag="finished"):
    """I train no more. Closing the socket without it says: I died, or detached for a while."""


# -- the daemon's words to its trainer ----------------------------------------------------------------------


class Welcome(_Word, frozen=True, tag="welcome"):
    network: str
    node: str
    node_id: bytes
    weight_unit: str
    rounds: int
    start_at: int
    has_base: bool
    """False: send an `Offered` of your starting weights at once, then wait for `News`."""
    started_by_join: bool
    network_id: bytes = b""
    parent: bytes = b""
    """Id of the network that this one goes on from: whoever trained for it goes on; empty: none."""


class News(_Word, frozen=True, tag="news"):
    """A new base; its read-only descriptor comes along."""

    height: int
    block: bytes
    round: int
    root: bytes
    size: int
    rule: str
    started: bool
    """False: adopt it, but do not train yet (`start_at` members are not there); `Waiting` says for what."""
    counted: bool
    counted_run: bytes
    counted_last_step: int
    because: str
    contributors: tuple[tuple[str, str, int], ...]
    """(short id, name, weight)."""
    absent: tuple[tuple[str, str, str], ...]
    """(short id, name, why)."""
    chief: str
    """`name (short id)`."""
    view: int
    seconds: float
    finished: bool


class Started(_Word, frozen=True, tag="started"):
    """`start_at` members are training: begin."""


class Announced(_Word, frozen=True, tag="announced"):
    """A round holds your offer up to this step, whatever you offer later; `News` will tell of it."""

    last_step: int


class Released(_Word, frozen=True, tag="released"):
    """Do not wait for a round; train on. Your offer stays, and `News` comes when there is any."""

    because: str


class Waiting(_Word, frozen=True, tag="waiting"):
    """What the offer waits for, for a person to read."""

    because: str


class Called(_Word, frozen=True, tag="called"):
    """The door of a round opens soon: offer at the next step, with the examples that you have (R5)."""


class Refused(_Word, frozen=True, tag="refused"):
    """What you sent cannot be taken: what is wrong, and how to mend it. `fatal`: the daemon hangs up."""

    because: str
    fatal: bool = False


# -- the command line's words -------------------------------------------------------------------------------


class Ask(_Word, frozen=True, tag="ask"):
    """`what`: status, stop, leave, watch (a `StatusOf` now and whenever it changes), or what all decide:
    pause, resume, remove, allow or deny."""

    what: str
    about: str = ""
    """Whom: a name or an id, as a person writes it."""
    because: str = ""
    """Why, for everyone to read: with what is decided for all."""


class MemberLine(_Word, frozen=True):
    """One member, as `comind status` shows it."""

    id: str
    name: str
    addresses: tuple[str, ...]
    state: str
    """training, ready, witness, away, silent, joining."""
    voter: bool
    can_lead: bool
    me: bool
    heard_ms_ago: int | None
    rounds_led: int
    counted: int
    """Averages that count a contribution of it."""


class RoundLine(_Word, frozen=True):
    """One committed round, as the live view and `--json` tell it."""

    height: int
    round: int
    rule: str
    view: int
    chief: str
    chief_name: str
    contributors: tuple[tuple[str, str, int], ...]
    absent: tuple[tuple[str, str, str], ...]
    seconds: float
    metrics: dict[str, float]
    root: str


class Status(_Word, frozen=True):
    network: str
    network_id: str
    name: str
    id: str
    addresses: tuple[str, ...]
    pid: int
    height: int
    round: int
    rounds: int
    view: int
    digest: str
    """BLAKE3 root of the base in hex; empty while there is none."""
    chief: str
    chief_name: str
    next_chief: str
    next_chief_name: str
    phase: str
    """What the round is at: idle, gathering, averaging, voting, changing view."""
    because: str
    """What is waited for, in plain words."""
    since_ms: int
    members: tuple[MemberLine, ...]
    trainer: str
    """none, training, ready."""
    settings: dict[str, Any]
    bytes_sent: int
    bytes_received: int
    dropped: dict[str, int]
    """Peers' bad messages by reason."""
    last_rounds: tuple[RoundLine, ...] = ()
    """The newest few, oldest first."""
    opens_in_ms: int | None = None
    """How long the door of the round waits at most; None: it has no deadline (R5)."""
    quorum: bool = True
    """Whether enough voters for a quorum are heard from."""
    parent: str = ""
    """Id of the network that this one goes on from; empty: none."""
    paused: str = ""
    """By whom and why no averages are made; empty while they are."""
    at_the_door: tuple[tuple[str, str], ...] = ()
    """(full id, why it gets no link) of each node that waits outside."""
    decisions: tuple[tuple[int, str], ...] = ()
    """(height, what was decided by whom): the newest few, oldest first."""


class StatusOf(_Word, frozen=True, tag="status"):
    status: Status


class Said(_Word, frozen=True, tag="said"):
    """A line of the daemon's log, for whoever watches."""

    line: str


class Done(_Word, frozen=True, tag="done"):
    """The command was carried out."""

    line: str


ToDaemon = Attach | Offered | Finished | Ask
FromDaemon = (
    Welcome | News | Started | Announced | Released | Waiting | Called | Refused | StatusOf | Said | Done
)
Word = ToDaemon | FromDaemon


class Channel:
    """Words and descriptors over one connected Unix stream socket. Each end knows which words it may hear."""

    def __init__(self, connection: socket.socket, hears: Any) -> None:
        self._socket = connection
        self._decoder = msgspec.msgpack.Decoder(hears)
        self._buffer = bytearray()
        self._descriptors: deque[int] = deque()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, word: Word, descriptor: int | None = None) -> None:
        """Send one word, with a descriptor (which stays open here) if one is given.

        Raises:
            Closed: the other end is gone, or takes nothing any more (a timeout of the socket).
        """
        words = msgspec.msgpack.encode(word)
        assert len(words) <= MAX_WORDS_BYTES, type(word).__name__
        frame = memoryview(_LENGTH.pack(len(words), 0 if descriptor is None else 1) + words)
        try:
            if descriptor is not None:
                frame = frame[socket.send_fds(self._socket, [frame], [descriptor]) :]
            if frame:
                self._socket.sendall(frame)
        except OSError as why:
            raise Closed(str(why)) from None

    def receive(self, timeout_s: float | None = None) -> tuple[Word, int | None] | None:
        """Wait for one word; None when none came in time. The caller owns the descriptor.

        Raises:
            Closed: the other end is gone, or sent what it must not.
        """
        while (word := self._next()) is None:
            self._socket.settimeout(timeout_s)
            try:
                self._read()
            except (TimeoutError, BlockingIOError):
                return None
            finally:
                if self._socket.fileno() >= 0:
                    self._socket.settimeout(None)
        return word

    def arrived(self) -> Iterator[tuple[Word, int | None]]:
        """Yield what is there without waiting; call it when the socket is readable.

        Raises:
            Closed: the other end is gone, or sent what it must not.
        """
        self._socket.setblocking(False)
        try:
            self._read()
        except BlockingIOError:
            pass
        finally:
            if self._socket.fileno() >= 0:
                self._socket.setblocking(True)
        while (word := self._next()) is not None:
            yield word

    def close(self) -> None:
        """Close the socket and every descriptor that nobody took."""
        while self._descriptors:
            _close(self._descriptors.popleft())
        self._socket.close()

    def _read(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._socket, 1 << 16, MAX_DESCRIPTORS)
        except ConnectionError as why:
            raise Closed(str(why)) from None
        self._descriptors.extend(descriptors)
        if not data:
            raise Closed("it hung up")
        self._buffer += data

    def _next(self) -> tuple[Word, int | None] | None:
        if len(self._buffer) < _LENGTH.size:
            return None
        length, descriptors = _LENGTH.unpack_from(self._buffer)
        if length > MAX_WORDS_BYTES or descriptors > 1:
            raise Closed("it speaks something else")
        if len(self._buffer) < _LENGTH.size + length:
            return None
        words = bytes(self._buffer[_LENGTH.size : _LENGTH.size + length])
        del self._buffer[: _LENGTH.size + length]
        if descriptors and not self._descriptors:
            raise Closed("a descriptor is missing")
        try:
            word = self._decoder.decode(words)
        except msgspec.MsgspecError as why:
            raise Closed(f"it speaks something else: {why}") from None
        return word, self._descriptors.popleft() if descriptors else None


def _close(descriptor: int) -> None:
    socket.close(descriptor)
