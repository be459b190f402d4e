"""What was asked for on the command line of scripts/local_network.py, and can it be?

A bad flag is one line on standard error and exit code 2. Knows nothing of how a run goes.
"""

import argparse
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

from scripts.local.cities import name_of
from scripts.local.digits import FOLDS
from scripts.local.split import Dirichlet, Iid, Split

MOST_NODES = 128
MOST_PAUSE_S = 600.0
RESTART_AFTER = 3
"""Averages that the others make before a killed daemon is started again."""


@dataclass(frozen=True, slots=True)
class At:
    """A node (0, 1, …) and the average (1, 2, …) at which something befalls it."""

    node: int
    round: int


@dataclass(frozen=True, slots=True)
class Pause:
    """A node whose processes stand still for so long, from this round on."""

    node: int
    round: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Partition:
    """Sides of the network that do not reach each other from round `first` until average `last` is made."""

    sides: tuple[tuple[int, ...], ...]
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run, as it was asked for."""

    nodes: int = 5
    rounds: int = 30
    interval_steps: int | None = None
    """None: one local epoch."""
    split: Split = field(default_factory=Iid)
    random_seed: int = 0
    fold: int = 0
    trainer: str = "torch"
    late: tuple[At, ...] = ()
    kills: tuple[At, ...] = ()
    kill_chief_at: tuple[int, ...] = ()
    trainer_kills: tuple[At, ...] = ()
    pauses: tuple[Pause, ...] = ()
    partitions: tuple[Partition, ...] = ()
    random_kills: int = 0
    pace_s: float = 0.0
    """An interval takes a trainer at least so long."""
    patience_s: float = 60.0
    """The run has failed when no average came for so long."""
    json: Path | None = None
    picture: Path = Path("local_network.png")
    keep: bool = False
    baselines: bool = True
    """Whether to train each node alone, and all data pooled, too."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name_of(node) for node in range(self.nodes))

    @property
    def start_at(self) -> int:
        return self.nodes - len(self.late)


