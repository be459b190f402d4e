"""Does a greeting end with the right peer and keys, or not at all?"""

import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from comind.crypto import greeting
from comind.crypto.errors import CannotOpen
from comind.crypto.greeting import (
    FINISH_BYTES,
    HELLO_BYTES,
    REPLY_BYTES,
    Initiator,
    Link,
    Responder,
)
from comind.crypto.identity import Identity, NodeId, verify
from comind.crypto.sealing import MessageOpener, MessageSealer, derive_key

NETWORK, KEY = b"n" * 32, b"k" * 32
ALICE, BOB, MALLORY = (Identity.from_secret(letter * 32) for letter in (b"a", b"b", b"m"))

HELLO_EPHEMERAL = slice(42, 74)
REPLY_EPHEMERAL = slice(40, 72)
REPLY_PROOF = slice(72, 152)


def alice(expected: NodeId | None = None, **changed: bytes) -> Initiator:
    return Initiator(ALICE, changed.get("network", NETWORK), changed.get("key", KEY), 7, expected)


def bob(**changed: bytes) -> Responder:
    return Responder(BOB, changed.get("network", NETWORK), changed.get("key", KEY), 2**64 - 1)


def greet(initiator: Initiator, responder: Responder) -> tuple[Link, Link]:
    responder.receive_finish(initiator.receive(responder.receive_hello(initiator.hello())))
    assert initiator.link is not None
    assert responder.link is not None
    return initiator.link, responder.link


def flip(message: bytes, bit: int) -> bytes:
    changed = bytearray(message)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def put(message: bytes, place: slice, content: bytes) -> bytes:
    return message[: place.start] + content + message[place.stop :]


class Impostor(Identity):
    """Gives another's name, and signs with its own key or, like a parrot, with what it once heard."""

    def __init__(self, own: Identity, claimed: NodeId, heard: bytes | None = None) -> None:
        super().__init__(own._key)
        self._node_id = claimed
        self._heard = heard

    def sign(self, statement: bytes) -> bytes:
        return self._heard or super().sign(statement)


# It ends well


def test_each_learns_who_the_other_is() -> None:
    ours, theirs = greet(alice(expected=BOB.node_id), bob())
    assert (ours.peer, ours.peer_incarnation) == (BOB.node_id, 2**64 - 1)
    assert (theirs.peer, theirs.peer_incarnation) == (ALICE.node_id, 7)


def test_both_directions_seal_and_open() -> None:
    ours, theirs = greet(alice(), bob())
    for text in (b"one", b"two", b""):
        assert theirs.opener.open(ours.sealer.seal(text)) == text
        assert ours.opener.open(theirs.sealer.seal(text)) == text
    assert ours.bulk_secret == theirs.bulk_secret
    assert len(ours.bulk_secret) == 32


def test_what_one_side_sealed_it_cannot_be_made_to_open() -> None:
    ours, _ = greet(alice(), bob())
    with pytest.raises(CannotOpen):
        ours.opener.open(ours.sealer.seal(b"text"))


def test_two_sessions_of_the_same_two_have_different_keys() -> None:
    links = [link for _ in range(3) for link in greet(alice(), bob())]
    assert len({link.bulk_secret for link in links}) == 3
    assert len({link.sealer.seal(bytes(16)) for link in links}) == 6


def test_no_link_stands_before_its_last_message() -> None:
    initiator, responder = alice(), bob()
    reply = responder.receive_hello(initiator.hello())
    assert (initiator.link, responder.link) == (None, None)
    initiator.receive(reply)
    assert responder.link is None


def test_messages_have_the_lengths_that_are_announced() -> None:
    initiator, responder = alice(), bob()
    hello = initiator.hello()
    reply = responder.receive_hello(hello)
    finish = initiator.receive(reply)
    assert (len(hello), len(reply), len(finish)) == (HELLO_BYTES, REPLY_BYTES, FINISH_BYTES) == (74, 152, 80)
    assert hello[:2] == b"\0\1"
    assert hello == initiator.hello()


