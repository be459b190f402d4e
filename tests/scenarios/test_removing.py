"""Does a network get rid of a member when an operator asks, and does it stay outside? (R2, R15)"""

import pytest

from comind.p2p.core.messages import Expel, Wish
from comind.p2p.core.words import Settings, full_id
from tests.scenarios.cluster import Cluster
from tests.scenarios.moments import (
    Moment,
    answered,
    committed,
    off_roster,
    on_roster,
    opened,
    prepared,
    ready,
    stopped,
    voting,
)
from tests.scenarios.test_pausing import answer

ALL = {"lima", "berlin", "hanoi", "quito"}
WHY = "it flips bits"


def outside(cluster: Cluster, city: str) -> Moment:
    node = cluster.node(city)
    return Moment(
        f"nobody has a link with {city}",
        lambda one: not any(node in one.process(other).member.people.links for other in ALL - {city}),
    )


@pytest.mark.parametrize("phase", ["between", "ready", "opened", "prepared"])
@pytest.mark.parametrize("who", ["chief", "voter", "founder"])
def test_a_member_is_removed_and_told_why_and_the_others_go_on(who: str, phase: str) -> None:
    """R2, R15."""
    cluster = Cluster.grown(trainers=4)
    round, chief = cluster.rounds + 1, cluster.chief
    city = {"chief": chief, "voter": next(c for c in ("hanoi", "quito") if c != chief), "founder": "lima"}[
        who
    ]
    asker = next(one for one in ("berlin", "quito", "hanoi") if one not in (city, chief))
    moment = {"ready": ready(round, by=asker), "opened": opened(round), "prepared": prepared(round)}
    if phase in moment:
        cluster.run_until(moment[phase])
    ticket = cluster.ask(asker, "remove", WHY, about=city)
    process = cluster.process(city)
    cluster.run_until(off_roster(city) & answered(ticket, asker) & stopped(city), within_ms=20_000)
    assert answer(cluster, asker, ticket)[0]
    assert process.expelled == f"{asker}: {WHY}"
    cluster.run_while(outside(cluster, city), ms=1_000)
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert cluster.contributors(cluster.rounds) == ALL - {city}
    assert cluster.process(asker).picture().decisions[-1][1] == (
        f"{asker} removed {city} ({full_id(cluster.node(city))}): {WHY}"
    )


def test_who_is_started_again_after_its_removal_ends_again_and_does_not_come_in() -> None:
    """R2: no rejoining by itself, and no loop."""
    cluster = Cluster.grown(trainers=4)
    cluster.ask("lima", "remove", WHY, about="quito")
    cluster.run_until(stopped("quito"))
    cluster.restart("quito")
    process = cluster.process("quito")
    cluster.run_until(stopped("quito"), within_ms=10_000)
    assert process.expelled == f"lima: {WHY}"
    cluster.run_until(committed(round=cluster.rounds + 2))
    assert "quito" not in cluster.members


def test_who_was_off_when_it_was_removed_hears_of_it_when_it_is_back() -> None:
    cluster = Cluster.grown(trainers=4)
    cluster.kill("quito")
    cluster.ask("lima", "remove", about="quito")
    cluster.run_until(off_roster("quito"))
    cluster.restart("quito")
    process = cluster.process("quito")
    cluster.run_until(stopped("quito"), within_ms=10_000)
    assert process.expelled == "lima"


def test_who_was_removed_comes_back_once_somebody_allows_it() -> None:
    """R15: removed means denied until allowed again."""
    cluster = Cluster.grown(trainers=4)
    cluster.ask("lima", "remove", about="quito")
    cluster.run_until(stopped("quito"))
    ticket = cluster.ask("berlin", "allow", about="quito")
    cluster.run_until(answered(ticket, "berlin"))
    assert answer(cluster, "berlin", ticket)[0]
    cluster.restart("quito")
    cluster.run_until(on_roster("quito"))
    assert cluster.members[-1] == "quito"
    cluster.run_until(voting("quito"))
    cluster.run_until(committed(round=cluster.rounds + 2))
    assert cluster.contributors(cluster.rounds) == ALL


def test_a_removal_outlives_every_process() -> None:
    cluster = Cluster.grown(trainers=4)
    cluster.ask("lima", "remove", about="quito")
    cluster.run_until(stopped("quito"))
    everyone = cluster.running
    for city in everyone:
        cluster.kill(city)
    for city in everyone:
        cluster.restart(city)
    cluster.restart("quito")
    cluster.run_until(stopped("quito"), within_ms=20_000)
    cluster.run_until(committed(round=cluster.rounds + 2))
    assert cluster.contributors(cluster.rounds) == ALL - {"quito"}


def test_an_old_removal_is_worth_nothing_once_it_is_back() -> None:
    """R15: whoever kept the signed wish cannot use it again."""
    cluster = Cluster.grown(trainers=4)
    cluster.ask("lima", "remove", about="quito")
    cluster.run_until(stopped("quito"))
    changes = [change for block in cluster.history.blocks.values() for change in block.changes]
    kept = next(change for change in changes if isinstance(change, Expel))
    cluster.ask("lima", "allow", about="quito")
    cluster.run_for(2_000)
    cluster.restart("quito")
    cluster.run_until(on_roster("quito"))
    for city in ("berlin", "hanoi"):
        cluster.say("lima", to=city, message=Wish(decision=kept))
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert "quito" in cluster.members


def test_one_of_two_removes_the_other() -> None:
    """R1: the first voter is a quorum of two; the other is not without it."""
    cluster = Cluster.grown(trainers=2, settings=Settings(min_peers=1))
    cluster.ask("lima", "remove", about="berlin")
    cluster.run_until(stopped("berlin"))
    cluster.run_until(committed(round=cluster.rounds + 2))
    assert cluster.members == ("lima",)


def test_two_that_remove_each_other_do_not_both_go() -> None:
    cluster = Cluster.grown(trainers=4)
    cluster.ask("berlin", "remove", about="quito")
    cluster.ask("quito", "remove", about="berlin")
    cluster.run_until(committed(round=cluster.rounds + 4, by=("lima", "hanoi")))
    assert len({"berlin", "quito"} & set(cluster.members)) == 1


@pytest.mark.parametrize(
    ("trainers", "about", "line"),
    [
        (3, "lima", "a node does not remove itself: comind leave takes it off the roster"),
        (1, "lima", "a node does not remove itself: comind leave takes it off the roster"),
        (3, "oslo", "it is not on the roster"),
    ],
)
def test_what_cannot_be_removed_is_said(trainers: int, about: str, line: str) -> None:
    cluster = Cluster.founded(trainers=trainers)
    cluster.start("oslo", trains=False)
    ticket = cluster.ask("lima", "remove", about=about)
    assert answer(cluster, "lima", ticket) == (False, line)


def test_a_member_removes_the_only_voter_not_before_somebody_else_votes() -> None:
    cluster = Cluster.founded(trainers=0, witnesses=2)
    assert cluster.voters == ("lima",)
    ticket = cluster.ask("berlin", "remove", about="lima")
    assert answer(cluster, "berlin", ticket) == (False, "it is the only voter: wait until another one votes")