def read(arguments: Sequence[str]) -> Plan:
    """Return what was asked for, or end the process with one line and exit code 2."""
    parser = _parser()
    given = parser.parse_args(arguments)
    nodes, rounds = given.nodes, given.rounds

    def at(texts: list[str], flag: str) -> tuple[At, ...]:
        return tuple(_at(parser, flag, text, nodes, rounds) for text in texts)

    for round in given.kill_chief_at:
        _check_round(parser, "--kill-chief-at", round, rounds)
    plan = Plan(
        nodes=nodes,
        rounds=rounds,
        interval_steps=given.interval_steps,
        split=given.split,
        random_seed=given.random_seed,
        fold=given.fold,
        trainer=given.trainer,
        late=at(given.late, "--late"),
        kills=at(given.kill, "--kill"),
        kill_chief_at=tuple(sorted(given.kill_chief_at)),
        trainer_kills=at(given.kill_trainer, "--kill-trainer"),
        pauses=tuple(_pause(parser, text, nodes, rounds) for text in given.pause),
        partitions=tuple(_partition(parser, text, nodes, rounds) for text in given.partition),
        random_kills=given.random_kills,
        pace_s=given.pace,
        patience_s=given.patience,
        json=given.json,
        picture=given.picture,
        keep=given.keep,
        baselines=given.baselines,
    )
    _check_cast(parser, plan)
    _check_files(parser, plan)
    return plan


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="local_network.py",
        description="Start a whole network on this machine: each node a daemon and a trainer of its own, each"
        " trainer with its own part of scikit-learn's digits.",
        epilog="NODE is a number from 1 or a name; ROUND counts averages from 1. Exit codes: 0 all went as"
        " promised, 1 a promise did not hold (the last line says which), 2 a bad flag, 130 Ctrl-C.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    whole = _whole
    add("--nodes", type=whole(2, MOST_NODES), default=5, metavar="N", help="how many (default: 5)")
    add("--rounds", type=whole(1, 100_000), default=30, metavar="N", help="averages to make (default: 30)")
    add("--interval-steps", type=whole(1, 1_000_000), metavar="N", help="local steps before an average"
        " (default: one local epoch)")  # fmt: skip
    add("--split", type=_split, default=Iid(), metavar="SPLIT", help="who gets which rows: iid (default), or"
        " dirichlet:ALPHA, the more one-sided the smaller ALPHA is")  # fmt: skip
    add("--random-seed", type=whole(0, 2**32 - 1), default=0, metavar="N", help="of split, weights, batches")
    add("--fold", type=whole(0, FOLDS - 1), default=0, metavar="N", help=f"which of {FOLDS} folds is held out"
        " to test on (default: 0)")  # fmt: skip
    add("--trainer", choices=("torch", "numpy"), default="torch", help="numpy starts faster (default: torch)")
    add("--late", action="append", default=[], metavar="NODE:ROUND", help="start this node only when this"
        " average is next, through another member's address than the founder's")  # fmt: skip
    add("--kill", action="append", default=[], metavar="NODE:ROUND", help="SIGKILL this node's daemon during"
        f" this round; it is started again {RESTART_AFTER} averages later")  # fmt: skip
    add("--kill-chief-at", type=whole(1, 100_000), action="append", default=[], metavar="ROUND",
        help="SIGKILL the daemon of whoever leads this round, likewise")  # fmt: skip
    add("--kill-trainer", action="append", default=[], metavar="NODE:ROUND", help="SIGKILL this node's"
        " trainer during this round, likewise")  # fmt: skip
    add("--pause", action="append", default=[], metavar="NODE:ROUND:SECONDS", help="SIGSTOP this node's"
        " daemon and trainer during this round, for so long")  # fmt: skip
    add("--partition", action="append", default=[], metavar="A|B@ROUND-ROUND", help="cut all links between"
        " these sides (nodes with commas between) from the first round until the last one's average is made,"
        " or neither side can; Linux")  # fmt: skip
    add("--random-kills", type=whole(0, 10_000), default=0, metavar="N", help="SIGKILL random daemons and"
        " trainers, one by one; each takes some 15 rounds to get over")  # fmt: skip
    add("--pace", type=_seconds, default=0.0, metavar="SECONDS", help="let an interval take at least so long,"
        " as with a larger model (default: 0)")  # fmt: skip
    add("--patience", type=_seconds, default=60.0, metavar="SECONDS", help="give up when no average came for"
        " so long (default: 60)")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="write all that was measured")
    add("--picture", type=Path, default=Path("local_network.png"), metavar="FILE", help="where the picture"
        " goes (default: local_network.png)")  # fmt: skip
    add(
        "--no-baselines",
        dest="baselines",
        action="store_false",
        help="train nobody alone, and no data pooled",
    )
    add("--keep", action="store_true", help="keep the nodes' folders, with their logs")
    return parser


# -- one value ----------------------------------------------------------------------------------------------


class _whole:  # noqa: N801  argparse names the type in its message by what is called
    """A whole number from `least` to `most`."""

    def __init__(self, least: int, most: int) -> None:
        self._least, self._most = least, most

    def __call__(self, text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = self._least - 1
        if not self._least <= number <= self._most:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no whole number from {self._least} to {self._most}"
            )
        return number


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 to 86400")
    return seconds


def _split(text: str) -> Split:
    if text == "iid":
        return Iid()
    kind, _, value = text.partition(":")
    try:
        alpha = float(value) if kind == "dirichlet" else math.nan
    except ValueError:
        alpha = math.nan
    if not 0.001 <= alpha <= 1e6:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither iid nor dirichlet:ALPHA with ALPHA from 0.001 to 1000000"
        )
    return Dirichlet(alpha)


def _at(parser: argparse.ArgumentParser, flag: str, text: str, nodes: int, rounds: int) -> At:
    node, colon, round = text.rpartition(":")
    if not colon or not round.isdecimal():
        parser.error(f"argument {flag}: {text!r} is no NODE:ROUND, as in 2:10 or {name_of(1)}:10")
    _check_round(parser, flag, int(round), rounds)
    return At(_node(parser, flag, node, nodes), int(round))


def _pause(parser: argparse.ArgumentParser, text: str, nodes: int, rounds: int) -> Pause:
    where, colon, seconds = text.rpartition(":")
    try:
        pause_s = float(seconds) if colon and ":" in where else math.nan
    except ValueError:
        pause_s = math.nan
    if not 0 < pause_s <= MOST_PAUSE_S:
        parser.error(
            f"argument --pause: {text!r} is no NODE:ROUND:SECONDS, as in 2:10:5; SECONDS is at most"
            f" {MOST_PAUSE_S:.0f}"
        )
    at = _at(parser, "--pause", where, nodes, rounds)
    return Pause(at.node, at.round, pause_s)


