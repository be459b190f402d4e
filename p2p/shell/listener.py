"""Who connected to this node, and which of its messages came over which connection?

A ROUTER tells its connections apart by routing id and cannot end one; its monitor tells by descriptor when
one came or ended; each frame names both. This file brings the two together, so that a connection's end is
noticed at once, and so that one can be cut without touching the others. Knows nothing of nodes or greetings.

Descriptors are used again, so order is all. For one connection libzmq's IO thread says *accepted*, then
delivers its frames, then says *disconnected*, and only then closes the descriptor. Hence two rules:

- ends are told only when every frame that had arrived before is read;
- whoever's frame comes from a descriptor is the newest that was accepted on it, once the monitor is read.
"""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

import zmq

from comind.crypto.gate import Gate
from comind.p2p.core.errors import ConfigError
from comind.p2p.shell.addresses import PORT_STEP, Listen
from comind.p2p.shell.bulk import Buffer
from comind.p2p.shell.connection import FRAME_OVERHEAD_BYTES, Arrived
from comind.p2p.shell.limits import Limits
from comind.p2p.shell.reasons import Reasons
from comind.p2p.shell.sockets import (
    FILE_RESERVE,
    Frames,
    Monitor,
    Watch,
    ZmqContext,
    ZmqSocket,
    bind,
    file_limit,
    gate_socket,
    receive_some,
    received_by_kernel,
)

_EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED

_MOST_BUSY_TURNS = 8
"""A peer that never stops talking must not keep the end of another's connection secret."""


@dataclass(slots=True, eq=False)
class Accepted:
    """One connection that somebody made to this node."""

    listener: "Listener" = field(repr=False)
    descriptor: int
    since_ms: int
    routing_id: bytes = b""
    greeted: bool = False
    over: bool = False
    read_bytes: int = 0

    def send(self, frames: Sequence[Buffer]) -> bool:
        return self.listener.send(self, frames)

    def cut(self, linger_ms: int = 0) -> None:
        self.listener.cut(self)


