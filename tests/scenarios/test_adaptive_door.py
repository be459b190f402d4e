"""Does an adaptive door call the slow, count what they have, and blame nobody? (R5, R11)"""

from comind.p2p.core.door import UNKNOWN_DEADLINE_MS
from comind.p2p.core.gathering import LATE
from comind.p2p.core.messages import Call
from comind.p2p.core.words import Settings
from tests.scenarios.cluster import Cluster
from tests.scenarios.moments import committed, ready

ALL = {"lima", "berlin", "hanoi", "quito"}
ADAPTIVE = Settings(door="adaptive")
SLOW_MS = 4_000
"""20 x what the others take for an interval."""


def with_a_slow_one(settings: Settings = ADAPTIVE, train_ms: int = SLOW_MS, trainers: int = 4) -> Cluster:
    """A network in which Hanoi trains slowly, at the end of a round that waited for it or called it."""
    cluster = Cluster.grown(trainers=trainers, settings=settings)
    cluster.slow("hanoi", train_ms=train_ms)
    cluster.run_until(committed(round=cluster.rounds + 2))
    return cluster


def test_who_is_20_times_slower_is_called_and_counted_in_every_round() -> None:
    """R5: with the examples that it has; nobody waits for its interval, nobody calls it dead."""
    cluster = with_a_slow_one()
    first, began_ms, calls = cluster.rounds + 1, cluster.now_ms, cluster.trainer("hanoi").calls
    cluster.run_until(committed(round=first + 9))
    assert cluster.now_ms - began_ms < 10 * SLOW_MS / 2
    for round in range(first, first + 10):
        assert cluster.contributors(round) == ALL
        weights = cluster.weights(round)
        assert weights["hanoi"] < 8
        assert [weights[city] for city in ALL - {"hanoi"}] == [8, 8, 8]
        assert cluster.view_of(round) == 0
    assert cluster.trainer("hanoi").calls - calls >= 10
    assert cluster.trainer("lima").calls == 0
    assert cluster.nothing_is_lost("hanoi")


def test_a_door_for_all_waits_for_the_slow_and_counts_it_whole() -> None:
    """R5: and calls nobody."""
    cluster = with_a_slow_one(Settings(door="all"))
    first, began_ms = cluster.rounds + 1, cluster.now_ms
    cluster.run_until(committed(round=first + 2))
    assert cluster.now_ms - began_ms > 2 * SLOW_MS
    for round in range(first, first + 3):
        assert set(cluster.weights(round).values()) == {8}
        assert cluster.contributors(round) == ALL
        assert cluster.view_of(round) == 0
    assert cluster.trainer("hanoi").calls == 0


def test_among_equals_nobody_is_called() -> None:
    """R5: the door opens when all that train are ready, well before its deadline."""
    cluster = Cluster.grown(trainers=4, settings=ADAPTIVE)
    began_ms, first = cluster.now_ms, cluster.rounds + 1
    cluster.run_until(committed(round=first + 4))
    assert cluster.now_ms - began_ms < 5 * 300
    assert all(cluster.trainer(city).calls == 0 for city in ALL)
    assert all(len(cluster.block_of(round).arrivals) == 4 for round in range(first, first + 5))


def test_a_chief_that_is_slow_itself_calls_itself() -> None:
    cluster = with_a_slow_one()
    cluster.run_until(committed(round=cluster.rounds + 5))
    led = range(cluster.rounds - 4, cluster.rounds + 1)
    assert "hanoi" in {cluster.leader_of(round) for round in led}
    assert all(cluster.contributors(round) == ALL for round in led)


def test_whose_step_ends_after_the_door_is_absent_with_that_reason_and_counted_next() -> None:
    """R5, R17: late is not dead; its work is rebased, and comes with a later average."""
    cluster = with_a_slow_one(train_ms=40_000)
    first = cluster.rounds + 1
    cluster.run_until(committed(round=first + 11))
    rounds = range(first, first + 12)
    missed = [round for round in rounds if "hanoi" not in cluster.contributors(round)]
    assert missed
    assert {cluster.why_absent("hanoi", round) for round in missed} == {LATE}
    assert len(missed) < len(rounds)
    assert {cluster.view_of(round) for round in rounds} == {0}
    assert cluster.nothing_is_lost("hanoi")


