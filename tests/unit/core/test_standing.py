"""What holds after operators' decisions, and which decision can be next? (R5, R15)"""

import pytest

from comind.p2p.core.chain import Chain
from comind.p2p.core.messages import Change, Decision, Pause, Resume
from comind.p2p.core.signing import sign_decision
from comind.p2p.core.words import Rule
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
