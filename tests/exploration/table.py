"""What does each seat make of each happening? Found out once, and looked up from then on.

Seats in equal states, and things said alike, get one number each. Knows nothing of which of them are together
in one world.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field

from comind.p2p.core.effects import Averaged, FetchFailed, Heard, Held, Lost
from comind.p2p.core.messages import Greeting, Heartbeat, Open, Propose, ViewChanged, Voted
from comind.p2p.core.wire import encode
from comind.p2p.core.words import NodeId, Root
from tests.exploration.copies import drawn
from tests.exploration.ground import Chunks, Happening, Holds, Mean, Over, Said
from tests.exploration.seat import Seat, heard
from tests.scenarios.plane import snapshot_root

UNSAID = frozenset({"Addressbook", "Join", "Leave"})
"""Nobody joins, leaves or moves in these worlds."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One thing that one says to another: alike things are one letter, however often they are said."""

    sender: int
    receiver: int
    said: Said


@dataclass(frozen=True, slots=True)
class Doing:
    """What the data plane of a seat may tell it, while some letters are there, and others are not."""

    needs: int
    forbids: int
    happening: Happening
    fault: bool = False
    """Nothing makes it come: it may, as often as the world allows faults."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one happening makes of a seat."""

    seat: int
    adds: int
    """Letters, as bits."""
    drops: int
    greetings: tuple[int, ...] = ()
    broken: str = ""
    """The promise that this breaks, or what else went wrong."""


@dataclass(slots=True)
class Known:
    """What is found out of one state of a seat."""

    seat: Seat
    done: bool
    alive: bool
    view: int
    height: int
    linked: frozenset[int]
    facts: int
    doings: tuple[Doing, ...]
    deaf_to: int = 0
    """Letters that change nothing."""
    outcomes: dict[object, Outcome] = field(default_factory=dict)


