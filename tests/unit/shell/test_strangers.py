"""Does who does not hold the network key get no further than the gate, and take no room from those who do?"""

import socket
from collections.abc import Iterator

import pytest
import zmq

from comind.p2p.shell.limits import Limits
from comind.p2p.shell.sockets import ZmqContext
from tests.unit.shell.conftest import Loop, Node, Nodes, up

ZMTP_GREETING_BYTES = 64
SMALL = Limits(greeting_ms=200, sweep_ms=20, strangers=5)


def knock(node: Node) -> socket.socket:
    host, _, port = node.address.removeprefix("tcp://").rpartition(":")
    stranger = socket.create_connection((host, int(port)))
    stranger.setblocking(False)
    return stranger


@pytest.fixture
def stranger(nodes: Nodes) -> Iterator[socket.socket]:
    with knock(nodes(limits=SMALL)) as one:
        yield one


@pytest.fixture
def node(stranger: socket.socket, loop: Loop) -> Node:
    """The node at whose gate the stranger stands."""
    return loop.nodes[0]


def read_all(stranger: socket.socket, loop: Loop) -> bytes:
    """What the stranger gets until it is cut."""
    got = [b""]

    def is_cut() -> bool:
        try:
            got.append(stranger.recv(65_536))
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True
        return got[-1] == b""

    loop.until(is_cut)
    return b"".join(got)


def test_a_stranger_that_says_nothing_is_cut_in_time(stranger: socket.socket, node: Node, loop: Loop) -> None:
    assert len(read_all(stranger, loop)) <= ZMTP_GREETING_BYTES
    assert node.links.dropped == {"did not greet in time": 1}
    assert not node.news


def test_a_stranger_that_talks_gets_nothing_and_nothing_is_heard(
    stranger: socket.socket, node: Node, loop: Loop
) -> None:
    stranger.send(b"GET / HTTP/1.1\r\n\r\n" + bytes(200))
    assert len(read_all(stranger, loop)) <= ZMTP_GREETING_BYTES
    assert not node.news


def test_the_gate_opens_to_no_zeromq_socket_without_the_key(
    context: ZmqContext, nodes: Nodes, loop: Loop
) -> None:
    node = nodes(limits=SMALL)
    with context.socket(zmq.DEALER) as plain:
        plain.set(zmq.LINGER, 0)
        events = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_DISCONNECTED
        monitor = plain.get_monitor_socket(events)
        plain.connect(node.address)
        plain.send(bytes(74))
        loop.until(lambda: monitor.poll(0))
        assert int.from_bytes(monitor.recv_multipart()[0][:2], "little") != zmq.EVENT_HANDSHAKE_SUCCEEDED
        loop.settle(50)
        plain.disable_monitor()
        monitor.close()
    assert not node.news
    assert not node.links.received_bytes


def test_many_strangers_are_not_kept_and_a_member_comes_in(nodes: Nodes, loop: Loop) -> None:
    node = nodes(limits=Limits(strangers=5))
    strangers = []
    for _ in range(20):
        strangers.append(knock(node))
        loop.turn(most_ms=10)
    loop.until(lambda: node.links.dropped == {"too many strangers at once": 15})
    member = nodes()
    member.dial(node)
    loop.until(lambda: up(member.id, dialled=False) in node.news)
    for stranger in strangers:
        stranger.close()
    loop.settle()
    assert not node.downs(member)


def test_hundreds_of_strangers_at_once_are_bounded(nodes: Nodes, loop: Loop) -> None:
    node = nodes(limits=Limits(strangers=5))
    strangers = [knock(node) for _ in range(300)]
    loop.until(lambda: sum(node.links.dropped.values()) == 295)
    for stranger in strangers:
        stranger.close()
