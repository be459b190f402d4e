"""What can happen next in a small world, and what is it then?

A state is a few numbers: which state each seat is in, which letters lie in the post, which pairs are linked,
and how many faults are left. A letter once said can be heard at any time, in any order, again, or never: so
loss, delay, reordering and repetition are no choices of their own. It is gone when the link is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from comind.p2p.core.effects import LinkDown, LinkUp
from comind.p2p.core.messages import Ready
from comind.p2p.core.words import NodeId
from tests.exploration.beginning import Bounds, members_of
from tests.exploration.ground import Boot, Crash, Fire, Happening, Holds, Offers
from tests.exploration.promises import what_is_broken
from tests.exploration.seat import Seat
from tests.exploration.table import Outcome, Table

MOST_WITHOUT_TIME = 2_000
"""So many things at one moment are things that go round in a circle."""
PATIENT_ROUNDS = 12
"""Whoever waits so many periods for a block, in a network that is whole, waits for ever."""


class State(NamedTuple):
    seats: tuple[int, ...]
    post: int
    up: int
    """Pairs that are linked, as bits."""
    fires: tuple[int, ...]
    """Left of each; `patience` of all together."""
    patience: int
    crashes: int
    faults: int
    offers: int
    """Trainers that have not reached their interval yet, as bits."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that happens: a letter is heard, or something else happens to a seat, or a pair."""

    at: int
    what: int | Happening | str
    other: int = -1


class Broken(Exception):
    """A promise is broken in one step."""

    def __init__(self, choice: Choice, what: str) -> None:
        super().__init__(what)
        self.choice = choice
        self.what = what
        self.path: list[tuple[State, Choice]] = []


