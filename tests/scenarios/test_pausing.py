"""Does a network pause when an operator asks, and go on by itself when one says so? (R5, R15, R17)"""

import pytest

from comind.p2p.core.messages import Pause, Wish
from comind.p2p.core.signing import decision_statement
from comind.p2p.core.words import Settings
from tests.scenarios.cluster import Cluster
from tests.scenarios.moments import (
    Moment,
    answered,
    committed,
    off_roster,
    on_roster,
    opened,
    paused,
    prepared,
    ready,
    resumed,
    stopped,
    trained,
    voting,
)

ALL = {"lima", "berlin", "hanoi", "quito"}
WHY = "the lab moves"


def standstill(cluster: Cluster) -> Moment:
    rounds = cluster.rounds
    return Moment("no average is made", lambda one: one.history.height_of(rounds + 1) is None)


def answer(cluster: Cluster, city: str, ticket: int) -> tuple[bool, str]:
    return next((one.done, one.line) for one in cluster.process(city).answers if one.ticket == ticket)


@pytest.mark.parametrize("phase", ["between", "ready", "opened", "prepared"])
def test_a_pause_ends_the_rounds_and_trainers_train_on_alone(phase: str) -> None:
    """R5, R17: the round that runs may still end; then nobody waits, and nobody is waited for."""
    cluster = Cluster.grown(trainers=4)
    round, asker = cluster.rounds + 1, next(city for city in cluster.running if city != cluster.chief)
    moment = {"ready": ready(round, by=asker), "opened": opened(round), "prepared": prepared(round)}
    if phase in moment:
        cluster.run_until(moment[phase])
    ticket = cluster.ask(asker, "pause", WHY)
    cluster.run_until(paused(WHY) & answered(ticket, asker), within_ms=5_000)
    assert answer(cluster, asker, ticket)[0]
    assert cluster.rounds <= round
    gave_up = {height: dict(views) for height, views in cluster.history.changes.items() if views}
    steps = {city: cluster.trainer(city).step for city in ALL}
    cluster.run_while(standstill(cluster), ms=30_000)
    for city in ALL:
        assert cluster.trainer(city).step >= steps[city] + 1_000, "it trains on"
        assert cluster.process(city).picture().because == f"paused by {asker}: {WHY}"
        assert cluster.trainer(city).heard == f"paused by {asker}: {WHY}"
    assert {height: views for height, views in cluster.history.changes.items() if views} == gave_up
    assert cluster.history.drops == []


@pytest.mark.parametrize("who", ["the same", "another"])
def test_a_resume_by_anybody_lets_rounds_go_on_by_themselves(who: str) -> None:
    """R5, R16: what was trained meanwhile is counted."""
    cluster = Cluster.grown(trainers=4)
    cluster.ask("berlin", "pause", WHY)
    cluster.run_until(paused(WHY))
    cluster.run_for(10_000)
    other = "berlin" if who == "the same" else "quito"
    ticket = cluster.ask(other, "resume")
    cluster.run_until(resumed() & answered(ticket, other), within_ms=5_000)
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert cluster.contributors(cluster.rounds) == ALL
    assert all(cluster.nothing_is_lost(city) for city in ALL)


def test_a_pause_outlives_every_process() -> None:
    """R15: it is in the chain."""
    cluster = Cluster.grown(trainers=4)
    cluster.ask("hanoi", "pause", WHY)
    cluster.run_until(paused(WHY))
    everyone = cluster.running
    for city in everyone:
        cluster.kill(city)
    cluster.run_for(1_000)
    for city in everyone:
        cluster.restart(city)
    cluster.run_while(standstill(cluster) & paused(WHY), ms=20_000)
    cluster.ask("quito", "resume")
    cluster.run_until(committed(round=cluster.rounds + 2))


def test_members_come_go_and_get_votes_while_it_is_paused() -> None:
    """R15: roster changes have blocks of their own then."""
    cluster = Cluster.grown(trainers=3)
    cluster.ask("lima", "pause")
    cluster.run_until(paused())
    cluster.join("oslo", through="berlin")
    cluster.run_until(on_roster("oslo"))
    for city in ("turin", "davao"):
        cluster.join(city, through="oslo")
        cluster.run_until(on_roster(city))
    cluster.leave("hanoi")
    cluster.run_until(stopped("hanoi") & off_roster("hanoi"))
    cluster.run_until(voting("oslo"))
    assert cluster.process("oslo").picture().because == "paused by lima"
    cluster.ask("oslo", "resume")
    cluster.run_until(committed(round=cluster.rounds + 2))
    assert cluster.contributors(cluster.rounds) == {"lima", "berlin", "oslo", "turin", "davao"}


