"""Who connects to this node, and how is one of them cut without touching the others?

A ROUTER whose gate only holders of the network key pass, with its monitor. Knows nothing of greetings.
"""

import os
import socket
from collections.abc import Sequence

import zmq

from comind.crypto.gate import Gate
from comind.p2p.core.errors import ConfigError
from comind.p2p.shell.addresses import PORT_STEP, Listen
from comind.p2p.shell.bulk import Buffer
from comind.p2p.shell.connection import FRAME_OVERHEAD_BYTES, Arrived
from comind.p2p.shell.limits import Limits
from comind.p2p.shell.reasons import Reasons
from comind.p2p.shell.roll import Accepted, Roll
from comind.p2p.shell.sockets import (
    FILE_RESERVE,
    Frames,
    Monitor,
    Watch,
    ZmqContext,
    ZmqSocket,
    bind,
    borrowed,
    file_limit,
    gate_socket,
    receive_some,
    received_by_kernel,
)

_EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED

_MOST_BUSY_TURNS = 8
"""A peer that never stops talking must not keep the end of another's connection secret."""


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
        self._watch = watch
        self._most = max(limits.strangers, (file_limit() - FILE_RESERVE) // 2)
        self._roll = Roll()
        self._now_ms = 0
        self._sweep_at_ms = 0
        self._busy_turns = 0
        self._router = gate_socket(context, gate, listen.host)
        self._monitor = Monitor(self._router, _EVENTS)
        try:
            self.listening = _bind(self._router, listen)
        except BaseException:
            self._close_sockets(0)
            raise
        watch.add(self._router, self._monitor.socket)

    @property
    def wake_at_ms(self) -> int | None:
        if self._roll.has_ended:
            return self._now_ms  # the monitor has been read, and wakes nobody any more
        return self._sweep_at_ms if self._roll.connections else None

    def read(self, now_ms: int, ready: set[ZmqSocket]) -> tuple[list[Arrived], list[Accepted]]:
        """Read what has come, and which connections have ended after all that they brought was read."""
        self._now_ms = now_ms
        if self._monitor.socket in ready:
            self._read_monitor()
            self._make_room()
        arrived: list[Arrived] = []
        if self._router not in ready and not self._roll.has_ended:
            return arrived, []
        limits = self._limits
        for frames in receive_some(self._router, limits.messages_at_once, limits.bytes_at_once):
            if frames is None:
                self._busy_turns = 0
                return arrived, self._roll.take_ended()
            connection = self._sender(frames)
            if connection is not None and not connection.over:
                arrived.append(Arrived(connection, frames[1:]))
        self._busy_turns += 1
        if self._busy_turns >= _MOST_BUSY_TURNS:  # reading is fair, so those that ended have had their turns
            return arrived, self._roll.take_ended()
        return arrived, []

    def sweep(self, now_ms: int) -> None:
        """Cut who should have greeted by now, and who fills memory with a message that never ends."""
        if now_ms < self._sweep_at_ms:
            return
        self._sweep_at_ms = now_ms + self._limits.sweep_ms
        for connection in self._roll.connections:
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
            copy = os.dup(connection.descriptor)
        except OSError:
            return  # it has ended by itself; or no descriptor is free, and the next sweep cuts it
        self._read_monitor()
        if self._roll.is_on(connection):
            with borrowed(copy) as shared:
                _shut_down(shared)
        os.close(copy)

    def close(self, linger_ms: int) -> None:
        self._watch.discard(self._router, self._monitor.socket)
        self._close_sockets(linger_ms)

    def _close_sockets(self, linger_ms: int) -> None:
        self._monitor.close()
        self._router.close(linger_ms)

    def _read_monitor(self) -> None:
        for happened in self._monitor.read():
            if happened.event == zmq.EVENT_ACCEPTED:
                self._roll.accepted(Accepted(self, happened.value, self._now_ms))
            else:
                self._roll.disconnected(happened.value)

    def _sender(self, frames: Frames) -> Accepted | None:
        """Whose message this is; None if it is not to be listened to."""
        routing_id = frames[0].bytes
        if not self._roll.knows(routing_id):
            self._read_monitor()
        connection = self._roll.sender(routing_id, int(frames[1].get(zmq.SRCFD)))
        if connection is None or connection.over:
            return None
        if connection.chose_its_routing_id:
            self._refuse(connection, "chose its own routing id")
            return None
        connection.read_bytes += sum(len(frame) + FRAME_OVERHEAD_BYTES for frame in frames[1:])
        return connection

    def _make_room(self) -> None:
        """Cut the oldest that have not greeted, and the newest where there are too many even so."""
        strangers = [one for one in self._roll.connections if not one.greeted and not one.over]
        for connection in strangers[: max(0, len(strangers) - self._limits.strangers)]:
            self._refuse(connection, "too many strangers at once")
        for connection in self._roll.connections[self._most :]:
            if not connection.over:
                self._refuse(connection, "too many connections at once")

    def _refuse(self, connection: Accepted, because: str) -> None:
        self._reasons.count(because)
        self.cut(connection)

    def _hoards(self, connection: Accepted) -> bool:
        received = received_by_kernel(connection.descriptor)
        return received is not None and received - connection.read_bytes > self._limits.unread_bytes


def _bind(router: ZmqSocket, listen: Listen) -> str:
    try:
        bound = bind(router, listen.endpoints)
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


def _shut_down(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was quicker
