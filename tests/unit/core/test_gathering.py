"""Which contributions are announced, and whom does the round wait for? (R4, R5)"""

from typing import Any

import pytest
from msgspec.structs import replace

from comind.p2p.core.chain import Chain
from comind.p2p.core.door import UNKNOWN_DEADLINE_MS, Call, Open, Wait
from comind.p2p.core.errors import PeerMisbehaved
from comind.p2p.core.gathering import LATE, RECENT_ROUNDS, Gathering
from comind.p2p.core.messages import Arrival, CanLead, Ready
from comind.p2p.core.words import Settings
from tests.unit.core.build import (
    FAR,
    LAYOUT,
    SIZE,
    UNSIGNED,
    append,
    founded,
    ground,
    heartbeat,
    incarnation,
    mean_block,
    node,
    nodes,
    people_of,
    roster_block,
    signed_header,
)


def gathering(
    *linked: int, chain: Chain | None = None, settings: Settings | None = None, trains: bool = True
) -> Gathering:
    """Return what node(0), which trains, gathers while these are linked and train."""
    chain = chain or founded(voters=3, witnesses=1, settings=settings)
    people = people_of(ground(chain), *linked)
    people.trains = trains
    return Gathering(people.here, people)


def ready(gathered: Gathering, number: int, boots: int = 0, layout: bytes = b"", **fields: Any) -> Ready:
    chain = gathered.here.chain
    return Ready(signed_header(chain, node(number), incarnation=incarnation(boots), **fields), layout)


def announcing(gathered: Gathering, *numbers: int) -> Gathering:
    for number in numbers:
        assert gathered.add(ready(gathered, number))
    return gathered


# -- R4: headers --------------------------------------------------------------------------------------------


def test_r4_a_header_is_news_once() -> None:
    gathered = gathering(1)
    assert gathered.add(ready(gathered, 1))
    assert not gathered.add(ready(gathered, 1))
    assert gathered.announced[node(1)].arrived_ms == 1_000


def test_r4_a_higher_incarnations_header_supersedes_a_lower_ones() -> None:
    gathered = gathering(1)
    assert gathered.add(ready(gathered, 1, boots=1))
    gathered.here.now_ms = 5_000
    assert not gathered.add(ready(gathered, 1, boots=0, weight=7))
    assert gathered.add(ready(gathered, 1, boots=2, weight=9))
    kept = gathered.announced[node(1)]
    assert (kept.header.incarnation, kept.header.weight, kept.arrived_ms) == (incarnation(2), 9, 5_000)


def test_s7_of_two_headers_of_one_incarnation_the_first_stays() -> None:
    gathered = gathering(1)
    gathered.add(ready(gathered, 1))
    assert not gathered.add(ready(gathered, 1, weight=7))
    assert gathered.announced[node(1)].header.weight == 1


def test_r4_a_header_that_is_not_valid_at_this_height_is_refused() -> None:
    gathered = gathering(1)
    for wrong in (
        ready(gathered, 1, height=2),
        ready(gathered, 99),
        ready(gathered, 1, weight=0),
        ready(gathered, 1, last_step=0),
        Ready(replace(signed_header(gathered.here.chain, node(1)), signature=UNSIGNED)),
    ):
        with pytest.raises(PeerMisbehaved):
            gathered.add(wrong)
    assert gathered.announced == {}


def test_r15_with_starting_weights_comes_the_layout_that_their_header_names() -> None:
    """Whoever leads makes the first block from it, and a block with another layout is none."""
    gathered = gathering(1, chain=founded(base=None))
    with pytest.raises(PeerMisbehaved):
        gathered.add(ready(gathered, 1, layout=b"another layout"))
    assert gathered.add(ready(gathered, 1, layout=LAYOUT))
    assert gathered.announced[node(1)].layout == LAYOUT


def test_r15_a_layout_that_comes_after_its_header_is_kept() -> None:
    """An OPEN shows a header without its layout; the member itself sends both to a later chief (R4)."""
    gathered = gathering(1, chain=founded(base=None))
    gathered.add(ready(gathered, 1))
    gathered.add(ready(gathered, 1, layout=LAYOUT))
    assert gathered.announced[node(1)].layout == LAYOUT


