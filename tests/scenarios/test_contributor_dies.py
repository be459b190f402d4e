"""What if a contributor dies? (R4, R5, R6, R17, L2)

Before the OPEN it is not waited for; after it the chief opens again without it, three times at most.
"""

import pytest

from comind.p2p.core.messages import Open
from comind.p2p.core.words import Settings
from tests.scenarios.cluster import Cluster
from tests.scenarios.moments import committed, locked, opened, proposed, ready, uploading
from tests.scenarios.network import Cut

ALL = {"lima", "berlin", "hanoi", "quito"}
LOSING = pytest.mark.parametrize("losing", [False, True], ids=["sent", "unsent"])


def not_the_chief(cluster: Cluster) -> str:
    """Somebody who neither leads this view nor the next."""
    return next(
        city for city in cluster.running if city not in (cluster.leads(view=0), cluster.leads(view=1))
    )


def others_than_chiefs(cluster: Cluster, count: int) -> list[str]:
    """So many that lead neither this view nor the next."""
    chiefs = cluster.leads(view=0), cluster.leads(view=1)
    return [city for city in cluster.running if city not in chiefs][:count]


def comes_back(cluster: Cluster, city: str) -> None:
    """Its daemon starts again beside its trainer, and what that did since is counted without a gap."""
    cluster.restart(city)
    cluster.run_until(committed(round=cluster.rounds + 4))
    assert cluster.contributors(cluster.rounds) == ALL
    assert cluster.nothing_is_lost(city)
    assert len(cluster.digests()) == 1


@LOSING
def test_a_contributor_that_dies_before_the_open_is_not_waited_for(losing: bool) -> None:
    """R5: who is silent or without a link is not waited for; its READY is not opened."""
    cluster = Cluster.grown(trainers=4)
    round, dead = cluster.rounds + 1, not_the_chief(cluster)
    cluster.slow("lima" if dead != "lima" else "berlin", train_ms=1_000)
    cluster.run_until(ready(round=round, by=dead))
    cluster.kill(dead, losing)
    cluster.run_until(committed(round=round))
    assert cluster.contributors(round) == ALL - {dead}
    assert cluster.view_of(round) == 0
    comes_back(cluster, dead)


@LOSING
def test_a_contributor_that_dies_after_the_open_costs_an_attempt(losing: bool) -> None:
    """R6, R17: the chief opens again without it; its steps come with a later average."""
    cluster = Cluster.grown(trainers=4)
    round, dead = cluster.rounds + 1, not_the_chief(cluster)
    cluster.run_until(opened(round=round))
    cluster.kill(dead, losing)
    cluster.run_until(committed(round=round))
    assert cluster.contributors(round) == ALL - {dead}
    assert cluster.attempts(round) == [(0, 0), (0, 1)]
    assert cluster.why_absent(dead, round) == "its link went down"
    comes_back(cluster, dead)


@LOSING
def test_a_contributor_that_dies_in_its_upload_costs_an_attempt(losing: bool) -> None:
    """R6: what was averaged of it is discarded: nobody's half counts (S3)."""
    cluster = Cluster.grown(trainers=4)
    round, dead = cluster.rounds + 1, not_the_chief(cluster)
    cluster.run_until(ready(round=round, by=dead))
    cluster.slow_upload(dead, piece_ms=50)
    cluster.run_until(uploading(round=round, by=dead))
    cluster.kill(dead, losing)
    cluster.run_until(committed(round=round))
    assert cluster.contributors(round) == ALL - {dead}
    assert cluster.attempts(round) == [(0, 0), (0, 1)]
    comes_back(cluster, dead)


def test_two_contributors_that_die_one_after_another_cost_two_attempts() -> None:
    """R6: each attempt begins anew, so no half of theirs is in the average (S3)."""
    cluster = Cluster.grown(trainers=5)
    round, dead = cluster.rounds + 1, others_than_chiefs(cluster, 2)
    cluster.run_until(ready(round=round, by=dead[0]) & ready(round=round, by=dead[1]))
    for city in dead:
        cluster.slow_upload(city, piece_ms=400)
    for at, city in enumerate(dead):
        cluster.run_until(opened(round=round, attempt=at))
        cluster.run_for(20)
        cluster.kill(city)
    cluster.run_until(committed(round=round))
    assert cluster.contributors(round) == {*ALL, "accra"} - set(dead)
    assert cluster.attempts(round) == [(0, 0), (0, 1), (0, 2)]
    for city in dead:
        cluster.restart(city)
    cluster.run_until(committed(round=cluster.rounds + 4))
    assert cluster.contributors(cluster.rounds) == {*ALL, "accra"}
    assert all(cluster.nothing_is_lost(city) for city in dead)