def test_the_bytes_of_version_1_are_these() -> None:
    """Derived once from the module's docstring, by hmac and raw keys: other bytes, other version."""
    initiator = Initiator(ALICE, NETWORK, KEY, 7, ephemeral=X25519PrivateKey.from_private_bytes(b"i" * 32))
    responder = Responder(BOB, NETWORK, KEY, 8, ephemeral=X25519PrivateKey.from_private_bytes(b"r" * 32))
    hello = initiator.hello()
    reply = responder.receive_hello(hello)
    finish = initiator.receive(reply)
    link = initiator.link
    assert link is not None
    assert blake3(hello + reply + finish).hexdigest() == (
        "10181b029398fb62fb64b1eeff3985239d96868a8e22170622e9c49185acc17e"
    )
    assert link.bulk_secret.hex() == "593637850564450fb1437d49e6079fd26adcdad2d286be802b451fdd1b77ee2c"
    assert link.sealer.seal(b"").hex() == "fbe2fc8ad7aeeed5c70c9077c047c818"


# It ends badly


def refused_by_initiator(initiator: Initiator, reply: bytes) -> None:
    with pytest.raises(CannotOpen):
        initiator.receive(reply)
    assert initiator.link is None


def refused_by_responder(responder: Responder, finish: bytes) -> None:
    with pytest.raises(CannotOpen):
        responder.receive_finish(finish)
    assert responder.link is None


@pytest.mark.parametrize("other", [{"network": b"x" * 32}, {"key": b"x" * 32}])
def test_another_network_or_key_makes_no_link(other: dict[str, bytes]) -> None:
    initiator, responder = alice(), bob(**other)
    refused_by_initiator(initiator, responder.receive_hello(initiator.hello()))


@pytest.mark.parametrize("version", [0, 2, 256, 65535])
def test_another_version_makes_no_link(version: int) -> None:
    with pytest.raises(CannotOpen):
        bob().receive_hello(version.to_bytes(2, "big") + alice().hello()[2:])


def test_a_version_that_was_changed_on_the_way_makes_no_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """The transcript holds the version, so two sides that each believe in another one do not meet."""
    initiator, responder = alice(), bob()
    hello = initiator.hello()
    monkeypatch.setattr(greeting, "PROTOCOL_VERSION", 2)
    reply = responder.receive_hello(b"\0\2" + hello[2:])
    monkeypatch.undo()
    refused_by_initiator(initiator, reply)


def test_another_node_than_the_expected_makes_no_link() -> None:
    initiator = alice(expected=MALLORY.node_id)
    refused_by_initiator(initiator, bob().receive_hello(initiator.hello()))


def test_a_node_that_dials_itself_makes_no_link() -> None:
    with pytest.raises(CannotOpen):
        Responder(ALICE, NETWORK, KEY, 8).receive_hello(alice().hello())


def test_an_answer_in_ones_own_name_makes_no_link() -> None:
    class AnswersItself(Responder):
        def _session(
            self, ephemeral: X25519PrivateKey, peer: greeting._Introduction, transcript: bytes
        ) -> greeting._Session:
            secret = greeting._agree(ephemeral, peer.ephemeral) + KEY
            return greeting._Session(transcript, derive_key(secret, "greeting session", transcript))

    for identity in (BOB, ALICE):
        initiator = alice()
        reply = AnswersItself(identity, NETWORK, KEY, 8).receive_hello(initiator.hello())
        if identity is BOB:  # so that it is the name alone that is refused
            initiator.receive(reply)
        else:
            refused_by_initiator(initiator, reply)


def test_each_flipped_bit_of_a_hello_makes_no_link() -> None:
    for bit in range(HELLO_BYTES * 8):
        initiator, responder = alice(), bob()
        try:
            reply = responder.receive_hello(flip(initiator.hello(), bit))
        except CannotOpen:
            continue
        refused_by_initiator(initiator, reply)


