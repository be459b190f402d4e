"""Does what a peer sends wrongly end its own link, with a reason, and touch no other?"""

from collections.abc import Callable, Iterator

import pytest

from comind.crypto.greeting import Initiator, Link
from comind.crypto.identity import Identity
from comind.p2p.core.effects import LinkDown
from comind.p2p.core.messages import AskBlocks
from comind.p2p.core.wire import encode
from comind.p2p.shell.bulk import Stream, StreamKind, ask_header, chunk_header
from comind.p2p.shell.limits import Limits
from comind.p2p.shell.sockets import MAX_FRAME_BYTES, ZmqContext
from tests.unit.shell.conftest import KEY, NETWORK, Loop, Node, Nodes
from tests.unit.shell.puppet import Puppet, flipped

SMALL = Limits(greeting_ms=200, sweep_ms=20, unread_bytes=4 << 20)
STREAM = Stream(StreamKind.AVERAGE, b"s" * 32)


@pytest.fixture
def mad(context: ZmqContext, loop: Loop, nodes: Nodes) -> Iterator[Puppet]:
    puppet = Puppet(context, loop, nodes(limits=SMALL))
    yield puppet
    puppet.close()


@pytest.fixture
def node(mad: Puppet, loop: Loop) -> Node:
    """The node at which the puppet pulls."""
    return loop.nodes[0]


@pytest.fixture
def honest(node: Node, nodes: Nodes, loop: Loop) -> Iterator[Node]:
    """Has a link with the node all the time, and can use it in the end."""
    other = nodes()
    other.dial(node)
    loop.until(lambda: node.ups(other))
    yield other
    other.say(9, to=node)
    loop.until(lambda: node.heard(other))
    assert len(other.ups(node)) == len(node.ups(other)) == 1
    assert not other.downs(node) + node.downs(other)


Mischief = Callable[[Link], tuple[bytes, ...]]
MESSAGE = encode(AskBlocks(1))
AFTER_THE_GREETING: dict[str, tuple[Mischief, str]] = {
    "flipped": (lambda link: (flipped(link.sealer.seal(MESSAGE)),), "sent what does not open"),
    "not sealed": (lambda link: (MESSAGE,), "sent what does not open"),
    "empty": (lambda link: (b"",), "sent what does not open"),
    "no message": (lambda link: (link.sealer.seal(b"\xc1"),), "a message is not MessagePack"),
    "nothing sealed": (lambda link: (link.sealer.seal(b""),), "a message is not MessagePack"),
    "unknown bulk": (lambda link: (link.sealer.seal(b"\x04?"),), "a malformed bulk header"),
    "a frame too many": (
        lambda link: (link.sealer.seal(MESSAGE), b"x"),
        "a message with a chunk that no header",
    ),
    "frames too many": (
        lambda link: (link.sealer.seal(MESSAGE), *[b"x"] * 9),
        "a message of too many frames",
    ),
    "a chunk too many": (
        lambda link: (link.sealer.seal(ask_header(STREAM, 0, 1)), b"x" * 99),
        "a bulk header with a chunk too many or too few",
    ),
    "a chunk too few": (
        lambda link: (link.sealer.seal(chunk_header(STREAM, 0, b"x" * 99)),),
        "a bulk header with a chunk too many or too few",
    ),
    "a chunk too long": (
        lambda link: (link.sealer.seal(chunk_header(STREAM, 0, b"x" * 99)), bytes((1 << 20) + 17)),
        "a chunk that is too long or too short",
    ),
}


@pytest.mark.parametrize("name", AFTER_THE_GREETING)
def test_what_is_no_message_drops_its_link_alone(
    name: str, mad: Puppet, node: Node, honest: Node, loop: Loop
) -> None:
    mischief, because = AFTER_THE_GREETING[name]
    link = mad.greet()
    mad.say(link.sealer.seal(MESSAGE))
    mad.say(*mischief(link))
    mad.say(link.sealer.seal(MESSAGE))
    mad.until_cut()
    assert [reason for reason in node.links.dropped if reason.startswith(because)]
    assert [type(one).__name__ for one in node.news if getattr(one, "peer", None) == mad.id] == [
        "LinkUp",
        "Heard",
        "LinkDown",
    ]


