"""Does a signature hold for what it was made for, and for nothing else?"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import fields, replace

from comind.crypto.identity import Identity, NodeId
from comind.crypto.identity import verify as verify_ed25519
from comind.p2p.core import signing
from comind.p2p.core.messages import (
    Allow,
    Deny,
    Expel,
    Header,
    Join,
    Leave,
    Lock,
    Open,
    Pause,
    Propose,
    Resume,
    SignedHeader,
    ViewChange,
    Vote,
)
from comind.p2p.core.wire import pack, read
from comind.p2p.core.words import NetworkId
from tests.unit.core.build import StubSigner, node, stub_verify
from tests.unit.core.strategies import of

NETWORK = NetworkId(b"n" * 32)
OTHER_NETWORK = NetworkId(b"m" * 32)


@dataclass(frozen=True)
class Signed:
    """One kind of thing that is signed: how, and what its signature is over."""

    kind: type[Any]
    sign: Callable[..., Any]
    statement: Callable[[NetworkId, Any], bytes]

    def __repr__(self) -> str:
        return self.kind.__name__


def signed_as_header(signer: signing.Signer, network: NetworkId, header: Header) -> SignedHeader:
    return signing.sign_header(signer, network, header)


def header_statement(network: NetworkId, signed: SignedHeader) -> bytes:
    return signing.header_statement(network, signed.header)


KINDS = [
    Signed(Vote, signing.sign_vote, signing.vote_statement),
    Signed(ViewChange, signing.sign_change, signing.change_statement),
    Signed(Open, signing.sign_open, signing.open_statement),
    Signed(Propose, signing.sign_propose, signing.propose_statement),
    Signed(Join, signing.sign_join, signing.join_statement),
    Signed(Leave, signing.sign_leave, signing.leave_statement),
    Signed(Pause, signing.sign_decision, signing.decision_statement),
    Signed(Expel, signing.sign_decision, signing.decision_statement),
    Signed(Allow, signing.sign_decision, signing.decision_statement),
    Signed(Deny, signing.sign_decision, signing.decision_statement),
    Signed(Resume, signing.sign_decision, signing.decision_statement),
]
SIGNER = StubSigner(node(1))


def holds(one: Signed, message: Any, network: NetworkId = NETWORK) -> bool:
    return stub_verify(node(1), one.statement(network, message), message.signature)


@pytest.mark.parametrize("one", KINDS, ids=repr)
@given(data=st.data())
@settings(max_examples=8)
def test_what_was_signed_verifies(one: Signed, data: st.DataObject) -> None:
    message = one.sign(SIGNER, NETWORK, data.draw(of(one.kind)))
    assert holds(one, message)
    assert not stub_verify(node(2), one.statement(NETWORK, message), message.signature)


@pytest.mark.parametrize("one", KINDS, ids=repr)
@given(data=st.data())
@settings(max_examples=8)
def test_a_signature_is_worth_nothing_in_another_network(one: Signed, data: st.DataObject) -> None:
    message = one.sign(SIGNER, NETWORK, data.draw(of(one.kind)))
    assert not holds(one, message, OTHER_NETWORK)


EACH_FIELD = [
    pytest.param(one, field.name, id=f"{one}.{field.name}")
    for one in KINDS
    for field in fields(one.kind)
    if field.name != "signature"
]


@pytest.mark.parametrize(("one", "name"), EACH_FIELD)
@given(data=st.data())
@settings(max_examples=8)
def test_every_field_is_covered_by_the_signature(one: Signed, name: str, data: st.DataObject) -> None:
    message = one.sign(SIGNER, NETWORK, data.draw(of(one.kind)))
    other = data.draw(of(one.kind.__annotations__[name]))
    spoilt = replace(message, **{name: other})
    assert holds(one, spoilt) == (pack_field(other) == pack_field(getattr(message, name)))


def pack_field(value: Any) -> bytes:
    return pack([value])


@pytest.mark.parametrize("name", ["view", "block", "prepares"])
@given(data=st.data())
@settings(max_examples=15)
def test_every_field_of_a_lock_is_covered_by_its_viewchange(name: str, data: st.DataObject) -> None:
    change = data.draw(of(ViewChange))
    held, other = data.draw(of(Lock)), data.draw(of(Lock))
    signed = signing.sign_change(SIGNER, NETWORK, replace(change, lock=held))
    spoilt = replace(signed, lock=replace(held, **{name: getattr(other, name)}))
    statement = signing.change_statement(NETWORK, spoilt)
    assert stub_verify(node(1), statement, signed.signature) == (spoilt.lock == held)


@given(data=st.data())
@settings(max_examples=40)
def test_every_vote_in_a_lock_is_covered_with_its_signature(data: st.DataObject) -> None:
    votes = data.draw(st.lists(of(Vote), min_size=1, max_size=3))
    held = Lock(view=0, block=b"block", prepares=tuple(votes))
    signed = signing.sign_change(SIGNER, NETWORK, replace(data.draw(of(ViewChange)), lock=held))
    name = data.draw(st.sampled_from([field.name for field in fields(Vote)]))
    spoilt_vote = replace(votes[0], **{name: data.draw(of(Vote.__annotations__[name]))})
    spoilt = replace(signed, lock=replace(held, prepares=(spoilt_vote, *votes[1:])))
    statement = signing.change_statement(NETWORK, spoilt)
    assert stub_verify(node(1), statement, signed.signature) == (spoilt_vote == votes[0])


def test_no_lock_and_an_empty_one_are_two_statements() -> None:
    change = ViewChange(1, 1, None, node(1), 1, 1, bytes(64))
    empty = replace(change, lock=Lock(view=0, block=b"", prepares=()))
    assert signing.change_statement(NETWORK, change) != signing.change_statement(NETWORK, empty)


@given(data=st.data())
@settings(max_examples=30)
def test_votes_of_one_lock_cannot_be_dealt_out_anew(data: st.DataObject) -> None:
    """Two NEWVIEWs of the same VIEWCHANGEs in another order, or one less, are not one."""
    changes = data.draw(st.lists(of(ViewChange), min_size=2, max_size=3, unique_by=pack))
    proposal = data.draw(of(Propose))
    propose = signing.sign_propose(SIGNER, NETWORK, replace(proposal, new_view=tuple(changes)))
    for spoilt in (tuple(reversed(changes)), tuple(changes[1:]), ()):
        statement = signing.propose_statement(NETWORK, replace(propose, new_view=spoilt))
        assert not stub_verify(node(1), statement, propose.signature)


@given(data=st.data())
@settings(max_examples=30)
def test_the_name_of_an_open_is_of_all_that_it_says_but_its_signature(data: st.DataObject) -> None:
    one, other = data.draw(of(Open)), data.draw(of(Open))
    assert signing.open_hash(one) == signing.open_hash(replace(one, signature=other.signature))
    same = pack(replace(one, signature=bytes(64))) == pack(replace(other, signature=bytes(64)))
    assert (signing.open_hash(one) == signing.open_hash(other)) == same


# -- kinds --------------------------------------------------------------------------------------------------


@given(vote=of(Vote))
def test_r9_a_prepare_is_no_commit(vote: Vote) -> None:
    prepare = signing.sign_vote(SIGNER, NETWORK, replace(vote, kind="prepare"))
    passed_off = replace(prepare, kind="commit")
    assert not stub_verify(node(1), signing.vote_statement(NETWORK, passed_off), prepare.signature)


@given(data=st.data())
@settings(max_examples=20)
def test_no_two_kinds_share_a_statement(data: st.DataObject) -> None:
    said = [(one, one.sign(SIGNER, NETWORK, data.draw(of(one.kind)))) for one in KINDS]
    statements = [one.statement(NETWORK, message) for one, message in said]
    statements.append(signing.header_statement(NETWORK, pack(data.draw(of(Header)))))
    assert len(set(statements)) == len(statements)
    for message in (message for _, message in said):
        valid = [each for each in statements if stub_verify(node(1), each, message.signature)]
        assert len(valid) == 1


# -- headers ------------------------------------------------------------------------------------------------


@given(header=of(Header))
def test_a_header_is_signed_as_its_bytes(header: Header) -> None:
    signed = signing.sign_header(SIGNER, NETWORK, header)
    assert pack(read(Header, signed.header)) == pack(header)
    assert stub_verify(node(1), signing.header_statement(NETWORK, signed.header), signed.signature)
    assert not stub_verify(node(1), signing.header_statement(OTHER_NETWORK, signed.header), signed.signature)


@given(header=of(Header), where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_every_byte_of_a_header_is_covered(header: Header, where: float, flip: int) -> None:
    signed = signing.sign_header(SIGNER, NETWORK, header)
    spoilt = bytearray(signed.header)
    spoilt[int(where * len(spoilt))] ^= flip
    assert not stub_verify(node(1), signing.header_statement(NETWORK, bytes(spoilt)), signed.signature)


# -- with Ed25519 itself ------------------------------------------------------------------------------------

IDENTITY = Identity.from_secret(b"s" * 32)
STRANGER = Identity.from_secret(b"t" * 32)


@pytest.mark.parametrize("one", KINDS, ids=repr)
@given(data=st.data())
@settings(max_examples=5)
def test_a_node_signs_with_its_ed25519_key(one: Signed, data: st.DataObject) -> None:
    message = one.sign(IDENTITY, NETWORK, data.draw(of(one.kind)))
    statement = one.statement(NETWORK, message)
    assert verify_ed25519(IDENTITY.node_id, statement, message.signature)
    assert not verify_ed25519(STRANGER.node_id, statement, message.signature)
    assert not verify_ed25519(IDENTITY.node_id, one.statement(OTHER_NETWORK, message), message.signature)
    assert not verify_ed25519(IDENTITY.node_id, statement, bytes(64))


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=8), st.binary(min_size=64, max_size=64))
def test_any_key_and_signature_give_an_answer(key: bytes, statement: bytes, signature: bytes) -> None:
    assert verify_ed25519(NodeId(key), statement, signature) in (True, False)
