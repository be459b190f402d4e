"""Is it said why a dial came to nothing, once, and does it go on trying?"""

import socket
from collections.abc import Iterator

import pytest

from comind.p2p.core.effects import Bar, DialFailed, Knocked
from comind.p2p.core.messages import AskBlocks, TurnedAway
from comind.p2p.core.words import NetworkId
from comind.p2p.shell.limits import Limits
from comind.p2p.shell.news import SeedFailed
from comind.p2p.shell.reasons import Failure
from tests.unit.shell.conftest import Loop, Node, Nodes

QUICK = Limits(dial_ms=300, first_redial_ms=5, last_redial_ms=20)


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which nobody listens yet."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        yield f"tcp://127.0.0.1:{reserved.getsockname()[1]}"


@pytest.fixture
def something() -> Iterator[socket.socket]:
    """Something that listens and is no node."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def address_of(server: socket.socket) -> str:
    return f"tcp://127.0.0.1:{server.getsockname()[1]}"


def failures(node: Node) -> list[Failure]:
    return [one.because for one in node.news if isinstance(one, SeedFailed)]


def test_a_seed_where_nobody_listens(nobody: str, nodes: Nodes, loop: Loop) -> None:
    node = nodes(limits=QUICK)
    node.links.dial_seed(nobody)
    loop.until(lambda: node.news)
    loop.settle()
    assert node.news == [SeedFailed(nobody, Failure.UNREACHABLE)]


def test_a_seed_that_starts_later_is_found(nobody: str, nodes: Nodes, loop: Loop) -> None:
    node = nodes(limits=QUICK)
    node.links.dial_seed(nobody)
    loop.until(lambda: node.news)
    late = nodes(port=int(nobody.rpartition(":")[2]))
    loop.until(lambda: node.ups(late))


@pytest.mark.parametrize(
    ("network", "key"), [(NetworkId(b"n" * 32), b"K" * 32), (NetworkId(b"N" * 32), b"k" * 32)]
)
def test_another_network_and_another_key_do_not_open_the_gate(
    network: NetworkId, key: bytes, nodes: Nodes, loop: Loop
) -> None:
    here, there = nodes(limits=QUICK), nodes(network=network, key=key)
    here.links.dial_seed(there.address)
    loop.until(lambda: here.news)
    loop.settle()
    assert failures(here) == [Failure.WRONG_GATE]
    assert not there.news
    assert not there.links.linked()


def test_a_server_that_says_nothing(something: socket.socket, nodes: Nodes, loop: Loop) -> None:
    node = nodes(limits=QUICK)
    node.links.dial_seed(address_of(something))
    loop.until(lambda: node.news)
    assert failures(node) == [Failure.SILENT]


def test_a_server_that_speaks_something_else(something: socket.socket, nodes: Nodes, loop: Loop) -> None:
    node = nodes()
    node.links.dial_seed(address_of(something))
    loop.settle(20)
    connection, _ = something.accept()
    with connection:
        connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
        loop.until(lambda: node.news)
    assert failures(node) == [Failure.STRANGER]


def test_a_name_is_looked_up(nodes: Nodes, loop: Loop) -> None:
    here, there = nodes(), nodes()
    here.links.dial_seed(there.address.replace("127.0.0.1", "localhost"))
    loop.until(lambda: here.ups(there))


def test_ones_own_address_among_the_seeds_ends_quietly(nodes: Nodes, loop: Loop) -> None:
    node = nodes(limits=QUICK)
    node.links.dial_seed(node.address)
    loop.settle()
    assert node.news == []
    assert node.links.dropped == {}
    assert not node.links.linked()


def test_one_is_never_dialled_as_a_peer_of_oneself(nodes: Nodes, loop: Loop) -> None:
    node = nodes(limits=QUICK)
    node.links.dial(node.id, (node.address,))
    loop.settle()
    assert node.news == []


def test_another_node_at_a_peers_address_is_no_link(nodes: Nodes, loop: Loop) -> None:
    here, there, moved = nodes(limits=QUICK), nodes(), nodes()
    here.links.dial(moved.id, (there.address,))
    loop.until(lambda: DialFailed(moved.id) in here.news)
    loop.settle()
    assert not here.links.linked() | there.links.linked()


def test_ones_own_address_as_a_peers_fails_like_any_other(nodes: Nodes, loop: Loop) -> None:
    here, moved = nodes(limits=QUICK), nodes()
    here.links.dial(moved.id, (here.address, moved.address))
    loop.until(lambda: here.ups(moved))
    assert not here.links.dropped


def test_each_address_has_its_turn(nobody: str, nodes: Nodes, loop: Loop) -> None:
    here, there = nodes(), nodes()
    here.links.dial(there.id, (nobody, there.address))
    loop.until(lambda: here.ups(there))
    assert DialFailed(there.id) not in here.news


@pytest.mark.parametrize(
    "address",
    ["ipc:///tmp/comind-test", "inproc://x", "tcp://eth0;127.0.0.1:1", "tcp://127.0.0.1:0", "nonsense"],
)
def test_what_a_stranger_calls_an_address_is_not_dialled(address: str, nodes: Nodes, loop: Loop) -> None:
    here, there = nodes(limits=QUICK), nodes()
    here.links.dial(there.id, (address,))
    loop.until(lambda: DialFailed(there.id) in here.news)
    assert not here.links.linked()


def denying(*nodes: Node) -> Bar:
    return Bar(tuple((node.id, "lima: it flips bits") for node in nodes), None)


@pytest.mark.parametrize("who", ["dialler", "dialled"])
def test_a_denied_identity_gets_no_link_and_is_told_why(who: str, nodes: Nodes, loop: Loop) -> None:
    a, b = nodes(limits=QUICK), nodes(limits=QUICK)
    keeper, denied = (a, b) if who == "dialled" else (b, a)
    keeper.links.bar(denying(denied))
    a.links.dial_seed(b.address)
    loop.until(lambda: denied.downs(keeper))
    loop.settle()
    assert not keeper.ups(denied)
    assert Knocked(denied.id) in keeper.news
    assert denied.heard(keeper)[0] == TurnedAway(denied=True, because="lima: it flips bits")
    assert keeper.links.linked() == frozenset()
    assert len(denied.downs(keeper)) == len(denied.heard(keeper))
    assert (failures(a) == [Failure.DENIED]) is (keeper is a)


def test_who_is_on_no_list_may_not_dial_and_can_be_dialled(nodes: Nodes, loop: Loop) -> None:
    keeper, known, stranger = nodes(limits=QUICK), nodes(), nodes()
    keeper.links.bar(Bar((), frozenset({known.id})))
    known.dial(keeper)
    stranger.dial(keeper)
    loop.until(lambda: keeper.ups(known) and stranger.downs(keeper))
    assert stranger.heard(keeper)[0] == TurnedAway(denied=False, because="")
    assert not keeper.ups(stranger)
    keeper.dial(stranger)
    loop.until(lambda: keeper.ups(stranger))


def test_one_that_is_turned_away_again_and_again_comes_ever_more_rarely(nodes: Nodes, loop: Loop) -> None:
    keeper, denied = nodes(limits=QUICK), nodes()
    keeper.links.bar(denying(denied))
    denied.dial(keeper)
    loop.until(lambda: len(denied.downs(keeper)) == 3)
    before = len(denied.downs(keeper))
    loop.settle(for_ms=300)
    assert len(denied.downs(keeper)) - before <= 3


def test_who_is_denied_loses_its_link_and_no_other_does(nodes: Nodes, loop: Loop) -> None:
    a, b = nodes.linked_pair()
    c = nodes()
    c.dial(b)
    loop.until(lambda: b.ups(c))
    b.say(7, to=a)
    b.links.bar(denying(a))
    loop.until(lambda: a.downs(b) and b.downs(a))
    loop.settle()
    assert a.heard(b)[:2] == [AskBlocks(7), TurnedAway(denied=True, because="lima: it flips bits")]
    assert b.links.linked() == {c.id}
    ups = len(b.ups(a))
    b.links.bar(denying())
    loop.until(lambda: len(b.ups(a)) > ups)


def test_a_change_of_reason_is_said(something: socket.socket, nodes: Nodes, loop: Loop) -> None:
    node = nodes(limits=QUICK)
    node.links.dial_seed(address_of(something))
    loop.until(lambda: node.news)
    something.close()
    loop.until(lambda: len(node.news) == 2)
    assert failures(node) == [Failure.SILENT, Failure.UNREACHABLE]


def test_an_undialled_seed_is_left_alone(nobody: str, nodes: Nodes, loop: Loop) -> None:
    node = nodes(limits=QUICK)
    node.links.dial_seed(nobody)
    loop.until(lambda: node.news)
    node.links.undial_seed(nobody)
    node.links.dial_seed(nobody)
    loop.until(lambda: len(node.news) == 2)
    node.links.undial_seed(nobody)
    assert node.links.wake_at_ms() is None


def test_a_dial_that_is_under_way_ends_when_it_is_not_wanted_any_more(
    something: socket.socket, nodes: Nodes, loop: Loop
) -> None:
    node, there = nodes(limits=QUICK), nodes()
    node.links.dial_seed(address_of(something))
    node.links.dial(there.id, (address_of(something),))
    loop.turn(most_ms=10)
    node.links.undial_seed(address_of(something))
    node.links.undial(there.id)
    loop.settle(QUICK.dial_ms + 50)
    assert node.news == []
    assert node.links.wake_at_ms() is None
