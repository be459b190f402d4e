"""How does a network begin? Joining, the first base, and what holds the first average back (R5, R15)."""

import pytest

from comind.p2p.core.words import NO_ROOT, Rule, Settings
from tests.scenarios.cluster import Cluster
from tests.scenarios.moments import (
    Moment,
    able_to_lead,
    caught_up,
    committed,
    linked,
    on_roster,
    opened,
    trained,
    trainer_is,
    with_first_base,
)
from tests.scenarios.trainers import State


def test_the_first_trainer_anywhere_sets_the_first_base() -> None:
    """R15: a block whose rule is `initial` holds its starting weights; it counts as no average."""
    cluster = Cluster.founded(trainers=0, witnesses=3)
    cluster.attach("hanoi")
    starting = tuple(cluster.trainer("hanoi").weights.tolist())
    cluster.run_until(with_first_base())
    assert cluster.first_base() == starting
    assert cluster.rounds == 0


def test_every_other_trainer_adopts_the_first_base() -> None:
    """R15, S5: two that attach at once do not become two bases."""
    cluster = Cluster.founded(trainers=3)
    cluster.run_until(trainer_is(State.TRAINING, "lima", "berlin", "hanoi"))
    assert sum(block.rule is Rule.INITIAL for block in cluster.history.blocks.values()) == 1
    for city in cluster.running:
        trainer = cluster.trainer(city)
        assert trainer.base is not None
        assert tuple(trainer.base.tolist()) == tuple(trainer.weights.tolist()) == cluster.first_base()


def test_the_first_base_survives_the_trainer_whose_weights_it_was() -> None:
    cluster = Cluster.founded(trainers=0, witnesses=3)
    cluster.attach("hanoi")
    cluster.run_until(with_first_base())
    cluster.kill("hanoi")
    cluster.attach("lima")
    cluster.attach("berlin")
    cluster.run_until(committed(round=2))
    assert cluster.contributors(2) == {"lima", "berlin"}


def test_a_first_trainer_that_dies_before_its_weights_are_in_a_block_is_followed_by_another() -> None:
    """R15: the base is then the next trainer's."""
    cluster = Cluster.founded(trainers=0, witnesses=3)
    cluster.attach("hanoi")
    cluster.kill_trainer("hanoi")
    cluster.run_for(5_000)
    cluster.attach("berlin")
    cluster.run_until(with_first_base())
    assert cluster.first_base() == tuple(cluster.trainer("berlin").weights.tolist())


def test_one_joins_through_the_founder() -> None:
    cluster = Cluster.founded(trainers=2)
    cluster.join("oslo", through="lima")
    cluster.run_until(on_roster("oslo"))
    joined = cluster.height("oslo")
    cluster.run_until(committed(round=cluster.rounds + 4))
    assert "oslo" in cluster.contributors(cluster.rounds)
    assert cluster.first_counted("oslo") > joined, "it contributes after the block that admits it"


def test_one_joins_through_another_member() -> None:
    cluster = Cluster.founded(trainers=3)
    cluster.join("oslo", through="berlin")
    cluster.run_until(on_roster("oslo", "lima", "berlin", "hanoi"))
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert "oslo" in cluster.contributors(cluster.rounds)


def test_one_joins_through_the_second_of_two_seeds() -> None:
    cluster = Cluster.founded(trainers=2)
    cluster.start("oslo", through=("atlantis", "berlin"))
    cluster.run_until(on_roster("oslo", "lima"))


def test_a_member_finds_the_others_when_its_seed_is_gone() -> None:
    cluster = Cluster.founded(trainers=3)
    cluster.join("oslo", through="berlin")
    cluster.run_until(on_roster("oslo", "lima"))
    cluster.kill("berlin")
    cluster.kill("oslo")
    cluster.run_for(1_000)
    cluster.restart("oslo")
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert "oslo" in cluster.contributors(cluster.rounds)


def test_nodes_that_start_before_their_seed_wait_for_it() -> None:
    """Nodes start in any order, and find back by themselves."""
    cluster = Cluster()
    cluster.join("oslo", through="lima")
    cluster.join("perth", through="oslo")
    cluster.run_for(60_000)
    assert cluster.height("oslo") == -1
    cluster.start("lima")
    cluster.run_until(on_roster("lima", "oslo", "perth"))
    cluster.run_until(committed(round=3))
    assert cluster.contributors(3) == {"lima", "oslo", "perth"}


