"""Do the operators' commands decide for a whole network of real processes?"""

from pathlib import Path

from comind.p2p.core.words import Settings
from tests.e2e.command import comind, status_json
from tests.e2e.real_network import RealNetwork
from tests.e2e.test_joining import start, status_of

STEP_S = "0.1"


def test_a_pause_holds_all_until_somebody_resumes(tmp_path: Path) -> None:
    with RealNetwork(tmp_path, 3, Settings(start_at=3)) as network:
        first, second, third = network.nodes
        start(network, *network.nodes)
        network.wait_for_round(2)

        ran = comind("pause", "--because", "the lab moves", "--home", second.home.path)
        assert (ran.code, ran.err) == (0, "")
        assert "no averages are made until somebody says comind resume" in ran.out
        why = f"paused by {second.name}: the lab moves"
        for node in network.nodes:
            network.wait(lambda node=node: status_of(node).because == why, f"{node.name} tells why")  # type: ignore[misc]
        assert why in comind("status", "--home", first.home.path).out
        log = (third.home.path / "trainer.log").read_text()
        network.wait(
            lambda: why in log or why in (third.home.path / "trainer.log").read_text(), "a trainer says so"
        )
        rounds = network.round_of(first)

        again = comind("pause", "--home", first.home.path)
        assert (again.code, again.out) == (4, "")
        assert again.err == (
            f"comind: the network is paused already, by {second.name}: the lab moves; comind resume ends it\n"
        )
        third.daemon.kill()  # type: ignore[union-attr]
        third.daemon.wait()  # type: ignore[union-attr]
        network.start(third)
        network.wait(lambda: third.status() is not None, "it is back")
        network.wait(lambda: status_of(third).because == why, "it knows of the pause")
        assert network.round_of(first) == rounds

        ran = comind("resume", "--home", third.home.path)
        assert (ran.code, ran.err) == (0, "")
        network.wait_for_round(rounds + 2)
        told = status_json(first.home)
        assert [line for _, line in told["decisions"]] == [
            f"{second.name} paused the network: the lab moves",
            f"{third.name} resumed the network",
        ]
        network.end_training()
