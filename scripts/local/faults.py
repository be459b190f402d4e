"""What befalls the network on purpose, when, and how long does it take to get over it?

Decides from what the ledger knows; whoever holds the processes kills and starts them. Recovery is the time
from a kill to the next average that the network commits; of a partition, from its end to the first average
that counts all its nodes. A dead node is started again three averages later, or when the others cannot
average without it; a partition ends with the average that was asked for, or when neither side can make one.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from scripts.local.flags import RESTART_AFTER, At, Partition, Plan
from scripts.local.ledger import Average, Ledger

STALLED_S = 6.0
"""After so long without an average, whoever is dead is started again: there may be no quorum without it."""
PARTED_S = 20.0
"""Likewise of a partition: the side that has a quorum may have to pass over every chief on the other side."""
RANDOM_PAUSE_S = (0.05, 0.6)
"""Between everyone being back and the next random kill."""


class Kind(StrEnum):
    LATE = "late"
    KILL = "kill"
    KILL_CHIEF = "kill-chief"
    KILL_TRAINER = "kill-trainer"
    PAUSE = "pause"
    PARTITION = "partition"


@dataclass(slots=True)
class Fault:
    """One thing that befell one node, or the sides of a partition: `Oslo,Lima|Kyoto`."""

    kind: Kind
    node: str
    round: int
    """The first average that was committed after it."""
    phase: str
    """What the round was at."""
    at_s: float
    """Monotonic."""
    recovery_s: float | None = None
    """Until the next average; of a late node, until the first average that counts it."""
    down: bool = True
    """Whether its process is dead or paused, or the links are cut."""
    lasts_s: float | None = None
    """Of a pause."""
    last_round: int | None = None
    """Of a partition: the average that is to be made apart; once it is over, the newest one that was."""
    ended_s: float | None = None

    @property
    def nodes(self) -> list[str]:
        return [name for side in self.node.split("|") for name in side.split(",")]


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill or pause the node's process, or cut the links between these sides."""

    kind: Kind
    node: str
    phase: str
    lasts_s: float | None = None
    last_round: int | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Start this node, or the process of it that was killed; end its pause, or the partition."""

    kind: Kind
    node: str
    because: str


Deed = Kill | Start


def sides(node: str) -> str:
    """Say for a person what the sides of a partition are."""
    return " and ".join(side.replace(",", ", ") for side in node.split("|"))


class Faults:
    """Asks are pure of processes: `due` says what to do, `killed` and `started` that it was done."""

    def __init__(self, plan: Plan, ledger: Ledger) -> None:
        self.told: list[Fault] = []
        """All that befell, in order."""
        self._plan = plan
        self._ledger = ledger
        self._kills = list(plan.kills)
        self._chiefs = list(plan.kill_chief_at)
        self._trainers = list(plan.trainer_kills)
        self._pauses = list(plan.pauses)
        self._partitions = sorted(plan.partitions, key=lambda one: one.first)
        self._late = list(plan.late)
        self._random_left = plan.random_kills
        self._random = random.Random(plan.random_seed)  # noqa: S311  chance, no secret
        self._pause_until_s: float | None = None

    # -- what to do -----------------------------------------------------------------------------------------

    def due(self, now_s: float) -> Iterator[Deed]:
        """Yield what is to be done now; each is done, and told, before the next is asked for."""
        yield from self._starts(now_s)
        if self._ledger.newest >= self._plan.rounds:
            return
        if (phase := self._phase()) is not None:
            yield from self._planned_kills(phase)
        yield from self._random_kill(now_s)

    @property
    def open(self) -> list[str]:
        """What was asked for and has not come about."""
        names = self._ledger.names
        waiting = [f"the chief of round {round} was not killed" for round in self._chiefs]
        waiting += [f"{names[at.node]} was not killed in round {at.round}" for at in self._kills]
        waiting += [f"{names[at.node]} was not started for round {at.round}" for at in self._late]
        waiting += [f"{names[at.node]}'s trainer was not killed in round {at.round}" for at in self._trainers]
        waiting += [f"{names[one.node]} was not paused in round {one.round}" for one in self._pauses]
        waiting += [f"no links were cut in round {one.first}" for one in self._partitions]
        if self._random_left:
            waiting.append(f"{self._random_left} random kills did not come about")
        return waiting

    def down(self) -> list[Fault]:
        return [fault for fault in self.told if fault.down]

    def _phase(self) -> str | None:
        """What the present round is at, as whoever is furthest tells; None between rounds."""
        newest = self._ledger.newest
        told = [node.status for node in self._ledger.nodes.values() if node.status is not None]
        phases = [status.phase for status in told if status.round == newest and status.phase != "idle"]
        return phases[0] if phases else None

    def _planned_kills(self, phase: str) -> Iterator[Kill]:
        present = self._ledger.newest + 1
        if self._chiefs and self._chiefs[0] <= present and self._is_up(chief := self._ledger.chief):
            del self._chiefs[0]
            yield Kill(Kind.KILL_CHIEF, chief, phase)
        for at in list(self._kills):
            if at.round <= present and self._is_up(name := self._name(at)):
                self._kills.remove(at)
                yield Kill(Kind.KILL, name, phase)
        for at in list(self._trainers):
            if at.round <= present and self._is_training(name := self._name(at)):
                self._trainers.remove(at)
                yield Kill(Kind.KILL_TRAINER, name, phase)
        for pause in list(self._pauses):
            if pause.round <= present and self._is_training(name := self._ledger.names[pause.node]):
                self._pauses.remove(pause)
                yield Kill(Kind.PAUSE, name, phase, lasts_s=pause.seconds)
        if self._partitions and self._partitions[0].first <= present and not self._is_cut():
            partition = self._partitions.pop(0)
            yield Kill(Kind.PARTITION, self._sides(partition), phase, last_round=partition.last)

    def _random_kill(self, now_s: float) -> Iterator[Kill]:
        """One at a time, and the next when everyone is back: what is tried is recovery, not lost quorums."""
        if not self._random_left or not self._ledger.newest or not self._is_everyone_back():
            self._pause_until_s = None
        elif self._pause_until_s is None:
            self._pause_until_s = now_s + self._random.uniform(*RANDOM_PAUSE_S)
        elif now_s >= self._pause_until_s:
            self._random_left -= 1
            self._pause_until_s = None
            kind = self._random.choice((Kind.KILL, Kind.KILL_TRAINER))
            yield Kill(kind, self._random.choice(self._ledger.names), self._phase() or "idle")

    def _is_everyone_back(self) -> bool:
        if self._late or self.down() or any(fault.recovery_s is None for fault in self.told):
            return False
        newest = self._ledger.averages[self._ledger.newest]
        return newest.contributors.keys() == set(self._ledger.names)

    def _starts(self, now_s: float) -> Iterator[Start]:
        newest = self._ledger.newest
        for at in list(self._late):
            if newest >= at.round - 1:
                self._late.remove(at)
                yield Start(Kind.LATE, self._name(at), f"round {at.round} is next")
        since_s = now_s - max((average.at_s for average in self._ledger.averages.values()), default=now_s)
        for fault in self.down():
            if because := self._why_over(fault, now_s, since_s):
                yield Start(fault.kind, fault.node, because)

    def _why_over(self, fault: Fault, now_s: float, since_s: float) -> str:
        """Say why it is time to end what befell; empty if it is not. `since_s`: since the newest average."""
        newest = self._ledger.newest
        if fault.lasts_s is not None:
            return f"{fault.lasts_s:g} s are over" if now_s >= fault.at_s + fault.lasts_s else ""
        if fault.last_round is not None and newest >= fault.last_round:
            return f"average {newest} is made"
        if fault.last_round is None and newest >= fault.round - 1 + RESTART_AFTER:
            return f"{RESTART_AFTER} averages were made without it"
        if newest >= self._plan.rounds:
            return "all averages are made"
        stalled_s = PARTED_S if fault.kind == Kind.PARTITION else STALLED_S
        if min(since_s, now_s - fault.at_s) > stalled_s:
            return f"no average came for {stalled_s:.0f} s"
        return ""

    def _is_up(self, name: str) -> bool:
        return name in self._ledger.nodes and self._ledger.nodes[name].status is not None

    def _is_training(self, name: str) -> bool:
        """Whether its daemon and its trainer are there, and go."""
        hurt = {fault.node for fault in self.down() if fault.kind in (Kind.KILL_TRAINER, Kind.PAUSE)}
        return self._is_up(name) and name not in hurt and self._ledger.nodes[name].interval is not None

    def _is_cut(self) -> bool:
        return any(fault.kind == Kind.PARTITION for fault in self.down())

    def _name(self, at: At) -> str:
        return self._ledger.names[at.node]

    def _sides(self, partition: Partition) -> str:
        names = self._ledger.names
        return "|".join(",".join(names[node] for node in side) for side in partition.sides)

    # -- what was done --------------------------------------------------------------------------------------

    def killed(self, kill: Kill, now_s: float) -> None:
        fault = Fault(kill.kind, kill.node, self._ledger.newest + 1, kill.phase, now_s)
        fault.lasts_s, fault.last_round = kill.lasts_s, kill.last_round
        self.told.append(fault)

    def started(self, start: Start, now_s: float) -> None:
        if start.kind == Kind.LATE:
            round = self._ledger.newest + 1
            self.told.append(Fault(start.kind, start.node, round, "", now_s, down=False))
        for fault in self.down():
            if (fault.kind, fault.node) == (start.kind, start.node):
                fault.down, fault.ended_s = False, now_s
                if fault.kind == Kind.PARTITION:
                    fault.last_round = self._ledger.newest

    def averaged(self, average: Average) -> list[Fault]:
        """Take a new average, and return what the network got over with it."""
        over = []
        for fault in self.told:
            if fault.recovery_s is None and self._is_over(fault, average):
                began_s = fault.at_s if fault.kind != Kind.PARTITION else fault.ended_s
                assert began_s is not None
                fault.recovery_s = average.at_s - began_s
                over.append(fault)
        return over

    def _is_over(self, fault: Fault, average: Average) -> bool:
        """Whether the network has got over it with this average."""
        if fault.kind == Kind.LATE:
            return fault.node in average.contributors
        if fault.kind != Kind.PARTITION:
            return True
        missing = {name for one in self.down() for name in one.nodes} | {self._name(at) for at in self._late}
        return not fault.down and set(fault.nodes) - missing <= average.contributors.keys()
