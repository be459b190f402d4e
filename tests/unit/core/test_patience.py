"""How long does a voter wait for this view? (R11)"""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comind.p2p.core.chain import Chain
from comind.p2p.core.desk import Desk
from comind.p2p.core.messages import CanLead, Open, Propose
from comind.p2p.core.patience import ends_at_ms, patience_ms
from comind.p2p.core.phases import Phase
from comind.p2p.core.pledges import Pledges
from comind.p2p.core.rotation import chief
from comind.p2p.core.round import Opened, Proposed, Round
from comind.p2p.core.wire import block_hash, pack
from comind.p2p.core.words import Root, Rule, Settings, View
from tests.unit.core.build import (
    SIZE,
    UNSIGNED,
    founded,
    ground,
    heartbeat,
    incarnation,
    meet,
    node,
    people_of,
    roster_block,
    signed_header,
)

# -- how long -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("view", "ms"), [(0, 1_000), (1, 2_000), (2, 4_000), (4, 16_000), (5, 32_000), (6, 32_000), (99, 32_000)]
)
def test_r11_patience_doubles_with_each_view_up_to_its_most(view: int, ms: int) -> None:
    assert patience_ms(view, 1_000, 32_000) == ms


@given(st.integers(0, 2**63 - 1), st.integers(50, 600_000), st.integers(50, 3_600_000))
def test_r11_patience_is_bounded_in_any_view_and_never_falls(view: int, first: int, most: int) -> None:
    assert min(first, most) <= patience_ms(view, first, most) <= most
    assert patience_ms(view, first, most) <= patience_ms(view + 1, first, most)


# -- when it ends -------------------------------------------------------------------------------------------


def chief_number(chain: Chain, view: int = 0) -> int:
    leads = chief(chain.roster, chain.network, chain.next, View(view))
    return chain.roster.nodes().index(leads)


CHAIN = next(
    chain
    for rounds in range(100, 200)
    for chain in [founded(voters=3, witnesses=1, settings=Settings(round_limit_ms=10_000, rounds=rounds))]
    if chief_number(chain) < 3
)
"""A voter leads. Patience is 1 s, a heartbeat 300 ms."""

LEADS = chief_number(CHAIN)
FOLLOWS, OTHER = [number for number in (0, 1, 2) if number != LEADS][:2]
FED_MS = 2_000


def round_of(number: int = FOLLOWS, phase: Phase = Phase.GATHERING, **beat: Any) -> Round:
    """Return this member's round, fed at 2 s; all others are linked and were heard from then."""
    here = ground(CHAIN, number, now_ms=FED_MS)
    people = people_of(here, *(one for one in range(4) if one != number), **beat)
    people.had_quorum = True
    round = Round(here, people, Desk(here, people), Pledges(here, None))
    round.phase, round.fed_ms = phase, FED_MS
    return round


def opened_at(round: Round, at_ms: int) -> Round:
    open = Open(
        height=1,
        view=round.view,
        attempt=0,
        rule=Rule.MEAN,
        headers=(signed_header(CHAIN, node(0)),),
        averagers=((node(LEADS), 0, SIZE),),
        codec="float32",
        size=SIZE,
        new_view=(),
        node=node(LEADS),
        incarnation=incarnation(0),
        signature=UNSIGNED,
    )
    round.opened = Opened(open, b"open", at_ms)
    return round


def proposed(round: Round) -> Round:
    block = roster_block(CHAIN, [CanLead(node(1), can_lead=False)], by=node(LEADS))
    propose = Propose(1, round.view, pack(block), (), node(LEADS), incarnation(0), UNSIGNED)
    round.proposed = Proposed(propose, block_hash(propose.block), block, round.here.now_ms)
    return round


def at(number: int, phase: Phase = Phase.GATHERING, **beat: Any) -> Callable[[], Round]:
    return lambda: round_of(number, phase, **beat)


def lost_at(ms: int | None) -> Round:
    round = round_of()
    round.people.link_down(node(LEADS))
    round.people.lost_ms.clear()
    if ms is not None:
        round.people.lost_ms[node(LEADS)] = ms
    return round


def heard_at(ms: int, phase: Phase = Phase.GATHERING) -> Round:
    round = round_of(phase=phase)
    round.people.links[node(LEADS)].heard_ms = ms
    return round


def changed_at(ms: int, phase: Phase = Phase.GATHERING, **beat: Any) -> Round:
    round = round_of(phase=phase)
    round.here.now_ms = ms
    round.people.beat(node(LEADS), heartbeat(**beat))
    round.people.links[node(LEADS)].heard_ms = ms
    return round


def unheard() -> Round:
    round = round_of()
    link = round.people.links[node(LEADS)]
    link.heartbeat, link.heard_ms = None, 9_000
    return round


def in_view(view: int, phase: Phase) -> Round:
    round = round_of(phase=phase)
    round.view = View(view)
    if chief_number(CHAIN, view) == FOLLOWS:
        round = round_of(OTHER, phase)
        round.view = View(view)
    return round


def due_at(ms: int, phase: Phase = Phase.GATHERING) -> Round:
    round = heard_at(9_000, phase)
    round.due_ms = ms
    return round


def abstaining() -> Round:
    round = round_of()
    round.people.had_quorum = False
    for link in round.people.links.values():
        link.greeting = None
    return round


def restored() -> Round:
    round = round_of()
    round.pledges.restored = True
    return round


Row = tuple[Callable[[], Round], int | None, str]

