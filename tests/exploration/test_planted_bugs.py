"""Would the exploration see it? Each world has one bug in its core. (S1, S2, S7, R12, R13, R14)"""

import re
from collections.abc import Callable

import pytest

from comind.p2p.core import succession
from comind.p2p.core.effects import Memory
from comind.p2p.core.messages import Lock, NewView, Propose, Ready
from comind.p2p.core.roster import Roster
from comind.p2p.core.round import Round
from comind.p2p.core.words import NodeId, View
from tests.exploration.beginning import Bounds
from tests.exploration.search import Search
from tests.scenarios.disk import Disk

Patch = pytest.MonkeyPatch


def one_vote_less(patch: Patch) -> None:
    """Half of the voters decide, whichever half."""

    def is_quorum(self: Roster, signers: frozenset[NodeId]) -> bool:
        return 2 * len(signers.intersection(self.voters())) >= len(self.voters()) > 0

    patch.setattr(Roster, "is_quorum", is_quorum)


def votes_below(patch: Patch) -> None:
    """A PROPOSE of a lower view than the promised one is taken."""
    unpatched = Round.on_propose

    def on_propose(self: Round, peer: NodeId, propose: Propose) -> None:
        view, self.view = self.view, min(self.view, View(propose.view))
        unpatched(self, peer, propose)
        if self.proposed is None:
            self.view = view

    patch.setattr(Round, "on_propose", on_propose)


def forgets_its_promise(patch: Patch) -> None:
    """A voter starts with its blocks, and without what it promised."""

    def memory(self: Disk) -> Memory:
        return Memory(chain=tuple(self.chain), promised=None, held=frozenset(self.snapshots))

    patch.setattr(Disk, "memory", memory)


def forgets_the_lock(patch: Patch) -> None:
    """A chief proposes what it likes, and voters let it."""

    def highest_lock(new_view: NewView) -> Lock | None:
        return None

    patch.setattr(succession, "highest_lock", highest_lock)


def keeps_silent(patch: Patch) -> None:
    """Nobody says again what may have been lost."""

    def say_again(self: Round, to: tuple[NodeId, ...], ready: Ready | None) -> None:
        pass

    patch.setattr(Round, "say_again", say_again)


TWO = Bounds(members=2)
CRASHING = Bounds(members=2, crashes=1, who=0)
ONE_TIMER = Bounds(members=3, eager=True, patience=1)
TWO_TIMERS = Bounds(members=3, eager=True, patience=2)
THREE_TIMERS = Bounds(members=3, eager=True, patience=3)
BUGS: list[tuple[Callable[[Patch], None], Bounds, str]] = [
    (one_vote_less, TWO, "S1|S2"),
    (votes_below, ONE_TIMER, "R12|S8|a vote below a promised view"),
    (keeps_silent, THREE_TIMERS, "L1"),
    (forgets_its_promise, CRASHING, "S7|S8"),
    (forgets_the_lock, TWO_TIMERS, "S1|R13"),
]


@pytest.mark.parametrize(("bug", "bounds", "promise"), BUGS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_planted_bug_is_found(
    bug: Callable[[Patch], None], bounds: Bounds, promise: str, monkeypatch: Patch
) -> None:
    search = Search(bounds, budget=30_000)
    bug(monkeypatch)
    found = search.run()
    assert re.match(promise, found.broken), found.broken
    assert found.story
