"""Is the end of a link noticed at once on both sides, and is it found again?"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from comind.crypto.identity import Identity, NodeId
from comind.p2p.core.effects import DialFailed, Heard, LinkDown
from comind.p2p.core.messages import AskBlocks
from comind.p2p.shell.bulk import Stream, StreamKind
from comind.p2p.shell.limits import Limits
from comind.p2p.shell.news import Reached
from comind.p2p.shell.sockets import ZmqContext
from tests.unit.shell.conftest import Loop, Node, Nodes, up
from tests.unit.shell.puppet import Puppet

AT_ONCE_S = 0.9
"""It takes about a millisecond on an idle machine; heartbeats would take seconds."""


class Lone:
    """A node in another process."""

    def __init__(self, *seeds: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("lone_node.py")), *seeds],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.address, shown = self.process.stdout.readline().split()
        self.id = NodeId(bytes.fromhex(shown))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def lone() -> Iterator[Callable[..., Lone]]:
    made: list[Lone] = []

    def start(*seeds: str) -> Lone:
        made.append(Lone(*seeds))
        return made[-1]

    yield start
    for one in made:
        one.kill()
        assert one.process.stdout is not None
        one.process.stdout.close()


def test_a_killed_peer_that_we_dialled_is_noticed_at_once(
    nodes: Nodes, loop: Loop, lone: Callable[..., Lone]
) -> None:
    node, other = nodes(), lone()
    node.links.dial_seed(other.address)
    loop.until(lambda: up(other.id, dialled=True) in node.news)
    killed = time.monotonic()
    other.process.kill()
    loop.until(lambda: LinkDown(other.id) in node.news)
    assert time.monotonic() - killed < AT_ONCE_S


def test_a_killed_peer_that_dialled_us_is_noticed_at_once(
    nodes: Nodes, loop: Loop, lone: Callable[..., Lone]
) -> None:
    node = nodes()
    other = lone(node.address)
    loop.until(lambda: up(other.id, dialled=False) in node.news)
    killed = time.monotonic()
    other.process.kill()
    loop.until(lambda: LinkDown(other.id) in node.news)
    assert time.monotonic() - killed < AT_ONCE_S


@pytest.mark.parametrize("dialler_speaks", [True, False])
def test_what_was_said_last_is_heard_before_the_end(dialler_speaks: bool, nodes: Nodes, loop: Loop) -> None:
    a, b = nodes.linked_pair()
    leaving, staying = (a, b) if dialler_speaks else (b, a)
    for number in range(20):
        leaving.say(number, to=staying)
    nodes.stop(leaving)
    loop.until(lambda: staying.downs(leaving))
    said = [one for one in staying.news if isinstance(one, Heard | LinkDown)]
    assert said == [*(Heard(leaving.id, AskBlocks(one)) for one in range(20)), LinkDown(leaving.id)]


def test_a_link_that_broke_is_dialled_again(nodes: Nodes, loop: Loop) -> None:
    a, b = nodes.linked_pair()
    port = int(b.address.rpartition(":")[2])
    nodes.stop(b)
    loop.until(lambda: a.downs(b) and DialFailed(b.id) in a.news)
    again = nodes(b.identity, incarnation=2, port=port)
    loop.until(lambda: up(b.id, dialled=True, incarnation=2) in a.news)
    a.say(1, to=again)
    loop.until(lambda: again.heard(a))


def test_who_was_dropped_is_told_by_its_linkdown_and_may_come_back(nodes: Nodes, loop: Loop) -> None:
    a, b = nodes.linked_pair()
    b.links.drop(a.id, "sent a bad header")
    loop.until(lambda: len(a.ups(b)) == 2 and len(b.ups(a)) == 2)
    assert b.links.dropped == {"sent a bad header": 1}
    assert len(a.downs(b)) == len(b.downs(a)) == 1


def test_undialled_is_not_dialled_again(nodes: Nodes, loop: Loop) -> None:
    a, b = nodes.linked_pair()
    a.links.undial(b.id)
    b.links.drop(a.id, "test")
    loop.until(lambda: a.downs(b))
    loop.settle()
    assert len(a.ups(b)) == 1


def test_a_restarted_peer_replaces_its_link(nodes: Nodes, loop: Loop) -> None:
    a, b = nodes.linked_pair()
    again = nodes(a.identity, incarnation=2)
    again.dial(b)
    loop.until(lambda: up(a.id, dialled=False, incarnation=2) in b.news)
    a.links.undial(b.id)
    loop.until(lambda: a.downs(b))
    assert not b.downs(a)
    b.say(1, to=again)
    loop.until(lambda: again.heard(b))


def test_an_older_run_of_a_peer_gets_no_link(nodes: Nodes, loop: Loop) -> None:
    b = nodes()
    newer = nodes(incarnation=2)
    newer.dial(b)
    loop.until(lambda: b.ups(newer))
    older = nodes(newer.identity, incarnation=1)
    older.dial(b)
    loop.until(lambda: b.links.dropped)
    assert b.links.dropped.keys() == {"an older run of that node is there"}
    assert not b.downs(newer)


def test_a_peer_that_links_twice_has_its_newest_link_and_falls_back(
    context: ZmqContext, nodes: Nodes, loop: Loop
) -> None:
    node = nodes()
    identity = Identity.generate()
    first, second = Puppet(context, loop, node, identity), Puppet(context, loop, node, identity)
    first_link = first.greet()
    loop.until(lambda: len(node.news) == 1)
    second_link = second.greet()
    loop.until(lambda: len(node.news) == 2)
    assert node.links.upload_secret(identity.node_id) == (second_link.bulk_secret, first_link.bulk_secret)
    node.links.send(identity.node_id, AskBlocks(1))
    loop.until(lambda: second.socket.poll(0))
    second.close()
    loop.until(lambda: len(node.news) == 3)
    assert node.news == [up(identity.node_id, dialled=False)] * 3
    node.links.send(identity.node_id, AskBlocks(2))
    loop.until(lambda: first.socket.poll(0))
    first.close()
    loop.until(lambda: LinkDown(identity.node_id) in node.news)
    assert node.links.upload_secret(identity.node_id) is None


def test_a_seed_that_is_dialled_by_its_id_too_stays_one_link(nodes: Nodes, loop: Loop) -> None:
    a, b = nodes(), nodes()
    a.links.dial_seed(b.address)
    a.dial(b)
    loop.until(lambda: a.news.count(Reached(b.id)) == 2)
    loop.settle()
    assert len(a.ups(b)) == 1
    assert not a.downs(b) + b.downs(a)
    b.say(1, to=a)
    loop.until(lambda: a.heard(b))


def test_the_port_of_a_seed_that_was_found_is_not_dialled_twice(nodes: Nodes, loop: Loop) -> None:
    a, b = nodes(), nodes()
    a.links.dial_seed(b.address)
    loop.until(lambda: a.ups(b))
    a.dial(b)
    loop.settle()
    assert a.news.count(Reached(b.id)) == 1


def test_a_peer_that_moved_is_reached_at_its_new_address(nodes: Nodes, loop: Loop) -> None:
    a, b = nodes.linked_pair()
    a.links.dial(b.id, (b.address.replace("127.0.0.1", "localhost"),))
    loop.until(lambda: a.news.count(Reached(b.id)) == 2)
    assert len(a.ups(b)) == 1
    assert not a.downs(b)


def churn(context: ZmqContext, node: Node, loop: Loop, times: int) -> None:
    """Strangers who come and go, so that descriptors are used again and again."""
    for _ in range(times):
        one = Puppet(context, loop, node)
        one.connect()
        one.say(b"x" * 74)
        one.until_cut()
        one.close()


def test_strangers_that_come_and_go_harm_no_link(context: ZmqContext, nodes: Nodes, loop: Loop) -> None:
    a, b = nodes.linked_pair()
    for _ in range(5):
        churn(context, b, loop, times=10)
        b.links.drop(a.id, "test")
        loop.until(lambda: b.links.linked() and a.links.linked())
        a.say(1, to=b)
        b.say(1, to=a)
    loop.until(lambda: len(b.heard(a)) == len(a.heard(b)) == 5)
    assert len(a.downs(b)) == len(b.downs(a)) == 5


def test_a_peer_that_does_not_read_is_dropped(context: ZmqContext, nodes: Nodes, loop: Loop) -> None:
    node = nodes(limits=Limits(queued_messages=50))
    lazy = Puppet(context, loop, node)
    lazy.greet()
    loop.until(lambda: node.links.linked())
    for _ in range(300):
        node.links.chunk(lazy.id, Stream(StreamKind.SNAPSHOT, bytes(32)), 0, bytes(1 << 20))
    loop.until(lambda: LinkDown(lazy.id) in node.news)
    assert node.links.dropped == {"reads too slowly": 1}
    lazy.close()
