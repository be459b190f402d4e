"""Who is a node, and what did it sign?

Does not know where its secret is kept (`keyfile`) nor what is signed (`statement`).
"""

from base64 import b32decode, b32encode
from typing import NewType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

NODE_ID_BYTES = 32
SIGNATURE_BYTES = 64
SECRET_BYTES = 32

NodeId = NewType("NodeId", bytes)
"""A node's Ed25519 public key, 32 bytes (RFC 8032 §5.1.5)."""


def short_id(node: NodeId) -> str:
    """The first 8 letters of the id in lower-case base32 (RFC 4648 §6): for people, never to compare by."""
    return b32encode(node)[:8].decode("ascii").lower()


def full_id(node: NodeId) -> str:
    """The whole id in lower-case base32 without padding, 52 letters: what tells one node from all others."""
    return b32encode(node).decode("ascii").rstrip("=").lower()


def read_id(text: str) -> NodeId | None:
    """The node of which this is the full id; None if it is of none. Each node has exactly one."""
    try:
        node = NodeId(b32decode(text.upper() + "=" * (-len(text) % 8)))
    except ValueError:
        return None
    return node if len(node) == NODE_ID_BYTES and full_id(node) == text.lower() else None


class Identity:
    """An Ed25519 key pair (RFC 8032): what makes a node this node and no other."""

    __slots__ = ("_key", "_node_id")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._node_id = NodeId(key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> "Identity":
        """A new identity, from the operating system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_secret(cls, secret: bytes) -> "Identity":
        """The identity of a 32-byte secret (the seed of RFC 8032 §5.1.5).

        Raises:
            ValueError: not 32 bytes.
        """
        return cls(Ed25519PrivateKey.from_private_bytes(secret))

    def secret(self) -> bytes:
        """The 32 bytes that `from_secret` takes: for the key file alone."""
        return self._key.private_bytes_raw()

    @property
    def node_id(self) -> NodeId:
        return self._node_id

    def sign(self, statement: bytes) -> bytes:
        """The 64-byte signature of `statement` (RFC 8032 §5.1.6); the same bytes give the same signature."""
        return self._key.sign(statement)

    def __repr__(self) -> str:
        return f"<Identity {short_id(self._node_id)}>"


def verify(node: NodeId, statement: bytes, signature: bytes) -> bool:
    """Whether `node` signed `statement` (RFC 8032 §5.1.7). Total: any bytes give an answer."""
    try:
        Ed25519PublicKey.from_public_bytes(node).verify(signature, statement)
    except (InvalidSignature, ValueError):
        return False
    return True
