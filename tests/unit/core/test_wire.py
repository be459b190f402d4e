"""Does every input give a message or `PeerMisbehaved`, whatever a stranger sends?"""

import struct
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from comind.p2p.core.errors import PeerMisbehaved
from comind.p2p.core.messages import (
    AskBlocks,
    Block,
    Blocks,
    Certificate,
    Committed,
    Header,
    Message,
    Open,
    Propose,
    Voted,
)
from comind.p2p.core.wire import MAX_MESSAGE_BYTES, block_hash, decode, encode, pack, read
from tests.unit.core.build import certified, founded, header, mean_block, node, nodes, vote
from tests.unit.core.strategies import MESSAGE_KINDS, messages, of

ASK = {"type": "ask-blocks", "first": 1}


def understood(wire: bytes) -> Message | None:
    """Return the message, None if it was refused; anything else is an error that escapes."""
    because = ""
    try:
        return decode(wire)
    except PeerMisbehaved as why:
        because = str(why)
    assert 0 < len(because) <= 200
    return None


def packed(value: Any) -> bytes:
    return bytes(msgpack.packb(value, use_bin_type=True))


# -- what is said arrives -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MESSAGE_KINDS)
@given(data=st.data())
@settings(max_examples=15)
def test_a_message_arrives_as_it_was_said(kind: type[Any], data: st.DataObject) -> None:
    message = data.draw(of(kind))
    wire = encode(message)
    assert decode(wire) == message
    assert decode(memoryview(wire)) == message
    assert encode(decode(wire)) == wire


@given(header=of(Header))
def test_a_header_is_read_as_it_was_written_also_with_numbers_that_are_none(header: Header) -> None:
    wire = pack(header)
    assert pack(read(Header, wire)) == wire


@pytest.mark.parametrize("kind", [Header, Block, Open, Propose, Certificate])
@given(data=st.data())
@settings(max_examples=15)
def test_a_kept_thing_is_read_as_it_was_written(kind: type[Any], data: st.DataObject) -> None:
    wire = pack(data.draw(of(kind)))
    assert pack(read(kind, wire)) == wire


def test_a_message_that_no_receiver_would_take_is_our_own_mistake() -> None:
    block = bytes(1 << 20)
    committed = Committed(block=block, certificate=Certificate(0, 0, bytes(32), ()))
    with pytest.raises(AssertionError, match="Blocks of"):
        encode(Blocks((committed,) * 4))


# -- decode is total ----------------------------------------------------------------------------------------


@given(st.binary(max_size=300))
@settings(max_examples=100)
def test_any_bytes_are_a_message_or_refused(wire: bytes) -> None:
    understood(wire)


@given(message=messages, cut=st.floats(0, 1, exclude_max=True))
def test_no_message_can_be_cut_short(message: Message, cut: float) -> None:
    wire = encode(message)
    assert understood(wire[: int(cut * len(wire))]) is None


@given(message=messages, more=st.binary(min_size=1, max_size=4))
def test_nothing_may_follow_a_message(message: Message, more: bytes) -> None:
    assert understood(encode(message) + more) is None


