"""Is the gate a CURVE key pair that only holders of the network key have?"""

import zmq
from zmq.utils import z85

from comind.crypto.gate import gate_of

NETWORK, KEY = b"n" * 32, b"k" * 32


def test_every_node_of_a_network_has_the_same_gate() -> None:
    assert gate_of(NETWORK, KEY) == gate_of(NETWORK, KEY)


def test_another_network_or_key_has_another_gate() -> None:
    gates = [gate_of(NETWORK, KEY), gate_of(KEY, NETWORK), gate_of(NETWORK, NETWORK), gate_of(KEY, KEY)]
    assert len({gate.public for gate in gates}) == len({gate.secret for gate in gates}) == 4


def test_a_gate_is_a_key_pair_to_curve() -> None:
    gate = gate_of(NETWORK, KEY)
    assert z85.decode(zmq.curve_public(z85.encode(gate.secret))) == gate.public


def test_the_gate_of_a_network_is_this() -> None:
    """Derived once with hmac and hashlib: another one would lock every older node out."""
    assert gate_of(NETWORK, KEY).secret.hex() == (
        "f87dbf6c25046313c40955ed615c9b2386ae76a9109b8ec834f19300209c23c7"
    )