def test_a_lost_call_is_said_again() -> None:
    """R5: with the next heartbeat, for as long as the door waits."""
    cluster = with_a_slow_one()
    while cluster.leads(view=0) == "hanoi":  # it would call itself
        cluster.run_until(committed(round=cluster.rounds + 1))
    lost = cluster.lose(Call)
    round, calls = cluster.rounds + 1, cluster.trainer("hanoi").calls
    cluster.run_until(ready(round=round, by="lima"))
    cluster.run_for(550)
    assert cluster.trainer("hanoi").calls == calls
    cluster.release(lost)
    cluster.run_for(350)
    assert cluster.trainer("hanoi").calls == calls + 1
    cluster.run_until(committed(round=round))
    assert cluster.view_of(round) == 0


def test_who_dies_when_it_is_called_is_not_waited_for() -> None:
    """R5: the block says that it was lost, not that it was late."""
    cluster = with_a_slow_one()
    round = cluster.rounds + 1
    calls = cluster.trainer("hanoi").calls
    while cluster.trainer("hanoi").calls == calls:
        cluster.run_for(5)
    cluster.kill("hanoi")
    cluster.run_until(committed(round=round))
    if "hanoi" not in cluster.contributors(round):
        assert cluster.why_absent("hanoi", round).startswith("lost ")
    cluster.run_until(committed(round=round + 1))
    cluster.restart("hanoi")
    cluster.run_until(committed(round=cluster.rounds + 6))
    assert cluster.nothing_is_lost("hanoi")


def test_a_voter_does_not_lose_patience_with_a_door_that_waits() -> None:
    """R11: patience is 1 s, and nobody knows yet how late members come, so the door waits longer."""
    cluster = Cluster.founded(trainers=4, settings=ADAPTIVE)
    assert ADAPTIVE.patience_ms * 2 < UNKNOWN_DEADLINE_MS
    cluster.run_until(ready(round=1, by="lima"))
    for city in ALL - {"lima"}:
        cluster.slow(city, train_ms=60_000)
    cluster.run_until(committed(round=2))
    assert cluster.view_of(1) == cluster.view_of(2) == 0


def test_a_chief_without_a_vote_has_its_deadline_from_when_it_leads() -> None:
    """R5, R11: no voter knows since when it has the headers; so none counts from when it got them itself."""
    cluster = Cluster.grown(trainers=6, settings=Settings(door="adaptive", max_voters=3))
    for city in ("berlin", "quito", "turin"):
        cluster.slow(city, train_ms=3_000)
    cluster.run_until(committed(round=cluster.rounds + 9))
    cluster.slow("hanoi", train_ms=900_000)
    cluster.run_until(committed(round=cluster.rounds + 1))
    while cluster.leads(view=1) in cluster.voters or cluster.leads(view=0) == "hanoi":
        cluster.run_until(committed(round=cluster.rounds + 1))
    round, chief, next_chief = cluster.rounds + 1, cluster.leads(view=0), cluster.leads(view=1)
    cluster.run_until(ready(round=round, by="lima" if chief != "lima" else "accra"))
    cluster.run_for(4_000)
    cluster.kill(chief)
    cluster.run_until(committed(round=round))
    assert cluster.leader_of(round) == next_chief
    assert cluster.view_of(round) == 1


def test_the_door_waits_past_its_deadline_for_min_peers() -> None:
    """R5: two call for a third; its contribution is what there is of it."""
    cluster = Cluster.grown(trainers=4, settings=Settings(door="adaptive", min_peers=3))
    for city in ("hanoi", "quito"):
        cluster.slow(city, train_ms=60_000)
    cluster.run_until(committed(round=cluster.rounds + 2))
    round = cluster.rounds + 1
    cluster.run_until(committed(round=round))
    assert len(cluster.contributors(round)) >= 3
    assert cluster.view_of(round) == 0
