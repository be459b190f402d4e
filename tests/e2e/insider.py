"""Somebody who holds the invite, greets as a node does, and then says whatever a test wants."""

from types import TracebackType
from typing import Self

import zmq

from comind.crypto.gate import gate_of
from comind.crypto.greeting import Initiator, Link
from comind.crypto.identity import Identity
from comind.crypto.invite import Invite
from comind.p2p.shell.sockets import ZmqContext

CEILING_MS = 60_000
INCARNATION = 1 << 32


class Insider:
    """A connection to the node at an address. `server_key`: of the gate, if not the invite's."""

    def __init__(
        self, invite: Invite, address: str, identity: Identity | None = None, server_key: bytes | None = None
    ) -> None:
        self.identity = identity or Identity.generate()
        self._greeting = Initiator(self.identity, invite.network, invite.key, INCARNATION)
        self._context: ZmqContext = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.set(zmq.RECONNECT_IVL, -1)
        public, secret = zmq.curve_keypair()
        self.socket.set(zmq.CURVE_SERVERKEY, server_key or gate_of(invite.network, invite.key).public)
        self.socket.set(zmq.CURVE_PUBLICKEY, public)
        self.socket.set(zmq.CURVE_SECRETKEY, secret)
        self._ends = self.socket.get_monitor_socket(
            zmq.EVENT_DISCONNECTED
            | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
            | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
        )
        self.socket.connect(address)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.socket.disable_monitor()
        self._context.destroy(linger=0)

    def say(self, *frames: bytes) -> None:
        self.socket.send_multipart(frames)

    def hello(self) -> bytes:
        return self._greeting.hello()

    def greet(self) -> Link:
        """Come to a link as an honest node does."""
        self.say(self.hello())
        assert self.socket.poll(CEILING_MS), "no reply came"
        self.say(self._greeting.receive(self.socket.recv()))
        assert self._greeting.link is not None
        return self._greeting.link

    def until_cut(self) -> None:
        """Wait until the node has ended the connection."""
        assert self._ends.poll(CEILING_MS), "the node did not hang up"
