"""What happened in this run, as its nodes tell it?

Every node tells of every round; where two tell different things, that is written down too. Knows nothing of
processes or of what should have happened.
"""

from dataclasses import dataclass, field

from comind.node.attach import RoundLine, Status
from scripts.local.learning import POOLED
from scripts.local.reports import Finished, Interval, Learned

MEAN = "mean"
"""The rule of blocks that are averages."""


@dataclass(slots=True)
class Traffic:
    """Bytes that one node sent or received, over all lives of its daemon."""

    before: int = 0
    """In the lives that ended, as far as they told."""
    now: int = 0

    @property
    def total(self) -> int:
        return self.before + self.now

    def new_life(self) -> None:
        self.before, self.now = self.total, 0


@dataclass(slots=True)
class Told:
    """What one node, its daemon and its trainer, told of itself."""

    status: Status | None = None
    """The newest of the daemon that lives."""
    sent: Traffic = field(default_factory=Traffic)
    received: Traffic = field(default_factory=Traffic)
    sent_by_round: dict[int, int] = field(default_factory=dict)
    """Bytes sent in all when it first told of a round's end."""
    interval: Interval | None = None
    finished: Finished | None = None
    joined: bool = False
    trained_before: int = 0
    """Examples, by trainers that were killed, as far as they told."""

    @property
    def trained(self) -> int:
        """Examples in all: more cannot have been counted."""
        newest = self.finished or self.interval
        return self.trained_before + (newest.trained if newest is not None else 0)

    def begin_anew(self) -> None:
        """The trainer was killed; the next one starts from the network's base."""
        self.trained_before, self.interval = self.trained, None

    @property
    def round(self) -> int:
        return self.status.round if self.status is not None else 0


@dataclass(frozen=True, slots=True)
class Average:
    """One average, and when the runner heard of it (monotonic seconds)."""

    line: RoundLine
    at_s: float

    @property
    def contributors(self) -> dict[str, int]:
        """Name and weight of each."""
        return {name: weight for _, name, weight in self.line.contributors}


class Ledger:
    """Names are those of nodes; rounds count averages from 1."""

    def __init__(self, names: tuple[str, ...], rounds: int) -> None:
        self.names = names
        self.rounds = rounds
        self.nodes: dict[str, Told] = {name: Told() for name in names}
        self.averages: dict[int, Average] = {}
        self.contradictions: list[str] = []
        self.accuracies: dict[int, dict[str, float]] = {}
        """By round and node, of models that are exactly that round's average."""
        self.alone: dict[str, list[float]] = {name: [] for name in names}
        """By round from 0."""
        self.pooled: list[float] = []

    # -- hearing --------------------------------------------------------------------------------------------

    def hear_status(self, name: str, status: Status, now_s: float) -> list[Average]:
        """Take a daemon's status, and return the averages that nobody told of before."""
        told = self.nodes[name]
        told.status = status
        told.sent.now, told.received.now = status.bytes_sent, status.bytes_received
        told.joined = told.joined or any(member.me and member.state != "joining" for member in status.members)
        for round in range(max(told.sent_by_round, default=0) + 1, status.round + 1):
            told.sent_by_round[round] = told.sent.total
        return [
            average
            for line in status.last_rounds
            if line.rule == MEAN and (average := self._hear_line(name, line, now_s)) is not None
        ]

    def _hear_line(self, name: str, line: RoundLine, now_s: float) -> Average | None:
        known = self.averages.get(line.round)
        if known is None:
            average = self.averages[line.round] = Average(line, now_s)
            return average
        if (known.line.root, known.line.height) != (line.root, line.height):
            self.contradictions.append(
                f"{name} holds another average {line.round} than others do: {line.root[:12]} at height"
                f" {line.height}, not {known.line.root[:12]} at height {known.line.height}"
            )
        return None

    def hear_report(self, name: str, report: Interval | Finished) -> None:
        """Take what a trainer reports."""
        told = self.nodes[name]
        if isinstance(report, Finished):
            told.finished = report
            return
        told.interval = report
        if report.counted:
            self.accuracies.setdefault(report.round, {})[name] = report.accuracy

    def hear_baseline(self, learned: Learned) -> None:
        curve = self.pooled if learned.node == POOLED else self.alone[self.names[learned.node]]
        curve.append(learned.accuracy)

    def ended(self, name: str) -> None:
        """A node's daemon is dead: what comes next is told by another one."""
        told = self.nodes[name]
        told.status = None
        told.sent.new_life()
        told.received.new_life()

    # -- asking ---------------------------------------------------------------------------------------------

    @property
    def newest(self) -> int:
        """The number of the newest average that anybody told of."""
        return max(self.averages, default=0)

    @property
    def chief(self) -> str:
        """Who leads now, as those tell who know the newest height; empty if nobody does."""
        told = [node.status for node in self.nodes.values() if node.status is not None]
        newest = max(told, key=lambda status: (status.height, status.view), default=None)
        return newest.chief_name if newest is not None and newest.round < self.rounds else ""

    def led(self, name: str) -> int:
        return sum(average.line.chief_name == name for average in self.averages.values())

    def counted(self, name: str) -> int:
        return sum(name in average.contributors for average in self.averages.values())

    def weight(self, name: str) -> int:
        """How many examples of this node were counted in all."""
        return sum(average.contributors.get(name, 0) for average in self.averages.values())

    def bytes_of(self, round: int) -> int:
        """What all nodes sent from the end of the round before to the end of this one."""
        return sum(
            told.sent_by_round[round] - told.sent_by_round.get(round - 1, 0)
            for told in self.nodes.values()
            if round in told.sent_by_round
        )

    def accuracy(self, round: int) -> float | None:
        """Return the accuracy of a round's average; None while no trainer has held exactly it."""
        told = self.accuracies.get(round)
        return sum(told.values()) / len(told) if told else None

    def together(self) -> list[float | None]:
        """Return the network model's accuracy by round, from 0."""
        start = self.pooled[0] if self.pooled else None
        return [start, *(self.accuracy(round) for round in range(1, self.rounds + 1))]
