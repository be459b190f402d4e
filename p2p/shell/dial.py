"""What became of one try at one address?

A socket of its own, with a monitor: who answers, whether the gate opened, when the connection ended. Knows
nothing of greetings, nor when to try again.
"""

import errno
from collections.abc import Sequence

import zmq

from comind.crypto.gate import Gate
from comind.p2p.core.words import NodeId
from comind.p2p.shell.bulk import Buffer
from comind.p2p.shell.connection import FRAME_OVERHEAD_BYTES, Arrived
from comind.p2p.shell.limits import Limits
from comind.p2p.shell.reasons import Failure
from comind.p2p.shell.sockets import (
    Happened,
    Monitor,
    Watch,
    ZmqContext,
    ZmqSocket,
    dial_socket,
    receive_some,
    received_by_kernel,
)
from comind.p2p.shell.wanted import Wanted

_EVENTS = (
    zmq.EVENT_CONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_CONNECT_RETRIED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_TIMED_OUT = (errno.EAGAIN, errno.ETIMEDOUT)


class Dial:
    """One try at one address, and the connection that comes of it."""

    def __init__(
        self, context: ZmqContext, gate: Gate, wanted: Wanted, address: str, now_ms: int, watch: Watch
    ) -> None:
        self.wanted = wanted
        self.address = address
        self.since_ms = now_ms
        self.peer: NodeId | None = None
        """Who greeted."""
        self.over = False
        self.ended = False
        """Its connection is gone, and all that it brought is read."""
        self._failure: Failure | None = None
        self._watch = watch
        self._socket = dial_socket(context, gate, address)
        self._monitor = Monitor(self._socket, _EVENTS)
        self._descriptor = -1
        self._handshaken = False
        self._end_seen = False
        self._read_bytes = 0
        watch.add(self._socket, self._monitor.socket)
        try:
            self._socket.connect(address)
        except zmq.ZMQError:  # it looked like an address, but libzmq does not take it for one
            self._failure = Failure.NO_ADDRESS
            self._end_seen = True

    def send(self, frames: Sequence[Buffer]) -> bool:
        if self.over:
            return True
        try:
            self._socket.send_multipart(frames, zmq.DONTWAIT, copy=False)
        except zmq.Again:
            return False
        return True

    def cut(self, linger_ms: int = 0) -> None:
        if not self.over:
            self.over = True
            self._watch.discard(self._socket, self._monitor.socket)
            self._monitor.close()
            self._socket.close(linger_ms)

    @property
    def is_ending(self) -> bool:
        """Its connection is gone, but what it brought is not all read, and nothing else wakes the loop."""
        return self._end_seen and not self.ended

    def is_ready(self, ready: set[ZmqSocket]) -> bool:
        return self.is_ending or self._socket in ready or self._monitor.socket in ready

    def read(self, limits: Limits) -> list[Arrived]:
        """Read what has come, as far as it is to be read at once."""
        for happened in self._monitor.read():
            self._end_seen |= self._note(happened)
        arrived: list[Arrived] = []
        for frames in receive_some(self._socket, limits.messages_at_once, limits.bytes_at_once):
            if frames is None:
                self.ended = self._end_seen
                break
            self._read_bytes += sum(len(frame) + FRAME_OVERHEAD_BYTES for frame in frames)
            arrived.append(Arrived(self, frames))
        return arrived

    @property
    def why_not(self) -> Failure:
        """Why it did not come to a greeting, now that it has ended or its time is up."""
        if self._failure is not None:
            return self._failure
        if self.ended:
            return Failure.REFUSED if self._handshaken else Failure.STRANGER
        return Failure.UNREACHABLE if self._descriptor < 0 else Failure.SILENT

    def hoards(self, limits: Limits) -> bool:
        received = received_by_kernel(self._descriptor) if self._descriptor >= 0 else None
        return received is not None and received - self._read_bytes > limits.unread_bytes

    def _note(self, happened: Happened) -> bool:
        """Note what the monitor tells; whether it is the end."""
        match happened.event:
            case zmq.EVENT_CONNECTED:
                self._descriptor = happened.value
            case zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._handshaken = True
            case zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                # To a hello under another key than its own a gate says nothing, and closes.
                self._failure = Failure.SILENT if happened.value in _TIMED_OUT else Failure.WRONG_GATE
            case zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                self._failure = Failure.STRANGER
            case zmq.EVENT_CLOSED:
                self._failure = Failure.UNREACHABLE
            case zmq.EVENT_CONNECT_RETRIED if self._descriptor < 0:
                self._failure = self._failure or Failure.UNKNOWN_NAME
                return True
        return happened.event == zmq.EVENT_DISCONNECTED
