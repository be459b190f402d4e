"""What can two do, and one? (R1, R5, R14, R17)"""

from collections.abc import Callable

import pytest

from comind.p2p.core.effects import Lost
from comind.p2p.core.messages import Open
from comind.p2p.core.signing import open_hash
from comind.p2p.core.words import Settings
from tests.scenarios.cluster import Cluster
from tests.scenarios.moments import (
    Moment,
    caught_up,
    committed,
    gave_up,
    locked,
    on_roster,
    opened,
    prepared,
    proposed,
    trained,
)

PHASES: dict[str, Callable[[int], Moment]] = {
    "opened": opened,
    "proposed": proposed,
    "prepared": prepared,
    "locked": locked,
}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("who", ["lima", "berlin"])
def test_one_of_two_dies_and_comes_back(phase: str, who: str) -> None:
    """R1: exactly half with the first voter is a quorum, the other half is none."""
    cluster = Cluster.grown(trainers=2)
    round = cluster.rounds + 1
    other = "berlin" if who == "lima" else "lima"
    cluster.run_until(PHASES[phase](round))
    cluster.kill(who, losing=True)
    steps = cluster.trainer(other).step
    cluster.run_until(trained(other, steps + 100), within_ms=60_000)
    cluster.restart(who)
    cluster.run_until(committed(round=round + 3))
    assert cluster.contributors(round + 3) == {"lima", "berlin"}
    assert cluster.nothing_is_lost("lima")
    assert cluster.nothing_is_lost("berlin")


def test_the_founder_goes_on_alone_where_one_is_enough() -> None:
    """R1, R5: with `min_peers` 1 it averages, since half of two with the first voter is a quorum."""
    cluster = Cluster.grown(trainers=2, settings=Settings(min_peers=1))
    cluster.kill("berlin")
    cluster.run_until(committed(round=cluster.rounds + 5))
    assert cluster.contributors(cluster.rounds) == {"lima"}
    cluster.restart("berlin")
    cluster.run_until(committed(round=cluster.rounds + 5))
    assert cluster.contributors(cluster.rounds) == {"lima", "berlin"}


def test_the_other_one_commits_nothing_without_the_founder() -> None:
    """R1: of any set and its complement exactly one is a quorum."""
    cluster = Cluster.grown(trainers=2, settings=Settings(min_peers=1))
    cluster.kill("lima")
    height = cluster.height("berlin")
    cluster.run_for(60_000)
    assert cluster.height("berlin") == height
    cluster.restart("lima")
    cluster.run_until(committed(round=cluster.rounds + 3))


def test_a_cut_between_two_is_won_by_the_founder() -> None:
    """S1: they do not both go on."""
    cluster = Cluster.grown(trainers=2, settings=Settings(min_peers=1))
    cluster.partition(["lima"], ["berlin"])
    height = cluster.last_height
    cluster.run_until(committed(round=cluster.rounds + 4, by="lima"))
    assert cluster.height("berlin") <= height + 1
    cluster.heal()
    cluster.run_until(committed(round=cluster.rounds + 3) & caught_up())
    assert cluster.contributors(cluster.rounds) == {"lima", "berlin"}


def test_the_founder_restarts_alone_and_is_a_quorum_after_one_patience() -> None:
    """R14: it waits one patience for the other's greeting, then goes on."""
    cluster = Cluster.grown(trainers=2, settings=Settings(min_peers=1))
    cluster.kill("berlin")
    cluster.kill("lima")
    cluster.run_for(1_000)
    cluster.restart("lima")
    promised = cluster.promise_count("lima")
    cluster.run_for(900)
    assert cluster.promise_count("lima") == promised
    cluster.run_until(committed(round=cluster.rounds + 3), within_ms=30_000)
    cluster.restart("berlin")
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert cluster.contributors(cluster.rounds) == {"lima", "berlin"}


def test_one_alone_averages_with_itself_where_one_is_enough() -> None:
    """R5: a network of one, which others may join later."""
    cluster = Cluster.founded(trainers=1, settings=Settings(min_peers=1))
    cluster.run_until(committed(round=5))
    assert cluster.contributors(5) == {"lima"}
    cluster.kill("lima")
    cluster.restart("lima")
    cluster.run_until(committed(round=10))
    cluster.join("oslo", through="lima")
    cluster.run_until(on_roster("oslo"))
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert cluster.contributors(cluster.rounds) == {"lima", "oslo"}


def test_a_visitor_of_the_founder_s_first_minutes_freezes_nothing() -> None:
    """R2: the second member has no vote yet when it vanishes for good."""
    cluster = Cluster.founded(trainers=1, settings=Settings(min_peers=1))
    cluster.join("oslo", through="lima")
    cluster.run_until(on_roster("oslo"))
    cluster.kill("oslo")
    cluster.run_until(committed(round=cluster.rounds + 5))


def test_a_chief_asks_again_for_a_contribution_that_it_cannot_do_without() -> None:
    """L1: the first of two lost the other's once, and leads again before the other could open."""
    cluster = Cluster.grown(trainers=2)
    first, other = cluster.voters
    if cluster.chief != first:
        cluster.run_until(committed(round=cluster.rounds + 1))
    round = cluster.rounds + 1
    cluster.run_until(opened(round, view=0, by=first))
    lost = cluster.lose(Open, by=other)
    attempt = cluster.history.opens[-1]
    broken = Lost(open_hash(attempt), cluster.node(other), "its stream broke")
    cluster.process(first).happens(broken)
    cluster.run_until(gave_up(view=2, by=first))
    cluster.release(lost)
    cluster.run_until(committed(round=round), within_ms=60_000)
    assert cluster.contributors(round) == {first, other}