def _partition(parser: argparse.ArgumentParser, text: str, nodes: int, rounds: int) -> Partition:
    flag = "--partition"
    named, _, when = text.rpartition("@")
    span = re.fullmatch(r"([0-9]+)-([0-9]+)", when)
    sides = tuple(
        tuple(_node(parser, flag, node, nodes) for node in side.split(","))
        for side in named.split("|")
        if span
    )
    if span is None or len(sides) < 2:
        parser.error(f"argument {flag}: {text!r} is no A|B@ROUND-ROUND, as in 1,2|3,{name_of(3)},5@10-14")
    first, last = map(int, span.groups())
    _check_round(parser, flag, first, rounds)
    _check_round(parser, flag, last, rounds)
    if last < first:
        parser.error(f"argument {flag}: round {last} is before round {first}")
    if last == rounds:
        parser.error(
            f"argument {flag}: it has to end before the last round, {rounds}: nobody would get over it"
        )
    there = [node for side in sides for node in side]
    for node in range(nodes):
        if there.count(node) != 1:
            on = "no side" if node not in there else "two sides"
            parser.error(f"argument {flag}: {name_of(node)} is on {on}; each node is on one")
    return Partition(sides, first, last)


def _node(parser: argparse.ArgumentParser, flag: str, text: str, nodes: int) -> int:
    names = [name_of(node).casefold() for node in range(nodes)]
    if text.isdecimal() and 1 <= int(text) <= nodes:
        return int(text) - 1
    if text.casefold() not in names:
        there = f"there are 1 to {nodes}, {name_of(0)} to {name_of(nodes - 1)}"
        parser.error(f"argument {flag}: there is no node {text!r}; {there}")
    return names.index(text.casefold())


def _check_round(parser: argparse.ArgumentParser, flag: str, round: int, rounds: int) -> None:
    if not 1 <= round <= rounds:
        parser.error(f"argument {flag}: there is no round {round}; there are 1 to {rounds}")


# -- all together -------------------------------------------------------------------------------------------


def _check_cast(parser: argparse.ArgumentParser, plan: Plan) -> None:
    starts = {late.node: late.round for late in plan.late}
    if len(starts) < len(plan.late):
        parser.error("argument --late: a node starts only once")
    if 0 in starts:
        parser.error(f"argument --late: {name_of(0)} founds the network, so it cannot be late")
    if plan.start_at < 2:
        parser.error("argument --late: at least two nodes must start at once, since one alone has no average")
    for late in plan.late:
        if late.round == 1:
            parser.error("argument --late: whoever is there from round 1 is not late")
    for kill in plan.kills:
        if kill.round <= starts.get(kill.node, 0):
            parser.error(f"argument --kill: {name_of(kill.node)} is not there yet in round {kill.round}")
    for flag, others in (("--kill-trainer", plan.trainer_kills), ("--pause", plan.pauses)):
        for other in others:
            if other.round <= starts.get(other.node, 0):
                parser.error(
                    f"argument {flag}: {name_of(other.node)} is not there yet in round {other.round}"
                )
    if len({(pause.node, pause.round) for pause in plan.pauses}) < len(plan.pauses):
        parser.error("argument --pause: the same node is paused twice in one round")
    if len(set(plan.trainer_kills)) < len(plan.trainer_kills):
        parser.error("argument --kill-trainer: the same one is killed twice in one round")
    spans = sorted((one.first, one.last) for one in plan.partitions)
    if any(later[0] <= earlier[1] for earlier, later in pairwise(spans)):
        parser.error("argument --partition: one begins before the other has ended")
    if plan.partitions and sys.platform != "linux":
        parser.error("argument --partition: who dials whom can be told on Linux only")
    if len(set(plan.kills)) < len(plan.kills) or len(set(plan.kill_chief_at)) < len(plan.kill_chief_at):
        parser.error("arguments --kill and --kill-chief-at: the same one is killed twice in one round")


def _check_files(parser: argparse.ArgumentParser, plan: Plan) -> None:
    for flag, path in (("--json", plan.json), ("--picture", plan.picture)):
        if path is None:
            continue
        if path.is_dir() or not path.absolute().parent.is_dir():
            parser.error(f"argument {flag}: {path} cannot be written: name a file in a folder that is there")
    if plan.picture.suffix not in (".png", ".svg", ".pdf"):
        parser.error("argument --picture: the name of a picture ends in .png, .svg or .pdf")
