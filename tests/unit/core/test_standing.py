"""What holds after operators' decisions, and which decision can be next? (R5, R15)"""

import pytest

from comind.p2p.core.chain import Chain
from comind.p2p.core.messages import Admit, Allow, Change, Decision, Deny, Expel, Pause, Remove, Resume
from comind.p2p.core.signing import sign_decision
from comind.p2p.core.standing import MAX_LISTED, Ruling, Standing
from comind.p2p.core.words import Height, Rule, Settings
from tests.unit.core.build import (
    BASE,
    UNSIGNED,
    StubSigner,
    append,
    certified,
    founded,
    name,
    node,
    roster_block,
    signed_header,
)
from tests.unit.core.test_chain import refusal


def by(number: int, chain: Chain, decision: Decision) -> Decision:
    """Return the decision, signed by who asks."""
    return sign_decision(StubSigner(node(number)), chain.network, decision)


def pause(chain: Chain, number: int = 1, because: str = "why", after: int | None = None) -> Decision:
    height = chain.height if after is None else after
    return by(number, chain, Pause(node(number), because, height, UNSIGNED))


def resume(chain: Chain, number: int = 1, after: int | None = None) -> Decision:
    return by(number, chain, Resume(node(number), chain.height if after is None else after, UNSIGNED))


def decide(chain: Chain, *changes: Change) -> None:
    append(chain, roster_block(chain, changes))


def test_who_paused_and_why_is_known_until_somebody_resumes() -> None:
    chain = founded()
    decide(chain, pause(chain, 1, "the lab moves"))
    assert chain.standing.why_paused() == f"paused by {name(1)}: the lab moves"
    decide(chain, resume(chain, 2))
    assert chain.standing.why_paused() is None
    assert [line for _, line in chain.decisions] == [
        f"{name(1)} paused the network: the lab moves",
        f"{name(2)} resumed the network",
    ]


def test_r5_no_average_is_valid_while_the_network_is_paused() -> None:
    chain = founded()
    decide(chain, pause(chain))
    headers = tuple(signed_header(chain, node(number)) for number in (0, 1, 2))
    mean = roster_block(chain, rule=Rule.MEAN, headers=headers, root=b"\x01" * 32)
    assert "averages while the network is paused" in refusal(chain, certified(chain, mean))
    decide(chain, resume(chain))
    headers = tuple(signed_header(chain, node(number)) for number in (0, 1, 2))
    append(chain, roster_block(chain, rule=Rule.MEAN, headers=headers, root=b"\x01" * 32))
    assert chain.root != BASE


def test_a_decision_is_refused_unless_its_asker_signed_it() -> None:
    chain = founded()
    forged = Pause(node(1), "why", chain.height, UNSIGNED)
    for one in (forged, by(2, chain, forged)):
        assert "has a forged decision" in refusal(chain, certified(chain, roster_block(chain, [one])))


def test_r15_an_old_decision_cannot_be_used_again() -> None:
    chain = founded()
    first = pause(chain)
    decide(chain, first)
    assert "paused already" in refusal(chain, certified(chain, roster_block(chain, [first])))
    decide(chain, resume(chain))
    assert "since this was asked for" in refusal(chain, certified(chain, roster_block(chain, [first])))


def test_a_pause_and_its_end_are_not_in_one_block() -> None:
    chain = founded()
    both = (pause(chain), resume(chain))
    assert "since this was asked for" in refusal(chain, certified(chain, roster_block(chain, both)))


@pytest.mark.parametrize(
    ("what", "line"),
    [
        (pause, "the network is paused already, by node-1: why; comind resume ends it"),
        (resume, "the network is not paused: there is nothing to resume"),
    ],
)
def test_what_is_so_already_is_objected_to(what: object, line: str) -> None:
    chain = founded()
    if what is pause:
        decide(chain, pause(chain))
    assert chain.objection(what(chain)) == line  # type: ignore[operator]


def test_only_a_member_decides() -> None:
    chain = founded()
    assert chain.objection(pause(chain, 9)) == "only a member can ask for it"


def test_a_wish_from_the_future_is_none() -> None:
    """R15: else who signs it today could use it after any number of decisions."""
    chain = founded()
    ahead = pause(chain, after=chain.next)
    assert chain.objection(ahead) == "it was asked for after a block that is not there"


def expel(chain: Chain, who: int, number: int = 1, after: int | None = None) -> Decision:
    height = chain.height if after is None else after
    return by(number, chain, Expel(node(who), node(number), "why", height, UNSIGNED))


def allow(chain: Chain, who: int, number: int = 1, after: int | None = None) -> Decision:
    height = chain.height if after is None else after
    return by(number, chain, Allow(node(who), node(number), height, UNSIGNED))


def deny(chain: Chain, who: int, number: int = 1, after: int | None = None) -> Decision:
    height = chain.height if after is None else after
    return by(number, chain, Deny(node(who), node(number), "why", height, UNSIGNED))


def admit(number: int) -> Admit:
    return Admit(node(number), name(number), (), can_lead=False)


def test_r2_who_is_removed_loses_place_and_vote_and_is_denied() -> None:
    chain = founded(voters=3)
    decide(chain, expel(chain, 2))
    assert node(2) not in chain.roster
    assert chain.roster.voters() == (node(0), node(1))
    assert chain.standing.why_barred(node(2), chain.settings) == f"denied by {name(1)}: why"
    assert chain.objection(admit(2)) == f"denied by {name(1)}: why"


def test_r2_a_removal_of_a_voter_is_the_one_vote_that_a_block_changes() -> None:
    chain = founded(voters=4)
    both = (expel(chain, 2), expel(chain, 3))
    assert "changes more than one vote" in refusal(chain, certified(chain, roster_block(chain, both)))


def test_r15_who_was_allowed_again_cannot_be_removed_by_the_old_wish() -> None:
    chain = founded(voters=3)
    old = expel(chain, 2)
    decide(chain, old)
    decide(chain, allow(chain, 2))
    decide(chain, admit(2))
    assert chain.objection(old) == "it was admitted anew since this was asked for"
    old_deny = deny(chain, 9)
    decide(chain, old_deny)
    decide(chain, allow(chain, 9))
    assert chain.objection(old_deny) == "it was decided otherwise since this was asked for"


def test_on_a_list_only_who_was_allowed_is_admitted_and_the_founder() -> None:
    chain = founded(voters=2, settings=Settings(admission="list"))
    assert chain.objection(admit(9)) == "not allowed yet"
    decide(chain, allow(chain, 9))
    decide(chain, admit(9))
    decide(chain, Remove(node(0), "it left"))
    assert chain.objection(admit(0)) is None


def test_the_lists_are_bounded() -> None:
    chain = founded(voters=3)
    ruling = Ruling(node(0), name(0), "", Height(0))
    many = {node(number): ruling for number in range(1_000, 1_000 + MAX_LISTED)}
    chain.standing = Standing(denied=many, allowed=dict.fromkeys(many, Height(0)))
    full = f"{MAX_LISTED} nodes are denied already: comind allow one of them first"
    assert chain.objection(expel(chain, 2)) == chain.objection(deny(chain, 9)) == full
    assert chain.objection(allow(chain, 1_000)) == (
        f"{MAX_LISTED} nodes are allowed already: comind deny one that is not needed"
    )
