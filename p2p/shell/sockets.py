"""With which options are ZeroMQ sockets made, and what can be learned of the connections beneath them?

Knows nothing of nodes or messages. Options bound what a stranger, or a member gone mad, can make us hold.
"""

import itertools
import resource
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import zmq

from comind.crypto.gate import Gate
from comind.p2p.core.wire import MAX_MESSAGE_BYTES
from comind.p2p.shell.addresses import is_named

ZmqContext = zmq.Context[zmq.Socket[bytes]]
ZmqSocket = zmq.Socket[bytes]
Frames = list[zmq.Frame]

MAX_FRAMES = 2
"""Of one message: what is sealed for the link, and at most one sealed chunk."""
MAX_FRAME_BYTES = MAX_MESSAGE_BYTES + 1_024
SEND_HIGH_WATER = 64
RECEIVE_HIGH_WATER = 32
"""In messages of one connection. What does not fit waits in TCP, at the sender."""

FILE_RESERVE = 256
"""Descriptors that connections leave free: at its limit libzmq spins, and nothing else could be opened."""

FILES_OF_A_DIAL = 4
"""One for TCP, and one each for the socket and the two ends of its monitor."""

_FILE_LIMIT = 65_536
_MAX_SOCKETS = 16_384
_HANDSHAKE_MS = 3_000
_CONNECT_MS = 5_000
_NEVER_MS = 86_400_000
_CONTROL_THREAD, _NAMES_THREAD = 1, 2  # masks of IO threads

_TCP_INFO_BYTES = 136
"""Up to `tcpi_bytes_received` in Linux's `struct tcp_info`, since 4.1."""

_monitors = itertools.count()


def open_context() -> ZmqContext:
    """Make the process's ZeroMQ context, and room for its sockets.

    It has two IO threads: libzmq looks names up in an IO thread and stands still while it waits for DNS,
    so sockets that dial a name get one of their own.
    """
    raise_file_limit()
    context = zmq.Context(io_threads=2)
    context.set(zmq.MAX_SOCKETS, _MAX_SOCKETS)
    return context


