"""Does the round open now, and for whom? (R5)"""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comind.p2p.core.door import Arrivals, DoorForAll, Open, Wait, why_no_average
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