def test_a_replayed_message_drops_its_link(mad: Puppet, node: Node, honest: Node, loop: Loop) -> None:
    link = mad.greet()
    sealed = link.sealer.seal(MESSAGE)
    mad.say(sealed)
    mad.say(sealed)
    mad.until_cut()
    assert node.links.dropped == {"sent what does not open": 1}


def test_a_frame_that_is_too_long_ends_its_connection(
    mad: Puppet, node: Node, honest: Node, loop: Loop
) -> None:
    mad.greet()
    mad.say(bytes(MAX_FRAME_BYTES + 1))
    mad.until_cut()
    loop.until(lambda: mad.id not in node.links.linked())


def test_a_message_that_does_not_end_is_cut(mad: Puppet, node: Node, honest: Node, loop: Loop) -> None:
    mad.greet()
    mad.say(*[bytes(1 << 20)] * 150)
    mad.until_cut()
    loop.until(lambda: LinkDown(mad.id) in node.news)
    assert node.links.dropped == {"sent a message that does not end": 1}


GREETINGS = {
    "nothing but garbage": b"garbage",
    "a hello of another version": b"\0\7" + b"x" * 72,
    "all zeros": bytes(74),
    "an empty frame": b"",
    "a long one": b"x" * 100_000,
}


@pytest.mark.parametrize("said", GREETINGS.values(), ids=GREETINGS.keys())
def test_who_greets_wrongly_is_cut(said: bytes, mad: Puppet, node: Node, honest: Node, loop: Loop) -> None:
    mad.connect()
    mad.say(said)
    mad.until_cut()
    assert node.links.dropped == {"the node there did not prove who it is": 1}
    assert mad.id not in node.links.linked()


def test_a_finish_without_proof_is_no_link(mad: Puppet, node: Node, honest: Node, loop: Loop) -> None:
    mad.connect()
    initiator = Initiator(mad.identity, NETWORK, KEY, 1)
    mad.say(initiator.hello())
    loop.until(lambda: mad.socket.poll(0))
    mad.say(flipped(initiator.receive(mad.socket.recv())))
    mad.until_cut()
    assert mad.id not in node.links.linked()


def test_nobody_links_under_anothers_name(mad: Puppet, node: Node, honest: Node, loop: Loop) -> None:
    mad.connect()
    victim = Identity.generate()
    hello = Initiator(mad.identity, NETWORK, KEY, 1).hello()
    mad.say(hello[:2] + victim.node_id + hello[34:])
    loop.until(lambda: mad.socket.poll(0))
    mad.say(bytes(80))
    mad.until_cut()
    assert node.links.linked() == {honest.id}


def test_who_does_not_finish_its_greeting_is_cut_in_time(
    mad: Puppet, node: Node, honest: Node, loop: Loop
) -> None:
    mad.connect()
    mad.say(Initiator(mad.identity, NETWORK, KEY, 1).hello())
    mad.until_cut()
    assert node.links.dropped == {"did not greet in time": 1}


def test_nobody_chooses_its_routing_id(mad: Puppet, node: Node, honest: Node, loop: Loop) -> None:
    mad.socket.routing_id = b"me"
    mad.connect()
    mad.say(Initiator(mad.identity, NETWORK, KEY, 1).hello())
    mad.until_cut()
    assert node.links.dropped == {"chose its own routing id": 1}


def test_a_peer_that_links_again_and_again_keeps_few(
    context: ZmqContext, mad: Puppet, node: Node, honest: Node, loop: Loop
) -> None:
    more = [Puppet(context, loop, node, mad.identity) for _ in range(9)]
    for one in (mad, *more):
        one.greet()
        loop.until(lambda: mad.id in node.links.linked())
    mad.until_cut()
    assert mad.id in node.links.linked()
    for one in more:
        one.close()
