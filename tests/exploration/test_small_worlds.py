"""Does any order of things break a promise? Small worlds, each to its end. (S1-S8, R13, L1)"""

import pytest

from tests.exploration.beginning import Bounds
from tests.exploration.search import Search

SMALL = {
    "two members": Bounds(members=2),
    "three members without timers": Bounds(members=3, eager=True, patience=0),
    "three members, and one loses patience": Bounds(members=3, eager=True, patience=1, fires=1),
}


@pytest.mark.parametrize("name", SMALL)
def test_no_order_of_things_breaks_a_promise(name: str) -> None:
    found = Search(SMALL[name], budget=20_000).run()
    assert not found.broken, found.story
    assert found.complete
    assert found.ends


def test_a_world_that_is_not_explored_to_its_end_is_not_called_complete() -> None:
    found = Search(Bounds(members=2), budget=100).run()
    assert not found.broken
    assert not found.complete
