"""Who is let in, where only those on a list are, and where somebody is denied? (R15)"""

import pytest

from comind.p2p.core.words import Settings, full_id
from tests.scenarios.cluster import Cluster
from tests.scenarios.moments import Moment, answered, committed, off_roster, on_roster, stopped
from tests.scenarios.test_pausing import answer

A_MEMBER = "berlin is a member: comind remove takes it off the roster, and denies it"
LIST = Settings(admission="list", min_peers=1)


def outside(cluster: Cluster, city: str) -> Moment:
    node = cluster.node(city)
    return Moment(
        f"{city} is outside",
        lambda one: all(
            node not in one.process(other).member.people.links for other in one.running if other != city
        ),
    )


def door(cluster: Cluster, city: str) -> tuple[tuple[bytes, str], ...]:
    return cluster.process(city).picture().at_the_door


def allow(cluster: Cluster, *cities: str) -> None:
    for city in cities:
        cluster._meet(city)
        ticket = cluster.ask("lima", "allow", about=city)
        cluster.run_until(answered(ticket, "lima"))
        assert answer(cluster, "lima", ticket)[0]


def listed(*cities: str) -> Cluster:
    """Return a network with a list, and these on its roster beside the founder."""
    cluster = Cluster(LIST)
    cluster.start("lima")
    allow(cluster, *cities)
    for city in cities:
        cluster.join(city, through="lima")
    cluster.run_until(on_roster("lima", *cities))
    return cluster


def test_who_is_not_on_the_list_waits_outside_and_both_sides_are_told_the_command() -> None:
    cluster = listed("berlin")
    cluster.join("oslo", through="berlin")
    cluster.run_for(5_000)
    cluster.run_while(outside(cluster, "oslo"), ms=10_000)
    wanted = full_id(cluster.node("oslo"))
    assert cluster.process("oslo").picture().because == (
        f"not allowed into this network yet: ask a member's operator to run: comind allow {wanted}"
    )
    assert door(cluster, "berlin") == ((cluster.node("oslo"), "not allowed yet"),)
    assert door(cluster, "lima") == ()
    assert cluster.height("oslo") == -1, "it learns nothing of the chain"


def test_who_waits_outside_comes_in_by_itself_once_it_is_allowed() -> None:
    cluster = listed("berlin")
    cluster.join("oslo", through="berlin")
    cluster.run_for(3_000)
    allow(cluster, "oslo")
    cluster.run_until(on_roster("oslo", "lima", "berlin"), within_ms=20_000)
    assert door(cluster, "berlin") == ()
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert "oslo" in cluster.contributors(cluster.rounds)


def test_who_is_allowed_beforehand_never_waits() -> None:
    cluster = listed("berlin", "hanoi", "quito")
    cluster.run_until(committed(round=3))
    assert cluster.contributors(3) == {"lima", "berlin", "hanoi", "quito"}
    assert cluster.history.drops == []


@pytest.mark.parametrize("city", ["lima", "quito"])
def test_who_left_comes_back_without_being_allowed_again(city: str) -> None:
    """The founder as well, who was never allowed by anybody."""
    cluster = listed("berlin", "hanoi", "quito")
    cluster.run_until(committed(round=5))
    cluster.leave(city)
    cluster.run_until(stopped(city) & off_roster(city))
    cluster.start(city, through=("berlin",))
    cluster.run_until(on_roster(city))


def test_a_restart_keeps_the_door_as_it_was() -> None:
    cluster = listed("berlin", "hanoi")
    for city in ("lima", "berlin", "hanoi"):
        cluster.kill(city)
    for city in ("lima", "berlin", "hanoi"):
        cluster.restart(city)
    cluster.join("oslo", through="berlin")
    cluster.run_until(committed(round=cluster.rounds + 2, by=("lima", "berlin", "hanoi")))
    cluster.run_while(outside(cluster, "oslo"), ms=5_000)


def test_a_member_that_was_away_is_let_in_by_those_whom_it_does_not_know_yet() -> None:
    """Whom it dials is its own choice, and who dials it is let in as soon as it has heard of it."""
    cluster = listed("berlin", "hanoi")
    cluster.stop("hanoi")
    allow(cluster, "oslo")
    cluster.join("oslo", through="berlin")
    cluster.run_until(on_roster("oslo", "lima"))
    cluster.restart("hanoi")
    cluster.run_until(on_roster("hanoi", "oslo") & committed(round=cluster.rounds + 3))


@pytest.mark.parametrize("settings", [Settings(), LIST])
def test_who_is_denied_gets_no_link_though_it_holds_the_key(settings: Settings) -> None:
    cluster = Cluster(settings)
    cluster.start("lima", trains=False)
    cluster._meet("oslo")
    ticket = cluster.ask("lima", "deny", "a stranger", about="oslo")
    cluster.run_until(answered(ticket, "lima"))
    cluster.join("oslo", through="lima")
    cluster.run_for(2_000)
    cluster.run_while(outside(cluster, "oslo"), ms=5_000)
    assert cluster.process("oslo").picture().because.startswith("denied by lima: a stranger; ")
    assert door(cluster, "lima") == ((cluster.node("oslo"), "denied by lima: a stranger"),)
    allow(cluster, "oslo")
    cluster.run_until(on_roster("oslo"))


@pytest.mark.parametrize(
    ("settings", "what", "about", "line"),
    [
        (Settings(), "allow", "oslo", "it is not denied, and whoever holds the invite may join this network"),
        (
            Settings(),
            "allow",
            "berlin",
            "berlin is a member: comind remove takes it off the roster, and denies it",
        ),
        (
            Settings(),
            "deny",
            "berlin",
            "berlin is a member: comind remove takes it off the roster, and denies it",
        ),
        (LIST, "allow", "hanoi", "it is allowed already: it joins with comind node"),
    ],
)
def test_what_is_so_already_is_said_at_once(settings: Settings, what: str, about: str, line: str) -> None:
    cluster = Cluster(settings)
    cluster.start("lima", trains=False)
    if settings.admission == "list":
        allow(cluster, "berlin", "hanoi")
    cluster.join("berlin", through="lima", trains=False)
    cluster.run_until(on_roster("berlin", "lima"))
    cluster._meet("oslo")
    ticket = cluster.ask("lima", what, about=about)
    assert answer(cluster, "lima", ticket) == (False, line)