def test_headers_and_arrivals_are_told_in_roster_order() -> None:
    gathered = gathering(1, 2)
    for number, now_ms in ((2, 1_500), (0, 1_800), (1, 2_500)):
        gathered.here.now_ms = now_ms
        gathered.add(ready(gathered, number))
    assert gathered.arrivals() == (Arrival(node(0), 300), Arrival(node(1), 1_000), Arrival(node(2), 0))
    headers = gathered.headers_of(nodes(0, 1))
    assert headers == tuple(signed_header(gathered.here.chain, one) for one in nodes(0, 1))


# -- R5: whom it waits for ----------------------------------------------------------------------------------


def test_r5_the_door_opens_for_all_that_train_and_are_heard_from() -> None:
    decision = announcing(gathering(1, 2), 0, 1, 2).decide()
    assert decision == Open(nodes(0, 1, 2), "all 3 that train are ready")


def test_r5_slow_is_not_dead() -> None:
    assert announcing(gathering(1, 2), 0, 1).decide() == Wait("waiting for node-2 to reach the interval")


def test_r5_who_is_silent_away_or_without_a_trainer_is_not_waited_for() -> None:
    for change in ("silent", "away", "witness", "no link"):
        gathered = announcing(gathering(1, 2), 0, 1)
        people = gathered.people
        match change:
            case "silent":
                gathered.here.now_ms += 3_001
                people.heard(node(1))
            case "away":
                people.beat(node(2), heartbeat(away=True))
            case "witness":
                people.beat(node(2), heartbeat(training=False))
            case "no link":
                people.link_down(node(2))
        assert gathered.decide() == Open(nodes(0, 1), "all 2 that train are ready"), change


def test_r5_who_fell_silent_after_it_was_ready_is_not_counted() -> None:
    gathered = announcing(gathering(1, 2), 0, 1, 2)
    gathered.people.link_down(node(2))
    assert gathered.decide() == Open(nodes(0, 1), "all 2 that train are ready")


def test_r7_a_header_of_an_incarnation_that_is_not_linked_cannot_be_used() -> None:
    gathered = announcing(gathering(1, 2), 0, 1, 2)
    gathered.people.link_up(node(2), incarnation(5), dialled=True)
    gathered.people.beat(node(2), heartbeat())
    assert gathered.decide() == Wait("waiting for node-2 to reach the interval")
    gathered.add(ready(gathered, 2, boots=5))
    assert gathered.decide() == Open(nodes(0, 1, 2), "all 3 that train are ready")


@pytest.mark.parametrize(
    ("settings", "because"),
    [
        (Settings(min_peers=3), "an average takes 3 members that train: 2 so far"),
        (Settings(start_at=3), "the first average waits for 3 members that train: 2 so far"),
    ],
)
def test_r5_fewer_than_start_at_or_min_peers_open_nothing(settings: Settings, because: str) -> None:
    gathered = announcing(gathering(1, settings=settings), 0, 1)
    assert gathered.decide() == Wait(because)
    assert gathered.why_no_average() == because


def test_r5_after_the_last_round_no_door_opens() -> None:
    chain = founded(settings=Settings(rounds=1))
    append(chain, mean_block(chain, nodes(0, 1)))
    gathered = announcing(gathering(1, chain=chain), 0, 1)
    assert gathered.decide() == Wait("all 1 rounds are done")


def test_r15_the_first_starting_weights_to_arrive_are_the_first_base() -> None:
    gathered = gathering(1, 2, chain=founded(base=None))
    assert gathered.decide() == Wait("no trainer yet")
    assert gathered.why_no_average() == "there is no first base yet"
    for number, now_ms in ((2, 1_100), (1, 1_200)):
        gathered.here.now_ms = now_ms
        gathered.add(ready(gathered, number, layout=LAYOUT))
    assert gathered.decide() == Open(nodes(2), "the first starting weights")
    gathered.people.link_down(node(2))
    assert gathered.decide() == Open(nodes(1), "the first starting weights")


def test_r16_two_members_that_announce_the_same_run_are_not_averaged_together() -> None:
    """Both restored one checkpoint. No block counts a run twice: an OPEN with both comes to nothing."""
    gathered = gathering(1, 2)
    for number in (0, 1, 2):
        run = b"one checkpoint!!" if number else b"another run....."
        gathered.add(ready(gathered, number, run=run))
    decision = gathered.decide()
    assert isinstance(decision, Open)
    runs = [gathered.announced[one].header.run for one in decision.contributors]
    assert len(set(runs)) == len(runs)


