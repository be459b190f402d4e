"""Does a network go on that a survivor founds anew, and is no step counted twice? (R16, R18)"""

import pytest

from comind.p2p.core.words import Settings
from tests.scenarios.cluster import Cluster
from tests.scenarios.moments import committed, linked, locked, on_roster, opened, prepared, voting


def survivor_of(parent: Cluster, survivor: str) -> Cluster:
    """Everyone else is gone for good; the survivor founds anew, and its daemon runs."""
    for city in parent.running:
        parent.kill(city)
    cluster = Cluster.anew(parent, survivor)
    cluster.start(survivor, trains=False)
    return cluster


@pytest.mark.parametrize("phase", ["between", "opened", "prepared", "locked"])
def test_a_survivor_and_another_go_on_with_their_runs(phase: str) -> None:
    """R16: what the parent's last block counted is not counted again, heard of or not."""
    parent = Cluster.grown(trainers=4)
    round = parent.rounds + 1
    moment = {"opened": opened(round), "prepared": prepared(round), "locked": locked(round)}
    if phase in moment:
        parent.run_until(moment[phase])
    base = parent.process("hanoi").member.here.chain.root
    cluster = survivor_of(parent, "hanoi")
    assert cluster.process("hanoi").member.here.chain.root == base
    cluster.bring_trainer("hanoi")
    cluster.move_over("quito", through="hanoi")
    cluster.bring_trainer("quito")
    cluster.run_until(on_roster("hanoi", "quito"))
    cluster.run_until(committed(round=cluster.rounds + 4))
    assert cluster.contributors(cluster.rounds) == {"hanoi", "quito"}
    assert (
        cluster.process("quito").picture().round == parent.process("hanoi").picture().round + cluster.rounds
    )


def test_a_trainer_that_comes_back_from_an_old_checkpoint_counts_nothing_twice() -> None:
    """R16, S4: the counts of the parent hold."""
    parent = Cluster.grown(trainers=3, settings=Settings(min_peers=1))
    old = parent.trainer("berlin").saved()
    parent.run_until(committed(round=parent.rounds + 3))
    cluster = survivor_of(parent, "berlin")
    old.height, old.block = -1, None
    cluster.attach("berlin", old)
    cluster.run_until(committed(round=3))
    assert cluster.trainer("berlin").run != old.run


def test_newcomers_join_it_and_it_outlives_its_founder() -> None:
    """R2: like any other network."""
    cluster = survivor_of(Cluster.grown(trainers=4), "quito")
    cluster.bring_trainer("quito")
    cluster.move_over("berlin", through="quito")
    for city in ("oslo", "perth"):
        cluster.join(city, through="quito")
    cluster.run_until(voting("quito", "berlin", "oslo", "perth"))
    cluster.run_until(linked("berlin", "oslo", "perth"))
    cluster.kill("quito")
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert cluster.contributors(cluster.rounds) == {"oslo", "perth"}
