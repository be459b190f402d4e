"""Who is at the other end of a connection, and which keys do the two share?

Does not know how the three messages travel, nor who is welcome: it proves who is there.

    initiator                                                      responder
       | -- hello:  version, node, incarnation, ephemeral key --------> |
       | <- reply:  node, incarnation, ephemeral key, proof ----------- |
       | -- finish: proof --------------------------------------------> |

The transcript is a digest of network, version, and both sides' node, incarnation and ephemeral key. The
session secret is HKDF of (X25519 secret, network key) over the transcript. A proof is the signature of
(role, transcript) by the side's identity, sealed under a key of that role from the session secret: it shows
that this node, now, holds the network key and saw the same messages.

This is Diffie-Hellman with fresh keys and both names in each signature (ISO/IEC 9798-3, as analysed in
Krawczyk, SIGMA, 2003): nobody poses as another, and since ephemeral keys are forgotten, yesterday's traffic
stays closed when identities and network key are stolen tomorrow.
"""

import struct
from dataclasses import dataclass, field
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from comind.crypto.errors import CannotOpen
from comind.crypto.identity import SIGNATURE_BYTES, Identity, NodeId, verify
from comind.crypto.sealing import TAG_BYTES, MessageOpener, MessageSealer, derive_key
from comind.crypto.statement import digest, statement

PROTOCOL_VERSION = 1

_INTRODUCTION = struct.Struct("!32sQ32s")  # node, incarnation, ephemeral public key
_VERSION = struct.Struct("!H")
_PROOF_BYTES = SIGNATURE_BYTES + TAG_BYTES

HELLO_BYTES = _VERSION.size + _INTRODUCTION.size
REPLY_BYTES = _INTRODUCTION.size + _PROOF_BYTES
FINISH_BYTES = _PROOF_BYTES

_Role = Literal["initiator", "responder"]


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """What a finished greeting leaves: the peer, proven, and keys that only the two of them hold."""

    peer: NodeId
    peer_incarnation: int
    sealer: MessageSealer = field(repr=False)
    """Seals what this side sends."""
    opener: MessageOpener = field(repr=False)
    """Opens what the peer sends."""
    bulk_secret: bytes = field(repr=False)
    """32 bytes, the same on both sides: what `derive_key` makes bulk keys of."""


@dataclass(frozen=True, slots=True)
class _Introduction:
    """What one side says of itself."""

    node: NodeId
    incarnation: int
    ephemeral: bytes

    def pack(self) -> bytes:
        return _INTRODUCTION.pack(self.node, self.incarnation, self.ephemeral)

    @classmethod
    def unpack(cls, packed: bytes) -> "_Introduction":
        node, incarnation, ephemeral = _INTRODUCTION.unpack(packed)
        return cls(NodeId(node), incarnation, ephemeral)


class _Session:
    """What each side can derive once it has both introductions: keys, which as yet prove nothing."""

    __slots__ = ("_secret", "_transcript")

    def __init__(self, transcript: bytes, secret: bytes) -> None:
        self._transcript = transcript
        self._secret = secret

    def prove(self, role: _Role, identity: Identity) -> bytes:
        """That `identity` plays this role here: its signature, sealed."""
        return MessageSealer(self._proof_key(role)).seal(identity.sign(self._signed_by(role)))

    def check(self, role: _Role, node: NodeId, proof: bytes) -> None:
        """Raises CannotOpen unless `proof` is that of `node` in this role."""
        signature = MessageOpener(self._proof_key(role)).open(proof)
        if not verify(node, self._signed_by(role), signature):
            raise CannotOpen

    def link(self, own: _Role, other: _Role, peer: _Introduction) -> Link:
        sealer, opener = MessageSealer(self._link_key(own)), MessageOpener(self._link_key(other))
        return Link(peer.node, peer.incarnation, sealer, opener, derive_key(self._secret, "bulk secret"))

    def _signed_by(self, role: _Role) -> bytes:
        return statement("greeting signature", role, self._transcript)

    def _proof_key(self, role: _Role) -> bytes:
        return derive_key(self._secret, "greeting proof", role)

    def _link_key(self, sender: _Role) -> bytes:
        return derive_key(self._secret, "link messages", sender)


