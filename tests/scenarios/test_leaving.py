"""How does one go, and come back? (R2, R3, R5)"""

import pytest

from comind.p2p.core.messages import Admit, Remove
from comind.p2p.core.words import Settings
from tests.scenarios.cluster import Cluster
from tests.scenarios.moments import (
    able_to_lead,
    caught_up,
    committed,
    off_roster,
    on_roster,
    opened,
    prepared,
    ready,
    stopped,
    voting,
)

ALL = {"lima", "berlin", "hanoi", "quito"}


def comes_back(cluster: Cluster, city: str) -> None:
    """Whoever left comes back by joining, and goes last."""
    cluster.start(city, through=("berlin" if city != "berlin" else "hanoi",))
    cluster.run_until(on_roster(city))
    assert cluster.members[-1] == city
    cluster.run_until(voting(city))
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert city in cluster.contributors(cluster.rounds)


@pytest.mark.parametrize("who", ["chief", "voter", "founder"])
def test_a_member_leaves_and_ends_when_its_removal_is_safe(who: str) -> None:
    """R2: it stays connected until a quorum of the next roster holds the block that removes it."""
    cluster = Cluster.grown(trainers=4)
    chief = cluster.chief
    others = [city for city in cluster.running if city != chief]
    city = {"chief": chief, "voter": others[-1], "founder": "lima"}[who]
    cluster.leave(city)
    cluster.run_until(stopped(city), within_ms=10_000)
    removal = next(
        height
        for height, block in cluster.history.blocks.items()
        for change in block.changes
        if isinstance(change, Remove) and change.node == cluster.node(city)
    )
    holders = {cluster.node(other) for other in cluster.running if cluster.height(other) >= removal}
    assert cluster.history.readings[removal].decides(set(holders))
    cluster.run_until(off_roster(city))
    cluster.run_until(committed(round=cluster.rounds + 2))
    assert cluster.contributors(cluster.rounds) == ALL - {city}
    comes_back(cluster, city)


@pytest.mark.parametrize("phase", ["ready", "opened", "prepared"])
@pytest.mark.parametrize("who", ["chief", "contributor"])
def test_one_leaves_in_mid_round(phase: str, who: str) -> None:
    """R2, R6: the round that runs goes on with it, or without; no view is lost over it."""
    cluster = Cluster.grown(trainers=4)
    round, chief = cluster.rounds + 1, cluster.chief
    other = next(city for city in cluster.running if city != chief)
    city = chief if who == "chief" else other
    moment = {"ready": ready(round, by=other), "opened": opened(round), "prepared": prepared(round)}[phase]
    cluster.run_until(moment)
    cluster.run_for(6 if phase == "ready" else 0)  # a chief that holds no READY yet would first let it go
    cluster.leave(city)
    cluster.run_until(stopped(city))
    cluster.run_until(committed(round=round + 1))
    assert cluster.view_of(round) == 0
    assert cluster.contributors(round) == ALL
    assert cluster.history.drops == []


def test_a_member_without_a_vote_leaves() -> None:
    """R2."""
    cluster = Cluster.grown(trainers=4, settings=Settings(max_voters=2))
    city = next(city for city in cluster.running if city not in cluster.voters)
    cluster.leave(city)
    cluster.run_until(stopped(city))
    cluster.run_until(off_roster(city))
    cluster.run_until(committed(round=cluster.rounds + 2))
    assert cluster.contributors(cluster.rounds) == ALL - {city}


def test_one_of_two_leaves() -> None:
    """R1, R2: the other one is the whole network then."""
    cluster = Cluster.grown(trainers=2, settings=Settings(min_peers=1))
    cluster.leave("lima")
    cluster.run_until(stopped("lima"))
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert cluster.members == ("berlin",)
    assert cluster.voters == ("berlin",)
    assert cluster.contributors(cluster.rounds) == {"berlin"}


def test_all_leave_one_after_the_other() -> None:
    """R2: the last one has nobody to wait for."""
    cluster = Cluster.grown(trainers=4)
    for city in ("lima", "berlin", "hanoi", "quito"):
        cluster.leave(city)
        cluster.run_until(stopped(city), within_ms=30_000)
    assert cluster.running == ()


def test_all_leave_at_once() -> None:
    """R2: nobody waits for ever."""
    cluster = Cluster.grown(trainers=4)
    for city in ("lima", "berlin", "hanoi", "quito"):
        cluster.leave(city)
    for city in ("lima", "berlin", "hanoi", "quito"):
        cluster.run_until(stopped(city), within_ms=60_000)