class World:
    """All that can be reached from the beginning of a round."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.pairs = list(combinations(range(bounds.members), 2))
        self.all_up = (1 << len(self.pairs)) - 1
        seats = members_of(bounds)
        self.names: dict[bytes, str] = {bytes(node): city for node, city in seats[0].ground.names.items()}
        self.cities = [seat.city for seat in seats]
        self.table = Table([seat.node for seat in seats], bounds.crashes > 0)
        self._seats = seats
        readings = seats[0].judge.history.readings
        self._voters = [self.table.nodes.index(NodeId(node)) for node in readings[max(readings)].voters()]
        self._crossed: dict[tuple[int, ...], str] = {}

    # -- the beginning ------------------------------------------------------------------------------------

    def beginning(self) -> State:
        """All run, all are linked and have greeted each other; trainers are at work, or have offered."""
        count = len(self._seats)
        numbers = tuple(self.table.number(at, seat) for at, seat in enumerate(self._seats))
        bounds = self.bounds
        fires, offers = (bounds.fires,) * count, (1 << count) - 1
        patience = min(bounds.patience, sum(fires))
        state = State(numbers, 0, 0, fires, patience, bounds.crashes, bounds.faults, offers)
        for at in range(count):
            state = self._alone(state, at, Boot())
        for one, other in self.pairs:
            state = self._link(state, one, other)
        state = self._hear_all(state)
        state = state._replace(post=self._holdings())
        if self.bounds.begins != "training":
            for at in range(count):
                state = self.apply(state, Choice(at, Offers()))
        if self.bounds.begins == "ready":
            state = self._hear_all(state, Ready)
        return state

    def _hear_all(self, state: State, kind: type | None = None) -> State:
        """Let everything of this kind be heard that makes a difference."""
        while choice := next((one for one in self._hearings(state) if self._is(one, kind)), None):
            state = self.apply(state, choice)
        return state

    def _is(self, choice: Choice, kind: type | None) -> bool:
        assert isinstance(choice.what, int)
        return kind is None or isinstance(self.table.letters[choice.what].said, kind)

    def _holdings(self) -> int:
        base = {root for seat in self._seats for root in seat.disk.snapshots}
        count = len(self._seats)
        letters = [
            self.table.letter(one, other, Holds(root))
            for one in range(count)
            for other in range(count)
            for root in base
            if one != other and root in self._seats[one].disk.snapshots
        ]
        return sum(1 << letter for letter in letters)

    # -- what can happen ----------------------------------------------------------------------------------

    def choices(self, state: State) -> Iterator[Choice]:
        """Yield all that may happen, and makes a difference."""
        yield from self._hearings(state)
        yield from self._doings(state, faults=True)
        for at, number in enumerate(state.seats):
            known = self.table.known[number]
            if not known.alive:
                yield Choice(at, Boot())
                continue
            if state.offers >> at & 1:
                yield Choice(at, Offers())
            if state.patience and state.fires[at] and not known.done and self._may_fire(number):
                yield Choice(at, Fire())
            if state.crashes and self.bounds.who in (None, at):
                yield Choice(at, Crash())
                if known.seat.writing:
                    yield Choice(at, Crash(losing=True))
        if state.up != self.all_up:
            yield from self._relinkings(state)

    def _hearings(self, state: State) -> Iterator[Choice]:
        table = self.table
        for at, number in enumerate(state.seats):
            known = table.known[number]
            if not known.alive:
                continue
            left = state.post & table.to[at] & ~known.deaf_to
            while left:
                bit = left & -left
                left ^= bit
                letter = bit.bit_length() - 1
                outcome = table.outcome(number, letter)
                if outcome.seat == number and not outcome.adds and not outcome.broken:
                    known.deaf_to |= bit
                elif self._changes_something(state, number, outcome):
                    yield Choice(at, letter)

    def _changes_something(self, state: State, number: int, outcome: Outcome) -> bool:
        return (
            outcome.seat != number
            or bool(outcome.broken)
            or self._hearable(state.seats, outcome.adds) & ~state.post != 0
        )

    def _hearable(self, seats: tuple[int, ...], letters: int) -> int:
        """Who is done hears nothing more."""
        for at, number in enumerate(seats):
            if self.table.known[number].done:
                letters &= ~self.table.to[at]
        return letters

    def _doings(self, state: State, faults: bool) -> Iterator[Choice]:
        for at, number in enumerate(state.seats):
            for doing in self.table.known[number].doings:
                if doing.fault and not (faults and state.faults):
                    continue
                if state.post & doing.needs == doing.needs and not state.post & doing.forbids:
                    yield Choice(at, doing.happening, other=1 if doing.fault else -1)

    def _may_fire(self, number: int) -> bool:
        outcome = self.table.outcome(number, Fire())
        return self.table.known[outcome.seat].view <= self.bounds.max_view or bool(outcome.broken)

    def _relinkings(self, state: State) -> Iterator[Choice]:
        for pair, (one, other) in enumerate(self.pairs):
            if state.up >> pair & 1:
                continue
            first, second = (self.table.known[state.seats[at]] for at in (one, other))
            if first.alive and second.alive:
                yield Choice(one, "link", other)
            if first.alive and not first.done and other in first.linked:
                yield Choice(one, LinkDown(self.table.nodes[other]), other)
            if second.alive and not second.done and one in second.linked:
                yield Choice(other, LinkDown(self.table.nodes[one]), one)

    def settles(self, state: State, settled: set[State]) -> bool:
        """Whether all is committed soon, if from now on all is heard, all runs, and time passes (L1).

        Raises:
            Broken: a promise breaks on the way, which is its path.
        """
        path: list[tuple[State, Choice]] = []
        try:
            for _ in range(PATIENT_ROUNDS):
                state = self._calm(state, settled, path)
                if state in settled or all(self.table.known[number].done for number in state.seats):
                    settled.update(state for state, _ in path)
                    return True
                for at, number in enumerate(state.seats):
                    if not self.table.known[number].done:
                        path.append((state, Choice(at, Fire())))
                        state = self._checked(self._alone(state, at, Fire()), Choice(at, Fire()))
        except Broken as why:
            why.path = path
            raise
        return False

    def silenced(self, state: State) -> State:
        """Return the state in which all that was said, and not heard, is lost; snapshots are not words.

        Who is done still answers whoever is late.
        """
        post = state.post
        for to in self.table.to:
            post &= ~to
        for at, number in enumerate(state.seats):
            known = self.table.known[number]
            if known.done and known.alive:
                post |= self._sendable(state, at, self._answers(at, known.seat))
        return state._replace(post=post)

    def _answers(self, at: int, seat: Seat) -> int:
        answers = 0
        for committed in seat.disk.chain[seat.ground.first_height :]:
            for other in range(len(self.cities)):
                if other != at:
                    answers |= 1 << self.table.letter(at, other, committed)
        return answers

    def _calm(self, state: State, settled: set[State], path: list[tuple[State, Choice]]) -> State:
        """Let happen what happens without time, until nothing is left or it is known how it ends."""
        for _ in range(MOST_WITHOUT_TIME):
            choice = None if state in settled else next(self._inevitable(state), None)
            if choice is None:
                return state
            path.append((state, choice))
            state = self.apply(state, choice)
        raise Broken(Choice(0, "nothing"), "L1 is broken: it never comes to rest")

    def _inevitable(self, state: State) -> Iterator[Choice]:
        for at, number in enumerate(state.seats):
            if not self.table.known[number].alive:
                yield Choice(at, Boot())
            elif state.offers >> at & 1:
                yield Choice(at, Offers())
        yield from (one for one in self._relinkings(state) if one.what == "link")
        yield from self._doings(state, faults=False)
        yield from self._hearings(state)

    # -- what comes of it ---------------------------------------------------------------------------------

    def apply(self, state: State, choice: Choice) -> State:
        """Return the state after this.

        Raises:
            Broken: it breaks a promise.
        """
        state = self._applied(state, choice)
        while self.bounds.eager and (next_one := next(self._doings(state, faults=False), None)) is not None:
            state = self._applied(state, next_one)
        return state

    def _applied(self, state: State, choice: Choice) -> State:
        match choice.what:
            case "link":
                return self._checked(self._link(state, choice.at, choice.other), choice)
            case int():
                return self._checked(self._alone(state, choice.at, choice.what), choice)
            case Fire():
                fires = tuple(left - (at == choice.at) for at, left in enumerate(state.fires))
                state = state._replace(fires=fires, patience=state.patience - 1)
            case Offers():
                state = state._replace(offers=state.offers & ~(1 << choice.at))
            case Crash():
                pairs = [at for at, pair in enumerate(self.pairs) if choice.at in pair]
                up = state.up & ~sum(1 << pair for pair in pairs)
                lost = self.table.to[choice.at]
                state = state._replace(crashes=state.crashes - 1, up=up, post=state.post & ~lost)
            case LinkDown():
                state = state._replace(post=state.post & ~self._way(choice.other, choice.at))
            case _:
                if choice.other == 1:
                    state = state._replace(faults=state.faults - 1)
        assert not isinstance(choice.what, str)
        return self._checked(self._alone(state, choice.at, choice.what), choice)

    def _alone(self, state: State, at: int, what: Happening | int) -> State:
        number = state.seats[at]
        outcome = self.table.outcome(number, what)
        if outcome.broken:
            raise Broken(Choice(at, what), outcome.broken)
        adds = outcome.adds
        if adds and state.up != self.all_up:
            adds = self._sendable(state, at, adds)
        seats = state.seats
        if outcome.seat != number:
            seats = (*seats[:at], outcome.seat, *seats[at + 1 :])
        post = self._hearable(seats, state.post & ~outcome.drops | adds)
        return State(seats, post, *state[2:])

    def _sendable(self, state: State, at: int, adds: int) -> int:
        for pair, ends in enumerate(self.pairs):
            if at in ends and not state.up >> pair & 1:
                adds &= ~self.table.between.get(ends, 0)
        return adds

    def _way(self, sender: int, receiver: int) -> int:
        """All letters of the old link from one to the other, but not what the sender holds."""
        pair = (min(sender, receiver), max(sender, receiver))
        letters = self.table.between.get(pair, 0)
        way = 0
        while letters:
            bit = letters & -letters
            letters ^= bit
            letter = self.table.letters[bit.bit_length() - 1]
            if letter.sender == sender and not isinstance(letter.said, Holds):
                way |= bit
        return way

    def _link(self, state: State, one: int, other: int) -> State:
        """A new link takes the place of the old one, and the greetings are its first words."""
        pair = self.pairs.index((one, other))
        lost = self._way(one, other) | self._way(other, one)
        state = state._replace(up=state.up | 1 << pair, post=state.post & ~lost)
        greetings: list[int] = []
        for at, peer in ((one, other), (other, one)):
            seat = self.table.known[state.seats[peer]].seat
            assert seat.member is not None
            event = LinkUp(self.table.nodes[peer], seat.member.here.me.incarnation, dialled=True)
            greetings.extend(self.table.outcome(state.seats[at], event).greetings)
            state = self._alone(state, at, event)
        for greeting in greetings:
            state = self._alone(state, self.table.letters[greeting].receiver, greeting)
        holdings = 0
        for at, peer in ((one, other), (other, one)):
            for root in self.table.known[state.seats[at]].seat.disk.snapshots:
                holdings |= 1 << self.table.letter(at, peer, Holds(root))
        return state._replace(post=state.post | holdings)

    # -- promises between seats ---------------------------------------------------------------------------

    def _checked(self, state: State, choice: Choice) -> State:
        facts = tuple(self.table.known[number].facts for number in state.seats)
        broken = self._crossed.get(facts)
        if broken is None:
            known = [self.table.facts[at] for at in facts]
            broken = self._crossed[facts] = what_is_broken(known, self._voters)
        if broken:
            raise Broken(choice, broken)
        return state
