"""A network of real processes to which one fault after the other happens, and a judge of its disks.

Recovery is the time from "every live trainer is ready" (or from the fault, if that is later) to the next
average without whom it befell. Knows how to hurt a node and to help it up again; which, and when, is decided
elsewhere (`catalogue`).
"""

import random
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from comind.p2p.core.words import Settings
from tests.e2e.faults.judge import READERS, Judge, read_disk
from tests.e2e.faults.points import needs_a_dead_chief
from tests.e2e.faults.watch import Watch
from tests.e2e.real_network import Node, RealNetwork

REACHED_S = 45.0
"""A point that nobody came by in so long is never reached."""
MEMBERS = 4


@dataclass(slots=True)
class Run:
    """One fault, and what came of it."""

    fault: str
    how: str
    """SIGKILL, SIGSTOP, dropped packets, ..."""
    recovery_s: float | None = None
    wrong: list[str] = field(default_factory=list)


class Stage:
    """`with Stage(folder) as stage:` starts all and has three members vote; `judge` ends it, and tells."""

    def __init__(
        self,
        folder: Path,
        members: int = MEMBERS,
        settings: Settings | None = None,
        *,
        places: Sequence[tuple[str, tuple[str, ...]]] = (),
        network: RealNetwork | None = None,
        step_s: float = 0.02,
    ) -> None:
        settings = settings or Settings(start_at=members)
        self.network = network or RealNetwork(folder, members, settings, places=places)
        self.nodes = self.network.nodes
        self.watch = Watch(self.network)
        self.runs: list[Run] = []
        self.tell: Callable[[Run], None] = lambda run: None
        """Is called with each run when it is over."""
        self._judge = Judge(bytes(self.network.invite.network))
        self._step_s = step_s

    @property
    def homes(self) -> list[Path]:
        """Where each node keeps what is its own."""
        return [node.home.path for node in self.nodes]

    def __enter__(self) -> Self:
        self.network.start_daemons()
        for node in self.nodes:
            self.network.train(node, str(self._step_s))
        voters = min(3, len(self.nodes))
        self.watch.until(lambda: self.watch.voters() >= voters, f"{voters} members vote")
        self.watch.until(lambda: self.watch.newest >= 2, "two averages are made")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.watch.close()
        self.network.__exit__(kind, error, where)

    def judge(self) -> list[str]:
        """End training and all daemons, and return what is wrong with what they leave behind."""
        try:
            self.network.end_training()
        except AssertionError as why:
            return [str(why)]
        self.network.stop_daemons()
        lines = self._judge.read_all([read_disk(home) for home in self.homes])
        return lines + [line for reader in READERS for line in reader(self.homes)]

    # -- faults ---------------------------------------------------------------------------------------------

    def dies_at(self, point: str, node: Node) -> Run:
        """Start this node anew so that it dies at the point, and once more to live."""
        run = self._run(point, "SIGKILL")
        self._stop(node)
        self.network.start(node, failpoint=point)
        if needs_a_dead_chief(point):
            self._wait_until_it_trains(node)
            self._kill_chiefs_until(node, run)
        else:
            self.watch.until(lambda: not _lives(node), f"{node.name} comes by {point}", REACHED_S)
        died_s = time.monotonic()
        assert node.daemon is not None
        if (code := node.daemon.exit_code()) != -signal.SIGKILL:
            run.wrong.append(f"{node.name} ended with {code}: {node.daemon.last_words()}")
        run.recovery_s = self.recovery_since(died_s, [node])
        run.wrong += self._judge.read(read_disk(node.home.path))
        self.network.start(node)
        self._comes_back(node)
        return run

    def is_killed(self, node: Node, what: str) -> Run:
        """Kill this node's daemon or trainer now, and start it again after the next average."""
        run = self._run(f"random kill of a {what}", "SIGKILL")
        child = node.daemon if what == "daemon" else node.trainer
        assert child is not None
        child.kill()
        killed_s = time.monotonic()
        run.recovery_s = self.recovery_since(killed_s, [node])
        if what == "daemon":
            run.wrong += self._judge.read(read_disk(node.home.path))
            self.network.start(node)
        else:
            self.network.train(node, str(self._step_s))
        self._comes_back(node)
        return run

    def is_stopped(self, node: Node, role: str, seconds: float) -> Run:
        """SIGSTOP the daemon for so long, and SIGCONT."""
        run = self._run(f"stopped for {seconds:.0f} s as {role}", "SIGSTOP")
        assert node.daemon is not None
        node.daemon.send_signal(signal.SIGSTOP)
        stopped_s = time.monotonic()
        run.recovery_s = self.recovery_since(stopped_s, [node])
        self.watch.for_(stopped_s + seconds - time.monotonic())
        node.daemon.send_signal(signal.SIGCONT)
        self._comes_back(node)
        return run

    def everyone_is_killed(self, *, trainers: bool) -> Run:
        """Kill all daemons at once, with or without the trainers, and start them again."""
        run = self._run("all daemons and trainers at once" if trainers else "all daemons at once", "SIGKILL")
        for node in self.nodes:
            for child in (node.daemon, node.trainer if trainers else None):
                if child is not None:
                    child.kill()
        self.watch.turn()
        for node in self.nodes:
            run.wrong += self._judge.read(read_disk(node.home.path))
        killed_s = time.monotonic()
        for node in self.nodes:
            self.network.start(node)
        if trainers:
            self._start_trainers()
        run.recovery_s = self.recovery_since(killed_s)
        self.comes_back(self.nodes)
        return run

    def chief_or_not(self, role: str, chance: random.Random) -> Node:
        """Return who leads now, or one of those who do not."""
        chief = self.watch.chief
        return chance.choice([node for node in self.nodes if (node.name == chief) is (role == "chief")])

    def attempt(self, fault: Callable[[], Run]) -> None:
        """Have a fault happen; where the network does not get over it, say so and help it up for the next."""
        try:
            self.tell(fault())
        except AssertionError as why:
            self.runs[-1].wrong.append(str(why))
            self.tell(self.runs[-1])
            for node in self.nodes:
                for child in (node.daemon, node.trainer):
                    assert child is not None
                    child.kill()
            self.watch.turn()
            for node in self.nodes:
                self.network.start(node)
            self._start_trainers()
            self.comes_back(self.nodes)

    # -- getting over it ------------------------------------------------------------------------------------

    def recovery_since(self, fault_s: float, without: Iterable[Node] = ()) -> float:
        """Wait for the next average that counts none of these, and return how long it took.

        It is reckoned from the fault, or from when the last of all others was ready for that average.
        """
        newest, gone = self.watch.newest, {node.name for node in without}
        ready_s = {node.name: 0.0 for node in self.nodes if node.name not in gone}

        def made() -> list[int]:
            for name in ready_s:
                ready_s[name] = self.watch.ready_s.get(name, ready_s[name])
            counted = self.watch.counted
            return [one for one in sorted(counted) if one > newest and not gone & counted[one].keys()]

        self.watch.until(lambda: bool(made()), "another average is made")
        made_s = self.watch.committed_s[made()[0]]
        return made_s - max([fault_s, *(at_s for at_s in ready_s.values() if at_s <= made_s)])

    def comes_back(self, nodes: Iterable[Node]) -> None:
        """Wait until averages count these nodes again."""
        for node in nodes:
            self._comes_back(node)

    def _start_trainers(self) -> None:
        """When its daemon listens: a trainer that finds none would start one."""
        for node in self.nodes:
            self.network.wait(lambda node=node: node.status() is not None, f"{node.name} answers")  # type: ignore[misc]
            self.network.train(node, str(self._step_s))

    def _comes_back(self, node: Node) -> None:
        newest = self.watch.newest
        self.watch.until(
            lambda: any(
                node.name in self.watch.counted[one] for one in self.watch.counted if one > newest + 1
            ),
            f"{node.name} is counted again",
        )

    def _wait_until_it_trains(self, node: Node) -> None:
        def trains() -> bool:
            status = self.watch.statuses.get(node.name)
            return status is not None and status.trainer != "none" and status.round >= self.watch.newest - 1

        self.watch.until(trains, f"{node.name} trains")

    def _kill_chiefs_until(self, node: Node, run: Run) -> None:
        """Kill whoever leads, one after the other, until this node has died of it."""
        for _ in range(8):
            self.watch.until(
                lambda: self.watch.chief not in ("", node.name) or not _lives(node), "another leads"
            )
            chief = next(one for one in self.nodes if one.name == self.watch.chief)
            if not _lives(node) or chief.daemon is None:
                break
            chief.daemon.kill()
            run.wrong += self._judge.read(read_disk(chief.home.path))
            self.watch.for_(3.0) if _lives(node) else None
            self.network.start(chief)
            if not _lives(node):
                break
            self._comes_back(chief)
        self.watch.until(lambda: not _lives(node), f"{node.name} changes its view", 1.0)

    def _stop(self, node: Node) -> None:
        """Stop its daemon as a person would; it comes back as another one."""
        assert node.daemon is not None
        node.daemon.terminate()
        daemon = node.daemon
        self.watch.until(lambda: daemon.exit_code() is not None, f"{node.name}'s daemon stops")

    def _run(self, fault: str, how: str) -> Run:
        run = Run(fault, how)
        self.runs.append(run)
        return run

    def note(self, fault: str, how: str) -> Run:
        """Take note of a fault that somebody else causes."""
        return self._run(fault, how)


def _lives(node: Node) -> bool:
    return node.daemon is not None and node.daemon.exit_code() is None
