"""What does a member say that it waits for, and when need its trainer not wait? (R5, R17)"""

from collections.abc import Callable

import pytest

from comind.p2p.core.chain import Chain
from comind.p2p.core.desk import Desk
from comind.p2p.core.discovery import Discovery
from comind.p2p.core.phases import Phase
from comind.p2p.core.pledges import Pledges
from comind.p2p.core.round import Round
from comind.p2p.core.waiting import why_released, why_waiting
from comind.p2p.core.words import NetworkId, Settings
from tests.unit.core.build import (
    append,
    founded,
    ground,
    heartbeat,
    mean_block,
    node,
    nodes,
    offer,
    people_of,
)


class Seen:
    """A member's parts, as `waiting` reads them."""

    def __init__(
        self, chain: Chain | None = None, *linked: int, number: int = 0, trains: bool = True
    ) -> None:
        here = ground(chain if chain is not None else founded(voters=3), number)
        self.people: Discovery = people_of(here, *linked)
        self.here = here
        self.desk = Desk(here, self.people)
        self.desk.attached()
        self.round = Round(here, self.people, self.desk, Pledges(here, None))

    def waiting(self) -> str:
        return why_waiting(self.here, self.people, self.round)

    def released(self) -> str:
        return why_released(self.here, self.people, self.round, self.desk)


def in_phase(phase: Phase) -> Seen:
    seen = Seen(founded(voters=3), 1, 2)
    seen.round.phase = phase
    return seen


def fetching() -> Seen:
    seen = Seen(founded(voters=3), 1, 2)
    seen.here.held.clear()
    return seen


def finished() -> Chain:
    chain = founded(voters=3, settings=Settings(rounds=1))
    return append(chain, mean_block(chain, nodes(0, 1)))


CHIEF = in_phase(Phase.IDLE).here.name(in_phase(Phase.IDLE).round.chief)

WAITS: list[tuple[Callable[[], Seen], str]] = [
    (lambda: Seen(Chain(NetworkId(bytes(32)))), "looking for a member"),
    (lambda: Seen(Chain(NetworkId(bytes(32))), 1), "waiting for the network's first block"),
    (lambda: Seen(founded(voters=3), number=9), "looking for a member"),
    (lambda: Seen(founded(voters=3), 1, number=9), "waiting to be admitted by block"),
    (fetching, "fetching the base"),
    (lambda: in_phase(Phase.CHANGING), "waiting for a quorum to go to view 0"),
    (lambda: in_phase(Phase.AVERAGING), f"{CHIEF} averages"),
    (lambda: in_phase(Phase.VOTING), f"the voters vote on what {CHIEF} proposed"),
    (lambda: in_phase(Phase.LOCKED), f"the voters vote on what {CHIEF} proposed"),
    (lambda: in_phase(Phase.GATHERING), "waiting for node-0, node-1 and node-2 to reach the interval"),
    (lambda: Seen(finished(), 1, 2), "all 1 rounds are done"),
    (lambda: Seen(founded(voters=3, base=None), 1), "waiting for the first trainer's starting weights"),
    (lambda: Seen(founded(voters=3)), "an average takes 2 members that train: 1 so far"),
]


@pytest.mark.parametrize(("make", "because"), WAITS)
def test_what_it_waits_for_is_said_in_words(make: Callable[[], Seen], because: str) -> None:
    assert make().waiting() == because


def without_voters() -> Seen:
    """Return one of two that train, whose voters are silent."""
    seen = Seen(founded(voters=3, witnesses=2), 3, number=4)
    seen.desk.offered(offer(seen.here.chain))
    return seen


RELEASED: list[tuple[Callable[[], Seen], str]] = [
    (lambda: Seen(founded(voters=3), 1, 2), ""),
    (lambda: Seen(founded(voters=3)), "an average takes 2 members that train: 1 so far"),
    (lambda: Seen(finished(), 1, 2), "all 1 rounds are done"),
    (lambda: Seen(founded(voters=3), number=9), "no member of the network is linked"),
    (lambda: Seen(founded(voters=3), 1, number=9), ""),
    (lambda: Seen(founded(voters=3, base=None), 1, 2), ""),
    (without_voters, "too few voters are heard from: node-0, node-1 and node-2 missing"),
]


@pytest.mark.parametrize(("make", "because"), RELEASED)
def test_r17_a_trainer_is_released_when_no_round_can_come(make: Callable[[], Seen], because: str) -> None:
    seen = make()
    if seen.here.is_member:
        seen.desk.offered(offer(seen.here.chain))
    assert seen.released() == because


def test_r17_an_offer_that_cannot_be_used_releases_its_trainer() -> None:
    seen = Seen(founded(voters=3), 1, 2)
    seen.desk.offered(offer(seen.here.chain, last_step=0))
    assert seen.released() == "it offers no steps"


def test_names_of_missing_voters_are_in_roster_order_in_every_process() -> None:
    """A set's order is another in each process: the reason would flicker, and no seed reproduce it."""
    seen = Seen(founded(voters=9, witnesses=2), 9, number=10)
    for number in range(9):
        assert node(number) in seen.here.chain.roster
    seen.people.beat(node(9), heartbeat())
    assert seen.released() == "too few voters are heard from: node-0, node-1, node-2 and 6 others missing"
