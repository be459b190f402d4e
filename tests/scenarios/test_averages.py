"""What is in an average, and what becomes of what is not? (R4, R5, R16, R17, S3-S5, L2)"""

import pytest

from comind.p2p.core.messages import Open, Propose, Ready, Voted
from comind.p2p.core.words import Settings
from tests.scenarios.cluster import Cluster
from tests.scenarios.moments import caught_up, committed, opened, ready, trained, trainer_is
from tests.scenarios.trainers import State

ALL = {"lima", "berlin", "hanoi", "quito"}


def test_everyone_that_trains_is_in_every_average() -> None:
    """L2: without faults nobody that was ready is left out."""
    cluster = Cluster.grown(trainers=4, witnesses=1)
    first = cluster.rounds + 1
    cluster.run_until(committed(round=first + 9))
    for round in range(first, first + 10):
        assert cluster.contributors(round) == ALL
        assert cluster.view_of(round) == 0


def test_contributions_weigh_what_they_were_trained_on() -> None:
    """S3: the mean is weighted by examples; the oracle computes it to the bit."""
    cluster = Cluster.grown(trainers=3)
    cluster.trainer("lima").examples = 1
    cluster.trainer("berlin").examples = 1_000
    cluster.trainer("hanoi").examples = 7
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert cluster.weights(cluster.rounds) == {"lima": 1, "berlin": 1_000, "hanoi": 7}
    assert cluster.contributors(cluster.rounds) == {"lima", "berlin", "hanoi"}


def test_under_equal_weights_each_weighs_one() -> None:
    cluster = Cluster.grown(trainers=3, settings=Settings(weight="equal"))
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert cluster.weights(cluster.rounds) == {"lima": 1, "berlin": 1, "hanoi": 1}


def test_slow_is_not_dead() -> None:
    """R5, R11: the door waits for a slow trainer, since its heartbeat comes; no view is lost over it."""
    cluster = Cluster.grown(trainers=4)
    cluster.slow("hanoi", train_ms=20_000)
    cluster.run_until(ready(round=cluster.rounds + 2, by="berlin"))
    round = cluster.rounds + 1
    cluster.run_until(committed(round=round))
    assert cluster.contributors(round) == ALL
    assert cluster.view_of(round) == 0


def test_a_slow_upload_is_not_a_dead_one() -> None:
    """R11: first-seen chunks feed patience."""
    cluster = Cluster.grown(trainers=4)
    cluster.run_until(ready(round=cluster.rounds + 1, by="hanoi"))
    cluster.slow_upload("hanoi", piece_ms=900)
    round = cluster.rounds + 1
    cluster.run_until(committed(round=round))
    assert cluster.contributors(round) == ALL
    assert cluster.view_of(round) == 0


def test_an_upload_that_never_ends_is_given_up_however_steadily_it_moves() -> None:
    """R11: an attempt has a total bound."""
    cluster = Cluster.grown(trainers=4, settings=Settings(round_limit_ms=1_000))
    slow = next(city for city in cluster.running if city != cluster.chief)
    cluster.slow_upload(slow, piece_ms=800)
    round = cluster.rounds + 1
    cluster.run_until(opened(round=round, view=1))
    cluster.slow_upload(slow, piece_ms=2)
    cluster.run_until(committed(round=round))
    assert cluster.view_of(round) >= 1


def test_a_trainer_that_comes_after_the_open_is_in_the_next_average() -> None:
    """R6, R17: it missed the door, and nothing is lost."""
    cluster = Cluster.grown(trainers=3, witnesses=1)
    cluster.run_until(opened(round=cluster.rounds + 1))
    round = cluster.rounds + 1
    cluster.attach("quito")
    cluster.run_until(committed(round=round + 2))
    assert cluster.contributors(round) == {"lima", "berlin", "hanoi"}
    assert cluster.contributors(round + 2) == ALL
    assert cluster.nothing_is_lost("quito")


def test_who_was_silent_at_the_door_contributes_later_rebased() -> None:
    """R5, R17: others go on without it; its steps, and their weight, are carried over."""
    cluster = Cluster.grown(trainers=4)
    cluster.run_until(ready(round=cluster.rounds + 1, by="hanoi"))
    cluster.unplug("hanoi")
    missed = cluster.rounds + 2
    cluster.run_until(committed(round=missed + 2, by=ALL - {"hanoi"}))
    assert cluster.contributors(missed) == ALL - {"hanoi"}
    cluster.heal()
    cluster.run_until(committed(round=cluster.rounds + 4))
    assert cluster.contributors(cluster.rounds) == ALL
    assert cluster.nothing_is_lost("hanoi")


def test_a_late_trainer_s_work_is_rebased_on_what_it_missed() -> None:
    """R17: w ← w + (new base − old base), so its next contribution is one of the new base."""
    cluster = Cluster.grown(trainers=4)
    cluster.unplug("hanoi")
    cluster.run_until(committed(round=cluster.rounds + 2, by=ALL - {"hanoi"}))
    cluster.heal()
    cluster.run_until(caught_up("hanoi"))
    cluster.run_until(committed(round=cluster.rounds + 3))
    counted = cluster.headers_of(cluster.rounds)["hanoi"]
    assert counted.base == cluster.block_of(cluster.rounds - 1).root


