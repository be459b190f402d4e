"""What if the chief dies? (R10-R13, L1)"""

import pytest

from comind.p2p.core.messages import Committed, Message, Propose, Voted
from comind.p2p.core.words import Settings
from tests.scenarios.cluster import Cluster
from tests.scenarios.moments import caught_up, committed, locked, opened, prepared, proposed, ready

LOSING = pytest.mark.parametrize("losing", [False, True], ids=["sent", "unsent"])


def survivors_commit(cluster: Cluster, round: int, dead: str) -> None:
    """The others commit this average without the dead chief, and it comes back to the same chain."""
    cluster.run_until(committed(round=round))
    cluster.run_until(committed(round=round + 1))
    assert dead not in cluster.contributors(round + 1)
    cluster.restart(dead)
    cluster.run_until(committed(round=round + 4))
    cluster.run_until(caught_up())
    assert len(cluster.digests()) == 1
    assert dead in cluster.contributors(cluster.rounds)


def is_commit_of_view_0(said: Message) -> bool:
    return isinstance(said, Voted) and (said.vote.kind, said.vote.view) == ("commit", 0)


@pytest.mark.parametrize("members", [3, 4])
@LOSING
def test_a_chief_that_dies_before_its_open_is_skipped(members: int, losing: bool) -> None:
    """R11, R12, R3: the next view's chief leads, and the block says who was skipped."""
    cluster = Cluster.grown(trainers=members)
    round, dead = cluster.rounds + 1, cluster.chief
    cluster.run_until(ready(round=round, by=next(city for city in cluster.running if city != dead)))
    cluster.kill(dead, losing)
    cluster.run_until(committed(round=round))
    assert dead not in cluster.contributors(round)
    assert cluster.view_of(round) == 1
    assert [cluster.names[node] for node in cluster.block_of(round).skipped] == [dead]
    survivors_commit(cluster, round, dead)


@pytest.mark.parametrize("members", [3, 4])
@LOSING
def test_a_chief_that_dies_after_its_open_is_skipped(members: int, losing: bool) -> None:
    """R11: a chief without a link gets one heartbeat's patience."""
    cluster = Cluster.grown(trainers=members)
    round, dead = cluster.rounds + 1, cluster.chief
    cluster.run_until(opened(round=round))
    cluster.kill(dead, losing)
    died_ms = cluster.now_ms
    cluster.run_until(committed(round=round))
    assert cluster.view_of(round) == 1
    assert cluster.now_ms - died_ms < 1_000, "its link went down: nobody waits a whole patience"
    survivors_commit(cluster, round, dead)


@LOSING
def test_a_chief_that_dies_after_its_propose(losing: bool) -> None:
    """R12, R13: its average may be committed, or another one: never both (S1)."""
    cluster = Cluster.grown(trainers=5)
    round, dead = cluster.rounds + 1, cluster.chief
    cluster.run_until(proposed(round=round))
    cluster.kill(dead, losing)
    survivors_commit(cluster, round, dead)


@pytest.mark.parametrize("members", [3, 4, 5])
def test_a_chief_that_dies_after_the_lock_cannot_change_the_average(members: int) -> None:
    """R9, R13."""
    cluster = Cluster.grown(trainers=members)
    round, dead = cluster.rounds + 1, cluster.chief
    cluster.run_until(locked(round=round))
    cluster.kill(dead)
    cluster.run_until(committed(round=round))
    assert cluster.average(round) == cluster.locked_average(round)
    survivors_commit(cluster, round, dead)


@pytest.mark.parametrize("members", [3, 4, 5])
def test_a_lock_whose_commits_are_all_lost_is_proposed_again(members: int) -> None:
    """R13: the next chief re-proposes it, whatever it would have opened itself; the originator stays."""
    cluster = Cluster.grown(trainers=members)
    round, dead = cluster.rounds + 1, cluster.chief
    cluster.lose(Voted, where=is_commit_of_view_0)
    cluster.run_until(locked(round=round))
    cluster.kill(dead, losing=True)
    cluster.run_until(committed(round=round))
    assert cluster.view_of(round) > 0
    assert cluster.leader_of(round) == dead
    assert cluster.average(round) == cluster.locked_average(round)
    assert cluster.block_of(round).skipped == (), "a re-proposed block changes nothing (R3)"
    cluster.network.rules.clear()
    survivors_commit(cluster, round, dead)


def test_a_member_that_dies_with_the_only_certificate_keeps_its_block() -> None:
    """R10, S1: what one member committed, all commit."""
    cluster = Cluster.grown(trainers=5)
    round = cluster.rounds + 1
    held = cluster.lose(Committed)
    cluster.run_until(committed(round=round, anyone=True))
    height = cluster.height_of(round)
    first = next(city for city in cluster.running if cluster.height(city) >= height)
    cluster.kill(first, losing=True)
    cluster.release(held)
    cluster.run_until(committed(round=round))
    cluster.restart(first)
    cluster.run_until(committed(round=round + 3))
    assert len(cluster.disks_of(height)) == 1


