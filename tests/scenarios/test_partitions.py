"""What if some cannot hear the others? (R1, R11-R13, R17, L1)"""

from collections.abc import Callable

import pytest

from comind.p2p.core.words import Settings
from tests.scenarios.cluster import Cluster
from tests.scenarios.moments import Moment, caught_up, committed, gave_up, locked, opened, prepared, trained
from tests.scenarios.network import Cut

FIVE = ("lima", "berlin", "hanoi", "quito", "accra")
PHASES: dict[str, Callable[[int], Moment]] = {"opened": opened, "prepared": prepared, "locked": locked}
HOW = pytest.mark.parametrize("how", list(Cut), ids=[how.value for how in Cut])


def sides(cluster: Cluster, minority_has_chief: bool) -> tuple[list[str], list[str]]:
    """Three and two of five voters; the chief on one side or the other."""
    chief = cluster.chief
    others = [city for city in FIVE if city != chief]
    if minority_has_chief:
        return others[:3], [chief, *others[3:]]
    return [chief, *others[:2]], others[2:]


def all_come_together(cluster: Cluster) -> None:
    cluster.heal()
    cluster.run_until(committed(round=cluster.rounds + 6))  # they dial each other again within four
    assert cluster.contributors(cluster.rounds) == set(FIVE)
    assert len(cluster.digests()) == 1
    assert all(cluster.nothing_is_lost(city) for city in FIVE)


@HOW
@pytest.mark.parametrize("minority_has_chief", [False, True], ids=["chief with three", "chief with two"])
def test_the_majority_goes_on_and_the_minority_trains_on(how: Cut, minority_has_chief: bool) -> None:
    """R1, R17: the minority commits nothing, is not blocked, and catches up when the network heals."""
    cluster = Cluster.grown(trainers=5)
    majority, minority = sides(cluster, minority_has_chief)
    height = cluster.last_height
    cluster.partition(majority, minority, how=how)
    cluster.run_until(committed(round=cluster.rounds + 4, by=majority))
    assert cluster.contributors(cluster.rounds) == set(majority)
    assert all(cluster.height(city) <= height + 1 for city in minority)
    steps = {city: cluster.trainer(city).step for city in minority}
    for city in minority:
        cluster.run_until(trained(city, steps[city] + 50), within_ms=60_000)
    all_come_together(cluster)


@pytest.mark.parametrize("phase", ["opened", "prepared", "locked"])
@pytest.mark.parametrize("minority_has_chief", [False, True], ids=["chief with three", "chief with two"])
def test_a_partition_in_mid_round_commits_one_average(phase: str, minority_has_chief: bool) -> None:
    """S1, R13: whatever both sides saw of the round."""
    cluster = Cluster.grown(trainers=5)
    round = cluster.rounds + 1
    majority, minority = sides(cluster, minority_has_chief)
    cluster.run_until(PHASES[phase](round))
    cluster.partition(majority, minority)
    cluster.run_until(committed(round=round + 1, by=majority))
    if phase == "locked":
        assert cluster.average(round) == cluster.locked_average(round)
    all_come_together(cluster)


@HOW
def test_nobody_has_a_quorum(how: Cut) -> None:
    """R12: two, two and one: views do not drift apart, and the healed network commits soon (L1)."""
    cluster = Cluster.grown(trainers=5)
    round = cluster.rounds + 1
    cluster.partition(FIVE[:2], FIVE[2:4], FIVE[4:], how=how)
    cluster.run_for(30_000)
    assert cluster.rounds < round + 1
    views = [cluster.process(city).picture().view for city in FIVE if cluster.height(city) < round + 20]
    assert max(views) - min(views) <= 1
    cluster.heal()
    healed_ms = cluster.now_ms
    cluster.run_until(committed(round=round + 1))
    assert cluster.now_ms - healed_ms < 15_000
    all_come_together(cluster)


def test_an_unplugged_member_does_not_hold_the_others_up_for_long() -> None:
    """R5: silent is not waited for after three seconds."""
    cluster = Cluster.grown(trainers=5)
    gone = next(city for city in FIVE if city not in (cluster.leads(view=0), cluster.leads(view=1)))
    cluster.unplug(gone)
    began_ms = cluster.now_ms
    rest = [city for city in FIVE if city != gone]
    cluster.run_until(committed(round=cluster.rounds + 2, by=rest))
    assert cluster.now_ms - began_ms < 8_000
    all_come_together(cluster)