class Table:
    """All that is found out of the seats of one kind of world."""

    def __init__(self, nodes: list[NodeId], may_crash: bool) -> None:
        self.nodes = nodes
        self.known: list[Known] = []
        self.letters: list[Letter] = []
        self.to: list[int] = [0] * len(nodes)
        """Letters to each seat, as bits; `between` the same for each pair, both ways."""
        self.between: dict[tuple[int, int], int] = {}
        self.beats: dict[tuple[int, int], int] = {}
        self.facts: list[frozenset[tuple[object, ...]]] = []
        self.steps = 0
        """How often the real core was stepped."""
        self._may_crash = may_crash
        self._seats: dict[Hashable, int] = {}
        self._numbers: dict[Hashable, int] = {}
        self._fact_numbers: dict[Hashable, int] = {}

    def number(self, at: int, seat: Seat) -> int:
        """Return the number of this state, of the seat that has this place."""
        key = (at, seat.portrait(self._may_crash))
        found = self._seats.get(key)
        if found is None:
            found = self._seats[key] = len(self.known)
            self.known.append(self._look_at(at, seat))
        return found

    def outcome(self, number: int, what: Happening | int) -> Outcome:
        """Return what comes of a happening, or of hearing the letter of this number."""
        outcomes = self.known[number].outcomes
        found = outcomes.get(what)
        if found is None:
            found = outcomes[what] = self._find_out(number, what)
        return found

    def letter(self, sender: int, receiver: int, said: Said) -> int:
        """Return the number of a letter; its bit is 1 << number."""
        key = (sender, receiver, self._content(said))
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = len(self.letters)
            if not isinstance(said, (Chunks, Mean, Over, Holds)):
                said = heard(said)
            self.letters.append(Letter(sender, receiver, said))
            bit = 1 << found
            pair = (min(sender, receiver), max(sender, receiver))
            self.between[pair] = self.between.get(pair, 0) | bit
            if isinstance(said, Heartbeat):
                way = (sender, receiver)
                self.beats[way] = self.beats.get(way, 0) | bit
            if not isinstance(said, (Chunks, Mean, Over, Holds)):
                self.to[receiver] |= bit
        return found

    def _content(self, said: Said) -> Hashable:
        if isinstance(said, (Chunks, Mean, Over, Holds)):
            return said
        kind, promise = type(said).__name__, 0
        match said:
            case Voted(vote):
                promise = vote.promise
            case ViewChanged(change):
                promise = change.promise
            case Open() | Propose():
                pass
            case _:
                return encode(said)
        return (kind, drawn(said), promise if self._may_crash else 0)

    # -- finding out --------------------------------------------------------------------------------------

    def _find_out(self, number: int, what: Happening | int) -> Outcome:
        known = self.known[number]
        at = self.nodes.index(known.seat.node)
        happening: Happening = what if not isinstance(what, int) else self._hearing(self.letters[what])
        self.steps += 1
        try:
            seat = known.seat.after(happening)
        except AssertionError as why:
            return Outcome(number, 0, 0, broken=str(why) or repr(why))
        adds, drops, greetings = 0, 0, []
        for to, said in seat.said:
            for node in to:
                if type(said).__name__ in UNSAID:
                    continue
                letter = self.letter(at, self.nodes.index(node), said)
                if isinstance(said, Greeting):
                    greetings.append(letter)
                    continue
                if isinstance(said, Heartbeat):
                    way = self.beats[at, self.nodes.index(node)]
                    drops |= way
                    adds &= ~way
                adds |= 1 << letter
        for said in seat.dropped:
            for other in range(len(self.nodes)):
                if other != at:
                    drops |= 1 << self.letter(at, other, said)
        seat.said, seat.dropped = [], []
        return Outcome(self.number(at, seat), adds, drops & ~adds, tuple(greetings))

    def _hearing(self, letter: Letter) -> Heard:
        said = letter.said
        assert not isinstance(said, (Chunks, Mean, Over, Holds))
        return Heard(self.nodes[letter.sender], said)

    def _look_at(self, at: int, seat: Seat) -> Known:
        member = seat.member
        facts = self._fact_numbers.setdefault(seat.facts, len(self.facts))
        if facts == len(self.facts):
            self.facts.append(seat.facts)
        return Known(
            seat=seat,
            done=seat.is_done,
            alive=member is not None,
            view=0 if member is None else member.round.view,
            height=seat.height,
            linked=frozenset(self.nodes.index(node) for node in seat.linked),
            facts=facts,
            doings=() if seat.is_done else tuple(self._doings(at, seat)),
        )

    def _doings(self, at: int, seat: Seat) -> list[Doing]:
        doings = []
        for attempt, average in seat.averaging.items():
            open = average.open
            others = [self.nodes.index(part.node) for part in average.parts if part.node != seat.node]
            needs = 0
            for other in others:
                needs |= 1 << self.letter(other, at, Chunks(attempt))
            root = snapshot_root(seat.ground.averages[attempt])
            doings.append(Doing(needs, 0, Averaged(open, root)))
            for other in others:
                lost = Lost(open, self.nodes[other], "its stream broke")
                doings.append(Doing(0, 0, lost, fault=True))
        for attempt, receive in seat.receiving.items():
            averager = self.nodes.index(receive.averager)
            root = snapshot_root(seat.ground.averages[attempt])
            whole = 1 << self.letter(averager, at, Mean(attempt, root))
            over = 1 << self.letter(averager, at, Over(attempt))
            lost = Lost(receive.open, receive.averager, "its stream ended")
            doings.append(Doing(whole, 0, Held(root)))
            doings.append(Doing(over, 0, lost))
            doings.append(Doing(0, 0, lost, fault=True))
        for fetch in seat.fetching:
            for holder in fetch.holders:
                there = 1 << self.letter(self.nodes.index(holder), at, Holds(Root(fetch.root)))
                failed = FetchFailed(fetch.root, holder, "it does not hold it")
                doings.append(Doing(there, 0, Held(fetch.root)))
                doings.append(Doing(0, there, failed))
                doings.append(Doing(there, 0, failed, fault=True))
        return doings
