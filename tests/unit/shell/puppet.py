"""A member gone mad: holds the network key, greets as it should, and then says whatever a test wants."""

import zmq

from comind.crypto.gate import gate_of
from comind.crypto.greeting import Initiator, Link
from comind.crypto.identity import Identity, NodeId
from comind.p2p.shell.sockets import ZmqContext
from tests.unit.shell.conftest import KEY, NETWORK, Loop, Node


class Puppet:
    def __init__(self, context: ZmqContext, loop: Loop, at: Node, identity: Identity | None = None) -> None:
        public, secret = zmq.curve_keypair()
        self.identity = identity or Identity.generate()
        self.socket = context.socket(zmq.DEALER)
        self.socket.set(zmq.LINGER, 0)
        self.socket.set(zmq.CURVE_SERVERKEY, gate_of(NETWORK, KEY).public)
        self.socket.set(zmq.CURVE_PUBLICKEY, public)
        self.socket.set(zmq.CURVE_SECRETKEY, secret)
        self.socket.set(zmq.RCVHWM, 4)
        self.socket.set(zmq.RECONNECT_IVL, -1)
        self._monitor = self.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._address = at.address
        self._loop = loop
        self._sockets = (self.socket, self._monitor)
        loop.others += self._sockets

    @property
    def id(self) -> NodeId:
        return self.identity.node_id

    def connect(self) -> None:
        self.socket.connect(self._address)

    def say(self, *frames: bytes) -> None:
        self.socket.send_multipart(frames)

    def greet(self, incarnation: int = 1) -> Link:
        """Come to a link as an honest node would."""
        self.connect()
        initiator = Initiator(self.identity, NETWORK, KEY, incarnation)
        self.say(initiator.hello())
        self._loop.until(lambda: self.socket.poll(0))
        self.say(initiator.receive(self.socket.recv()))
        assert initiator.link is not None
        return initiator.link

    def until_cut(self) -> None:
        """Wait until the other end has closed this connection."""
        self._loop.until(lambda: self._monitor.poll(0))

    def close(self) -> None:
        self._loop.others = [one for one in self._loop.others if one not in self._sockets]
        self.socket.disable_monitor()
        self._monitor.close()
        self.socket.close()


def flipped(sealed: bytes, at: int = 0) -> bytes:
    return sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
