"""Whose signature is this? Quickly, for tests: a keyed hash in place of Ed25519.

Whoever knows a node's id can forge its stub signature; that no honest test does, and `forged` is none.
"""

from dataclasses import dataclass

from blake3 import blake3

from comind.crypto.identity import Identity, verify
from comind.p2p.core.signing import Signer, Verify
from comind.p2p.core.words import NodeId

FORGED = bytes(64)


@dataclass(frozen=True, slots=True)
class StubSigner:
    node_id: NodeId

    def sign(self, statement: bytes, /) -> bytes:
        return blake3(statement, key=self.node_id).digest(length=64)


def stub_verify(node: NodeId, statement: bytes, signature: bytes) -> bool:
    return StubSigner(node).sign(statement) == signature


class Statements:
    """What was really signed: every signature that a node's key made, and the statement below it."""

    def __init__(self) -> None:
        self._signed: dict[tuple[bytes, bytes], bytes] = {}

    def add(self, node: bytes, signature: bytes, statement: bytes) -> None:
        self._signed[node, signature] = statement

    def find(self, node: bytes, signature: bytes) -> bytes | None:
        return self._signed.get((node, signature))


@dataclass(frozen=True, slots=True)
class RecordingSigner:
    """Signs, and notes what it signed."""

    signer: Signer
    statements: Statements

    @property
    def node_id(self) -> NodeId:
        return self.signer.node_id

    def sign(self, statement: bytes, /) -> bytes:
        signature = self.signer.sign(statement)
        self.statements.add(self.node_id, signature, statement)
        return signature


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a whole cluster: a node's follow from its name, so every run has the same ids."""

    statements: Statements
    real: bool = False

    def signer(self, name: str) -> Signer:
        secret = blake3(f"identity of {name}".encode()).digest()
        signer = RealSigner(secret) if self.real else StubSigner(NodeId(secret))
        return RecordingSigner(signer, self.statements)

    def verify(self) -> Verify:
        return verify if self.real else stub_verify


class RealSigner:
    """An Ed25519 identity that can be copied with its cluster."""

    def __init__(self, secret: bytes) -> None:
        self._identity = Identity.from_secret(secret)

    @property
    def node_id(self) -> NodeId:
        return self._identity.node_id

    def sign(self, statement: bytes, /) -> bytes:
        return self._identity.sign(statement)

    def __deepcopy__(self, memo: object) -> "RealSigner":
        return self
