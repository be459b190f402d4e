"""Do chunks and their headers arrive as they were sent, and is everything else refused?"""

import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from comind.crypto.identity import NodeId
from comind.p2p.core.effects import Heard
from comind.p2p.core.errors import PeerMisbehaved
from comind.p2p.core.messages import MAX_CHUNKS, AskBlocks
from comind.p2p.core.snapshot import CHUNK_VALUES
from comind.p2p.core.wire import encode
from comind.p2p.shell import bulk
from comind.p2p.shell.bulk import (
    MAX_ASK,
    MAX_REFUSAL_BYTES,
    MAX_SEALED_CHUNK_BYTES,
    Asked,
    BulkPort,
    ChunkCame,
    Granted,
    Listed,
    Stream,
    StreamKind,
    StreamRefused,
)
from comind.p2p.shell.links import Links
from comind.p2p.shell.news import News
from comind.p2p.shell.sockets import SEND_HIGH_WATER
from tests.unit.shell.conftest import Loop, Node, Nodes

STREAM = Stream(StreamKind.CONTRIBUTION, bytes(range(32)))
PEER = NodeId(b"p" * 32)


def port(node: Node) -> BulkPort:
    links: Links = node.links
    return links


def bulk_news(node: Node) -> list[News]:
    return [one for one in node.news if isinstance(one, bulk.BulkEvent | Heard)]


def test_all_that_is_said_of_streams_arrives_in_order(nodes: Nodes, loop: Loop) -> None:
    a, b = nodes.linked_pair()
    chunk = os.urandom(MAX_SEALED_CHUNK_BYTES)
    hashes = (b"h" * 32, b"i" * 32)
    port(a).ask(b.id, STREAM, 3, 64)
    a.say(1, to=b)
    port(a).grant(b.id, STREAM, b"k" * 32)
    port(a).chunk_list(b.id, STREAM, CHUNK_VALUES + 1, hashes, b"s" * 64)
    port(a).chunk(b.id, STREAM, 7, chunk)
    port(a).chunk(b.id, STREAM, 8, memoryview(chunk)[:100])
    port(a).refuse(b.id, STREAM, "it is not here")
    loop.until(lambda: len(bulk_news(b)) == 7)
    assert bulk_news(b) == [
        Asked(a.id, STREAM, 3, 64),
        Heard(a.id, AskBlocks(1)),
        Granted(a.id, STREAM, b"k" * 32),
        Listed(a.id, STREAM, CHUNK_VALUES + 1, hashes, b"s" * 64),
        ChunkCame(a.id, STREAM, 7, memoryview(chunk)),
        ChunkCame(a.id, STREAM, 8, memoryview(chunk)[:100]),
        StreamRefused(a.id, STREAM, "it is not here"),
    ]
    assert b.links.received_bytes >= a.links.sent_bytes > len(chunk)


@pytest.mark.parametrize("dialler_sends", [True, False])
def test_more_than_there_is_room_for_arrives_in_order(dialler_sends: bool, nodes: Nodes, loop: Loop) -> None:
    a, b = nodes.linked_pair()
    sender, receiver = (a, b) if dialler_sends else (b, a)
    chunk = os.urandom(200_000)
    count = 4 * SEND_HIGH_WATER
    for index in range(count):
        port(sender).chunk(receiver.id, STREAM, index, chunk)
    sender.say(1, to=receiver)
    loop.until(lambda: receiver.heard(sender))
    assert [one.index for one in receiver.news if isinstance(one, ChunkCame)] == list(range(count))
    assert not sender.links.dropped


def test_both_ends_share_their_bulk_secrets(nodes: Nodes, loop: Loop) -> None:
    a, b = nodes.pair()
    a.dial(b)
    b.dial(a)
    loop.until(lambda: a.ups(b) and b.ups(a))
    loop.settle()
    of_a, of_b = port(a).upload_secret(b.id), port(b).upload_secret(a.id)
    assert of_a is not None
    assert of_b is not None
    assert of_a[0] == of_b[0]
    assert set(of_a) == set(of_b)
    assert port(a).upload_secret(PEER) is None


def test_without_a_link_nothing_goes(nodes: Nodes) -> None:
    node = nodes()
    port(node).ask(PEER, STREAM, 0, 1)
    port(node).chunk(PEER, STREAM, 0, bytes(100))
    node.links.send(PEER, AskBlocks(1))
    assert node.links.sent_bytes == 0