ROWS: dict[str, Row] = {
    "nothing has begun": (at(FOLLOWS, Phase.IDLE), None, ""),
    "it promised the next view already": (at(FOLLOWS, Phase.CHANGING), None, ""),
    "it has no vote": (at(3), None, ""),
    "no quorum has greeted it": (abstaining, None, ""),
    "its disk was restored": (restored, None, ""),
    # until OPEN
    "it leads, and the door waits": (at(LEADS), None, ""),
    "the chief was heard as late as the round was fed": (at(FOLLOWS), 3_000, "was not heard for 1000 ms"),
    "the chief was heard since": (lambda: heard_at(5_500), 6_500, "was not heard for 1000 ms"),
    "the chief was heard before": (lambda: heard_at(500), 3_000, "was not heard for 1000 ms"),
    "the chief has said no heartbeat": (unheard, 3_000, "was not heard for 1000 ms"),
    "the chief has no link and never had": (lambda: lost_at(None), 2_300, "has no link"),
    "the chief's link was lost before": (lambda: lost_at(100), 2_300, "has no link"),
    "the chief's link was lost since": (lambda: lost_at(4_000), 4_300, "has no link"),
    "the chief abstains": (lambda: changed_at(5_000, abstains="it stops"), 5_300, "gave up: it stops"),
    "the chief abstained before": (lambda: changed_at(500, abstains="it stops"), 2_300, "gave up: it stops"),
    "the chief went to a higher view": (
        lambda: changed_at(5_000, view=1),
        5_300,
        "gave up: it went to view 1",
    ),
    "the chief abstains at another height": (
        lambda: changed_at(5_000, height=9, abstains="it stops"),
        6_000,
        "was not heard for 1000 ms",
    ),
    "the door waits no more, and the chief is heard from": (
        lambda: due_at(4_000),
        5_000,
        "could open, and did not for 1000 ms",
    ),
    "the door waited no more before the round was fed": (lambda: due_at(500), 3_000, "could open"),
    "the door waits no more, and the chief has opened": (
        lambda: opened_at(due_at(4_000, Phase.AVERAGING), 1_500),
        3_000,
        "no progress",
    ),
    # after OPEN
    "it averages": (
        lambda: opened_at(round_of(LEADS, Phase.AVERAGING), 2_000),
        3_000,
        "no progress for 1000 ms",
    ),
    "the chief averages and is heard from": (
        lambda: opened_at(heard_at(5_500, Phase.AVERAGING), 2_000),
        3_000,
        "no progress for 1000 ms under",
    ),
    "the chief averages and abstains": (
        lambda: opened_at(changed_at(2_500, Phase.AVERAGING, abstains="it stops"), 2_000),
        2_800,
        "gave up",
    ),
    "they vote": (lambda: opened_at(round_of(phase=Phase.VOTING), 1_500), 3_000, "no progress for 1000 ms"),
    "it is locked": (
        lambda: opened_at(round_of(phase=Phase.LOCKED), 1_500),
        3_000,
        "no progress for 1000 ms",
    ),
    "they vote under a chief that is heard from": (
        lambda: proposed(heard_at(5_500, Phase.VOTING)),
        3_000,
        "no progress for 1000 ms",
    ),
    "chunks trickle in beyond the total bound": (
        lambda: opened_at(round_of(phase=Phase.AVERAGING), FED_MS - 9_500),
        2_500,
        "no progress",
    ),
    "it averages beyond the total bound": (
        lambda: opened_at(round_of(LEADS, Phase.AVERAGING), FED_MS - 9_500),
        2_500,
        "no progress",
    ),
    "view 1": (lambda: in_view(1, Phase.VOTING), 4_000, "no progress for 2000 ms"),
    "view 9": (lambda: in_view(9, Phase.VOTING), 34_000, "no progress for 32000 ms"),
}


@pytest.mark.parametrize("when", ROWS)
def test_r11_patience_ends_when(when: str) -> None:
    make, ends_ms, because = ROWS[when]
    found = ends_at_ms(make())
    if ends_ms is None:
        assert found is None
    else:
        assert found is not None
        assert found[0] == ends_ms
        assert because in found[1]


def test_r11_a_chief_that_must_fetch_a_locks_bytes_is_not_waited_for_without_end() -> None:
    """R13: no door waits where a lock binds; the next chief may hold its bytes, or reach who does."""
    round = round_of(LEADS)
    round.view = View(len(CHAIN.roster.entries))
    assert round.chief == node(LEADS)
    round.wanted = (Root(b"\x01" * 32), SIZE)
    assert ends_at_ms(round) is not None


def test_r11_a_view_that_proposes_without_an_open_has_a_total_bound_too() -> None:
    """Votes feed patience: whoever votes anew each second must not hold a view open for ever."""
    round = proposed(round_of(phase=Phase.VOTING))
    for _ in range(100):
        ends = ends_at_ms(round)
        assert ends is not None
        round.here.now_ms = ends[0] - 1
        round.feed()
    assert round.here.now_ms <= FED_MS + 10_000


def test_r11_the_reason_names_the_chief() -> None:
    found = ends_at_ms(round_of())
    assert found is not None
    assert f"node-{LEADS}" in found[1]


def test_r11_who_meets_the_chief_again_waits_for_it_again() -> None:
    round = lost_at(4_000)
    round.here.now_ms = 4_200
    meet(round.people, LEADS)
    assert ends_at_ms(round) == (5_200, f"its chief node-{LEADS} was not heard for 1000 ms")
