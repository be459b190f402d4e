"""Who comes late, goes away, leaves or comes back: is everybody told alike, and does everybody get a turn?"""

from collections import Counter
from pathlib import Path
from typing import Any

from comind.node.attach import MemberLine, Status
from comind.p2p.core.words import Rule, Settings
from scripts.local.child import end
from tests.e2e.command import comind, status_json
from tests.e2e.real_network import Node, RealNetwork

STEP_S = "0.1"


def test_a_late_node_joins_through_a_member_that_is_not_the_founder_and_is_counted(tmp_path: Path) -> None:
    with RealNetwork(tmp_path, 4, Settings(start_at=3)) as network:
        founder, member, _, late = network.nodes
        start(network, *network.nodes[:3])
        network.wait_for_round(2, *network.nodes[:3])

        network.start(late, through=member)
        network.wait(lambda: late.status() is not None, "the late node answers")
        network.wait(lambda: status_of(late).digest != "", "it has the network's base")
        network.train(late, STEP_S)
        network.wait(lambda: line_of(founder, late).counted >= 2, "what it trains is counted")
        network.end_training()

        told = [status_json(node.home) for node in network.nodes]
        assert len({(one["height"], one["round"], one["digest"]) for one in told}) == 1
        assert told[0]["digest"]
        assert len({tuple(map(standing, one["members"])) for one in told}) == 1
        assert [one["name"] for one in told[0]["members"]][-1] == late.name
        assert [one["network_id"] for one in told] == [network.invite.network.hex()] * 4
        for node, one in zip(network.nodes, told, strict=True):
            seen = comind("status", "--home", node.home.path).out
            assert f"leads now  {one['chief_name']}   next  {one['next_chief_name']}" in seen
            assert f"round {one['round']}   height {one['height']}   digest {one['digest'][:12]}" in seen


def standing(member: dict[str, Any]) -> tuple[Any, ...]:
    """What all must tell alike of a member."""
    alike = ("id", "name", "voter", "can_lead", "rounds_led", "counted", "state")
    return (*(member[field] for field in alike), *member["addresses"])


def test_everyone_leads_three_times_in_nine_averages_and_status_tells_who_is_next(tmp_path: Path) -> None:
    leads: dict[int, set[str]] = {}
    leads_next: dict[int, set[str]] = {}
    with RealNetwork(tmp_path, 3, Settings(start_at=3, rounds=9)) as network:

        def have_finished() -> bool:
            """Ask everybody who leads now and who is next, until all averages are done."""
            seen = [status for node in network.nodes if (status := node.status())]
            for status in seen:
                if status.digest and status.view == 0 and status.chief:
                    leads.setdefault(status.height + 1, set()).add(status.chief)
                    leads_next.setdefault(status.height + 2, set()).add(status.next_chief)
            return [status.round for status in seen] == [9, 9, 9]

        start(network, *network.nodes)
        network.wait(have_finished, "nine averages are done")
        network.wait(lambda: len(network.agree()) == 1, "all nodes agree")
        told = [status_of(node) for node in network.nodes]
    for status in told:
        assert [member.rounds_led for member in status.members] == [3, 3, 3]
        assert [member.counted for member in status.members] == [9, 9, 9]
        averages = [line for line in status.last_rounds if line.rule == Rule.MEAN]
        assert [line.round for line in averages] == list(range(1, 10))
        assert {line.view for line in averages} == {0}
        assert sorted(Counter(line.chief for line in averages).values()) == [3, 3, 3]
        led = {line.height: {line.chief} for line in averages}
        foretold = {height: chiefs for height, chiefs in leads.items() if height in led}
        assert len(foretold) >= 6
        assert foretold == {height: led[height] for height in foretold}
        # Who was next leads next after an average; a block of the roster's alone takes no turn.
        foretold = {
            height: chiefs for height, chiefs in leads_next.items() if {height - 1, height} <= led.keys()
        }
        assert len(foretold) >= 5
        assert foretold == {height: led[height] for height in foretold}


