"""What does a member owe its trainer, and what does the trainer offer? (R4, R15-R17, S5, S7)"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comind.p2p.core.chain import Chain
from comind.p2p.core.desk import MAX_METRICS, Desk
from comind.p2p.core.effects import Action, Adopt, Begin, CallTrainer, Release, Wait
from comind.p2p.core.messages import Absentee, Block, CanLead, Header, Ready
from comind.p2p.core.wire import read
from comind.p2p.core.words import NO_ROOT, Root, RunId, Settings
from tests.unit.core.build import (
    BASE,
    FAR,
    LAYOUT,
    append,
    founded,
    ground,
    incarnation,
    initial_block,
    mean_block,
    name,
    node,
    nodes,
    offer,
    people_of,
    roster_block,
    signed_header,
    stub_verify,
)


def desk(chain: Chain | None = None, attached: bool = True, **own: Any) -> Desk:
    """Return the desk of node(0), whose trainer is attached."""
    here = ground(chain or founded(), **own)
    made = Desk(here, people_of(here, 1, 2))
    if attached:
        made.attached()
    return made


def header_of(ready: Ready) -> Header:
    return read(Header, ready.header.header)


def said(made: Desk) -> list[Action]:
    actions = list(made.here.actions)
    made.here.actions.clear()
    return actions


def adopted(made: Desk, started: bool = True) -> Adopt:
    made.settle(started)
    [adopt] = [action for action in said(made) if isinstance(action, Adopt)]
    return adopt


def holding(chain: Chain, made: Desk) -> None:
    made.here.held.add(chain.root)


# -- R4: the header -----------------------------------------------------------------------------------------


def test_r4_an_offer_becomes_one_header_of_this_incarnation_and_height() -> None:
    made = desk()
    made.offered(offer(made.here.chain, weight=32, metrics={"loss": 0.5}))
    ready = made.announce(may_average=True)
    assert ready is not None
    header = made.here.chain.check_header(ready.header, stub_verify)
    assert (header.node, header.incarnation, header.height) == (node(0), incarnation(0), 1)
    assert (header.first_step, header.last_step, header.weight) == (0, 10, 32)
    assert (header.metrics, header.base, ready.layout) == ({"loss": 0.5}, BASE, b"")
    assert made.ready() == ready


def test_s7_a_height_has_one_header_whatever_is_offered_after_it() -> None:
    made = desk()
    first = offer(made.here.chain)
    made.offered(first)
    ready = made.announce(may_average=True)
    assert ready is not None
    made.offered(offer(made.here.chain, last_step=20))
    assert made.announce(may_average=True) is None
    assert made.ready() == ready
    assert made.offer_in((ready.header,)) == first


def test_s7_also_not_when_another_trainer_attaches_at_the_same_height() -> None:
    made = desk()
    made.offered(offer(made.here.chain))
    ready = made.announce(may_average=True)
    made.left()
    made.attached()
    made.offered(offer(made.here.chain, run=RunId(b"s" * 16)))
    assert made.announce(may_average=True) is None
    assert made.ready() == ready


def test_r4_at_the_next_height_an_offer_that_still_holds_is_announced_anew() -> None:
    made = desk()
    chain = made.here.chain
    made.offered(offer(chain))
    first = made.announce(may_average=True)
    append(chain, roster_block(chain, [CanLead(node(1), can_lead=False)]))
    assert made.ready() is None
    made.settle(started=True)
    second = made.announce(may_average=True)
    assert first is not None
    assert second is not None
    assert header_of(second).height == 2
    assert made.offer_in((first.header,)) is None


def test_r5_nothing_is_announced_that_no_average_may_come_of() -> None:
    made = desk()
    made.offered(offer(made.here.chain))
    assert made.announce(may_average=False) is None
    assert made.announce(may_average=True) is not None


@pytest.mark.parametrize("why", ["no trainer", "no member", "no offer", "stale"])
def test_r4_nothing_is_announced_with(why: str) -> None:
    made = desk(founded(voters=3), attached=why != "no trainer", number=9 if why == "no member" else 0)
    if why != "no offer":
        base = Root(b"\x01" * 32) if why == "stale" else BASE
        made.offered(offer(made.here.chain, base=base))
    assert made.announce(may_average=True) is None


def test_r15_starting_weights_are_announced_with_their_layout_while_no_average_may_open() -> None:
    made = desk(founded(base=None))
    made.offered(offer(made.here.chain))
    ready = made.announce(may_average=False)
    assert ready is not None
    assert ready.layout == LAYOUT
    assert made.ready() == ready
    header = made.here.chain.check_header(ready.header, stub_verify)
    assert (header.weight, header.base) == (0, NO_ROOT)


def test_metrics_are_few_short_and_finite_in_a_header() -> None:
    made = desk()
    metrics = {f"{number:02d}" + "x" * 60: float(number) for number in range(40)}
    metrics |= {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}
    made.offered(offer(made.here.chain, metrics=metrics))
    ready = made.announce(may_average=True)
    assert ready is not None
    header = header_of(ready)
    assert len(header.metrics) == MAX_METRICS
    assert all(len(one) <= 32 and value == value for one, value in header.metrics.items())


UNUSABLE: list[tuple[dict[str, Any], Settings, str]] = [
    ({}, Settings(), ""),
    ({"schema": bytes(32)}, Settings(), "its model is not the network's"),
    ({"size": 5}, Settings(), "its model is not the network's"),
    ({"weight": 0}, Settings(), "it offers no steps"),
    ({"weight": -1}, Settings(), "it offers no steps"),
    ({"last_step": 0}, Settings(), "it offers no steps"),
    ({"first_step": 11}, Settings(), "it offers no steps"),
    ({"weight": 2}, Settings(), ""),
    ({"weight": 2}, Settings(weight="equal"), "it weighs more than one"),
    ({"weight": 1}, Settings(weight="equal"), ""),
    ({"base": Root(b"\x01" * 32)}, Settings(), "it was trained from another base"),
]


@pytest.mark.parametrize(("fields", "settings", "because"), UNUSABLE)
def test_r4_why_an_offer_cannot_be_used_is_said(
    fields: dict[str, Any], settings: Settings, because: str
) -> None:
    made = desk(founded(settings=settings))
    assert made.why_unusable(offer(made.here.chain, **fields)) == because


def test_r16_steps_that_are_counted_cannot_be_offered_again() -> None:
    chain = founded(settings=Settings(min_peers=1))
    counted = signed_header(chain, node(0), run=b"r" * 16, first_step=0, last_step=10)
    append(chain, mean_block(chain, (), headers=(counted,)))
    made = desk(chain)
    assert made.why_unusable(offer(chain, first_step=9, last_step=20)) == "its steps are counted already"
    assert made.why_unusable(offer(chain, first_step=10, last_step=20)) == ""


numbers = st.sampled_from([0, 1, 2, 10, 2**53 - 1, 2**53, 2**63 - 1])


@pytest.mark.parametrize("base", [None, (BASE, 4, LAYOUT)])
@given(
    first_step=numbers,
    last_step=numbers,
    weight=numbers,
    size=st.sampled_from([0, 1, 4, FAR]),
)
def test_r4_what_is_announced_is_a_header_that_every_member_takes(
    base: Any, first_step: int, last_step: int, weight: int, size: int
) -> None:
    """Else the member's own round refuses its trainer's header, and with it the whole step."""
    chain = founded(base=base)
    made = desk(chain)
    numbers = {"first_step": first_step, "last_step": last_step, "weight": weight, "size": size}
    made.offered(offer(chain, **numbers))
    ready = made.announce(may_average=True)
    if ready is not None:
        chain.check_header(ready.header, stub_verify)


# -- S5: what the trainer hears -----------------------------------------------------------------------------


def averaged(chain: Chain, *counted: int, **fields: Any) -> Block:
    """Append an average of what these announced, node(0) its offered run."""
    headers = tuple(
        signed_header(
            chain,
            node(number),
            **({"run": b"r" * 16, "first_step": 0, "last_step": 10, "weight": 3} if number == 0 else {}),
        )
        for number in counted
    )
    block = mean_block(chain, (), headers=headers, **fields)
    append(chain, block)
    return block


def test_s5_a_trainer_that_attaches_is_told_of_the_base_once() -> None:
    made = desk()
    adopt = adopted(made)
    assert (adopt.height, adopt.root, adopt.size, adopt.round) == (0, BASE, 4, 0)
    assert (adopt.started, adopt.finished, adopt.counted) == (True, False, False)
    made.settle(started=True)
    assert said(made) == []
    made.left()
    made.attached()
    assert adopted(made).root == BASE


def test_s5_a_base_is_told_of_when_its_bytes_are_held_and_only_the_newest() -> None:
    chain = founded()
    made = desk(chain)
    adopted(made)
    averaged(chain, 1, 2)
    made.settle(started=True)
    assert said(made) == []
    averaged(chain, 1, 2)
    holding(chain, made)
    adopt = adopted(made)
    assert (adopt.height, adopt.round, adopt.root) == (2, 2, chain.root)
    assert adopt.block == chain.hash_of(chain.height)


def test_s5_a_block_without_an_average_is_no_news_to_the_trainer() -> None:
    chain = founded()
    made = desk(chain)
    adopted(made)
    append(chain, roster_block(chain, [CanLead(node(1), can_lead=False)]))
    made.settle(started=True)
    assert said(made) == []


def test_r5_training_may_begin_when_start_at_is_reached() -> None:
    made = desk()
    assert not adopted(made, started=False).started
    made.settle(started=False)
    assert said(made) == []
    made.settle(started=True)
    assert said(made) == [Begin()]
    made.settle(started=False)
    made.settle(started=True)
    assert said(made) == []


def test_nobody_is_told_anything_without_a_trainer_or_a_base() -> None:
    for made in (desk(attached=False), desk(founded(base=None))):
        made.settle(started=True)
        assert said(made) == []


def test_r17_the_trainer_learns_whether_its_offer_was_counted_and_with_whom() -> None:
    chain = founded()
    made = desk(chain)
    adopted(made)
    made.offered(offer(chain))
    made.announce(may_average=True)
    averaged(chain, 0, 1, absentees=(Absentee(node(2), "no trainer"),))
    holding(chain, made)
    adopt = adopted(made)
    assert (adopt.counted, adopt.because) == (True, "counted with weight 3 of 4")
    assert (adopt.counted_run, adopt.counted_last_step) == (b"r" * 16, 10)
    assert adopt.contributors == ((node(0), name(0), 3), (node(1), name(1), 1))
    assert adopt.absent == ((node(2), name(2), "no trainer"),)
    assert (adopt.chief, adopt.view, adopt.duration_ms) == (node(0), 0, 5)


@pytest.mark.parametrize(
    ("absentees", "because"),
    [
        ((Absentee(node(0), "it trains, but was not ready"),), "it trains, but was not ready"),
        ((), "it came after the door had closed"),
    ],
)
def test_r17_who_was_not_counted_is_told_why(absentees: tuple[Absentee, ...], because: str) -> None:
    chain = founded()
    made = desk(chain)
    adopted(made)
    made.offered(offer(chain))
    averaged(chain, 1, 2, absentees=absentees)
    holding(chain, made)
    adopt = adopted(made)
    assert (adopt.counted, adopt.because) == (False, because)
    assert (adopt.counted_run, adopt.counted_last_step) == (b"", 0)
    assert made.offer is None


def test_r16_an_older_offer_that_was_counted_is_not_the_newest() -> None:
    chain = founded()
    made = desk(chain)
    adopted(made)
    made.offered(offer(chain))
    made.announce(may_average=True)
    made.offered(offer(chain, last_step=20))
    averaged(chain, 0, 1)
    holding(chain, made)
    adopt = adopted(made)
    assert (adopt.counted, adopt.counted_last_step) == (False, 10)


def test_r16_a_restored_trainer_is_told_that_its_work_is_in_the_chain_though_another_node_brought_it() -> (
    None
):
    chain = founded()
    made = desk(chain)
    made.offered(offer(chain))
    other = signed_header(chain, node(1), run=b"r" * 16, first_step=0, last_step=10)
    append(chain, mean_block(chain, (), headers=(other, signed_header(chain, node(2)))))
    holding(chain, made)
    assert adopted(made).counted


def test_r17_the_reason_never_says_counted_of_work_that_was_not() -> None:
    """The run of a trainer that was here before is in the block; the present one's is not."""
    chain = founded()
    made = desk(chain)
    made.offered(offer(chain))
    made.announce(may_average=True)
    made.left()
    made.attached()
    made.offered(offer(chain, run=RunId(b"s" * 16)))
    averaged(chain, 0, 1)
    holding(chain, made)
    adopt = adopted(made)
    assert not adopt.counted
    assert not adopt.because.startswith("counted")