def test_an_asker_that_dies_at_once_has_its_wish_fulfilled_if_anybody_heard_it() -> None:
    """R15: a wish is passed on like any other."""
    cluster = Cluster.grown(trainers=4)
    others = [city for city in cluster.running if city != cluster.chief]
    cluster.slow(others[0], train_ms=60_000)  # so that no average takes it along before the asker is dead
    cluster.ask(others[1], "pause", WHY)
    cluster.run_for(10)
    cluster.kill(others[1])
    cluster.run_until(paused(WHY), within_ms=90_000)


def test_a_wish_that_is_lost_is_said_again() -> None:
    cluster = Cluster.grown(trainers=4)
    rule = cluster.lose(Wish)
    cluster.ask("berlin", "pause", WHY)
    cluster.run_for(100)
    cluster.release(rule)
    cluster.run_until(paused(WHY), within_ms=60_000)


def test_two_ask_at_once_and_one_is_told_that_the_other_was_first() -> None:
    cluster = Cluster.grown(trainers=4)
    first, second = cluster.ask("berlin", "pause", "one"), cluster.ask("quito", "pause", "two")
    cluster.run_until(answered(first, "berlin") & answered(second, "quito"))
    answers = sorted([answer(cluster, "berlin", first), answer(cluster, "quito", second)])
    assert [done for done, _ in answers] == [False, True]
    assert answers[0][1].startswith("the network is paused already, by ")


@pytest.mark.parametrize(
    ("before", "what", "line"),
    [
        ("", "resume", "the network is not paused: there is nothing to resume"),
        ("pause", "pause", "the network is paused already, by lima; comind resume ends it"),
    ],
)
def test_what_is_so_already_is_said_at_once(before: str, what: str, line: str) -> None:
    cluster = Cluster.grown(trainers=3)
    if before:
        cluster.ask("lima", before)
        cluster.run_until(paused())
    ticket = cluster.ask("berlin", what)
    assert answer(cluster, "berlin", ticket) == (False, line)


def test_who_is_no_member_can_ask_for_nothing() -> None:
    cluster = Cluster.grown(trainers=3)
    cluster.start("oslo", trains=False)
    ticket = cluster.ask("oslo", "pause")
    assert answer(cluster, "oslo", ticket)[1].startswith("this node is no member yet")


def test_an_old_wish_is_worth_nothing_after_a_resume() -> None:
    """R15: whoever kept a signed Pause cannot use it again."""
    cluster = Cluster.grown(trainers=3)
    cluster.ask("berlin", "pause", WHY)
    cluster.run_until(paused(WHY))
    kept = next(
        change
        for block in cluster.history.blocks.values()
        for change in block.changes
        if isinstance(change, Pause)
    )
    cluster.ask("berlin", "resume")
    cluster.run_until(resumed())
    for city in ("berlin", "hanoi"):
        cluster.say("lima", to=city, message=Wish(decision=kept))
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert cluster.process("berlin").member.here.chain.standing.paused is None


def test_a_wish_that_somebody_else_signed_is_none() -> None:
    cluster = Cluster.grown(trainers=3)
    here = cluster.process("lima").member.here
    forged = Pause(by=cluster.node("berlin"), because=WHY, after=here.chain.height, signature=bytes(64))
    signature = here.signer.sign(decision_statement(here.network, forged))
    wish = Wish(decision=Pause(by=forged.by, because=WHY, after=forged.after, signature=signature))
    for city in ("berlin", "hanoi"):
        cluster.say("lima", to=city, message=wish)
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert cluster.process("hanoi").member.here.chain.standing.paused is None


def test_a_minority_cannot_pause_and_its_wish_comes_through_when_the_network_heals() -> None:
    """R1, R15."""
    cluster = Cluster.grown(trainers=5)
    cluster.partition(["accra"], ["lima", "berlin", "hanoi", "quito"])
    ticket = cluster.ask("accra", "pause", WHY)
    cluster.run_until(committed(round=cluster.rounds + 3, by=("lima", "berlin", "hanoi", "quito")))
    assert not any(one.ticket == ticket for one in cluster.process("accra").answers)
    cluster.heal()
    cluster.run_until(paused(WHY) & answered(ticket, "accra"))


def test_a_pause_before_the_first_average_holds_it_back() -> None:
    """R5, R15: the first base still comes; it is no average."""
    cluster = Cluster.founded(trainers=0, witnesses=3, settings=Settings(start_at=2))
    cluster.ask("lima", "pause")
    cluster.run_until(paused())
    for city in cluster.running:
        cluster.attach(city)
    cluster.run_until(trained("berlin", steps=100))
    assert cluster.rounds == 0
    cluster.ask("hanoi", "resume")
    cluster.run_until(committed(round=2))