class _Side:
    """What initiator and responder have in common: an introduction, and an ephemeral key that serves once."""

    def __init__(
        self,
        identity: Identity,
        network: bytes,
        key: bytes,
        incarnation: int,
        ephemeral: X25519PrivateKey | None,
    ) -> None:
        if len(network) != 32 or len(key) != 32:
            raise ValueError("a network's id has 32 bytes, and so has its key")
        if not 0 <= incarnation < 2**64:
            raise ValueError(f"incarnation {incarnation} does not fit 64 bits without a sign")
        self.link: Link | None = None
        self._identity = identity
        self._network = network
        self._key = key
        self._ephemeral: X25519PrivateKey | None = ephemeral or X25519PrivateKey.generate()
        public = self._ephemeral.public_key().public_bytes_raw()
        self._own = _Introduction(identity.node_id, incarnation, public)

    def _spend_ephemeral(self) -> X25519PrivateKey:
        """The ephemeral key, once: whatever comes of this call, there is no other."""
        ephemeral, self._ephemeral = self._ephemeral, None
        if ephemeral is None:
            raise CannotOpen
        return ephemeral

    def _session(self, ephemeral: X25519PrivateKey, peer: _Introduction, transcript: bytes) -> _Session:
        if peer.node == self._own.node:  # a node that dialled itself
            raise CannotOpen
        shared = _agree(ephemeral, peer.ephemeral)
        return _Session(transcript, derive_key(shared + self._key, "greeting session", transcript))


class Initiator(_Side):
    """The side that dialled: send `hello()`, `receive(reply)`, send what it returns, then use `link`.

    `network` and `key` are the network's id and key, 32 bytes each; `incarnation` is a 64-bit count;
    `expected` is who must answer, where that is known. `ephemeral` is for tests: no key may greet twice.
    """

    def __init__(
        self,
        identity: Identity,
        network: bytes,
        key: bytes,
        incarnation: int,
        expected: NodeId | None = None,
        ephemeral: X25519PrivateKey | None = None,
    ) -> None:
        super().__init__(identity, network, key, incarnation, ephemeral)
        self._expected = expected

    def hello(self) -> bytes:
        """The first message, `HELLO_BYTES` long."""
        return _VERSION.pack(PROTOCOL_VERSION) + self._own.pack()

    def receive(self, reply: bytes) -> bytes:
        """Check the reply and return the finish, `FINISH_BYTES` long; `link` is set from here on.

        Raises:
            CannotOpen: whatever is wrong, a second reply or one's own included. This greeting is over.
        """
        ephemeral = self._spend_ephemeral()
        if len(reply) != REPLY_BYTES:
            raise CannotOpen
        peer, proof = _Introduction.unpack(reply[: _INTRODUCTION.size]), reply[_INTRODUCTION.size :]
        if self._expected is not None and peer.node != self._expected:
            raise CannotOpen
        session = self._session(ephemeral, peer, _transcript(self._network, self._own, peer))
        session.check("responder", peer.node, proof)
        self.link = session.link("initiator", "responder", peer)
        return session.prove("initiator", self._identity)


class Responder(_Side):
    """The side that was dialled: `receive_hello`, send what it returns, `receive_finish`, then use `link`.

    `network` and `key` are the network's id and key, 32 bytes each; `incarnation` is a 64-bit count.
    `ephemeral` is for tests: no key may greet twice.
    """

    def __init__(
        self,
        identity: Identity,
        network: bytes,
        key: bytes,
        incarnation: int,
        ephemeral: X25519PrivateKey | None = None,
    ) -> None:
        super().__init__(identity, network, key, incarnation, ephemeral)
        self._unproven: tuple[_Introduction, _Session] | None = None

    def receive_hello(self, hello: bytes) -> bytes:
        """Answer a hello with the reply, `REPLY_BYTES` long. Who sent it is not proven before the finish.

        Raises:
            CannotOpen: whatever is wrong, a second hello or one's own included. This greeting is over.
        """
        self._unproven = None  # a second hello ends what the first began
        ephemeral = self._spend_ephemeral()
        if len(hello) != HELLO_BYTES or hello[: _VERSION.size] != _VERSION.pack(PROTOCOL_VERSION):
            raise CannotOpen
        peer = _Introduction.unpack(hello[_VERSION.size :])
        session = self._session(ephemeral, peer, _transcript(self._network, peer, self._own))
        self._unproven = peer, session
        return self._own.pack() + session.prove("responder", self._identity)

    def receive_finish(self, finish: bytes) -> None:
        """Check the finish; `link` is set from here on.

        Raises:
            CannotOpen: whatever is wrong, a finish before the hello included. This greeting is over.
        """
        unproven, self._unproven = self._unproven, None
        if unproven is None or len(finish) != FINISH_BYTES:
            raise CannotOpen
        peer, session = unproven
        session.check("initiator", peer.node, finish)
        self.link = session.link("responder", "initiator", peer)


def _transcript(network: bytes, initiator: _Introduction, responder: _Introduction) -> bytes:
    return digest(
        "greeting transcript",
        network,
        PROTOCOL_VERSION,
        initiator.node,
        responder.node,
        initiator.incarnation,
        responder.incarnation,
        initiator.ephemeral,
        responder.ephemeral,
    )


def _agree(ephemeral: X25519PrivateKey, peer: bytes) -> bytes:
    """The X25519 secret; a point of low order, which would make it all zeros, is refused (RFC 7748 §6.1)."""
    try:
        return ephemeral.exchange(X25519PublicKey.from_public_bytes(peer))
    except ValueError:
        raise CannotOpen from None