def test_the_last_round_is_told_of() -> None:
    chain = founded(settings=Settings(rounds=1))
    made = desk(chain)
    averaged(chain, 1, 2)
    holding(chain, made)
    assert adopted(made).finished


def test_r15_the_first_base_is_adopted_as_no_average() -> None:
    chain = founded(base=None)
    made = desk(chain)
    made.offered(offer(chain))
    append(chain, initial_block(chain, node(1)))
    holding(chain, made)
    adopt = adopted(made)
    assert (adopt.rule, adopt.round, adopt.counted) == ("initial", 0, False)
    assert made.offer is None


def test_r17_the_trainer_is_told_to_wait_or_not_when_that_changes() -> None:
    made = desk()
    adopted(made)
    made.tell(Wait("for node-1"))
    assert said(made) == []
    made.offered(offer(made.here.chain))
    for word in (Wait("for 1"), Wait("for 1"), Release("alone"), Release("alone"), Wait("for 1")):
        made.tell(word)
    assert said(made) == [Wait("for 1"), Release("alone"), Wait("for 1")]
    made.offered(offer(made.here.chain, last_step=20))
    made.tell(Wait("for 1"))
    assert said(made) == [Wait("for 1")]


def test_r5_a_trainer_that_may_not_begin_is_told_what_it_waits_for_and_is_not_released() -> None:
    made = desk(founded(base=None))
    for word in (Wait("for the first base"), Release("alone"), Wait("for the first base"), Wait("for 2")):
        made.tell(word)
    assert said(made) == [Wait("for the first base"), Wait("for 2")]


