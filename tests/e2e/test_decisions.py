"""Do the operators' commands decide for a whole network of real processes?"""

from pathlib import Path

from comind.crypto.keyfile import load_or_create_identity
from comind.p2p.core.words import Settings, full_id
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


def test_a_removed_node_ends_with_the_reason_and_comes_back_only_when_it_is_allowed(tmp_path: Path) -> None:
    with RealNetwork(tmp_path, 3, Settings(start_at=2)) as network:
        first, second, third = network.nodes
        start(network, *network.nodes)
        network.wait_for_round(1)
        whole = full_id(load_or_create_identity(third.home.identity_file).node_id)

        ran = comind("remove", third.name, "--yes", "--because", "it flips bits", "--home", second.home.path)
        assert (ran.code, ran.err) == (0, "")
        assert third.daemon is not None
        assert third.daemon.wait() == 4
        line = (
            f"comind: removed from the network by {second.name}: it flips bits;"
            f" it gets no link until a member's operator runs: comind allow {whole}"
        )
        assert third.home.log_file.read_text().splitlines()[-1] == line
        network.wait(lambda: len(status_of(first).members) == 2, "it is off the roster")
        rounds = network.round_of(first)
        network.start(third)
        assert third.daemon.wait() == 4
        assert third.home.log_file.read_text().splitlines()[-1] == line
        third.daemon = None
        network.wait_for_round(rounds + 2, first, second)
        removed = f"{second.name} removed {third.name} ({whole}): it flips bits"
        assert status_json(first.home)["decisions"][-1][1] == removed

        again = comind("remove", third.name, "--yes", "--home", first.home.path)
        assert again.code == 4
        assert again.err.startswith(f"comind: no member is called '{third.name}' or has this id: ")
        assert comind("allow", whole, "--home", first.home.path).code == 0
        network.start(third)
        network.wait(lambda: len(status_of(first).members) == 3, "it is a member again")
        network.end_training()


def test_a_network_with_a_list_lets_in_whom_a_member_allowed(tmp_path: Path) -> None:
    with RealNetwork(tmp_path, 3, Settings(admission="list", min_peers=1)) as network:
        first, second, third = network.nodes
        network.start(first)
        network.wait(lambda: first.status() is not None, "the founder answers")
        network.start(second, through=first)
        network.wait(lambda: bool(status_of(first).at_the_door), "somebody waits outside")
        whole = full_id(load_or_create_identity(second.home.identity_file).node_id)
        seen = comind("status", "--home", first.home.path).out
        assert f"outside, not allowed yet; what lets it in:\n  comind allow {whole}\n" in seen
        asks = f"not allowed into this network yet: ask a member's operator to run: comind allow {whole}"
        network.wait(lambda: status_of(second).because == asks, "it tells what it waits for")
        assert asks in second.home.log_file.read_text()

        assert comind("allow", whole, "--home", first.home.path).code == 0
        network.wait(lambda: len(status_of(first).members) == 2, "it is let in")
        assert status_of(first).at_the_door == ()

        network.start(third, through=second)
        network.wait(lambda: bool(status_of(second).at_the_door), "another one waits")
        stranger = status_of(second).at_the_door[0][0]
        ran = comind("deny", stranger, "--because", "a stranger", "--home", second.home.path)
        assert (ran.code, ran.err) == (0, "")
        network.wait(
            lambda: status_of(third).because.startswith(f"denied by {second.name}: a stranger; "),
            "it is told",
        )