def test_the_fourth_contributor_that_dies_costs_the_view() -> None:
    """R6: at most three further attempts; the next chief opens without all four."""
    cluster = Cluster.grown(trainers=8, settings=Settings(max_voters=3))
    voters, round = set(cluster.voters), cluster.rounds + 1
    chiefs = cluster.leads(view=0), cluster.leads(view=1)
    dead = [city for city in cluster.running if city not in voters and city not in chiefs][:4]
    everyone = set(cluster.running)
    dead = (dead + [city for city in cluster.running if city not in chiefs and city not in dead])[:4]
    cluster.run_until(ready(round=round, by=dead[3]))
    for city in dead:
        cluster.slow_upload(city, piece_ms=400)
    for at, city in enumerate(dead):
        cluster.run_until(opened(round=round, view=0, attempt=at))
        cluster.run_for(20)
        cluster.kill(city)
    cluster.run_until(committed(round=round))
    assert cluster.contributors(round) == everyone - set(dead)
    assert cluster.attempts(round) == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]


def test_with_too_few_left_a_lost_contributor_costs_the_view() -> None:
    """R5, R6: an average takes `min_peers`; when it is back, it has them."""
    cluster = Cluster.grown(trainers=4, settings=Settings(min_peers=4))
    round, dead = cluster.rounds + 1, not_the_chief(cluster)
    cluster.run_until(opened(round=round))
    cluster.kill(dead)
    cluster.run_for(2_000)
    cluster.restart(dead)
    cluster.run_until(committed(round=round))
    assert cluster.contributors(round) == ALL
    assert all(attempt == 0 for _, attempt in cluster.attempts(round))
    assert cluster.view_of(round) >= 1


def test_a_slow_contributor_whose_link_breaks_and_comes_back_keeps_its_work() -> None:
    """R6, R17: this average goes on without it, in its view; it contributes to the next, whole."""
    cluster = Cluster.grown(trainers=4)
    round, slow, chief = cluster.rounds + 1, not_the_chief(cluster), cluster.leads(view=0)
    cluster.run_until(ready(round=round, by=slow))
    cluster.slow_upload(slow, piece_ms=100)
    cluster.run_until(uploading(round=round, by=slow))
    cluster.cut(slow, chief, how=Cut.BREAKS)
    cluster.run_for(20)
    cluster.heal()
    cluster.slow_upload(slow, piece_ms=2)
    cluster.run_until(committed(round=round))
    assert cluster.contributors(round) == ALL - {slow}
    assert cluster.attempts(round) == [(0, 0), (0, 1)]
    cluster.run_until(committed(round=round + 2))
    assert cluster.contributors(round + 2) == ALL
    assert cluster.nothing_is_lost(slow)


@LOSING
def test_a_chief_that_dies_in_its_second_attempt_costs_the_view(losing: bool) -> None:
    """R6, R12: the next chief begins with an attempt of its own."""
    cluster = Cluster.grown(trainers=5)
    round, dead, chief = cluster.rounds + 1, not_the_chief(cluster), cluster.leads(view=0)
    cluster.run_until(ready(round=round, by=dead))
    cluster.slow_upload(dead, piece_ms=50)
    cluster.run_until(uploading(round=round, by=dead))
    cluster.kill(dead)
    cluster.run_until(opened(round=round, attempt=1))
    cluster.kill(chief, losing)
    cluster.run_until(committed(round=round))
    assert cluster.contributors(round) == {*ALL, "accra"} - {dead, chief}
    assert cluster.attempts(round) == [(0, 0), (0, 1), (1, 0)]