def test_each_flipped_bit_of_a_reply_makes_no_link() -> None:
    for bit in range(REPLY_BYTES * 8):
        initiator = alice()
        refused_by_initiator(initiator, flip(bob().receive_hello(initiator.hello()), bit))


def test_each_flipped_bit_of_a_finish_makes_no_link() -> None:
    for bit in range(FINISH_BYTES * 8):
        initiator, responder = alice(), bob()
        finish = initiator.receive(responder.receive_hello(initiator.hello()))
        refused_by_responder(responder, flip(finish, bit))


def test_a_message_of_another_length_makes_no_link() -> None:
    for length in (0, 1, HELLO_BYTES - 1, HELLO_BYTES + 1, 1_000_000):
        with pytest.raises(CannotOpen):
            bob().receive_hello((alice().hello() + bytes(1_000_000))[:length])
    for length in (0, 1, REPLY_BYTES - 1, REPLY_BYTES + 1, 1_000_000):
        initiator = alice()
        reply = bob().receive_hello(initiator.hello())
        refused_by_initiator(initiator, (reply + bytes(1_000_000))[:length])
    for length in (0, 1, FINISH_BYTES - 1, FINISH_BYTES + 1, 1_000_000):
        initiator, responder = alice(), bob()
        finish = initiator.receive(responder.receive_hello(initiator.hello()))
        refused_by_responder(responder, (finish + bytes(1_000_000))[:length])


LOW_ORDER_POINTS = [
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    (2**255 - 20).to_bytes(32, "little"),
    (2**255 - 19).to_bytes(32, "little"),
    (2**255 - 18).to_bytes(32, "little"),
]


@pytest.mark.parametrize("point", LOW_ORDER_POINTS)
def test_a_point_that_makes_the_secret_zero_makes_no_link(point: bytes) -> None:
    with pytest.raises(CannotOpen):
        bob().receive_hello(put(alice().hello(), HELLO_EPHEMERAL, point))
    initiator = alice()
    refused_by_initiator(initiator, put(bob().receive_hello(initiator.hello()), REPLY_EPHEMERAL, point))


# Insiders, who hold the network key


def test_an_insider_cannot_answer_in_anothers_name() -> None:
    initiator = alice()
    mallory = Responder(Impostor(MALLORY, BOB.node_id), NETWORK, KEY, 8)
    refused_by_initiator(initiator, mallory.receive_hello(initiator.hello()))


def test_an_insider_cannot_dial_in_anothers_name() -> None:
    responder = bob()
    mallory = Initiator(Impostor(MALLORY, ALICE.node_id), NETWORK, KEY, 8)
    refused_by_responder(responder, mallory.receive(responder.receive_hello(mallory.hello())))


def test_an_insider_in_the_middle_cannot_swap_a_key() -> None:
    """Mallory puts her own key into Alice's hello, and her own into Bob's reply."""
    own_key = X25519PrivateKey.generate().public_key().public_bytes_raw()
    initiator = alice()
    refused_by_initiator(initiator, bob().receive_hello(put(initiator.hello(), HELLO_EPHEMERAL, own_key)))
    initiator = alice()
    refused_by_initiator(initiator, put(bob().receive_hello(initiator.hello()), REPLY_EPHEMERAL, own_key))