class Listener:
    """The socket that others dial.

    Raises:
        ConfigError: nothing that `listen` names can be bound.
    """

    def __init__(
        self,
        context: ZmqContext,
        gate: Gate,
        listen: Listen,
        limits: Limits,
        reasons: Reasons,
        watch: Watch,
    ) -> None:
        self._limits = limits
        self._reasons = reasons
        self._most = max(limits.strangers, (file_limit() - FILE_RESERVE) // 2)
        self._router = gate_socket(context, gate, listen.host)
        self._monitor = Monitor(self._router, _EVENTS)
        self._watched = watch
        self._on: dict[int, Accepted] = {}
        self._by_routing_id: dict[bytes, Accepted | None] = {}
        self._ended: list[Accepted] = []
        self._now_ms = 0
        self._sweep_at_ms = 0
        self._busy_turns = 0
        try:
            self.listening = self._bind(listen)
        except BaseException:
            self._close_sockets(0)
            raise
        watch.add(self._router, self._monitor.socket)

    @property
    def wake_at_ms(self) -> int | None:
        if self._ended:
            return self._now_ms  # the monitor has been read, and wakes nobody any more
        return self._sweep_at_ms if self._on else None

    def read(self, now_ms: int, ready: set[ZmqSocket]) -> tuple[list[Arrived], list[Accepted]]:
        """Read what has come, and which connections have ended after all that they brought was read."""
        self._now_ms = now_ms
        if self._monitor.socket in ready:
            self._read_monitor()
            self._make_room()
        arrived: list[Arrived] = []
        if self._router not in ready and not self._ended:
            return arrived, []
        limits = self._limits
        for frames in receive_some(self._router, limits.messages_at_once, limits.bytes_at_once):
            if frames is None:
                self._busy_turns = 0
                return arrived, self._take_ended()
            connection = self._sender(frames)
            if connection is not None and not connection.over:
                arrived.append(Arrived(connection, frames[1:]))
        self._busy_turns += 1
        if self._busy_turns >= _MOST_BUSY_TURNS:  # reading is fair, so those that ended have had their turns
            return arrived, self._take_ended()
        return arrived, []

    def sweep(self, now_ms: int) -> None:
        """Cut who should have greeted by now, and who fills memory with a message that never ends."""
        if now_ms < self._sweep_at_ms:
            return
        self._sweep_at_ms = now_ms + self._limits.sweep_ms
        for connection in list(self._on.values()):
            if connection.over:
                self.cut(connection)  # there was no descriptor to do it with
            elif not connection.greeted and now_ms - connection.since_ms >= self._limits.greeting_ms:
                self._refuse(connection, "did not greet in time")
            elif self._hoards(connection):
                self._refuse(connection, "sent a message that does not end")

    def send(self, connection: Accepted, frames: Sequence[Buffer]) -> bool:
        try:
            self._router.send_multipart([connection.routing_id, *frames], zmq.DONTWAIT, copy=False)
        except zmq.Again:
            return False
        except zmq.ZMQError as why:
            if why.errno != zmq.EHOSTUNREACH:
                raise
        return True

    def cut(self, connection: Accepted) -> None:
        """End this connection, which libzmq has no call for: shut it down below, and libzmq sees it end.

        Its descriptor may have become another's meanwhile. A copy of it is this connection's for certain if
        the monitor, read after copying, has not told of its end: libzmq tells before it closes.
        """
        connection.over = True
        try:
            with socket.socket(
                socket.AF_INET, socket.SOCK_STREAM, fileno=os.dup(connection.descriptor)
            ) as copy:
                self._read_monitor()
                if self._on.get(connection.descriptor) is connection:
                    copy.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it has ended by itself; or no descriptor is free, and the next sweep cuts it

    def close(self, linger_ms: int) -> None:
        self._watched.discard(self._router, self._monitor.socket)
        self._close_sockets(linger_ms)

    def _close_sockets(self, linger_ms: int) -> None:
        self._monitor.close()
        self._router.close(linger_ms)

    # -- what the two sockets say -------------------------------------------------------------------------

    def _read_monitor(self) -> None:
        for happened in self._monitor.read():
            if happened.event == zmq.EVENT_ACCEPTED:
                self._on[happened.value] = Accepted(self, happened.value, self._now_ms)
            else:
                gone = self._on.pop(happened.value, None)
                if gone is not None:
                    self._ended.append(gone)

    def _make_room(self) -> None:
        """Cut the oldest that have not greeted, and the newest where there are too many even so."""
        strangers = [one for one in self._on.values() if not one.greeted and not one.over]
        for connection in strangers[: max(0, len(strangers) - self._limits.strangers)]:
            self._refuse(connection, "too many strangers at once")
        for connection in list(self._on.values())[self._most :]:
            if not connection.over:
                self._refuse(connection, "too many connections at once")

    def _sender(self, frames: Frames) -> Accepted | None:
        """Whose message this is; None if that connection is gone, or not to be listened to."""
        routing_id = frames[0].bytes
        if routing_id in self._by_routing_id:
            connection = self._by_routing_id[routing_id]
        else:
            self._read_monitor()
            connection = self._by_routing_id[routing_id] = self._owner(
                routing_id, int(frames[1].get(zmq.SRCFD))
            )
        if connection is not None:
            connection.read_bytes += sum(len(frame) + FRAME_OVERHEAD_BYTES for frame in frames[1:])
        return connection

    def _owner(self, routing_id: bytes, descriptor: int) -> Accepted | None:
        """Which connection a routing id belongs to that was not seen before."""
        newest = self._on.get(descriptor)
        if newest is None or newest.over:
            return None
        if len(routing_id) != 5 or routing_id[0] != 0:
            self._refuse(newest, "chose its own routing id")
            return None
        if newest.routing_id:
            # One of the two is gone. libzmq counts routing ids up.
            if (int.from_bytes(routing_id) - int.from_bytes(newest.routing_id)) % 2**32 >= 2**31:
                return None
            newest.over = True
            self._ended.append(newest)
            newest = self._on[descriptor] = Accepted(self, descriptor, newest.since_ms)
        newest.routing_id = routing_id
        return newest

    def _take_ended(self) -> list[Accepted]:
        """Called when no frame of a connection that ended is left to read."""
        ended, self._ended = self._ended, []
        for connection in ended:
            self._by_routing_id.pop(connection.routing_id, None)
        for routing_id in [one for one, connection in self._by_routing_id.items() if connection is None]:
            del self._by_routing_id[routing_id]
        return ended

    def _refuse(self, connection: Accepted, because: str) -> None:
        self._reasons.count(because)
        self.cut(connection)

    def _hoards(self, connection: Accepted) -> bool:
        received = received_by_kernel(connection.descriptor)
        return received is not None and received - connection.read_bytes > self._limits.unread_bytes

    def _bind(self, listen: Listen) -> str:
        try:
            bound = bind(self._router, listen.endpoints)
        except zmq.ZMQError as why:
            raise ConfigError(
                f"cannot listen on {listen.endpoints[0]} ({why.strerror}): name another address with --listen"
            ) from None
        if bound is None:
            raise ConfigError(_in_use(listen))
        return bound


def _in_use(listen: Listen) -> str:
    if len(listen.ports) > 1:
        return f"ports {listen.ports[0]} to {listen.ports[-1]} are all in use: name a free one with --listen"
    port = listen.ports[0]
    mend = f"tcp://{listen.host}:{port + PORT_STEP}"
    return f"port {port} is in use: stop what listens there, or name another as in --listen {mend}"