def test_a_certificate_that_only_the_dead_had_is_found_again_by_votes() -> None:
    """R10: COMMITs go to all voters, so any of them completes it."""
    cluster = Cluster.grown(trainers=3)
    round, dead = cluster.rounds + 1, cluster.chief
    survivors = [city for city in cluster.running if city != dead]
    cluster.lose(Committed, by=dead)
    cluster.run_until(locked(round=round))
    cluster.kill(dead)
    cluster.run_until(committed(round=round, by=survivors))
    assert cluster.average(round) == cluster.locked_average(round)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_chiefs_that_follow_each_other_die(seed: int) -> None:
    """L1: the round commits within d + 2 views, d the chiefs that are gone."""
    cluster = Cluster.grown(trainers=5, seed=seed)
    round = cluster.rounds + 1
    dead = [cluster.leads(view=0), cluster.leads(view=1)]
    for city in dead:
        cluster.kill(city)
    cluster.run_until(committed(round=round))
    assert cluster.view_of(round) <= 3
    assert not set(dead) & cluster.contributors(round)
    for city in dead:
        cluster.restart(city)
    cluster.run_until(committed(round=round + 4))
    assert set(dead) <= cluster.contributors(cluster.rounds)


def test_each_chief_dies_in_turn() -> None:
    """L1: chief after chief is killed in the middle of its round and comes back; no round is lost."""
    cluster = Cluster.grown(trainers=5)
    for _ in range(5):
        round, dead = cluster.rounds + 1, cluster.chief
        cluster.run_until(prepared(round=round))
        cluster.kill(dead)
        cluster.run_until(committed(round=round))
        cluster.restart(dead)
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert cluster.contributors(cluster.rounds) == set(cluster.running)


def test_the_founder_is_killed_for_good_once_three_vote() -> None:
    """R1: nobody is special for long."""
    cluster = Cluster.grown(trainers=3)
    assert len(cluster.voters) == 3
    cluster.kill("lima")
    cluster.run_until(committed(round=cluster.rounds + 6))
    assert cluster.contributors(cluster.rounds) == {"berlin", "hanoi"}


def test_two_trainers_and_a_witness_whose_chief_dies() -> None:
    """R5: with one trainer left none is waited for; it goes on when the other is back."""
    cluster = Cluster.grown(trainers=2, witnesses=1)
    while cluster.chief == "hanoi":
        cluster.run_until(committed(round=cluster.rounds + 1))
    dead = cluster.chief
    other = next(city for city in ("lima", "berlin") if city != dead)
    cluster.run_until(opened(round=cluster.rounds + 1))
    cluster.kill(dead)
    steps = cluster.trainer(other).step
    cluster.run_for(20_000)
    assert cluster.trainer(other).step > steps + 100
    rounds = cluster.rounds
    cluster.restart(dead)
    cluster.run_until(committed(round=rounds + 3))
    assert cluster.contributors(rounds + 3) == {"lima", "berlin"}
    assert cluster.nothing_is_lost(other)


def test_a_witness_chief_that_dies_costs_one_view() -> None:
    """R12: two trainers go on."""
    cluster = Cluster.grown(trainers=2, witnesses=1)
    while cluster.chief != "hanoi":
        cluster.run_until(committed(round=cluster.rounds + 1))
    round = cluster.rounds + 1
    cluster.run_until(opened(round=round))
    cluster.kill("hanoi")
    cluster.run_until(committed(round=round))
    assert cluster.contributors(round) == {"lima", "berlin"}
    assert cluster.view_of(round) == 1


def test_a_chief_without_a_vote_dies() -> None:
    """R3: whoever leads, voters change the view."""
    cluster = Cluster.grown(trainers=5, settings=Settings(max_voters=3))
    while cluster.chief in cluster.voters:
        cluster.run_until(committed(round=cluster.rounds + 1))
    round, dead = cluster.rounds + 1, cluster.chief
    cluster.run_until(opened(round=round))
    cluster.kill(dead)
    cluster.run_until(committed(round=round))
    assert cluster.view_of(round) == 1


def test_a_chief_that_cannot_lead_says_so_and_is_skipped_at_once() -> None:
    """R11: its heartbeats do not feed patience while it abstains; here it fetches the base for long."""
    cluster = Cluster.grown(trainers=3, witnesses=1)
    cluster.run_until(committed(round=cluster.rounds + 4))
    waits = next(city for city in cluster.running if city not in cluster.trainers)
    while cluster.leads(view=1) != waits:
        cluster.run_until(committed(round=cluster.rounds + 1))
    round = cluster.rounds + 2
    cluster.slow_download(waits, piece_ms=5_000)
    others = [city for city in cluster.running if city != waits]
    cluster.run_until(committed(round=round - 1, by=others))
    assert cluster.chief == waits
    cluster.run_until(ready(round=round, by=others[0]))
    ready_ms = cluster.now_ms
    cluster.run_until(committed(round=round, by=others))
    assert cluster.view_of(round) == 1
    assert cluster.now_ms - ready_ms < 900


def test_a_chief_whose_proposal_never_arrives_is_skipped() -> None:
    """R11: after OPEN only progress feeds patience, not heartbeats."""
    cluster = Cluster.grown(trainers=4)
    round, chief = cluster.rounds + 1, cluster.chief
    cluster.lose(Propose, by=chief)
    cluster.run_until(committed(round=round))
    assert cluster.view_of(round) == 1
    assert cluster.leader_of(round) != chief
