"""Nodes without a core: real sockets on loopback, driven by one loop until something has happened."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import zmq

from comind.crypto.identity import Identity, NodeId
from comind.p2p.core.effects import Heard, LinkDown, LinkUp
from comind.p2p.core.messages import AskBlocks, Message
from comind.p2p.core.words import Incarnation, NetworkId
from comind.p2p.shell.addresses import Listen
from comind.p2p.shell.limits import Limits
from comind.p2p.shell.links import Links
from comind.p2p.shell.news import News
from comind.p2p.shell.sockets import ZmqContext, open_context

NETWORK = NetworkId(b"n" * 32)
KEY = b"k" * 32
CEILING_S = 20.0
"""Far more than anything takes; a test that reaches it has failed."""


@dataclass(slots=True, eq=False)
class Node:
    identity: Identity
    links: Links
    poller: zmq.Poller = field(default_factory=zmq.Poller)
    news: list[News] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.links.register(self.poller)

    @property
    def id(self) -> NodeId:
        return self.identity.node_id

    @property
    def address(self) -> str:
        return self.links.listening

    def ups(self, of: "Node") -> list[LinkUp]:
        return [one for one in self.news if isinstance(one, LinkUp) and one.peer == of.id]

    def downs(self, of: "Node") -> list[LinkDown]:
        return [one for one in self.news if isinstance(one, LinkDown) and one.peer == of.id]

    def heard(self, of: "Node") -> list[Message]:
        return [one.message for one in self.news if isinstance(one, Heard) and one.peer == of.id]

    def dial(self, other: "Node") -> None:
        self.links.dial(other.id, (other.address,))

    def say(self, number: int, to: "Node") -> None:
        self.links.send(to.id, AskBlocks(number))


def up(peer: NodeId, *, dialled: bool, incarnation: int = 1) -> LinkUp:
    return LinkUp(peer, Incarnation(incarnation), dialled)


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class Loop:
    """What the daemon's loop is to one node, for several in one thread."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.others: list[zmq.Socket[bytes]] = []
        """Sockets of a test, which wake the loop too."""

    def until(self, happened: Callable[[], object]) -> None:
        """Run all nodes until this is so."""
        deadline = time.monotonic() + CEILING_S
        while not happened():
            assert time.monotonic() < deadline, [node.news for node in self.nodes]
            self.turn()

    def turn(self, most_ms: int = 1_000) -> None:
        """Wait until a node has something to do, and have each do it."""
        wakes = [node.links.wake_at_ms() for node in self.nodes]
        due_in = min((wake - now_ms() for wake in wakes if wake is not None), default=most_ms)
        sockets = zmq.Poller()
        for node in self.nodes:
            for one, flags in node.poller.sockets:
                sockets.register(one, flags)
        for one in self.others:
            sockets.register(one, zmq.POLLIN)
        sockets.poll(max(0, min(due_in, most_ms)))
        for node in self.nodes:
            node.news += node.links.collect(now_ms())

    def settle(self, for_ms: int = 150) -> None:
        """Run on for a while in which something that must not happen could."""
        deadline = now_ms() + for_ms
        while now_ms() < deadline:
            self.turn(most_ms=10)


@pytest.fixture
def context() -> Iterator[ZmqContext]:
    context = open_context()
    yield context
    context.destroy(linger=0)  # a test that failed may have left sockets open


@pytest.fixture
def loop() -> Loop:
    return Loop()


class Nodes:
    def __init__(self, context: ZmqContext, loop: Loop) -> None:
        self._context = context
        self._loop = loop

    def __call__(
        self,
        identity: Identity | None = None,
        *,
        network: NetworkId = NETWORK,
        key: bytes = KEY,
        incarnation: int = 1,
        limits: Limits | None = None,
        port: int = 0,
        listen: Listen | None = None,
    ) -> Node:
        identity = identity or Identity.generate()
        listen = listen or Listen("127.0.0.1", (port,))
        boot = Incarnation(incarnation)
        node = Node(identity, Links(identity, network, key, boot, self._context, listen, limits))
        self._loop.nodes.append(node)
        return node

    def pair(self) -> tuple[Node, Node]:
        """Two nodes, the one with the smaller id first."""
        first, second = sorted((Identity.generate(), Identity.generate()), key=lambda one: one.node_id)
        return self(first), self(second)

    def linked_pair(self) -> tuple[Node, Node]:
        """Two nodes of which the first dialled the second."""
        dialling, dialled = self(), self()
        dialling.dial(dialled)
        self._loop.until(lambda: dialling.ups(dialled) and dialled.ups(dialling))
        return dialling, dialled

    def stop(self, node: Node) -> None:
        self._loop.nodes.remove(node)
        node.links.close()


@pytest.fixture
def nodes(context: ZmqContext, loop: Loop) -> Iterator[Nodes]:
    made = Nodes(context, loop)
    yield made
    for node in loop.nodes:
        node.links.close()