def test_an_insider_in_the_middle_cannot_pass_a_signature_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mallory dials Bob as Alice, opens his signature, and seals it into her own answer to Alice."""
    heard: list[bytes] = []

    def overhear(node: NodeId, statement: bytes, signature: bytes) -> bool:
        heard.append(signature)
        return verify(node, statement, signature)

    with monkeypatch.context() as patched:
        patched.setattr(greeting, "verify", overhear)
        mallory = Initiator(Impostor(MALLORY, ALICE.node_id), NETWORK, KEY, 7)
        mallory.receive(bob().receive_hello(mallory.hello()))
    initiator = alice()
    parrot = Responder(Impostor(MALLORY, BOB.node_id, heard[0]), NETWORK, KEY, 2**64 - 1)
    refused_by_initiator(initiator, parrot.receive_hello(initiator.hello()))


# Replays and reflections


def test_a_replayed_hello_and_finish_make_no_link() -> None:
    initiator, responder = alice(), bob()
    hello = initiator.hello()
    finish = initiator.receive(responder.receive_hello(hello))
    responder.receive_finish(finish)
    later = bob()
    later.receive_hello(hello)
    refused_by_responder(later, finish)


def test_a_replayed_reply_makes_no_link() -> None:
    earlier, later = alice(), alice()
    reply = bob().receive_hello(earlier.hello())
    earlier.receive(reply)
    refused_by_initiator(later, reply)


def test_a_responders_own_proof_is_no_finish() -> None:
    responder = bob()
    reply = responder.receive_hello(alice().hello())
    refused_by_responder(responder, reply[REPLY_PROOF])


def test_the_two_proofs_of_a_session_are_sealed_under_two_keys() -> None:
    """Under one key, both would be sealed with the nonce of message 0."""
    session = greeting._Session(b"t" * 32, b"s" * 32)
    with pytest.raises(CannotOpen):
        MessageOpener(session._proof_key("initiator")).open(session.prove("responder", BOB))


def test_a_proof_sealed_with_the_finishs_key_still_needs_the_initiators_role() -> None:
    """The role is signed too: were the sealing keys one and the same, a reflected signature would not do."""
    transcript, secret = b"t" * 32, b"s" * 32
    session = greeting._Session(transcript, secret)
    signature = BOB.sign(session._signed_by("responder"))
    reflected = MessageSealer(session._proof_key("initiator")).seal(signature)
    with pytest.raises(CannotOpen):
        session.check("initiator", BOB.node_id, reflected)
    session.check("initiator", BOB.node_id, session.prove("initiator", BOB))


# Order


def test_a_bad_hello_ends_the_greeting() -> None:
    responder = bob()
    for hello in (b"short", alice().hello()):
        with pytest.raises(CannotOpen):
            responder.receive_hello(hello)


def test_a_second_hello_ends_the_greeting() -> None:
    initiator, responder = alice(), bob()
    finish = initiator.receive(responder.receive_hello(initiator.hello()))
    with pytest.raises(CannotOpen):
        responder.receive_hello(initiator.hello())
    refused_by_responder(responder, finish)


def test_a_bad_reply_ends_the_greeting() -> None:
    initiator = alice()
    reply = bob().receive_hello(initiator.hello())
    for answer in (b"short", reply):
        refused_by_initiator(initiator, answer)


def test_a_reply_is_answered_once() -> None:
    initiator = alice()
    reply = bob().receive_hello(initiator.hello())
    initiator.receive(reply)
    with pytest.raises(CannotOpen):
        initiator.receive(reply)


def test_a_bad_finish_ends_the_greeting() -> None:
    initiator, responder = alice(), bob()
    finish = initiator.receive(responder.receive_hello(initiator.hello()))
    for answer in (flip(finish, 0), finish):
        refused_by_responder(responder, answer)


def test_a_finish_before_the_hello_makes_no_link() -> None:
    refused_by_responder(bob(), bytes(FINISH_BYTES))


# Our own mistakes


@pytest.mark.parametrize(
    ("network", "key", "incarnation"), [(31, 32, 0), (32, 33, 0), (32, 32, -1), (32, 32, 2**64)]
)
def test_what_cannot_be_greeted_with_is_refused_at_once(network: int, key: int, incarnation: int) -> None:
    for side in (Initiator, Responder):
        with pytest.raises(ValueError, match=r"bytes|bits"):
            side(ALICE, bytes(network), bytes(key), incarnation)
