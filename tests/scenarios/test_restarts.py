"""What does a node know when it starts again? (R14, S6, S8; decision 0010)"""

import pytest

from comind.p2p.core.messages import AskBlocks, Blocks, Committed, Message, Voted
from tests.scenarios.cluster import Cluster
from tests.scenarios.moments import (
    Moment,
    caught_up,
    committed,
    gave_up,
    linked,
    locked,
    opened,
    prepared,
    proposed,
    writing,
)

ALL = {"lima", "berlin", "hanoi", "quito", "accra"}


def behind(city: str) -> Moment:
    """This node has said a block that is not on its disk yet."""
    return Moment(
        f"{city} is ahead of its disk",
        lambda cluster: (
            city in cluster.running and cluster.process(city).picture().height > cluster.height(city)
        ),
    )


def test_a_restarted_voter_does_not_vote_before_a_quorum_greeted_it() -> None:
    """R14: itself and one other are two of five voters."""
    cluster = Cluster.grown(trainers=5)
    back = next(city for city in cluster.running if city != cluster.chief)
    cluster.kill(back)
    friend, *rest = [city for city in cluster.running if city != cluster.chief]
    cluster.partition([back], [city for city in cluster.running if city != friend])
    cluster.restart(back)
    promised = cluster.promise_count(back)
    cluster.run_until(committed(round=cluster.rounds + 3, by=rest))
    assert cluster.promise_count(back) == promised
    cluster.heal()
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert cluster.promise_count(back) > promised
    assert cluster.contributors(cluster.rounds) == ALL


def test_greeting_is_not_voting() -> None:
    """R14: five that start at once greet each other at once, and nobody waits in a circle."""
    cluster = Cluster.grown(trainers=5)
    for city in cluster.running:
        cluster.kill(city)
    for city in ALL:
        cluster.restart(city)
    restarted_ms = cluster.now_ms
    cluster.run_until(committed(round=cluster.rounds + 1))
    assert cluster.now_ms - restarted_ms < 3_000


def test_a_restarted_voter_catches_up_before_it_votes() -> None:
    """R14: what it would sign at an old height could only do harm."""
    cluster = Cluster.grown(trainers=5)
    back = next(city for city in cluster.running if city != cluster.chief)
    cluster.kill(back)
    cluster.run_until(committed(round=cluster.rounds + 5))
    missed = cluster.last_height
    cluster.restart(back)
    cluster.run_until(committed(round=cluster.rounds + 3))
    own = [vote.height for vote in cluster.history.votes if vote.node == cluster.node(back)]
    newest_before = cluster.history.blocks[missed - 4].height
    assert not [height for height in own if newest_before < height <= missed]


def test_a_vote_of_a_lower_incarnation_counts_no_more_after_a_greeting() -> None:
    """R14: a vote that was on its way while its voter restarted."""
    cluster = Cluster.grown(trainers=5)
    round = cluster.rounds + 1
    back = next(city for city in cluster.running if city != cluster.chief)
    late = cluster.hold(Voted, by=back)
    cluster.run_until(prepared(round=round, by=back))
    cluster.kill(back)
    cluster.restart(back)
    cluster.run_until(committed(round=round))
    cluster.release(late)
    cluster.run_until(committed(round=round + 3))
    assert cluster.history.drops == []
    assert cluster.contributors(round + 3) == ALL


def test_a_stale_vote_completes_no_quorum() -> None:
    """R14: the one PREPARE that a chief lacks is of an incarnation that died."""
    cluster = Cluster.grown(trainers=3)
    round, chief = cluster.rounds + 1, cluster.chief
    back, gone = [city for city in cluster.running if city != chief]
    old = cluster.hold(Voted, by=back, to=chief)
    cluster.lose(Voted)
    cluster.run_until(prepared(round=round, by=back) & prepared(round=round, by=chief))
    cluster.kill(gone)
    cluster.kill(back)
    cluster.restart(back)
    cluster.run_until(linked(back, chief))
    cluster.run_for(20)
    _, _, stale = old.held[0]
    cluster.say(back, to=chief, message=stale)
    assert cluster.lock(chief) is None
    assert cluster.history.drops == []
    cluster.network.rules.clear()
    cluster.restart(gone)
    cluster.run_until(committed(round=round + 2))


def test_what_binds_a_voter_binds_it_after_its_restart() -> None:
    """S7, S8: every voter is killed with a PREPARE on its disk, then each starts again; one block comes."""
    cluster = Cluster.grown(trainers=3)
    round = cluster.rounds + 1
    cluster.lose(Voted)
    for city in cluster.running:
        cluster.run_until(prepared(round=round, by=city))
    block = {vote.block for vote in cluster.history.prepares[cluster.last_height + 1].values()}
    everyone = cluster.running
    for city in everyone:
        cluster.kill(city)
    cluster.network.rules.clear()
    for city in everyone:
        cluster.restart(city)
    cluster.run_until(committed(round=round))
    assert len(block) == 1


def test_a_promised_view_binds_after_a_restart() -> None:
    """S8, R12: the view of a VIEWCHANGE is on disk; nothing is signed below it."""
    cluster = Cluster.grown(trainers=5)
    round, chief = cluster.rounds + 1, cluster.chief
    cluster.kill(chief)
    back = next(city for city in cluster.running if city != cluster.leads(view=1))
    cluster.run_until(gave_up(view=1, by=back))
    cluster.kill(back, losing=True)
    cluster.restart(back)
    cluster.run_until(committed(round=round))
    height = cluster.height_of(round)
    views = [vote.view for vote in cluster.history.votes if vote.node == cluster.node(back)]
    assert cluster.view_of(round) >= 1
    assert all(
        vote.view >= 1
        for vote in cluster.history.votes
        if vote.node == cluster.node(back) and vote.height == height
    ), views


