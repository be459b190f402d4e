"""Does the round open now, and for whom? (R5)"""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comind.p2p.core.door import (
    CALL_AHEAD_MS,
    LEAST_DEADLINE_MS,
    MOST_DEADLINE_MS,
    UNKNOWN_DEADLINE_MS,
    AdaptiveDoor,
    Arrivals,
    Call,
    Decision,
    DoorForAll,
    Open,
    Wait,
    deadline_ms,
    why_no_average,
)
from comind.p2p.core.words import NodeId, Settings
from tests.unit.core.build import node, nodes


def names(whom: Sequence[NodeId]) -> str:
    return " ".join(str(one[1]) for one in whom)


DOOR = DoorForAll(names)


@pytest.mark.parametrize(
    ("training", "ready", "decision"),
    [
        ((), (), Wait("nobody trains")),
        ((0, 1), (), Wait("waiting for 0 1 to reach the interval")),
        ((0, 1, 2), (1,), Wait("waiting for 0 2 to reach the interval")),
        ((0, 1), (0, 1), Open(nodes(0, 1), "all 2 that train are ready")),
        ((0, 1), (1, 0), Open(nodes(1, 0), "all 2 that train are ready")),
        ((0,), (0, 1), Open(nodes(0, 1), "all 2 that train are ready")),
    ],
)
def test_r5_the_door_opens_when_all_that_train_are_ready(
    training: tuple[int, ...], ready: tuple[int, ...], decision: object
) -> None:
    for now_ms in (0, 10**12):
        assert DOOR.decide(Arrivals(nodes(*training), nodes(*ready)), now_ms) == decision


# -- an adaptive door ---------------------------------------------------------------------------------------

FIRST_MS = 10_000


def adaptive(now_ms: int, ready: tuple[int, ...] = (0, 1), limit_ms: int = 1_000) -> Decision:
    """What a door says of members 0 to 2, of whom the first was ready at 10 s."""
    door = AdaptiveDoor(names, min_peers=2, deadline_ms=limit_ms)
    return door.decide(Arrivals(nodes(0, 1, 2), nodes(*ready), FIRST_MS), now_ms)


def test_r5_an_adaptive_door_waits_calls_and_opens() -> None:
    waits = Wait("opens at its deadline, or when 2 is ready", 10_500, 11_000)
    calls = Call(nodes(2), "opens at its deadline, or when 2, called, is ready", 11_000, 11_000)
    opens = Open(nodes(0, 1), "its deadline came before 2 is ready")
    said = [adaptive(now_ms) for now_ms in (10_000, 10_499, 10_500, 10_999, 11_000, 99_000)]
    assert said == [waits, waits, calls, calls, opens, opens]


def test_r5_an_adaptive_door_opens_when_all_are_ready_whatever_the_time() -> None:
    for now_ms in (10_000, 10_500, 11_000):
        assert adaptive(now_ms, ready=(0, 1, 2)) == Open(nodes(0, 1, 2), "all 3 that train are ready")


def test_r5_below_min_peers_an_adaptive_door_calls_on() -> None:
    because = "past its deadline, and 0 2, called, are not ready yet"
    assert adaptive(11_000, ready=(1,)) == Call(nodes(0, 2), because)
    assert adaptive(11_000, ready=()) == Wait("waiting for 0 1 2 to reach the interval")


def test_r5_calls_go_out_shortly_before_a_late_deadline() -> None:
    waits = adaptive(FIRST_MS, limit_ms=60_000)
    assert isinstance(waits, Wait)
    assert (waits.ask_again_ms, waits.opens_ms) == (FIRST_MS + 60_000 - CALL_AHEAD_MS, FIRST_MS + 60_000)


@given(st.integers(0, 5_000), st.integers(0, 2_500))
def test_r5_a_door_that_asks_to_be_asked_again_has_something_new_to_say_then(limit: int, past: int) -> None:
    said = adaptive(FIRST_MS + past, limit_ms=limit)
    while not isinstance(said, Open):
        assert said.ask_again_ms is not None
        assert said.ask_again_ms > FIRST_MS + past
        past = said.ask_again_ms - FIRST_MS
        later = adaptive(said.ask_again_ms, limit_ms=limit)
        assert type(later) is not type(said)
        said = later


@pytest.mark.parametrize(
    ("arrivals", "expected_ms"),
    [
        ([], UNKNOWN_DEADLINE_MS),
        ([0, 3_000, 3_200, 3_400, 9_000], 3_200 + 4 * 200),
        ([0, 10, 12], LEAST_DEADLINE_MS),
        ([0, 2_000, 2_100, None], 2_050 + 4 * 1_050),
        ([0, 0, 0, None], LEAST_DEADLINE_MS),
        ([0, None], UNKNOWN_DEADLINE_MS),
        ([None, None, None], UNKNOWN_DEADLINE_MS),
        ([0, 2**62, 2**63 - 1], MOST_DEADLINE_MS),
    ],
)
def test_r5_the_deadline_is_median_and_four_mad_of_recent_arrivals(
    arrivals: list[int | None], expected_ms: int
) -> None:
    assert deadline_ms(arrivals) == expected_ms
    assert deadline_ms(arrivals[::-1]) == expected_ms


@given(st.lists(st.none() | st.integers(0, 2**63 - 1), max_size=20))
def test_r5_whatever_blocks_record_the_deadline_is_within_its_bounds(arrivals: list[int | None]) -> None:
    assert LEAST_DEADLINE_MS <= deadline_ms(arrivals) <= MOST_DEADLINE_MS


some = st.lists(st.integers(0, 5), unique=True, max_size=6).map(lambda numbers: nodes(*sorted(numbers)))


@given(some, some)
def test_r5_it_waits_exactly_while_one_that_trains_is_missing(
    training: tuple[NodeId, ...], ready: tuple[NodeId, ...]
) -> None:
    decision = DOOR.decide(Arrivals(training, ready), 0)
    if set(training) <= set(ready) and ready:
        assert isinstance(decision, Open)
        assert decision.contributors == ready
    else:
        assert isinstance(decision, Wait)
        assert decision.because


@pytest.mark.parametrize(
    ("settings", "training", "round", "because"),
    [
        (Settings(), 1, 0, "an average takes 2 members that train: 1 so far"),
        (Settings(), 2, 0, None),
        (Settings(), 0, 5, "an average takes 2 members that train: 0 so far"),
        (Settings(min_peers=1), 1, 0, None),
        (Settings(min_peers=1), 0, 0, "the first average waits for 1 members that train: 0 so far"),
        (Settings(start_at=4), 3, 0, "the first average waits for 4 members that train: 3 so far"),
        (Settings(start_at=4), 4, 0, None),
        (Settings(start_at=4), 2, 1, None),
        (Settings(start_at=4), 1, 1, "an average takes 2 members that train: 1 so far"),
        (Settings(rounds=3), 9, 2, None),
        (Settings(rounds=3), 9, 3, "all 3 rounds are done"),
        (Settings(rounds=3), 9, 4, "all 3 rounds are done"),
        (Settings(rounds=0), 9, 10**9, None),
    ],
)
def test_r5_no_average_opens_below_start_at_and_min_peers_or_after_the_last(
    settings: Settings, training: int, round: int, because: str | None
) -> None:
    assert why_no_average(settings, training, round) == because


def test_r5_whom_a_person_waits_for_is_named() -> None:
    decision = DOOR.decide(Arrivals(nodes(0, 3), (node(0),)), 0)
    assert decision == Wait("waiting for 3 to reach the interval")
