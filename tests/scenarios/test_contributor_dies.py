"""What if a contributor dies? (R4, R5, R6, R17, L2)

Until R6's further attempts exist, a contributor that is lost after the OPEN costs the view.
"""

import pytest

from tests.scenarios.cluster import Cluster
from tests.scenarios.moments import committed, locked, opened, ready, uploading

ALL = {"lima", "berlin", "hanoi", "quito"}
LOSING = pytest.mark.parametrize("losing", [False, True], ids=["sent", "unsent"])


def not_the_chief(cluster: Cluster) -> str:
    """Somebody who neither leads this view nor the next."""
    return next(
        city for city in cluster.running if city not in (cluster.leads(view=0), cluster.leads(view=1))
    )


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
def test_a_contributor_that_dies_after_the_open_costs_a_view(losing: bool) -> None:
    """R6, R17: the next view opens without it; its steps come with a later average."""
    cluster = Cluster.grown(trainers=4)
    round, dead = cluster.rounds + 1, not_the_chief(cluster)
    cluster.run_until(opened(round=round))
    cluster.kill(dead, losing)
    cluster.run_until(committed(round=round))
    assert cluster.contributors(round) == ALL - {dead}
    assert cluster.view_of(round) == 1
    comes_back(cluster, dead)


@LOSING
def test_a_contributor_that_dies_in_its_upload_costs_a_view(losing: bool) -> None:
    """R6: what was averaged of it is discarded: nobody's half counts (S3)."""
    cluster = Cluster.grown(trainers=4)
    round, dead = cluster.rounds + 1, not_the_chief(cluster)
    cluster.run_until(ready(round=round, by=dead))
    cluster.slow_upload(dead, piece_ms=50)
    cluster.run_until(uploading(round=round, by=dead))
    cluster.kill(dead, losing)
    cluster.run_until(committed(round=round))
    assert cluster.contributors(round) == ALL - {dead}
    assert cluster.view_of(round) == 1
    comes_back(cluster, dead)


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
    round, back = cluster.rounds + 1, not_the_chief(cluster)
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


def test_a_contributor_that_restarts_after_the_open_is_counted_in_the_next_view() -> None:
    """R4, R6: its old incarnation's chunks cannot come; the new one's header is opened."""
    cluster = Cluster.grown(trainers=4)
    round, back = cluster.rounds + 1, not_the_chief(cluster)
    cluster.run_until(ready(round=round, by=back))
    cluster.slow_upload(back, piece_ms=50)
    cluster.run_until(uploading(round=round, by=back))
    cluster.kill(back)
    cluster.restart(back)
    cluster.run_until(committed(round=round))
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
