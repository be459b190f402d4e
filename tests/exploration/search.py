"""Is there any order of things in which a promise is broken?

Breadth first, so that what is found is found in the fewest steps. Knows nothing of what a state is made of.
"""

import time
from array import array
from dataclasses import dataclass

from comind.p2p.core.effects import Heard, LinkUp
from tests.exploration.beginning import Bounds
from tests.exploration.ground import Crash, Happening
from tests.exploration.world import Broken, Choice, State, World
from tests.scenarios.transcript import Transcript


@dataclass(frozen=True, slots=True)
class Found:
    """What an exploration came to."""

    states: int
    transitions: int
    depth: int
    seat_states: int
    steps: int
    """How often the real core was stepped."""
    ends: int
    """States after which nothing happens any more within the bounds."""
    cpu_s: float
    complete: bool
    broken: str = ""
    story: str = ""
    """How it came to that: what happened, in order, and what each made of it."""


class Search:
    """One exploration of one world."""

    def __init__(self, bounds: Bounds, budget: int, seconds: float = 1e9) -> None:
        self.world = World(bounds)
        self._budget = budget
        self._seconds = seconds
        self._states: dict[State, int] = {}
        self._parents = array("q")
        self._choices: list[Choice] = []
        self._settled: set[State] = set()
        self._silenced: set[State] = set()
        self._transitions = self._depth = self._ends = 0
        self._began_s = time.process_time()

    def run(self) -> Found:
        """Explore to the end, to the first broken promise, or to the budget."""
        beginning = self.world.beginning()
        self._add(beginning, -1, Choice(0, "begins"))
        layer, complete = [beginning], True
        try:
            while layer and complete:
                layer, complete = self._next(layer)
                self._depth += bool(layer)
        except Broken as why:
            return self._found(False, why)
        return self._found(complete, None)

    def _next(self, layer: list[State]) -> tuple[list[State], bool]:
        later: list[State] = []
        for state in layer:
            if len(self._states) >= self._budget or time.process_time() - self._began_s > self._seconds:
                return later, False
            number, goes_on = self._states[state], False
            for choice in self._choices_of(state, number):
                after = self._after(state, number, choice)
                self._transitions += 1
                goes_on = goes_on or not isinstance(choice.what, Crash)
                if after not in self._states:
                    self._add(after, number, choice)
                    later.append(after)
            self._ends += not goes_on
            self._demand_progress(state, number, goes_on)
        return later, True

    def _choices_of(self, state: State, number: int) -> list[Choice]:
        return list(self.world.choices(state))

    def _after(self, state: State, number: int, choice: Choice) -> State:
        try:
            return self.world.apply(state, choice)
        except Broken as why:
            why.path = [*self._path(number), (state, choice)]
            raise

    def _demand_progress(self, state: State, number: int, goes_on: bool) -> None:
        """L1: from any state, also if all that was on its way is lost."""
        silent = self.world.silenced(state)
        ways = [silent] if goes_on else [silent, state]
        for way in ways:
            if way in self._silenced:
                continue
            self._silenced.add(way)
            try:
                settles = self.world.settles(way, self._settled)
            except Broken as why:
                why.path = [*self._path(number), *why.path]
                raise
            if not settles:
                lost = " after all on its way was lost" if way is silent else ""
                stuck = Broken(Choice(0, "nothing"), f"L1 is broken: nothing is ever committed{lost}")
                stuck.path = self._path(number)
                raise stuck

    def _add(self, state: State, parent: int, choice: Choice) -> None:
        self._states[state] = len(self._choices)
        self._parents.append(parent)
        self._choices.append(choice)

    def _path(self, number: int) -> list[tuple[State, Choice]]:
        choices = []
        while number > 0:
            choices.append(self._choices[number])
            number = self._parents[number]
        state, path = self.world.beginning(), []
        for choice in reversed(choices):
            path.append((state, choice))
            state = self.world.apply(state, choice)
        return path

    def _found(self, complete: bool, why: Broken | None) -> Found:
        table = self.world.table
        return Found(
            states=len(self._states),
            transitions=self._transitions,
            depth=self._depth,
            seat_states=len(table.known),
            steps=table.steps,
            ends=self._ends,
            cpu_s=time.process_time() - self._began_s,
            complete=complete,
            broken="" if why is None else why.what,
            story="" if why is None else self._story(why.path),
        )

    def _story(self, path: list[tuple[State, Choice]]) -> str:
        """Tell what happened, with what each made of it."""
        transcript = Transcript(self.world.names)
        for state, choice in path:
            for at, happening in self._events(state, choice):
                seat = self.world.table.known[state.seats[at]].seat
                seat.transcript = transcript
                transcript.add(0, seat.city, f"!! {self._tells(choice)}")
                try:
                    seat.after(happening)
                except AssertionError as why:
                    transcript.add(0, seat.city, f"!! {why}")
                seat.transcript = None
        return transcript.last()

    def _events(self, state: State, choice: Choice) -> list[tuple[int, Happening]]:
        table = self.world.table
        match choice.what:
            case int():
                letter = table.letters[choice.what]
                return [(choice.at, Heard(table.nodes[letter.sender], letter.said))]  # type: ignore[arg-type]
            case "link":
                ends = ((choice.at, choice.other), (choice.other, choice.at))
                return [(at, LinkUp(table.nodes[peer], 0, dialled=True)) for at, peer in ends]  # type: ignore[arg-type]
            case str():
                return []
        return [(choice.at, choice.what)]

    def _tells(self, choice: Choice) -> str:
        if isinstance(choice.what, int):
            return f"hears {self.world.cities[self.world.table.letters[choice.what].sender]}"
        if isinstance(choice.what, str):
            return f"links with {self.world.cities[choice.other]}"
        return type(choice.what).__name__
