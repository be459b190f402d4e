"""With which key pair does a network's gate answer?

Does not know CURVE, nor any socket: it makes two keys.
"""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from comind.crypto.sealing import derive_key


@dataclass(frozen=True, slots=True)
class Gate:
    """The X25519 key pair (RFC 7748) that all nodes of a network serve with; 32 raw bytes each.

    `public` is secret too, towards strangers: who knows it can begin a handshake.
    """

    public: bytes = field(repr=False)
    secret: bytes = field(repr=False)


def gate_of(network: bytes, key: bytes) -> Gate:
    """The gate of the network with this id (32 bytes) and network key (32 bytes), alike on every node.

    Source: HKDF-SHA256, RFC 5869; the public key is that of RFC 7748 §6.1, as CURVE and NaCl compute it.
    """
    secret = derive_key(key, "gate", network)
    return Gate(X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw(), secret)
