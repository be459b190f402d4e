"""Does it hold with the keys that nodes have? One scenario with Ed25519 in place of the stub."""

from tests.scenarios.cluster import Cluster
from tests.scenarios.keys import FORGED, Keys, Statements
from tests.scenarios.moments import committed, locked


def test_a_network_with_real_signatures_survives_its_chief() -> None:
    """S2: every signature is made and checked with Ed25519."""
    cluster = Cluster.founded(trainers=3, witnesses=1, real_keys=True)
    cluster.run_until(committed(round=4))
    dead = cluster.chief
    cluster.run_until(locked(round=5))
    cluster.kill(dead)
    cluster.run_until(committed(round=6))
    assert cluster.average(5) == cluster.locked_average(5)
    cluster.restart(dead)
    cluster.run_until(committed(round=9))
    assert len(cluster.digests()) == 1


def test_stub_and_real_signatures_are_both_worth_something() -> None:
    """A signature is for one node and one statement."""
    for real in (False, True):
        keys = Keys(Statements(), real)
        lima, oslo = keys.signer("lima"), keys.signer("oslo")
        verify, signature = keys.verify(), lima.sign(b"a statement")
        assert verify(lima.node_id, b"a statement", signature)
        assert not verify(oslo.node_id, b"a statement", signature)
        assert not verify(lima.node_id, b"another statement", signature)
        assert not verify(lima.node_id, b"a statement", FORGED)