def test_a_node_that_is_stopped_is_away_and_its_trainer_comes_back_with_it(tmp_path: Path) -> None:
    with RealNetwork(tmp_path, 3, Settings(start_at=3)) as network:
        first, second, third = network.nodes
        start(network, *network.nodes)
        network.wait_for_round(1)

        ran = comind("stop", "--home", third.home.path)
        assert (ran.code, ran.err) == (0, "")
        assert f"it comes back with: comind node --home {third.home.path}" in ran.out
        assert third.daemon is not None
        assert third.daemon.wait() == 0
        third.daemon = None
        for node in (first, second):
            network.wait(lambda node=node: line_of(node, third).state == "away", f"{node.name} hears of it")  # type: ignore[misc]
        network.wait_for_round(network.round_of(first) + 3, first, second)
        assert not line_of(first, third).can_lead
        assert len(status_of(first).members) == 3

        counted = line_of(first, third).counted
        network.start(third)
        network.wait(lambda: line_of(first, third).counted > counted + 1, "its trainer is counted again")
        network.wait(lambda: line_of(first, third).can_lead, "it leads again")
        assert third.trainer is not None
        assert third.trainer.exit_code() is None
        network.end_training()


def test_a_node_that_leaves_is_off_the_roster_and_can_join_again(tmp_path: Path) -> None:
    with RealNetwork(tmp_path, 3, Settings(start_at=3)) as network:
        first, second, third = network.nodes
        start(network, *network.nodes)
        network.wait_for_round(1)
        leaver = status_of(third).id

        ran = comind("leave", "--yes", "--home", third.home.path)
        assert (ran.code, ran.err) == (0, "")
        assert "left the network" in ran.out
        assert third.daemon is not None
        assert third.daemon.wait() == 0
        third.daemon = None
        for node in (first, second):
            network.wait(lambda node=node: len(status_of(node).members) == 2, f"{node.name} hears of it")  # type: ignore[misc]
        assert leaver not in [member.id for member in status_of(first).members]
        network.wait_for_round(network.round_of(first) + 2, first, second)

        network.start(third, through=second)
        network.wait(lambda: len(status_of(first).members) == 3, "it is a member again")
        assert [member.id for member in status_of(first).members][-1] == leaver
        network.wait(lambda: line_of(first, third).counted > 1, "its trainer is counted again")
        network.end_training()


def test_all_daemons_that_start_again_at_once_go_on_by_themselves(tmp_path: Path) -> None:
    with RealNetwork(tmp_path, 3, Settings(start_at=3)) as network:
        start(network, *network.nodes)
        network.wait(lambda: all(member.voter for member in status_of(network.nodes[0]).members), "all vote")
        for ends in ("stopped", "killed"):
            before = max(map(network.round_of, network.nodes))
            for node in network.nodes:
                assert node.daemon is not None
                node.daemon.terminate() if ends == "stopped" else node.daemon.kill()
            end([node.daemon for node in network.nodes if node.daemon], patience_s=30)
            for node in network.nodes:
                network.start(node)
            network.wait_for_round(before + 3)
        network.end_training()
        assert {member.state for member in status_of(network.nodes[0]).members} == {"witness"}


# -- looking ------------------------------------------------------------------------------------------------


def start(network: RealNetwork, *nodes: Node) -> None:
    founder, *others = nodes
    network.start(founder)
    for node in others:
        network.start(node, through=founder)
    for node in nodes:
        network.wait(lambda node=node: node.status() is not None, f"{node.name} answers")  # type: ignore[misc]
        network.train(node, STEP_S)


def status_of(node: Node) -> Status:
    status = node.status()
    assert status is not None, f"{node.name} does not answer"
    return status


def line_of(node: Node, other: Node) -> MemberLine:
    """How one node tells of another; of who is no member, as if it had done nothing."""
    found = [line for line in status_of(node).members if line.name == other.name]
    return found[0] if found else MemberLine("", other.name, (), "", False, False, False, None, 0, 0)