def test_a_member_that_leaves_while_idle() -> None:
    """R15: its removal is worth a block of its own."""
    cluster = Cluster.founded(trainers=0, witnesses=3)
    cluster.leave("berlin")
    cluster.run_until(stopped("berlin"), within_ms=10_000)
    cluster.run_until(off_roster("berlin"))


def test_a_member_off_the_roster_is_not_counted_and_not_waited_for() -> None:
    """R4, R5: its trainer goes on beside a daemon that has left."""
    cluster = Cluster.grown(trainers=4)
    cluster.leave("quito")
    cluster.run_until(off_roster("quito"))
    round = cluster.rounds + 1
    cluster.run_until(committed(round=round + 1))
    assert cluster.contributors(round + 1) == ALL - {"quito"}
    assert cluster.view_of(round + 1) == 0


def test_who_stops_is_away_and_the_next_block_takes_its_turn_to_lead() -> None:
    """R3: it stays on the roster with its vote."""
    cluster = Cluster.grown(trainers=4)
    city = next(city for city in cluster.running if city != cluster.chief)
    first = cluster.rounds + 1
    cluster.stop(city)
    cluster.run_until(committed(round=first))
    assert not cluster.last_reading.able[cluster.node(city)]
    assert city in cluster.members
    assert city in cluster.voters
    cluster.run_until(committed(round=first + 5))
    assert [cluster.view_of(round) for round in range(first, first + 6)] == [0] * 6
    cluster.restart(city)
    cluster.run_until(able_to_lead(city))
    cluster.run_until(committed(round=cluster.rounds + 5))
    assert cluster.contributors(cluster.rounds) == ALL


@pytest.mark.parametrize("phase", ["ready", "opened", "prepared"])
def test_a_chief_that_is_stopped_in_mid_round(phase: str) -> None:
    """R11: it says that it is away; nobody waits a whole patience."""
    cluster = Cluster.grown(trainers=4)
    round, chief = cluster.rounds + 1, cluster.chief
    other = next(city for city in cluster.running if city != chief)
    moment = {"ready": ready(round, by=other), "opened": opened(round), "prepared": prepared(round)}[phase]
    cluster.run_until(moment)
    cluster.stop(chief)
    stopped_ms = cluster.now_ms
    cluster.run_until(committed(round=round))
    assert cluster.now_ms - stopped_ms < 1_500
    cluster.restart(chief)
    cluster.run_until(committed(round=round + 3))
    assert cluster.contributors(round + 3) == ALL


def test_all_stop_and_start_again() -> None:
    """A network that was put away over night."""
    cluster = Cluster.grown(trainers=4)
    everyone = cluster.running
    for city in everyone:
        cluster.stop(city)
    rounds = cluster.rounds
    cluster.run_for(1_000)
    for city in everyone:
        cluster.restart(city)
    cluster.run_until(committed(round=rounds + 4) & able_to_lead(*everyone))
    assert cluster.contributors(cluster.rounds) == ALL
    assert len(cluster.digests()) == 1


def test_a_member_that_was_away_for_long_catches_up() -> None:
    """S5: its trainer skips what it missed, and its own steps are counted when it is back."""
    cluster = Cluster.grown(trainers=4)
    cluster.stop("quito")
    cluster.run_until(committed(round=cluster.rounds + 15))
    cluster.restart("quito")
    cluster.run_until(caught_up("quito"))
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert cluster.contributors(cluster.rounds) == ALL
    assert cluster.nothing_is_lost("quito")


def test_a_join_and_a_leave_in_one_block() -> None:
    """R2: changes ride together, at most one of them of a vote."""
    cluster = Cluster.grown(trainers=4)
    cluster.slow("hanoi", train_ms=5_000)
    cluster.run_until(committed(round=cluster.rounds + 1))
    cluster.join("oslo", through="berlin")
    cluster.leave("quito")
    cluster.run_until(on_roster("oslo") & off_roster("quito"))
    kinds = [
        {type(change) for change in block.changes} & {Admit, Remove}
        for block in cluster.history.blocks.values()
    ]
    assert kinds[-1] or kinds[-2]
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert cluster.contributors(cluster.rounds) == {"lima", "berlin", "hanoi", "oslo"}