@given(message=messages, where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
@settings(max_examples=100)
def test_a_flipped_byte_makes_another_message_or_none(message: Message, where: float, flip: int) -> None:
    wire = bytearray(encode(message))
    wire[int(where * len(wire))] ^= flip
    understood(bytes(wire))


@given(
    st.recursive(
        st.one_of(
            st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.binary(), st.text()
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(
                st.sampled_from(["type", "first", "node", "vote", "greeting"]) | st.text(), inner, max_size=4
            ),
        ),
        max_leaves=12,
    )
)
def test_any_messagepack_is_a_message_or_refused(value: Any) -> None:
    understood(packed(value))


HUGE = struct.pack(">I", 2**32 - 1)
BOMBS: dict[str, bytes] = {
    "nothing": b"",
    "nil": b"\xc0",
    "a byte that MessagePack never uses": b"\xc1",
    "arrays in arrays": b"\x91" * 4_000_000,
    "maps in maps": b"\x81\xa1a" * 1_000_000,
    "an array of 4 G": b"\xdd" + HUGE,
    "a map of 4 G": b"\xdf" + HUGE,
    "bytes of 4 G": b"\xc6" + HUGE,
    "text of 4 G": b"\xdb" + HUGE,
    "an extension of 4 G": b"\xc9" + HUGE + b"\x01",
    "an extension": b"\xd4\x05\x00",
    "an empty extension": b"\xc7\x00\x05",
    "a timestamp": b"\xd6\xff\x00\x00\x00\x01",
    "a timestamp for a number": b"\x82\xa4type\xaaask-blocks\xa5first\xd7\xff" + bytes(8),
    "an empty timestamp": b"\xc7\x00\xff",
    "a list as a key": b"\x81\x90\x01",
    "nil as a key": b"\x81\xc0\x01",
    "half a letter": b"\x82\xa4type\xa5leave\xa4node\xa1\xc3",
    "a lone surrogate": b"\x82\xa4type\xa5leave\xa4node\xa3\xed\xa0\x80",
    "text beyond its bound": packed({**ASK, "type": "a" * 4_097}),
    "a map beyond its bound": packed({str(number): number for number in range(65)}),
    "an array beyond its bound": b"\xdd" + struct.pack(">I", (1 << 17) + 1) + b"\xc0" * ((1 << 17) + 1),
    "too long": encode(AskBlocks(1)) + bytes(MAX_MESSAGE_BYTES),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused(bomb: str) -> None:
    assert understood(BOMBS[bomb]) is None


TYPES: dict[str, Any] = {
    "no kind": {"first": 1},
    "an unknown kind": {"type": "nonsense", "first": 1},
    "a kind that is a number": {"type": 1, "first": 1},
    "keys that are bytes": {b"type": b"ask-blocks", b"first": 1},
    "a missing field": {"type": "ask-blocks"},
    "an unknown field": {**ASK, "second": 1},
    "a float for an integer": {**ASK, "first": 1.0},
    "a bool for an integer": {**ASK, "first": True},
    "text for an integer": {**ASK, "first": "1"},
    "less than nothing": {**ASK, "first": -1},
    "2^63": {**ASK, "first": 2**63},
    "not a number": {**ASK, "first": float("nan")},
    "infinity": {**ASK, "first": float("inf")},
    "a list": [1],
    "text for bytes": {"type": "leave", "node": "n" * 32, "incarnation": 0, "signature": bytes(64)},
    "a node of 31 bytes": {"type": "leave", "node": bytes(31), "incarnation": 0, "signature": bytes(64)},
    "a signature of 65 bytes": {"type": "leave", "node": bytes(32), "incarnation": 0, "signature": bytes(65)},
}


@pytest.mark.parametrize("wrong", TYPES)
def test_what_is_ill_typed_is_refused(wrong: str) -> None:
    assert understood(packed(TYPES[wrong])) is None


@pytest.mark.parametrize("kind", ["prepare\n", "\nprepare", "prepare ", "PREPARE", "", "lock"])
def test_a_vote_is_a_prepare_or_a_commit_and_nothing_like_it(kind: str) -> None:
    spoilt = replace(vote(founded(), "prepare", node(0), b"block"), kind=kind)
    assert understood(pack(Voted(spoilt))) is None


def test_the_wire_of_the_greatest_length_is_read() -> None:
    block = bytes(1 << 20)
    committed = Committed(block=block, certificate=Certificate(0, 0, bytes(32), ()))
    wire = bytearray(encode(Blocks((committed,) * 3)))
    assert len(wire) < MAX_MESSAGE_BYTES
    assert len(decode(bytes(wire)).blocks) == 3  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "unit",
    [b"\x80", b"\x90", b"\xa0", b"\xc4\x00", b"\xcb" + bytes(8)],
    ids=["maps", "lists", "texts", "bytes", "floats"],
)
def test_a_message_does_not_swell_while_it_is_read(unit: bytes) -> None:
    """4 MiB of empty lists that become 300 MB of them stall the daemon's one thread for seconds."""
    wire = b"\xdd" + struct.pack(">I", 100_000) + unit * 100_000
    tracemalloc.start()
    try:
        assert understood(wire) is None
        assert tracemalloc.get_traced_memory()[1] < 24 * len(wire)
    finally:
        tracemalloc.stop()


# -- one spelling -------------------------------------------------------------------------------------------


def swapped(wire: bytes) -> bytes:
    value: dict[str, Any] = msgpack.unpackb(wire)
    return packed({key: value[key] for key in reversed(value)})


def with_a_long_map(wire: bytes) -> bytes:
    assert wire[:1] == b"\x8b"
    return b"\xde\x00\x0b" + wire[1:]


def with_a_long_integer(wire: bytes) -> bytes:
    assert b"\xa6height\x01" in wire
    return wire.replace(b"\xa6height\x01", b"\xa6height\xcd\x00\x01")


def with_a_duplicate(wire: bytes) -> bytes:
    return b"\x8c" + packed("height") + packed(9) + wire[1:]


def with_a_trailing_duplicate(wire: bytes) -> bytes:
    return b"\x8c" + wire[1:] + packed("height") + packed(1)


def with_a_whole_number(wire: bytes) -> bytes:
    return wire.replace(b"\xa4loss\xcb" + struct.pack(">d", 1.0), b"\xa4loss\x01")


def with_a_short_float(wire: bytes) -> bytes:
    return wire.replace(b"\xa4loss\xcb" + struct.pack(">d", 1.0), b"\xa4loss\xca" + struct.pack(">f", 1.0))


@pytest.mark.parametrize(
    "spell",
    [
        swapped,
        with_a_long_map,
        with_a_long_integer,
        with_a_duplicate,
        with_a_trailing_duplicate,
        with_a_whole_number,
        with_a_short_float,
    ],
)
def test_a_kept_thing_has_one_spelling(spell: Callable[[bytes], bytes]) -> None:
    wire = pack(header(founded(), node(0), metrics={"loss": 1.0}))
    other = spell(wire)
    assert other != wire
    with pytest.raises(PeerMisbehaved, match="second spelling"):
        read(Header, other)


def test_a_block_that_spells_out_a_default_still_has_one_spelling() -> None:
    wire = pack(mean_block(founded(), nodes(0, 1)))
    value = msgpack.unpackb(wire)
    assert list(value)[-1] == "recovers"
    del value["recovers"]
    with pytest.raises(PeerMisbehaved, match="second spelling"):
        read(Block, packed(value))


@given(where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
@example(where=0, flip=1)
def test_a_flipped_byte_never_leaves_the_same_block(where: float, flip: int) -> None:
    block = mean_block(founded(), nodes(0, 1))
    wire = bytearray(pack(block))
    wire[int(where * len(wire))] ^= flip
    try:
        assert read(Block, bytes(wire)) != block
    except PeerMisbehaved:
        pass


def test_of_a_field_that_is_said_twice_the_last_word_counts() -> None:
    twice = b"\x83" + packed("type") + packed("ask-blocks") + b"\xa5first\x01" + b"\xa5first\x02"
    assert decode(twice) == AskBlocks(2)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_a_block_is_named_by_its_bytes(one: bytes, other: bytes) -> None:
    assert (block_hash(one) == block_hash(other)) == (one == other)
    assert len(block_hash(one)) == 32


def test_a_whole_chain_of_greatest_certificates_fits_its_message() -> None:
    chain = founded(voters=7)
    committed = certified(chain, mean_block(chain, nodes(0, 1)))
    assert decode(encode(Blocks((committed,) * 256))) == Blocks((committed,) * 256)
