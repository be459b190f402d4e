"""How does one run go, from founding to the last average?

One loop reads what daemons and trainers tell, does what the plan does to them, and ends when everyone holds
the last average. Everything that was started is ended with it.
"""

import secrets
import selectors
import time
from pathlib import Path

from comind.node.attach import Status
from comind.node.daemon import founding
from comind.p2p.core.words import Settings
from scripts.local.child import Child, end
from scripts.local.digits import Examples
from scripts.local.faults import Deed, Fault, Faults, Kill, Kind, Start, sides
from scripts.local.flags import Plan
from scripts.local.forwarder import READY
from scripts.local.learning import steps_in_epoch
from scripts.local.ledger import Ledger
from scripts.local.node import Node
from scripts.local.ports import free_pairs
from scripts.local.reports import Finished, Learned, Lines, Report
from scripts.local.view import Row, Scene, View

NETWORK = "local"
_TURN_S = 0.05
_MEASURE_EVERY_S = 0.5
_FAREWELL_S = 5.0
_START_S = 30.0
"""A daemon that does not listen by then has failed."""


class Broken(Exception):
    """The run cannot go on; the message says why."""


class Network:
    """`folder` is private and empty; it holds a folder for each node, and the data."""

    def __init__(
        self, plan: Plan, folder: Path, parts: list[Examples], held_out: Examples, view: View
    ) -> None:
        self.plan = plan
        self.ledger = Ledger(plan.names, plan.rounds)
        self.faults = Faults(plan, self.ledger)
        self.began_s = time.monotonic()
        """When the network was founded."""
        self._folder = folder
        self._parts = parts
        self._view = view
        self._selector = selectors.DefaultSelector()
        self._late = {late.node for late in plan.late}
        self._extra: list[Child] = []
        self._trains_when_watched: set[str] = set()
        self._progress_s = self.began_s
        self._measured_s = 0.0
        self._told_round = 0
        self._forwarder: Child | None = None
        ports = free_pairs(2 * plan.nodes, secrets.randbelow(10_000))
        self.nodes = {
            name: Node(
                name,
                folder / name.casefold().replace(" ", "-"),
                port,
                self._selector,
                hear_status=self._hear_status,
                hear_report=self._hear_report,
            )
            for name, port in zip(plan.names, ports[: plan.nodes], strict=True)
        }
        if plan.partitions:
            for node, port in zip(self.nodes.values(), ports[plan.nodes :], strict=True):
                node.advertised = f"tcp://127.0.0.1:{port}"
        for number, part in enumerate(parts):
            part.save(self._rows(number))
        held_out.save(self._held_out)

    # -- the course of a run --------------------------------------------------------------------------------

    def run(self) -> None:
        """Train everyone alone, all data pooled, and the network.

        Raises:
            Broken: it cannot go on.
        """
        if self.plan.baselines:
            self._train_baselines()
        self._found()
        self._start_forwarder()
        self._start_all()
        while not self._is_over():
            self._turn()
        self._tell_averages()
        self._measure()

    def end(self) -> None:
        """End every process that was started. Twice is as good as once."""
        children = [child for node in self.nodes.values() for child in node.children]
        end([*children, *self._extra], _FAREWELL_S)

    def _train_baselines(self) -> None:
        """Each node alone and all data pooled, before the network, so that nothing disturbs its times."""
        plan = self.plan
        rows = [str(self._rows(number)) for number in range(plan.nodes)]
        arguments = ["--trainer", plan.trainer, "--random-seed", str(plan.random_seed)]
        arguments += ["--rounds", str(plan.rounds), "--held-out", str(self._held_out), "--rows", *rows]
        if plan.interval_steps is not None:
            arguments += ["--interval-steps", str(plan.interval_steps)]
        self._view.say("training each node alone, and all data pooled …", "dim")
        child = Child("scripts.local.baselines", arguments, self._folder / "baselines.log", reports=True)
        self._extra.append(child)
        lines = Lines()
        while data := child.read():
            for report in lines.read(data):
                assert isinstance(report, Learned)
                self.ledger.hear_baseline(report)
            self._view.draw(self._baseline_scene)
        child.close()
        if child.wait() or len(self.ledger.pooled) != plan.rounds + 1:
            raise Broken(f"the training without a network failed: {child.last_words()}")

    def _found(self) -> None:
        plan = self.plan
        settings = Settings(rounds=plan.rounds, start_at=plan.start_at)
        founder, *others = self.nodes.values()
        founder.prepare()
        invite = founding.found(founder.home, NETWORK, founder.name, settings, (founder.advertised,), None)
        for node in (founder, *others):
            node.invite(invite)
        self.began_s = self._progress_s = time.monotonic()

    def _start_forwarder(self) -> None:
        """Have every link pass through a process that can cut it, if that was asked for."""
        if not self.plan.partitions:
            return
        fronts = [
            f"{node.name}:{node.advertised.rpartition(':')[2]}={node.address.rpartition(':')[2]}"
            for node in self.nodes.values()
        ]
        log = self._folder / "forwarder.log"
        self._forwarder = Child("scripts.local.forwarder", fronts, log, hears=True)
        self._extra.append(self._forwarder)
        until_s = time.monotonic() + _START_S
        while READY not in log.read_text():
            if self._forwarder.exit_code() is not None or time.monotonic() > until_s:
                raise Broken(f"the forwarder between the nodes failed: {self._forwarder.last_words()}")
            time.sleep(_TURN_S)

    def _order(self, line: str) -> None:
        if self._forwarder is not None:
            self._forwarder.tell(line)

    def _start_all(self) -> None:
        nodes = [node for number, node in enumerate(self.nodes.values()) if number not in self._late]
        founder, *others = nodes
        self._view.say(f"{founder.name} founds the network; the others join through it", "dim")
        self._start(founder, None)
        until_s = time.monotonic() + _START_S
        while not founder.is_watched and time.monotonic() < until_s:
            self._turn()
        for node in others:
            self._start(node, founder.advertised)

    def _start(self, node: Node, seed: str | None) -> None:
        """Start a node; its trainer follows when its daemon listens, else it would start one of its own."""
        node.start_daemon(seed)
        pids = [f"{one.name}={one.daemon.pid}" for one in self.nodes.values() if one.daemon is not None]
        self._order("pids " + "\t".join(pids))
        if node.trainer is None:
            self._trains_when_watched.add(node.name)

    def _turn(self) -> None:
        """Read what is told, look after everyone, and do what is due."""
        for key, _ in self._selector.select(_TURN_S):
            key.data()
        now_s = time.monotonic()
        for deed in self.faults.due(now_s):
            self._do(deed)
        for node in self.nodes.values():
            self._look_after(node)
        if any(node.is_paused for node in self.nodes.values()):
            self._progress_s = now_s
        if now_s - self._progress_s > self.plan.patience_s:
            raise Broken(f"nothing came for {self.plan.patience_s:.0f} s: {self._what_is_waited_for()}")
        if now_s - self._measured_s > _MEASURE_EVERY_S:
            self._measured_s = now_s
            self._measure()
        self._tell_averages()
        self._view.draw(self._scene)

    def _is_over(self) -> bool:
        """Whether everyone holds the last average, and all has happened that was to happen."""
        told = self.ledger.nodes.values()
        return (
            all(one.finished is not None and one.round >= self.plan.rounds for one in told)
            and not self.faults.down()
            and all(node.has_trained for node in self.nodes.values())
        )

    # -- one node -------------------------------------------------------------------------------------------

    def _look_after(self, node: Node) -> None:
        if node.daemon is not None and (code := node.daemon.exit_code()) is not None:
            raise Broken(f"the daemon of {node.name} ended with {code}: {node.daemon.last_words()}")
        if node.trainer is not None and (code := node.trainer.exit_code()):
            raise Broken(f"the trainer of {node.name} ended with {code}: {node.trainer.last_words()}")
        if node.daemon is not None and not node.is_watched:
            node.watch()
        if node.is_watched and node.name in self._trains_when_watched:
            self._trains_when_watched.remove(node.name)
            self._start_trainer(node)

    def _start_trainer(self, node: Node) -> None:
        plan, number = self.plan, self.plan.names.index(node.name)
        steps = plan.interval_steps or steps_in_epoch(len(self._parts[number]))
        node.start_trainer(
            {
                "--trainer": plan.trainer,
                "--rows": self._rows(number),
                "--held-out": self._held_out,
                "--node": number,
                "--random-seed": plan.random_seed,
                "--interval-steps": steps,
                "--pace": plan.pace_s,
            }
        )

    def _hear_status(self, node: Node, status: Status) -> None:
        now_s = time.monotonic()
        told = self.ledger.nodes[node.name]
        before = told.joined, told.round
        for average in self.ledger.hear_status(node.name, status, now_s):
            for fault in self.faults.averaged(average):
                self._tell_recovery(fault)
        if (told.joined, told.round) != before:
            self._progress_s = now_s

    def _hear_report(self, node: Node, report: Report) -> None:
        assert not isinstance(report, Learned)
        self.ledger.hear_report(node.name, report)
        if isinstance(report, Finished):
            self._progress_s = time.monotonic()
            node.measure()

    def _tell_averages(self) -> None:
        """Tell of each average once its accuracy is known, or the next one is there."""
        for round in range(self._told_round + 1, self.ledger.newest + 1):
            accuracy = self.ledger.accuracy(round)
            if round not in self.ledger.averages or (accuracy is None and round == self.ledger.newest):
                return
            self._view.averaged(self.ledger.averages[round], accuracy)
            self._told_round = round

    # -- what befalls it ------------------------------------------------------------------------------------

    def _do(self, deed: Deed) -> None:
        if deed.kind == Kind.PARTITION:
            self._cut_or_heal(deed)
            return
        node = self.nodes[deed.node]
        match deed:
            case Kill(kind=Kind.KILL_TRAINER):
                node.kill_trainer()
                self.ledger.nodes[node.name].begin_anew()
                self._tell_kill(deed)
            case Kill(kind=Kind.PAUSE):
                node.pause()
                self._tell_kill(deed)
            case Kill():
                node.kill_daemon()
                self.ledger.ended(node.name)
                self._tell_kill(deed)
            case Start(kind=Kind.KILL_TRAINER):
                self.faults.started(deed, time.monotonic())
                self._trains_when_watched.add(node.name)
                self._view.say(f"{node.name}'s trainer is started again: {deed.because}", "green")
            case Start(kind=Kind.PAUSE):
                node.go_on()
                self.faults.started(deed, time.monotonic())
                self._view.say(f"{node.name} goes on: {deed.because}", "green")
            case Start(kind=Kind.LATE):
                seed = self._seed_for(node)
                self.faults.started(deed, time.monotonic())
                self._start(node, seed.advertised)
                self._view.say(f"{node.name} starts, and joins through {seed.name}: {deed.because}", "green")
            case Start():
                self.faults.started(deed, time.monotonic())
                self._start(node, self._seed_for(node).advertised)
                self._view.say(f"{node.name}'s daemon is started again: {deed.because}", "green")

    def _cut_or_heal(self, deed: Deed) -> None:
        if isinstance(deed, Kill):
            self._order(f"cut {deed.node}")
            self._tell_kill(deed)
        else:
            self._order("heal")
            self.faults.started(deed, time.monotonic())
            self._view.say(f"the links are back: {deed.because}", "green")

    def _seed_for(self, node: Node) -> Node:
        """A member that is up, and not the founder where there is another one."""
        others = [other for other in self.nodes.values() if other is not node and other.is_watched]
        assert others, "who would have told of what is due?"
        return others[-1]

    def _tell_kill(self, kill: Kill) -> None:
        self.faults.killed(kill, time.monotonic())
        match kill.kind:
            case Kind.KILL_TRAINER:
                what = f"SIGKILL to the trainer of {kill.node}"
            case Kind.KILL_CHIEF:
                what = f"SIGKILL to the daemon of the chief, {kill.node}"
            case Kind.PAUSE:
                what = f"SIGSTOP to daemon and trainer of {kill.node}, for {kill.lasts_s:g} s"
            case Kind.PARTITION:
                what = f"no link between {sides(kill.node)}"
            case _:
                what = f"SIGKILL to the daemon of {kill.node}"
        self._view.say(f"round {self.ledger.newest + 1} ({kill.phase}): {what}", "bold red")

    def _tell_recovery(self, fault: Fault) -> None:
        assert fault.recovery_s is not None
        if fault.kind == Kind.LATE:
            line = f"{fault.node} is counted, {fault.recovery_s:.2f} s after it was started"
        elif fault.kind == Kind.PARTITION:
            line = f"all are counted again, {fault.recovery_s:.2f} s after the links were back"
        else:
            what = "paused" if fault.kind == Kind.PAUSE else "killed"
            line = f"the network averages again, {fault.recovery_s:.2f} s after {fault.node} was {what}"
        self._view.say(line, "bold green")

    # -- looking --------------------------------------------------------------------------------------------

    def _measure(self) -> None:
        for node in self.nodes.values():
            node.measure()

    def _what_is_waited_for(self) -> str:
        waits = []
        for name, told in self.ledger.nodes.items():
            waits.append(f"{name}: {self._state_of(name)}")
            if told.status is not None:
                waits[-1] += f" at round {told.round}, {told.status.because or told.status.phase}"
        return "; ".join(waits)

    def _scene(self) -> Scene:
        chief = self.ledger.chief
        title = f"round {self.ledger.newest} of {self.plan.rounds}"
        rows = []
        for name, told in self.ledger.nodes.items():
            interval, finished = told.interval, told.finished
            rows.append(
                Row(
                    name=name,
                    state=self._state_of(name),
                    round=told.round,
                    leads=name == chief,
                    loss=interval.loss if interval else None,
                    accuracy=finished.accuracy if finished else interval.accuracy if interval else None,
                    sent=told.sent.total,
                    received=told.received.total,
                )
            )
        return Scene(title, rows)

    def _state_of(self, name: str) -> str:
        told, node = self.ledger.nodes[name], self.nodes[name]
        if node.is_paused:
            return "paused"
        if node.daemon is None:
            return "killed" if told.joined else "not started"
        if told.finished is not None:
            return "finished"
        if told.status is None:
            return "starting"
        return next((member.state for member in told.status.members if member.me), "joining")

    def _baseline_scene(self) -> Scene:
        curves = [*self.ledger.alone.items(), ("all data", self.ledger.pooled)]
        rows = [
            Row(
                name,
                "alone" if name in self.nodes else "pooled",
                len(curve) - 1,
                False,
                None,
                curve[-1],
                None,
                None,
            )
            for name, curve in curves
            if curve
        ]
        return Scene("without a network", rows)

    def _rows(self, number: int) -> Path:
        return self._folder / f"rows-{number + 1}.safetensors"

    @property
    def _held_out(self) -> Path:
        return self._folder / "held-out.safetensors"
