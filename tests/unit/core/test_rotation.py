"""Does every member that can lead have its turn? (R3, L3)"""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comind.p2p.core.roster import Roster
from comind.p2p.core.rotation import chief, leading_order
from comind.p2p.core.words import Height, NetworkId, View
from tests.unit.core.build import FAR, node, nodes
from tests.unit.core.test_roster import entry, voters

NETWORK = NetworkId(b"n" * 32)
heights = st.integers(1, 2**62).map(Height)


def able(*led_at: int) -> Roster:
    """Return members that can lead; they led last at these heights."""
    return Roster(tuple(replace(entry(number), led_at=at) for number, at in enumerate(led_at)))


@given(heights, st.lists(st.integers(1, 100), min_size=1, max_size=8))
def test_r3_who_never_led_goes_first_then_who_led_longest_ago(height: Height, led_at: list[int]) -> None:
    roster = able(*led_at, -1, -1)
    order = leading_order(roster, NETWORK, height)
    assert set(order[:2]) == set(nodes(len(led_at), len(led_at) + 1))
    at = {one.node: one.led_at for one in roster}
    assert [at[one] for one in order] == sorted(at.values())


@given(heights, st.integers(0, 2**63 - 1))
def test_r3_view_v_is_led_by_number_v_mod_k(height: Height, view: int) -> None:
    roster = able(5, 1, -1, 9)
    order = leading_order(roster, NETWORK, height)
    assert chief(roster, NETWORK, height, View(view)) == order[view % 4]


@given(heights)
def test_r3_only_who_can_lead_leads(height: Height) -> None:
    roster = Roster(
        (replace(entry(0), can_lead=False), entry(1), replace(entry(2), can_lead=False), entry(3))
    )
    assert set(leading_order(roster, NETWORK, height)) == set(nodes(1, 3))


@given(heights)
def test_r3_if_none_can_lead_all_do(height: Height) -> None:
    roster = Roster(tuple(replace(one, can_lead=False) for one in voters(3)))
    assert set(leading_order(roster, NETWORK, height)) == set(nodes(0, 1, 2))


@given(st.integers(1, 9), st.integers(1, 2**40))
def test_l3_every_member_that_can_lead_leads_once_in_k_averages(count: int, first: int) -> None:
    roster = voters(count)
    led = []
    for height in range(first, first + 3 * count):
        led.append(chief(roster, NETWORK, Height(height), View(0)))
        roster = roster.with_average(Height(height), led[-1], frozenset())
    for start in range(0, 3 * count, count):
        assert set(led[start : start + count]) == set(roster.nodes())
    assert led[:count] == led[count : 2 * count] == led[2 * count :]


@given(st.integers(2, 6), st.integers(1, 1000))
def test_r3_blocks_without_an_average_cost_nobody_its_turn(count: int, first: int) -> None:
    """Heights pass, and the order among those that never led is drawn anew: once one has led, it is last."""
    roster = voters(count)
    led = []
    for height in range(first, first + 2 * count):
        if height % 2:
            continue
        led.append(chief(roster, NETWORK, Height(height), View(0)))
        roster = roster.with_average(Height(height), led[-1], frozenset())
    assert len(set(led)) == count


def test_r3_the_order_of_those_that_never_led_depends_on_network_and_height() -> None:
    roster = voters(6)
    orders = {leading_order(roster, NETWORK, Height(height)) for height in range(1, 30)}
    assert len(orders) > 20
    assert leading_order(roster, NETWORK, Height(1)) != leading_order(roster, NetworkId(bytes(32)), Height(1))
    assert leading_order(roster, NETWORK, Height(1)) == leading_order(roster, NETWORK, Height(1))


def test_r3_the_farthest_view_has_a_chief() -> None:
    assert chief(voters(3), NETWORK, Height(FAR), View(FAR)) in nodes(0, 1, 2)


@pytest.mark.parametrize("view", [0, 1, 7])
def test_r3_a_member_alone_leads_every_view(view: int) -> None:
    assert chief(voters(1), NETWORK, Height(1), View(view)) == node(0)