# -- R5: an adaptive door ------------------------------------------------------------------------------------

ADAPTIVE = Settings(door="adaptive")


def test_r5_who_came_when_it_was_called_is_not_among_the_arrivals() -> None:
    """They tell the next doors how late members come by themselves."""
    gathered = announcing(gathering(1, 2, settings=ADAPTIVE), 0)
    gathered.here.now_ms = 1_500
    assert gathered.call(nodes(1, 2)) == nodes(1, 2)
    assert gathered.call(nodes(1, 2)) == ()
    gathered.here.now_ms = 1_600
    announcing(gathered, 1)
    assert gathered.arrivals() == (Arrival(node(0), 0),)
    assert gathered.still_called() == nodes(2)
    assert gathered.reasons() == {node(2): LATE}


def test_r5_who_was_called_and_is_lost_is_not_called_late() -> None:
    gathered = announcing(gathering(1, 2, settings=ADAPTIVE), 0, 1)
    gathered.call(nodes(2))
    gathered.people.link_down(node(2))
    assert gathered.reasons() == {}


def test_r5_the_deadline_follows_from_the_last_averages_of_the_chain() -> None:
    chain = founded(voters=3, settings=ADAPTIVE)
    who = nodes(0, 1, 2)
    for _ in range(RECENT_ROUNDS):
        early = tuple(Arrival(node(number), number * 60_000) for number in range(3))
        append(chain, mean_block(chain, who, arrivals=early))
    for _ in range(RECENT_ROUNDS):
        append(chain, mean_block(chain, who, arrivals=(Arrival(node(0), 0), Arrival(node(1), 2_000))))
    changes = [CanLead(node(1), can_lead=False)]
    append(chain, roster_block(chain, changes, arrivals=(Arrival(node(0), 9_000),)))
    gathered = announcing(gathering(1, 2, chain=chain), 0, 1)
    decision = gathered.decide()
    assert isinstance(decision, Wait)
    assert decision.opens_ms == 1_000 + 2_000 + 4 * 2_000


def test_r5_whoever_judges_a_chief_counts_its_deadline_from_when_it_could_lead() -> None:
    gathered = announcing(gathering(1, 2, settings=ADAPTIVE), 0, 1)
    gathered.here.now_ms = 1_000 + UNKNOWN_DEADLINE_MS
    for number in (1, 2):
        gathered.people.heard(node(number))
    assert isinstance(gathered.decide(), Open)
    later = gathered.decide(since_ms=2_000)
    assert isinstance(later, Call)
    assert later.opens_ms == 2_000 + UNKNOWN_DEADLINE_MS


# -- R6: who was lost ---------------------------------------------------------------------------------------


def test_r6_whose_contribution_was_lost_is_neither_waited_for_nor_counted() -> None:
    gathered = announcing(gathering(1, 2), 0, 1, 2)
    gathered.refuse(node(2), "a value that is no number")
    assert gathered.decide() == Open(nodes(0, 1), "all 2 that train are ready")
    assert gathered.reasons() == {node(2): "a value that is no number"}


def test_r6_a_new_incarnation_gets_a_new_chance() -> None:
    gathered = announcing(gathering(1, 2), 0, 1, 2)
    gathered.refuse(node(2), "its stream broke")
    gathered.people.link_up(node(2), incarnation(5), dialled=True)
    gathered.people.beat(node(2), heartbeat())
    gathered.add(ready(gathered, 2, boots=5))
    assert gathered.decide() == Open(nodes(0, 1, 2), "all 3 that train are ready")
    assert gathered.reasons() == {}


def test_r6_with_too_few_left_the_round_waits() -> None:
    gathered = announcing(gathering(1), 0, 1)
    gathered.refuse(node(1), "its stream broke")
    assert gathered.decide() == Wait("an average takes 2 contributions")


def test_r6_who_announced_nothing_cannot_be_refused() -> None:
    gathered = gathering(1)
    gathered.refuse(node(1), "why")
    assert gathered.refused == {}


def test_headers_are_kept_of_members_alone() -> None:
    gathered = gathering(1, 99)
    with pytest.raises(PeerMisbehaved, match="off the roster"):
        gathered.add(ready(gathered, 99))
    for boots in range(50):
        gathered.add(ready(gathered, 1, boots=boots, last_step=FAR - boots))
    assert len(gathered.announced) == 1
    assert gathered.announced[node(1)].header.size == SIZE