def test_an_unplugged_chief_is_skipped_after_its_patience() -> None:
    """R11: its heartbeat feeds patience, and it does not come."""
    cluster = Cluster.grown(trainers=5)
    gone = cluster.chief
    cluster.unplug(gone)
    round = cluster.rounds + 1
    cluster.run_until(committed(round=round, by=[city for city in FIVE if city != gone]))
    assert cluster.view_of(round) == 1
    all_come_together(cluster)


def test_two_that_cannot_hear_each_other_take_part_all_the_same() -> None:
    """R10, R12: votes go to all voters, and a certificate to everyone."""
    cluster = Cluster.grown(trainers=5)
    one, other = [city for city in FIVE if city != cluster.chief][:2]
    cluster.cut(one, other, how=Cut.BREAKS)
    first = cluster.rounds + 1
    cluster.run_until(committed(round=first + 5))
    both = [round for round in range(first, first + 6) if {one, other} <= cluster.contributors(round)]
    assert both, "under a chief that hears both"
    assert cluster.trainer(one).step > 30
    assert cluster.trainer(other).step > 30
    all_come_together(cluster)


def test_a_chief_that_hears_too_few_does_not_lead_the_others_astray() -> None:
    """R11: it hears one of four others, and they hear it: they go on without it."""
    cluster = Cluster.grown(trainers=5)
    chief = cluster.chief
    deaf_to = [city for city in FIVE if city != chief][:3]
    for city in deaf_to:
        cluster.lose_all(by=city, to=chief)
    cluster.run_until(committed(round=cluster.rounds + 2, by=deaf_to))


def test_a_network_that_flaps_makes_progress() -> None:
    """L1: half a second whole, half a second split, again and again."""
    cluster = Cluster.grown(trainers=5)
    first = cluster.rounds
    for at in range(10):
        majority, minority = FIVE[at % 3 : at % 3 + 3], FIVE[: at % 3] + FIVE[at % 3 + 3 :]
        cluster.partition(majority, minority, how=Cut.DELAYS)
        cluster.run_for(500)
        cluster.heal()
        cluster.run_for(500)
    assert cluster.rounds > first + 2
    all_come_together(cluster)


@pytest.mark.parametrize("how", [Cut.LOSES, Cut.BREAKS])
def test_after_minutes_they_find_each_other_again(how: Cut) -> None:
    """Nodes find back by themselves after hours: after minutes, by which time nothing changes any more."""
    cluster = Cluster.grown(trainers=3)
    cluster.partition(["lima"], ["berlin"], ["hanoi"], how=how)
    cluster.run_for(200_000)
    rounds = cluster.rounds
    cluster.heal()
    cluster.run_until(committed(round=rounds + 2), within_ms=70_000)
    cluster.run_until(caught_up())


def test_a_minority_says_what_it_waits_for() -> None:
    """R17."""
    cluster = Cluster.grown(trainers=5)
    cluster.partition(FIVE[:3], FIVE[3:])
    cluster.run_until(gave_up(view=1, by="accra"))
    cluster.run_for(10_000)
    assert "quorum" in cluster.process("accra").picture().because


def test_voters_that_gave_up_alone_do_not_keep_a_chief_waiting() -> None:
    """R5, R11, L1: two of four voters promised view 1 on their side; the chief of view 0 has no vote.

    When the network is whole again, the chief's door must not wait for headers that those two will not send
    to it, while its heartbeat feeds the patience of the other two.
    """
    cluster = Cluster.grown(trainers=5, settings=Settings(max_voters=4))
    chief = next(city for city in cluster.running if city not in cluster.voters)
    cluster.slow(chief, train_ms=4_000)
    while cluster.chief != chief:
        cluster.run_until(committed(round=cluster.rounds + 1))
    round = cluster.rounds + 1
    first, other, *hasty = cluster.voters
    cluster.partition(hasty, [first, other, chief], how=Cut.LOSES)
    cluster.run_until(gave_up(view=1, by=hasty[0]) & gave_up(view=1, by=hasty[1]), within_ms=3_000)
    cluster.heal()
    cluster.run_until(committed(round=round + 1))