def test_a_killed_trainer_is_not_waited_for() -> None:
    """R5: a member without a trainer is a witness."""
    cluster = Cluster.grown(trainers=4)
    cluster.kill_trainer("hanoi")
    cluster.run_until(committed(round=cluster.rounds + 2))
    assert cluster.contributors(cluster.rounds) == ALL - {"hanoi"}
    assert cluster.view_of(cluster.rounds) == 0


def test_a_trainer_that_is_killed_after_its_ready_costs_no_view() -> None:
    """R4, R5: the daemon holds its snapshot, or says that it is gone; the round goes on at once."""
    cluster = Cluster.grown(trainers=4)
    round = cluster.rounds + 1
    cluster.run_until(ready(round=round, by="hanoi"))
    cluster.kill_trainer("hanoi")
    cluster.run_until(committed(round=round))
    assert cluster.view_of(round) == 0


def test_a_trainer_restored_to_before_what_was_counted_goes_on_under_a_new_run() -> None:
    """R16: it adopts the base, drops that work, and nothing counts twice (S4)."""
    cluster = Cluster.grown(trainers=3)
    saved = cluster.trainer("hanoi").saved()
    cluster.run_until(committed(round=cluster.rounds + 3))
    cluster.kill_trainer("hanoi")
    cluster.run_for(1_000)
    cluster.attach("hanoi", saved)
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert cluster.contributors(cluster.rounds) == {"lima", "berlin", "hanoi"}
    assert cluster.trainer("hanoi").run != saved.run


def test_a_trainer_restored_to_what_is_not_counted_yet_goes_on_with_its_run() -> None:
    """R16: state_dict carries base, run id and step, so nothing is lost either."""
    cluster = Cluster.grown(trainers=3)
    cluster.slow("berlin", train_ms=5_000)
    cluster.run_until(committed(round=cluster.rounds + 2))
    saved = cluster.trainer("hanoi").saved()
    cluster.kill_trainer("hanoi")
    cluster.run_for(1_000)
    cluster.attach("hanoi", saved)
    cluster.run_until(committed(round=cluster.rounds + 2))
    assert cluster.trainer("hanoi").run == saved.run
    assert cluster.nothing_is_lost("hanoi")


def test_steps_that_a_forgetful_trainer_offers_again_are_not_counted_again() -> None:
    """S4, R16: whatever a trainer says, a step counts in one block, as the oracle sees to."""
    cluster = Cluster.grown(trainers=3)
    cluster.run_until(committed(round=cluster.rounds + 2))
    cluster.trainer("hanoi").counted_step = 0
    cluster.run_for(5_000)
    cluster.kill_trainer("hanoi")
    cluster.attach("hanoi")
    cluster.run_until(committed(round=cluster.rounds + 2))
    assert cluster.contributors(cluster.rounds) == {"lima", "berlin", "hanoi"}


@pytest.mark.parametrize("kind", [None, Ready, Open, Propose, Voted])
def test_messages_that_come_again_and_late_change_nothing(kind: type | None) -> None:
    """Ordinary lateness is no error: the same averages of the same contributors, nobody dropped."""
    cluster = Cluster.grown(trainers=4, witnesses=1)
    cluster.duplicate(kind)
    first = cluster.rounds + 1
    cluster.run_until(committed(round=first + 5))
    for round in range(first, first + 6):
        assert cluster.contributors(round) == ALL
        assert cluster.view_of(round) == 0
    assert cluster.history.drops == []


def test_a_lost_ready_is_said_again() -> None:
    """R4: a header that did not arrive is sent again, in this view or to the next chief."""
    cluster = Cluster.grown(trainers=4)
    lost = cluster.lose(Ready, by="hanoi")
    cluster.run_until(ready(round=cluster.rounds + 1, by="hanoi"))
    round = cluster.rounds + 1
    cluster.run_for(100)
    cluster.release(lost)
    cluster.run_until(committed(round=round))
    assert cluster.contributors(round) == ALL


def test_a_waiting_trainer_is_told_what_is_waited_for() -> None:
    """R17: with the reason that `comind status` prints."""
    cluster = Cluster.grown(trainers=3)
    cluster.slow("hanoi", train_ms=10_000)
    cluster.run_until(committed(round=cluster.rounds + 1))
    cluster.run_for(2_000)
    assert cluster.trainer("lima").state is State.WAITING
    assert "hanoi" in cluster.trainer("lima").heard


def test_a_trainer_whose_network_is_gone_trains_on() -> None:
    """R17: never blocked."""
    cluster = Cluster.grown(trainers=3)
    cluster.kill("berlin")
    cluster.kill("hanoi")
    steps = cluster.trainer("lima").step
    cluster.run_until(trained("lima", steps + 100), within_ms=30_000)


def test_trainers_under_a_finished_network_are_not_asked_again() -> None:
    cluster = Cluster.founded(trainers=2, settings=Settings(rounds=3))
    cluster.run_until(trainer_is(State.FINISHED, "lima", "berlin"))
    cluster.attach("berlin")
    cluster.run_until(trainer_is(State.FINISHED, "berlin"))
    assert cluster.rounds == 3