def test_a_key_is_not_shown() -> None:
    assert "6b6b" not in repr(Granted(PEER, STREAM, b"kk")) + str(Granted(PEER, STREAM, b"kk"))
    assert "kk" not in repr(Granted(PEER, STREAM, b"kk"))


# -- bytes --------------------------------------------------------------------------------------------------

HEADERS = {
    "ask": bulk.ask_header(STREAM, 0, MAX_ASK),
    "grant": bulk.grant_header(STREAM, b"k" * 32),
    "list": bulk.list_header(STREAM, 1, (b"h" * 32,), b""),
    "empty list": bulk.list_header(STREAM, 0, (), b"s" * 64),
    "refuse": bulk.refuse_header(STREAM, ""),
}


def is_refused(header: bytes, chunk: memoryview | None = None) -> bool:
    try:
        bulk.read(PEER, header, chunk)
    except PeerMisbehaved:
        return True
    return False


@given(st.binary(max_size=200), st.none() | st.binary(max_size=40).map(lambda chunk: memoryview(chunk)))
@example(b"", None)
def test_every_header_is_an_event_or_misbehaviour(header: bytes, chunk: memoryview | None) -> None:
    is_refused(header, chunk)


@given(st.sampled_from(sorted(HEADERS)), st.binary(max_size=80))
def test_every_start_of_a_header_is_an_event_or_misbehaviour(name: str, rest: bytes) -> None:
    is_refused(HEADERS[name][:34] + rest)


@pytest.mark.parametrize("name", ["ask", "grant", "list", "empty list"])
def test_a_header_that_is_longer_or_shorter_is_refused(name: str) -> None:
    assert not is_refused(HEADERS[name])
    assert is_refused(HEADERS[name][:-1])
    assert is_refused(HEADERS[name] + b"\0")


def altered(header: bytes, at: int, to: bytes) -> bytes:
    return header[:at] + to + header[at + len(to) :]


@pytest.mark.parametrize(
    "header",
    [
        altered(HEADERS["ask"], 1, b"\x09"),
        altered(HEADERS["ask"], 34 + 8, bytes(2)),
        altered(HEADERS["ask"], 34 + 8, (MAX_ASK + 1).to_bytes(2)),
        altered(HEADERS["ask"], 34, (MAX_CHUNKS - MAX_ASK + 1).to_bytes(8)),
        altered(HEADERS["ask"], 34, (2**64 - 1).to_bytes(8)),
        altered(HEADERS["list"], 34, (2**64 - 1).to_bytes(8)),
        altered(HEADERS["list"], 34, (CHUNK_VALUES + 1).to_bytes(8)),
        altered(HEADERS["list"], 34 + 8, b"\x20"),
        HEADERS["refuse"] + b"x" * (MAX_REFUSAL_BYTES + 1),
    ],
)
def test_what_is_out_of_bounds_is_refused(header: bytes) -> None:
    assert is_refused(header)


@pytest.mark.parametrize("size", [0, 15, MAX_SEALED_CHUNK_BYTES + 1])
def test_a_chunk_of_another_size_is_refused(size: int) -> None:
    assert is_refused(bulk.chunk_header(STREAM, 0, bytes(16)), memoryview(bytes(size)))


def test_a_chunk_beyond_the_last_is_refused() -> None:
    assert is_refused(bulk.chunk_header(STREAM, MAX_CHUNKS, bytes(16)), memoryview(bytes(16)))
    assert not is_refused(bulk.chunk_header(STREAM, MAX_CHUNKS - 1, bytes(16)), memoryview(bytes(16)))


def test_a_refusal_is_one_line_and_cut_to_its_bound() -> None:
    said = bulk.read(PEER, bulk.refuse_header(STREAM, "\x1b[31m\n" + "é" * 500), None)
    assert isinstance(said, StreamRefused)
    assert said.because.isprintable()
    assert len(said.because.encode()) <= MAX_REFUSAL_BYTES + 3


def test_no_message_of_the_core_is_taken_for_a_header() -> None:
    assert not bulk.is_bulk(encode(AskBlocks(1)))
    assert not bulk.is_bulk(b"")
    assert all(map(bulk.is_bulk, HEADERS.values()))