@pytest.mark.parametrize("who", ["chief", "voter"])
@pytest.mark.parametrize("kind", ["first", "second"])
def test_a_promise_that_is_not_on_disk_was_not_said(who: str, kind: str) -> None:
    """S6: killed between a promise and its write, a voter has said nothing of it."""
    cluster = Cluster.grown(trainers=5)
    round, chief = cluster.rounds + 1, cluster.chief
    city = chief if who == "chief" else next(other for other in cluster.running if other != chief)
    cluster.slow_disk(city, disk_ms=40)
    cluster.run_until(proposed(round=round) & writing(city))
    if kind == "second":
        cluster.run_until(prepared(round=round, by=city) & writing(city))
    said, promised = len(cluster.votes_of(city)), cluster.promise_count(city)
    cluster.run_for(10)
    cluster.kill(city)
    cluster.run_for(5)
    assert len(cluster.votes_of(city)) == said
    cluster.restart(city)
    assert cluster.promise_count(city) == promised
    cluster.run_until(committed(round=round + 3))
    assert cluster.contributors(round + 3) == ALL


def test_a_block_that_was_said_and_is_not_on_disk_is_caught_up_with() -> None:
    """Decision 0010: it comes back one height lower, with its own COMMIT on disk."""
    cluster = Cluster.grown(trainers=5)
    back = next(city for city in cluster.running if city != cluster.chief)
    cluster.slow_disk(back, disk_ms=150)
    cluster.run_until(behind(back))
    cluster.kill(back)
    height = cluster.height(back)
    cluster.restart(back)
    assert cluster.process(back).picture().height == height
    cluster.run_until(caught_up(back))
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert cluster.contributors(cluster.rounds) == ALL
    assert cluster.nothing_is_lost(back)


def test_all_lose_the_block_that_all_said() -> None:
    """Decision 0010, S1: a power cut everywhere after a certificate; the COMMITs on disk make it again."""
    cluster = Cluster.grown(trainers=3)
    everyone = cluster.running
    for city in everyone:
        cluster.slow_disk(city, disk_ms=150)
    round = cluster.rounds + 1
    cluster.run_until(locked(round=round))
    for city in everyone:
        cluster.run_until(behind(city), within_ms=2_000)
    average = cluster.average(round)
    for city in everyone:
        cluster.kill(city, losing=True)
    assert all(cluster.height(city) < cluster.height_of(round) for city in everyone)
    for city in everyone:
        cluster.restart(city)
    cluster.run_until(committed(round=round + 2))
    assert cluster.average(round) == average
    assert cluster.contributors(round + 2) == set(everyone)


def test_slow_disks_slow_rounds_and_change_nothing_else() -> None:
    """S6: two writes in series a round."""
    cluster = Cluster.grown(trainers=5)
    for city in cluster.running:
        cluster.slow_disk(city, disk_ms=120)
    first = cluster.rounds + 1
    cluster.run_until(committed(round=first + 4))
    for round in range(first, first + 5):
        assert cluster.contributors(round) == ALL
        assert cluster.view_of(round) == 0


def test_a_node_that_restarts_again_and_again_is_harmless() -> None:
    """R14: each start is a new incarnation; none that it had is ever used again."""
    cluster = Cluster.grown(trainers=4)
    incarnations = set()
    for _ in range(12):
        cluster.kill("quito")
        cluster.restart("quito")
        incarnations.add(cluster.process("quito").incarnation)
        cluster.run_for(150)
    assert len(incarnations) == 12
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert cluster.contributors(cluster.rounds) == ALL - {"accra"}


def test_a_restarted_member_remembers_addresses() -> None:
    """Discovery: its seed may be gone, and everyone may have restarted since."""
    cluster = Cluster.grown(trainers=4)
    everyone = cluster.running
    cluster.forget_seeds()
    for city in everyone:
        cluster.kill(city)
    for city in everyone:
        cluster.restart(city)
    cluster.run_until(committed(round=cluster.rounds + 2))


@pytest.mark.parametrize("kind", [AskBlocks, Blocks, Committed])
def test_a_lost_word_of_catching_up_is_asked_for_again(kind: type[Message]) -> None:
    """R14: at a later heartbeat, over a link that stays."""
    cluster = Cluster.grown(trainers=5)
    back = next(city for city in cluster.running if city != cluster.chief)
    cluster.kill(back)
    cluster.run_until(committed(round=cluster.rounds + 2))
    lost = [cluster.lose(kind, by=back), cluster.lose(kind, to=back)]
    cluster.restart(back)
    cluster.run_for(500)
    for rule in lost:
        cluster.release(rule)
    cluster.run_until(caught_up(back), within_ms=10_000)


def test_a_member_killed_in_mid_round_and_restarted_in_it_is_in_it() -> None:
    """R4, R14: before the OPEN of a slow round."""
    cluster = Cluster.grown(trainers=5)
    slow, back = [city for city in cluster.running if city != cluster.chief][:2]
    cluster.slow(slow, train_ms=15_000)
    cluster.run_until(committed(round=cluster.rounds + 1))
    round = cluster.rounds + 1
    cluster.run_for(2_000)
    cluster.kill(back)
    cluster.run_for(4_000)
    cluster.restart(back)
    cluster.run_until(opened(round=round))
    cluster.run_until(committed(round=round))
    assert cluster.contributors(round) == ALL
