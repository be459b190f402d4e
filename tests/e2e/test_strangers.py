"""What becomes of those who should not be here: strangers at the gate, and insiders gone mad?"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import zmq
from zmq.utils import z85

from comind.crypto.greeting import Link
from comind.crypto.identity import Identity, NodeId
from comind.crypto.keyfile import load_or_create_identity
from comind.p2p.core.messages import AskBlocks
from comind.p2p.core.wire import encode
from comind.p2p.core.words import Settings
from scripts.local.child import Child, end
from scripts.local.ports import free_pairs
from tests.e2e.command import comind, status_json
from tests.e2e.insider import Insider
from tests.e2e.real_network import Node, RealNetwork
from tests.e2e.recorder import READY, TO_CLIENT, TO_SERVER, records

STEP_S = "0.1"
CEILING_S = 60.0
AT_ONCE = 400
"""Strangers; a node keeps 256 of them."""

SIGNATURE = b"\xff\0\0\0\0\0\0\0\x01\x7f"
GREETING = SIGNATURE + b"\x03\x01" + b"CURVE".ljust(20, b"\0") + bytes(32)
"""What any libzmq socket under CURVE says first, whoever it belongs to."""
OLD_GREETINGS = {SIGNATURE + b"\x03" + bytes([zmq.ROUTER])}
"""What it says to one that speaks ZMTP 2.0: its version, and what kind of socket it is."""
WELCOME = b"\x04\xa8\x07WELCOME"
HELLO_BYTES, WELCOME_BYTES = 2 + 200, 2 + 168


def greeting(mechanism: bytes, as_server: int = 0) -> bytes:
    return SIGNATURE + b"\x03\x01" + mechanism.ljust(20, b"\0") + bytes([as_server]) + bytes(31)


STRANGERS = {
    "says nothing": (b"", b""),
    "speaks HTTP": (b"GET / HTTP/1.1\r\nHost: node\r\n\r\n" + bytes(100), b""),
    "sends noise": (os.urandom(4_096), b""),
    "never ends its greeting": (greeting(b"CURVE")[:40], b""),
    "speaks ZMTP 1.0": (b"\x01\0" + b"\x4b\0" + bytes(74), b""),
    "speaks ZMTP 2.0": (SIGNATURE + b"\x01\x05" + b"\0\0" + b"\0\x4a" + bytes(74), b""),
    "wants no security": (greeting(b"NULL"), b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER"),
    "brings a password": (greeting(b"PLAIN"), b"\x04\x0a\x05HELLO\x01a\x01b"),
    "sends a hello of noise": (greeting(b"CURVE"), b"\x04\xc8\x05HELLO\x01\0" + os.urandom(192)),
    "begins in the middle": (greeting(b"CURVE"), b"\x04\xa8\x08INITIATE" + os.urandom(159)),
    "sends a message at once": (greeting(b"CURVE"), b"\0\x4a" + bytes(74)),
    "poses as a server": (greeting(b"CURVE", as_server=1), WELCOME + os.urandom(160)),
}
"""What they say first, and what once they have heard the greeting."""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealNetwork]:
    with RealNetwork(tmp_path_factory.mktemp("network"), 3, Settings(start_at=2)) as network:
        first, second, _ = network.nodes
        network.start(first)
        network.start(second, through=first)
        for node in (first, second):
            network.wait(lambda node=node: node.status() is not None, f"{node.name} answers")  # type: ignore[misc]
            network.train(node, STEP_S)
        network.wait_for_round(1, first, second)
        yield network


@pytest.fixture
def node(network: RealNetwork) -> Iterator[Node]:
    """Who is visited; afterwards its network has gone on, with the same members."""
    members = roster(network)
    yield network.nodes[0]
    goes_on(network)
    assert roster(network) == members


def roster(network: RealNetwork) -> list[str]:
    status = network.nodes[0].status()
    assert status is not None
    return [member.id for member in status.members]


def goes_on(network: RealNetwork) -> None:
    running = [one for one in network.nodes if one.trainer is not None]
    network.wait_for_round(max(map(network.round_of, running)) + 2, *running)


# -- without the network key --------------------------------------------------------------------------------


def test_a_stranger_gets_not_one_byte_beyond_the_handshake(node: Node) -> None:
    with ExitStack() as stack:
        knocking = {who: stack.enter_context(knock(node)) for who in STRANGERS}
        for who, (first, _) in STRANGERS.items():
            knocking[who].sendall(first)
        heard = {who: hear(one, len(GREETING)) for who, one in knocking.items() if STRANGERS[who][1]}
        for who in heard:
            say(knocking[who], STRANGERS[who][1])
        heard = {who: heard.get(who, b"") + hear(one) for who, one in knocking.items()}
    for who, told in heard.items():
        assert GREETING.startswith(told) or told in OLD_GREETINGS, f"a stranger that {who} got {told!r}"
    assert heard["sends a hello of noise"] == GREETING


def test_a_wrong_key_gets_not_one_byte_beyond_the_handshake(
    network: RealNetwork, node: Node, recording: Callable[[Node], tuple[str, Path]]
) -> None:
    another, _ = zmq.curve_keypair()
    front, folder = recording(node)
    with Insider(network.invite, front, server_key=z85.decode(another)) as stranger:
        stranger.say(stranger.hello())
        stranger.until_cut()
    assert records(folder, TO_CLIENT) == [GREETING]


def test_a_handshake_that_was_recorded_and_played_again_gets_no_further_than_its_welcome(
    network: RealNetwork, node: Node, recording: Callable[[Node], tuple[str, Path]]
) -> None:
    front, folder = recording(node)
    with Insider(network.invite, front) as insider:
        insider.greet()
    (said,), (heard,) = records(folder, TO_SERVER), records(folder, TO_CLIENT)
    assert len(heard) > len(GREETING) + WELCOME_BYTES  # to who has the key, more is said
    hello_ends = len(GREETING) + HELLO_BYTES
    with knock(node) as stranger:
        say(stranger, said[: len(GREETING)])
        assert hear(stranger, len(GREETING)) == GREETING
        say(stranger, said[len(GREETING) : hello_ends])
        assert hear(stranger, WELCOME_BYTES).startswith(WELCOME)
        say(stranger, said[hello_ends:])
        assert hear(stranger) == b""


def test_half_open_connections_by_the_hundred_stop_nobody(network: RealNetwork, node: Node) -> None:
    *_, newcomer = network.nodes
    with ExitStack() as stack:
        crowd = Crowd(node, stack)
        for target in range(network.round_of(node) + 1, network.round_of(node) + 4):
            network.wait(crowd.stays_until(lambda at=target: network.round_of(node) >= at), "rounds go on")  # type: ignore[misc]
        assert any("stranger" in why for why in status_json(node.home)["dropped"])
        network.start(newcomer, through=node)
        network.wait(crowd.stays_until(lambda: is_member(newcomer)), "a newcomer comes in")
    assert comind("leave", "--yes", "--home", newcomer.home.path).code == 0
    network.wait(lambda: len(roster(network)) == 2, "it has left")


class Crowd:
    """Strangers that say little or nothing, and come again as often as they are cut."""

    def __init__(self, node: Node, stack: ExitStack) -> None:
        self._node = node
        self._stack = stack
        self._there: list[socket.socket] = []

    def stays_until(self, holds: Callable[[], bool]) -> Callable[[], bool]:
        def looked() -> bool:
            self._there = [one for one in self._there if not is_cut(one)]
            while len(self._there) < AT_ONCE:
                stranger = self._stack.enter_context(knock(self._node))
                stranger.sendall(GREETING[: len(self._there) % len(GREETING)])
                self._there.append(stranger)
            return holds()

        return looked


# -- with the network key -----------------------------------------------------------------------------------

MISDEEDS: dict[str, tuple[Callable[[Link], tuple[bytes, ...]], str]] = {
    "sends what is not sealed": (lambda link: (bytes(100),), "sent what does not open"),
    "seals noise": (lambda link: (link.sealer.seal(b"\xc1" * 50),), "a message is not MessagePack"),
    "sends a message of no kind": (
        lambda link: (link.sealer.seal(b"\x81\xa4type\xa4what"),),
        "a message is not well formed",
    ),
    "sends frames without end": (
        lambda link: (link.sealer.seal(encode(AskBlocks(1))), *[bytes(8)] * 40),
        "a message of too many frames",
    ),
    "sends a chunk that nobody asked for": (
        lambda link: (link.sealer.seal(encode(AskBlocks(1))), bytes(1 << 20)),
        "a message with a chunk that no header announces",
    ),
    "sends half a header": (lambda link: (link.sealer.seal(b"\x01\x01"),), "a malformed bulk header"),
}


@pytest.mark.parametrize("misdeed", MISDEEDS)
def test_an_insider_gone_mad_is_dropped_with_a_counted_reason(
    network: RealNetwork, node: Node, misdeed: str
) -> None:
    sends, because = MISDEEDS[misdeed]
    before = counted(node, because)
    with Insider(network.invite, node.address) as insider:
        insider.say(*sends(insider.greet()))
        insider.until_cut()
    network.wait(lambda: counted(node, because) == before + 1, f"{because!r} is counted")
    assert because in " ".join(status_json(node.home)["dropped"])


def test_an_insider_cannot_pose_as_a_member(network: RealNetwork, node: Node) -> None:
    because = "the node there did not prove who it is"
    before = counted(node, because)
    member = load_or_create_identity(network.nodes[1].home.identity_file).node_id

    class Poser(Identity):
        @property
        def node_id(self) -> NodeId:
            return member

    with Insider(network.invite, node.address, Poser.generate()) as insider:
        insider.greet()
        insider.until_cut()
    network.wait(lambda: counted(node, because) == before + 1, f"{because!r} is counted")


def counted(node: Node, because: str) -> int:
    status = node.status()
    assert status is not None
    return sum(count for why, count in status.dropped.items() if because in why)


def is_member(node: Node) -> bool:
    status = node.status()
    return status is not None and any(one.me and one.state != "joining" for one in status.members)


# -- connections --------------------------------------------------------------------------------------------


@pytest.fixture
def recording(network: RealNetwork, tmp_path: Path) -> Iterator[Callable[[Node], tuple[str, Path]]]:
    """Put a recorder before a node; gives its address, and the folder of its records."""
    children: list[Child] = []

    def record(node: Node) -> tuple[str, Path]:
        (front,) = free_pairs(1, 6_000 + hash(str(tmp_path)) % 5_000)
        port = node.address.rpartition(":")[2]
        children.append(
            Child("tests.e2e.recorder", [str(tmp_path), f"{front}={port}"], tmp_path / "recorder.log")
        )
        network.wait(lambda: READY in children[0].last_words(), "the recorder listens")
        return f"tcp://127.0.0.1:{front}", tmp_path

    yield record
    end(children, patience_s=10)


def knock(node: Node) -> socket.socket:
    host, _, port = node.address.removeprefix("tcp://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=CEILING_S)


def say(stranger: socket.socket, said: bytes) -> None:
    try:
        stranger.sendall(said)
    except ConnectionError:
        pass  # it is cut already


def hear(stranger: socket.socket, most: int = 1 << 30) -> bytes:
    """Return what the stranger gets: so much, or all until the node hangs up."""
    got = b""
    try:
        while len(got) < most and (told := stranger.recv(min(most - len(got), 65_536))):
            got += told
    except ConnectionError:
        pass
    return got


def is_cut(stranger: socket.socket) -> bool:
    stranger.setblocking(False)
    try:
        return stranger.recv(65_536) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
