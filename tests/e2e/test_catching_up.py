"""A newcomer gets chain and base from three members, one of which is killed over it, and rounds go on."""

from pathlib import Path

from comind.p2p.core.snapshot import CHUNK_BYTES
from comind.p2p.core.words import Settings
from tests.e2e.real_network import Node, RealNetwork

STEP_S = "2"
VALUES = "10000000"


def test_a_newcomer_gets_the_base_though_a_holder_is_killed_in_the_middle(tmp_path: Path) -> None:
    with RealNetwork(tmp_path, 4, Settings(start_at=3)) as network:
        founder, second, dies, late = network.nodes
        network.start(founder)
        network.start(second, through=founder)
        network.start(dies, through=founder)
        for node in (founder, second, dies):
            network.wait(lambda node=node: node.status() is not None, f"{node.name} answers")  # type: ignore[misc]
            network.train(node, STEP_S, VALUES)
        network.wait_for_round(1, founder, second, dies)

        network.start(late, through=founder)
        network.wait(lambda: received(late) > 4 * CHUNK_BYTES, "a part of the base has come")
        assert dies.daemon is not None
        assert not wholes(late)
        dies.daemon.kill()
        dies.daemon.wait()
        dies.daemon = None
        network.wait(lambda: bool(wholes(late)), "it holds a base")

        before = max(network.round_of(founder), network.round_of(second))
        network.wait_for_round(before + 2, founder, second, late)
        network.end_training()


def received(node: Node) -> int:
    """Return how many bytes of snapshots that are not whole have come."""
    return sum(part.stat().st_blocks * 512 for part in node.home.snapshots.glob("*.partial"))


def wholes(node: Node) -> list[Path]:
    return list(node.home.snapshots.glob("*.f32"))