def raise_file_limit() -> int:
    """Raise the process's limit of open files as far as it may go, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILE_LIMIT if hard == resource.RLIM_INFINITY else min(hard, _FILE_LIMIT)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # macOS says infinity and means less
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(10_240, wanted), hard))
    return file_limit()


def file_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _FILE_LIMIT if soft == resource.RLIM_INFINITY else soft


def gate_socket(context: ZmqContext, gate: Gate, host: str) -> ZmqSocket:
    """Make the ROUTER through whose CURVE handshake only holders of the network key come."""
    router = context.socket(zmq.ROUTER)
    _bound(router)
    router.set(zmq.CURVE_SERVER, 1)
    router.set(zmq.CURVE_SECRETKEY, gate.secret)
    router.set(zmq.ROUTER_MANDATORY, 1)  # else what does not fit is dropped in silence
    router.set(zmq.ROUTER_HANDOVER, 0)  # nobody takes over another's connection by its routing id
    router.set(zmq.BACKLOG, 1_024)
    router.set(zmq.AFFINITY, _CONTROL_THREAD)
    router.set(zmq.IPV6, int(host.startswith("[")))
    return router


def dial_socket(context: ZmqContext, gate: Gate, address: str) -> ZmqSocket:
    """Make the DEALER for one try at one address; the key pair that it shows to the gate is used once.

    It never reconnects by itself, since a new connection needs a new greeting. RECONNECT_IVL = -1 would say
    so, but libzmq then throws away what the peer sent last (its *away*); a day later does the same without.
    """
    public, secret = zmq.curve_keypair()
    dealer = context.socket(zmq.DEALER)
    _bound(dealer)
    dealer.set(zmq.CURVE_SERVERKEY, gate.public)
    dealer.set(zmq.CURVE_PUBLICKEY, public)
    dealer.set(zmq.CURVE_SECRETKEY, secret)
    dealer.set(zmq.RECONNECT_IVL, _NEVER_MS)
    dealer.set(zmq.CONNECT_TIMEOUT, _CONNECT_MS)
    dealer.set(zmq.IPV6, int("[" in address))
    has_names_thread = context.get(zmq.IO_THREADS) > 1
    dealer.set(zmq.AFFINITY, _NAMES_THREAD if is_named(address) and has_names_thread else _CONTROL_THREAD)
    return dealer


def _bound(one: ZmqSocket) -> None:
    one.set(zmq.LINGER, 0)
    one.set(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
    one.set(zmq.SNDHWM, SEND_HIGH_WATER)
    one.set(zmq.RCVHWM, RECEIVE_HIGH_WATER)
    one.set(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
    # A machine that vanished without a word is noticed by the kernel: by probes when the line is idle, by
    # missing acknowledgements when it is not. ZeroMQ's own heartbeats wait behind the chunks of a slow line.
    one.set(zmq.TCP_KEEPALIVE, 1)
    one.set(zmq.TCP_KEEPALIVE_IDLE, 3)
    one.set(zmq.TCP_KEEPALIVE_INTVL, 1)
    one.set(zmq.TCP_KEEPALIVE_CNT, 4)
    one.set(zmq.TCP_MAXRT, 8_000)


def bind(router: ZmqSocket, endpoints: Sequence[str]) -> str | None:
    """Bind the first of these that is free and return what was bound; None if all are in use.

    Raises:
        zmq.ZMQError: one of them cannot be bound at all.
    """
    for endpoint in endpoints:
        try:
            router.bind(endpoint)
        except zmq.ZMQError as why:
            if why.errno != zmq.EADDRINUSE:
                raise
        else:
            return str(router.get_string(zmq.LAST_ENDPOINT)).rstrip("\0")
    return None


def receive(one: ZmqSocket) -> Frames | None:
    """Read one message without waiting; None if there is none. Frames beyond one too many are thrown away."""
    try:
        frames = [one.recv(zmq.DONTWAIT, copy=False)]
    except zmq.Again:
        return None
    last = frames[0]
    while last.more:
        last = one.recv(zmq.DONTWAIT, copy=False)
        if len(frames) <= MAX_FRAMES + 1:  # a ROUTER puts the routing id before them
            frames.append(last)
    return frames


def receive_some(one: ZmqSocket, messages: int, size: int) -> Iterator[Frames | None]:
    """Read up to so many messages, or until they have so many bytes; the last is None if nothing was left."""
    for _ in range(messages):
        frames = receive(one)
        yield frames
        if frames is None:
            return
        size -= sum(map(len, frames))
        if size <= 0:
            return


class Watch:
    """Which sockets may have something to read; keeps the poller of the daemon's loop up to date, too."""

    def __init__(self) -> None:
        self._sockets: dict[ZmqSocket, None] = {}
        self._own = zmq.Poller()
        self._pollers = [self._own]

    def join(self, poller: zmq.Poller) -> None:
        self._pollers.append(poller)
        for one in self._sockets:
            poller.register(one, zmq.POLLIN)

    def add(self, *sockets: ZmqSocket) -> None:
        for one in sockets:
            self._sockets[one] = None
            for poller in self._pollers:
                poller.register(
                    one, zmq.POLLIN
                )  # by default it would ask for POLLOUT too, which is always there

    def discard(self, *sockets: ZmqSocket) -> None:
        """Must come before a socket is closed."""
        for one in sockets:
            if one in self._sockets:
                del self._sockets[one]
                for poller in self._pollers:
                    poller.unregister(one)

    def ready(self) -> set[ZmqSocket]:
        return {one for one, _ in self._own.poll(0)}


# -- what happens beneath -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of a connection. `value` is its descriptor, or an error number, as libzmq's manual says."""

    event: int
    value: int


class Monitor:
    """Tells what happens to a socket's connections, in order."""

    def __init__(self, watched: ZmqSocket, events: int) -> None:
        name = f"inproc://comind-monitor-{next(_monitors)}"
        self._watched = watched
        watched.monitor(name, events)
        self.socket = watched.context.socket(zmq.PAIR)
        # An IO thread that waits for us to read would hold the lock that closing the socket needs.
        self.socket.set(zmq.RCVHWM, 0)
        self.socket.set(zmq.LINGER, 0)
        self.socket.connect(name)

    def read(self) -> Iterator[Happened]:
        while True:
            try:
                said = self.socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            yield Happened(*struct.unpack("=Hi", said[0]))

    def close(self) -> None:
        self._watched.monitor(None, 0)
        self.socket.close()


@contextmanager
def borrowed(descriptor: int) -> Iterator[socket.socket]:
    """A socket of Python's around a descriptor that stays libzmq's, who alone closes it.

    Raises:
        OSError: it is no open socket.
    """
    lent = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=descriptor)
    try:
        yield lent
    finally:
        lent.detach()


def received_by_kernel(descriptor: int) -> int | None:
    """Return how many bytes a TCP connection received so far; None if it has ended, or off Linux.

    libzmq bounds frames and messages, but not the frames of a message that never ends: they show only here.
    """
    if not sys.platform.startswith("linux"):
        return None
    try:
        with borrowed(descriptor) as connection:
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except OSError:
        return None
    return int.from_bytes(info[-8:], sys.byteorder) if len(info) == _TCP_INFO_BYTES else None
