"""What leads from one phase of a round to the next?"""

import pytest

from comind.p2p.core.phases import TRANSITIONS, Phase, Sign, after

P, S = Phase, Sign

EXPECTED: dict[Phase, dict[Sign, Phase]] = {
    P.IDLE: {
        S.WORK: P.GATHERING,
        S.OPENED: P.AVERAGING,
        S.PROPOSED: P.VOTING,
        S.GAVE_UP: P.CHANGING,
        S.COMMITTED: P.IDLE,
    },
    P.GATHERING: {
        S.OPENED: P.AVERAGING,
        S.PROPOSED: P.VOTING,
        S.GAVE_UP: P.CHANGING,
        S.COMMITTED: P.IDLE,
    },
    P.AVERAGING: {
        S.OPENED: P.AVERAGING,
        S.PROPOSED: P.VOTING,
        S.GAVE_UP: P.CHANGING,
        S.COMMITTED: P.IDLE,
    },
    P.VOTING: {
        S.OPENED: P.AVERAGING,
        S.PROPOSED: P.VOTING,
        S.LOCKED: P.LOCKED,
        S.GAVE_UP: P.CHANGING,
        S.COMMITTED: P.IDLE,
    },
    P.LOCKED: {
        S.OPENED: P.AVERAGING,
        S.PROPOSED: P.VOTING,
        S.GAVE_UP: P.CHANGING,
        S.COMMITTED: P.IDLE,
    },
    P.CHANGING: {
        S.OPENED: P.AVERAGING,
        S.PROPOSED: P.VOTING,
        S.GAVE_UP: P.CHANGING,
        S.ENTERED: P.GATHERING,
        S.COMMITTED: P.IDLE,
    },
}


@pytest.mark.parametrize("sign", Sign)
@pytest.mark.parametrize("phase", Phase)
def test_a_sign_leads_where_the_diagram_says_or_is_our_own_mistake(phase: Phase, sign: Sign) -> None:
    leads = EXPECTED[phase].get(sign)
    if leads is None:
        with pytest.raises(AssertionError, match=f"{sign.name} in {phase.name}"):
            after(phase, sign)
    else:
        assert after(phase, sign) is leads


def test_every_phase_has_its_row() -> None:
    assert set(TRANSITIONS) == set(Phase) == set(EXPECTED)


def test_r10_a_certificate_ends_every_phase() -> None:
    assert {after(phase, Sign.COMMITTED) for phase in Phase} == {Phase.IDLE}


def test_r9_only_who_is_voting_locks() -> None:
    assert [phase for phase in Phase if Sign.LOCKED in TRANSITIONS[phase]] == [Phase.VOTING]


def test_r12_only_who_promised_a_view_enters_it_by_a_quorum_of_viewchanges() -> None:
    assert [phase for phase in Phase if Sign.ENTERED in TRANSITIONS[phase]] == [Phase.CHANGING]


def test_every_phase_is_reached_from_idle() -> None:
    reached, waiting = set(), [Phase.IDLE]
    while waiting:
        phase = waiting.pop()
        reached.add(phase)
        waiting += [leads for leads in TRANSITIONS[phase].values() if leads not in reached]
    assert reached == set(Phase)
