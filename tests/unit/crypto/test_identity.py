"""Is a node's signature its own, and nothing else a signature?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comind.crypto.identity import Identity, NodeId, full_id, read_id, short_id, verify

ALICE = Identity.from_secret(b"a" * 32)
BOB = Identity.from_secret(b"b" * 32)


def test_a_short_id_is_eight_lowercase_base32_letters() -> None:
    assert short_id(NodeId(bytes(32))) == "aaaaaaaa"
    assert short_id(NodeId(b"\xff" * 32)) == "77777777"
    assert short_id(NodeId(b"foobar" + bytes(26))) == "mzxw6ytb"  # RFC 4648 §10


def test_an_identity_comes_back_from_its_secret() -> None:
    identity = Identity.generate()
    again = Identity.from_secret(identity.secret())
    assert again.node_id == identity.node_id
    assert verify(identity.node_id, b"said", again.sign(b"said"))


def test_every_generated_identity_is_another() -> None:
    assert len({Identity.generate().node_id for _ in range(10)}) == 10


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_secret_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Identity.from_secret(b"s" * length)


def test_a_signature_holds_for_one_signer_and_one_statement() -> None:
    signature = ALICE.sign(b"said")
    assert verify(ALICE.node_id, b"said", signature)
    assert not verify(BOB.node_id, b"said", signature)
    assert not verify(ALICE.node_id, b"unsaid", signature)


@given(st.integers(0, 511))
def test_a_signature_with_a_flipped_bit_is_refused(bit: int) -> None:
    signature = bytearray(ALICE.sign(b"said"))
    signature[bit // 8] ^= 1 << bit % 8
    assert not verify(ALICE.node_id, b"said", bytes(signature))


@given(st.binary(max_size=70), st.binary(max_size=70))
def test_garbage_is_no_signature_and_no_error(node: bytes, signature: bytes) -> None:
    assert not verify(NodeId(node), b"said", signature)
    assert not verify(ALICE.node_id, b"said", signature)
    assert not verify(NodeId(node), b"said", ALICE.sign(b"said"))


def test_a_full_id_reads_back_and_each_node_has_one() -> None:
    for node in (NodeId(bytes(32)), NodeId(b"\xff" * 32), Identity.generate().node_id):
        text = full_id(node)
        assert len(text) == 52
        assert text.startswith(short_id(node))
        assert read_id(text) == read_id(text.upper()) == node


@pytest.mark.parametrize(
    "text", ["", "lima", "a" * 51, "a" * 53, "1" * 52, "a" * 51 + "b", "é" * 52, "a" * 52 + "====", "a" * 56]
)
def test_what_is_no_full_id_is_none(text: str) -> None:
    assert read_id(text) is None
