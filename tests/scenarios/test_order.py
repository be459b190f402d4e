"""Whose turn is it? (R3, L3)"""

from collections import Counter

import pytest

from tests.scenarios.cluster import Cluster
from tests.scenarios.moments import able_to_lead, committed, on_roster, voting


@pytest.mark.parametrize(("members", "seed"), [(2, 0), (3, 0), (3, 1), (5, 0), (5, 1), (7, 0)])
def test_without_faults_every_member_leads_once_in_k_averages(members: int, seed: int) -> None:
    """R3, L3: over 3k averages each leads exactly three times, and once in any k of them."""
    cluster = Cluster.grown(trainers=members, seed=seed)
    first = cluster.rounds + 1
    cluster.run_until(committed(round=cluster.rounds + 3 * members))
    leaders = [cluster.leader_of(round) for round in range(first, first + 3 * members)]
    assert Counter(leaders) == dict.fromkeys(cluster.running, 3)
    for at in range(2 * members):
        assert len(set(leaders[at : at + members])) == members


def test_a_witness_leads_like_any_other() -> None:
    """R3: leading needs no trainer."""
    cluster = Cluster.grown(trainers=2, witnesses=2)
    first = cluster.rounds + 1
    cluster.run_until(committed(round=first + 7))
    leaders = Counter(cluster.leader_of(round) for round in range(first, first + 8))
    assert leaders == dict.fromkeys(("lima", "berlin", "hanoi", "quito"), 2)


def test_who_joins_leads_next() -> None:
    """R3: who never led goes first; so do two others in this young network."""
    cluster = Cluster.grown(trainers=3)
    cluster.join("oslo", through="lima")
    cluster.run_until(on_roster("oslo") & able_to_lead("oslo"))
    round = cluster.rounds + 1
    cluster.run_until(committed(round=round + 2))
    assert "oslo" in {cluster.leader_of(led) for led in range(round, round + 3)}


def test_a_member_started_with_no_lead_never_leads() -> None:
    """R3: it contributes and votes."""
    cluster = Cluster.grown(trainers=3)
    cluster.start("oslo", through=("lima",), no_lead=True)
    cluster.run_until(on_roster("oslo"))
    cluster.run_until(voting("oslo"))
    first = cluster.rounds + 1
    cluster.run_until(committed(round=first + 5))
    assert "oslo" not in {cluster.leader_of(round) for round in range(1, first + 6)}
    assert "oslo" in cluster.contributors(cluster.rounds)


@pytest.mark.parametrize("advertises", [True, False])
def test_a_member_that_nobody_can_dial_never_leads(advertises: bool) -> None:
    """R3: it contributes and votes over its own connections."""
    cluster = Cluster.grown(trainers=3)
    cluster.start("oslo", through=("lima",), firewalled=True, advertises=advertises)
    cluster.run_until(on_roster("oslo"))
    cluster.run_until(voting("oslo"))
    first = cluster.rounds + 1
    cluster.run_until(committed(round=first + 5))
    assert "oslo" not in {cluster.leader_of(round) for round in range(1, first + 6)}
    assert "oslo" in cluster.contributors(cluster.rounds)


def test_a_skipped_chief_is_not_asked_again_until_it_is_heard_from() -> None:
    """R3: a block first made in a later view takes its `can_lead`, so it costs one view, not one in k."""
    cluster = Cluster.grown(trainers=5)
    dead = cluster.chief
    cluster.kill(dead)
    first = cluster.rounds + 1
    cluster.run_until(committed(round=first + 9))
    assert not cluster.last_reading.able[cluster.node(dead)]
    assert [cluster.view_of(round) for round in range(first + 1, first + 10)] == [0] * 9
    cluster.restart(dead)
    cluster.run_until(able_to_lead(dead))
    back = cluster.rounds + 1
    cluster.run_until(committed(round=back + 5))
    assert dead in {cluster.leader_of(round) for round in range(back, back + 6)}


def test_an_average_led_by_a_skipper_lists_who_was_skipped() -> None:
    """R3: the block says which chiefs were skipped, the first views' first."""
    cluster = Cluster.grown(trainers=5)
    dead = cluster.chief
    cluster.kill(dead)
    round = cluster.rounds + 1
    cluster.run_until(committed(round=round))
    assert [cluster.names[node] for node in cluster.block_of(round).skipped] == [dead]


def test_a_skipped_chief_that_is_silent_on_its_links_does_not_lead_again() -> None:
    """R3: its links stand, and nothing was heard on them since the block that skipped it."""
    cluster = Cluster.grown(trainers=3, witnesses=1)
    witness = next(city for city in cluster.running if city not in cluster.trainers)
    while cluster.chief != witness:
        cluster.run_until(committed(round=cluster.rounds + 1))
    round = cluster.rounds + 1
    cluster.unplug(witness)
    cluster.run_until(committed(round=round + 5, by=cluster.trainers))
    assert [cluster.view_of(one) for one in range(round, round + 6)] == [1, 0, 0, 0, 0, 0]
    assert not cluster.last_reading.able[cluster.node(witness)]
    cluster.heal()
    cluster.run_until(able_to_lead(witness))
