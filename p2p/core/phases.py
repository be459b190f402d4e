"""What is a round at, and what leads from one phase to the next?

The transitions are data: `docs/rounds.md` is drawn from them. Knows nothing of why a sign came.
"""

from enum import StrEnum


class Phase(StrEnum):
    IDLE = "idle"
    GATHERING = "gathering"
    AVERAGING = "averaging"
    VOTING = "voting"
    LOCKED = "locked"
    CHANGING = "changing view"


class Sign(StrEnum):
    WORK = "a header, a VIEWCHANGE or a waiting roster change"
    OPENED = "a valid OPEN"
    PROPOSED = "a valid PROPOSE"
    LOCKED = "a quorum of PREPAREs"
    GAVE_UP = "patience ended: VIEWCHANGE"
    ENTERED = "a quorum of VIEWCHANGEs"
    COMMITTED = "a certificate"


_ANY = {
    Sign.OPENED: Phase.AVERAGING,
    Sign.PROPOSED: Phase.VOTING,
    Sign.GAVE_UP: Phase.CHANGING,
    Sign.COMMITTED: Phase.IDLE,
}
"""What leads on from every phase: a valid NEWVIEW is joined at once (R13), a certificate ends all (R10)."""

TRANSITIONS: dict[Phase, dict[Sign, Phase]] = {
    Phase.IDLE: {Sign.WORK: Phase.GATHERING, **_ANY},
    Phase.GATHERING: _ANY,
    Phase.AVERAGING: _ANY,
    Phase.VOTING: {Sign.LOCKED: Phase.LOCKED, **_ANY},
    Phase.LOCKED: _ANY,
    Phase.CHANGING: {Sign.ENTERED: Phase.GATHERING, **_ANY},
}


def after(phase: Phase, sign: Sign) -> Phase:
    """Return the phase to which this sign leads; one that leads nowhere is our own mistake."""
    assert sign in TRANSITIONS[phase], f"{sign.name} in {phase.name}"
    return TRANSITIONS[phase][sign]