def test_a_joiner_catches_up_with_a_long_chain_and_adopts_its_newest_average() -> None:
    """S5: the averages before it are skipped."""
    cluster = Cluster.founded(trainers=3)
    cluster.run_until(committed(round=12))
    cluster.join("oslo", through="lima")
    cluster.run_until(caught_up("oslo"))
    assert cluster.report().count("caught up") == 1
    cluster.run_until(caught_up("oslo") & trainer_is(State.TRAINING, "oslo"))
    first = cluster.trainer("oslo").adoptions[0]
    assert first in [cluster.history.hashes[height] for height in range(12, cluster.height("oslo") + 1)]


def test_a_join_in_mid_round_does_not_disturb_it() -> None:
    """R4, R6: who contributes was fixed by the OPEN; the joiner's turn comes after its block."""
    cluster = Cluster.grown(trainers=4)
    round = cluster.rounds + 1
    cluster.slow_upload("hanoi", piece_ms=500)
    cluster.run_until(opened(round=round))
    cluster.join("oslo", through="berlin")
    cluster.run_until(committed(round=round, by=["lima", "berlin", "hanoi", "quito"]))
    assert cluster.contributors(round) == {"lima", "berlin", "hanoi", "quito"}
    assert cluster.view_of(round) == 0
    cluster.run_until(on_roster("oslo"))
    cluster.run_until(committed(round=cluster.rounds + 2))
    assert "oslo" in cluster.contributors(cluster.rounds)


def test_many_join_at_once() -> None:
    cluster = Cluster.founded(trainers=1)
    cities = ["oslo", "perth", "cairo", "turin", "davao", "malmo"]
    for city in cities:
        cluster.join(city, through="lima")
    cluster.run_until(on_roster(*cities))
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert cluster.contributors(cluster.rounds) == {"lima", *cities}


def test_roster_changes_commit_while_nobody_trains() -> None:
    """R15: blocks without an average keep the base."""
    cluster = Cluster.founded(trainers=0, witnesses=4)
    assert {block.rule for block in cluster.history.blocks.values()} == {Rule.GENESIS, Rule.ROSTER}
    assert {block.root for block in cluster.history.blocks.values()} == {NO_ROOT}


def test_roster_changes_commit_between_averages_when_all_trainers_are_gone() -> None:
    """R15: the base stays, with a base already there."""
    cluster = Cluster.grown(trainers=3)
    for city in ("lima", "berlin", "hanoi"):
        cluster.kill_trainer(city)
    cluster.run_for(3_000)
    root = cluster.last_block.root
    cluster.join("oslo", through="berlin", trains=False)
    cluster.run_until(on_roster("oslo"))
    assert cluster.last_block.rule is Rule.ROSTER
    assert cluster.last_block.root == root


def test_roster_changes_commit_while_one_trainer_is_alone() -> None:
    """R15: no average may open, so a READY does not hold a roster change back."""
    cluster = Cluster.founded(trainers=1, witnesses=1)
    cluster.run_until(trained("lima", steps=50))
    cluster.join("oslo", through="lima", trains=False)
    cluster.run_until(on_roster("oslo"), within_ms=10_000)


def test_an_idle_network_makes_no_blocks() -> None:
    """R15: a block says something."""
    cluster = Cluster.founded(trainers=0, witnesses=4)
    cluster.run_for(60_000)
    height = cluster.height("lima")
    cluster.run_for(60_000)
    assert cluster.height("lima") == height
    assert {cluster.process(city).picture().view for city in cluster.running} == {0}


def test_the_first_average_waits_for_start_at() -> None:
    """R5: trainers wait for it where they wait for the first base, before their first step."""
    cluster = Cluster.founded(trainers=2, witnesses=1, settings=Settings(start_at=3))
    cluster.run_until(trainer_is(State.WANTS_START, "lima", "berlin"))
    cluster.run_while(trainer_is(State.WANTS_START, "lima", "berlin"), ms=20_000)
    assert cluster.rounds == 0
    cluster.attach("hanoi")
    cluster.run_until(committed(round=1))
    assert cluster.contributors(1) == {"lima", "berlin", "hanoi"}