def test_an_offer_that_is_in_the_chain_is_out_no_more() -> None:
    chain = founded()
    made = desk(chain)
    made.offered(offer(chain))
    made.announce(may_average=True)
    averaged(chain, 0, 1, root=chain.root)
    made.settle(started=True)
    assert made.offer is None


def test_a_trainer_that_left_offers_nothing() -> None:
    made = desk()
    made.offered(offer(made.here.chain))
    made.left()
    assert made.announce(may_average=True) is None
    made.tell(Wait("for node-1"))
    assert said(made) == []


def test_r5_a_trainer_is_called_once_for_each_height() -> None:
    made = desk()
    adopted(made)
    made.call()
    made.call()
    assert said(made) == [CallTrainer()]
    averaged(made.here.chain, 1, 2)
    made.here.held.add(made.here.chain.root)
    adopted(made)
    made.call()
    assert said(made) == [CallTrainer()]


def test_r5_who_has_offered_has_not_the_base_or_may_not_begin_is_not_called() -> None:
    made = desk()
    made.call()
    assert said(made) == []
    adopted(made, started=False)
    made.call()
    assert said(made) == []
    made.settle(started=True)
    said(made)
    made.offered(offer(made.here.chain))
    made.call()
    made.left()
    made.call()
    assert said(made) == []


def test_whose_headers_are_in_an_open_finds_the_offer_behind_its_own() -> None:
    made = desk()
    chain = made.here.chain
    made.offered(offer(chain))
    ready = made.announce(may_average=True)
    assert ready is not None
    others = tuple(signed_header(chain, one) for one in nodes(1, 2))
    assert made.offer_in((ready.header, *others)) == offer(chain)
    assert made.offer_in(others) is None
    assert made.offer_in(()) is None