def test_who_missed_an_attempt_follows_what_is_proposed_after_it() -> None:
    """R6, R8: its link broke before the second OPEN; a PROPOSE of fewer contributors is no offence."""
    cluster = Cluster.grown(trainers=5)
    round, dead, chief = cluster.rounds + 1, not_the_chief(cluster), cluster.leads(view=0)
    missing = next(city for city in others_than_chiefs(cluster, 3) if city != dead)
    cluster.run_until(ready(round=round, by=dead))
    cluster.slow_upload(dead, piece_ms=50)
    cluster.run_until(uploading(round=round, by=dead))
    cluster.hold(Open, by=chief, to=missing)
    cluster.kill(dead)
    cluster.run_until(proposed(round=round))
    cluster.run_until(committed(round=round))
    assert cluster.drops(by=missing, of=chief) == []
    assert missing in cluster.contributors(round) | {missing}


def test_a_contributor_that_dies_after_its_upload_is_counted() -> None:
    """R7, R16: and learns so when it is back; its trainer does not count that work again."""
    cluster = Cluster.grown(trainers=4)
    round, dead = cluster.rounds + 1, not_the_chief(cluster)
    cluster.run_until(locked(round=round))
    cluster.kill(dead)
    cluster.run_until(committed(round=round))
    assert cluster.contributors(round) == ALL
    comes_back(cluster, dead)


def test_a_contributor_that_restarts_before_the_open_is_counted_under_its_new_incarnation() -> None:
    """R4: a higher incarnation's header supersedes a lower one's at the next OPEN."""
    cluster = Cluster.grown(trainers=4)
    round, back = cluster.rounds + 1, cluster.leads(view=3)  # who led last, so not at the next height either
    cluster.slow("lima" if back != "lima" else "berlin", train_ms=10_000)
    cluster.run_until(committed(round=round))
    cluster.run_until(ready(round=round + 1, by=back))
    cluster.kill(back)
    cluster.run_for(500)
    cluster.restart(back)
    cluster.run_until(committed(round=round + 1))
    assert cluster.contributors(round + 1) == ALL
    assert cluster.headers_of(round + 1)[back].incarnation == cluster.process(back).incarnation
    assert cluster.view_of(round + 1) == 0


def test_a_contributor_that_restarts_after_the_open_is_counted_in_a_later_average() -> None:
    """R4, R6: its old incarnation's chunks cannot come; the average goes on without it."""
    cluster = Cluster.grown(trainers=4)
    round, back = cluster.rounds + 1, not_the_chief(cluster)
    cluster.run_until(ready(round=round, by=back))
    cluster.slow_upload(back, piece_ms=50)
    cluster.run_until(uploading(round=round, by=back))
    cluster.kill(back)
    cluster.restart(back)
    cluster.run_until(committed(round=round))
    assert cluster.view_of(round) == 0
    cluster.run_until(committed(round=round + 3))
    assert cluster.contributors(round + 3) == ALL
    assert cluster.nothing_is_lost(back)


def test_all_contributors_but_two_die_after_the_open() -> None:
    """R6: `min_peers` are left, and a quorum of five voters needs a witness more."""
    cluster = Cluster.grown(trainers=4, witnesses=1)
    round = cluster.rounds + 1
    cluster.run_until(opened(round=round))
    dead = [city for city in ("lima", "berlin", "hanoi", "quito") if city != cluster.chief][:2]
    for city in dead:
        cluster.kill(city)
    cluster.run_until(committed(round=round))
    assert cluster.contributors(round) == ALL - set(dead)
    for city in dead:
        cluster.restart(city)
    cluster.run_until(committed(round=cluster.rounds + 4))
    assert cluster.contributors(cluster.rounds) == ALL


def test_a_contributor_whose_upload_stalls_costs_a_view_and_no_more() -> None:
    """R11: its machine is off the network and no end of a link notices; patience ends."""
    cluster = Cluster.grown(trainers=4)
    round, dead = cluster.rounds + 1, not_the_chief(cluster)
    cluster.run_until(ready(round=round, by=dead))
    cluster.slow_upload(dead, piece_ms=50)
    cluster.run_until(uploading(round=round, by=dead))
    cluster.unplug(dead)
    cluster.run_until(committed(round=round, by=ALL - {dead}))
    assert cluster.contributors(round) == ALL - {dead}
    assert cluster.view_of(round) <= 3
    cluster.heal()
    cluster.run_until(committed(round=cluster.rounds + 4))
    assert cluster.contributors(cluster.rounds) == ALL
    assert cluster.nothing_is_lost(dead)