def test_one_that_vanishes_before_the_first_average_holds_it_back_again() -> None:
    """R5: three began, and two are left; the first average is one of three."""
    cluster = Cluster.founded(trainers=3, settings=Settings(start_at=3))
    cluster.slow("hanoi", train_ms=5_000)
    cluster.run_until(trained("lima", steps=10) & trained("berlin", steps=10))
    cluster.kill_trainer("hanoi")
    cluster.run_for(10_000)
    assert cluster.rounds == 0
    cluster.attach("hanoi")
    cluster.run_until(committed(round=1))
    assert cluster.contributors(1) == {"lima", "berlin", "hanoi"}


def test_after_the_first_average_start_at_holds_nobody_back() -> None:
    """R5: `start_at` is of the first average alone; `min_peers` of all."""
    cluster = Cluster.founded(trainers=3, settings=Settings(start_at=3))
    cluster.run_until(committed(round=1))
    cluster.kill_trainer("hanoi")
    cluster.run_until(committed(round=4))
    assert cluster.contributors(4) == {"lima", "berlin"}


def test_a_trainer_that_is_alone_trains_on() -> None:
    """R5: no average opens and none is waited for."""
    cluster = Cluster.founded(trainers=1, witnesses=2)
    cluster.run_until(trained("lima", steps=100), within_ms=5_000)
    assert cluster.rounds == 0
    assert "2 members that train" in cluster.trainer("lima").heard


def test_the_lone_trainer_s_work_is_counted_when_a_second_comes() -> None:
    """R5, R17: nothing is lost."""
    cluster = Cluster.founded(trainers=1, witnesses=2)
    cluster.run_until(trained("lima", steps=50))
    cluster.attach("berlin")
    cluster.run_until(committed(round=2))
    assert cluster.contributors(2) == {"lima", "berlin"}
    assert cluster.nothing_is_lost("lima")
    assert cluster.weights(1)["lima"] > cluster.weights(1)["berlin"]


@pytest.mark.parametrize("min_peers", [1, 3])
def test_fewer_than_min_peers_make_no_average(min_peers: int) -> None:
    """R5."""
    cluster = Cluster.founded(trainers=3, settings=Settings(min_peers=min_peers))
    cluster.run_until(committed(round=1))
    cluster.kill_trainer("hanoi")
    cluster.run_for(10_000)
    rounds = cluster.rounds
    cluster.run_for(10_000)
    assert (cluster.rounds > rounds) == (min_peers == 1)


def test_the_last_round_ends_it_for_everyone() -> None:
    """Genesis `rounds`: after the last average nothing more is contributed, and all hold that average."""
    cluster = Cluster.founded(trainers=3, witnesses=1, settings=Settings(rounds=4))
    cluster.run_until(trainer_is(State.FINISHED, "lima", "berlin", "hanoi"))
    cluster.run_for(20_000)
    assert cluster.rounds == 4
    assert len(cluster.digests()) == 1
    assert {tuple((cluster.trainer(city).weights).tolist()) for city in ("lima", "berlin", "hanoi")} == {
        cluster.average(4)
    }


def test_who_joins_after_the_last_round_gets_its_average() -> None:
    cluster = Cluster.founded(trainers=2, settings=Settings(rounds=2))
    cluster.run_until(trainer_is(State.FINISHED, "lima", "berlin"))
    cluster.join("oslo", through="lima")
    cluster.run_until(trainer_is(State.FINISHED, "oslo"))
    assert tuple(cluster.trainer("oslo").weights.tolist()) == cluster.average(2)


def test_two_that_trade_places_all_the_time_still_meet() -> None:
    """Nodes wait for each other: one that comes and goes costs the others nothing but its work."""
    cluster = Cluster.founded(trainers=3)
    cluster.run_until(committed(round=1) & able_to_lead("lima", "berlin", "hanoi"))
    for _ in range(5):
        cluster.kill("hanoi")
        cluster.run_for(700)
        cluster.restart("hanoi")
        cluster.run_for(700)
    cluster.run_until(committed(round=cluster.rounds + 2))
    assert cluster.contributors(cluster.rounds) == {"lima", "berlin", "hanoi"}


def test_everyone_is_linked_with_everyone() -> None:
    """Discovery: the seed answers with the addresses that it knows."""
    cluster = Cluster.founded(trainers=0, witnesses=5)
    everyone: Moment = linked("lima", "berlin", "hanoi", "quito", "accra")
    cluster.run_until(everyone, within_ms=5_000)
    cluster.run_while(everyone, ms=10_000)
