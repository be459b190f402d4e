"""How does one command become a run, and a run its exit code?

Exit codes: 0 all went as promised, 1 a promise did not hold, 2 a bad flag, 130 Ctrl-C.
"""

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import msgspec
from rich.console import Console
from rich.text import Text

from comind.p2p.core.errors import ConfigError
from scripts.local import flags, results, verdict
from scripts.local.digits import load_digits
from scripts.local.flags import Plan
from scripts.local.network import Broken, Network
from scripts.local.split import parts_of
from scripts.local.view import view_for

OK, BROKEN, INTERRUPTED = 0, 1, 130


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for, and return the exit code."""
    plan = flags.read(arguments)
    console = Console(highlight=False)
    try:
        with _terminable(), _folder(plan, console) as folder:
            return run(plan, folder, console)
    except KeyboardInterrupt:
        console.print("interrupted: every process that was started has ended")
        return INTERRUPTED


def run(plan: Plan, folder: Path, console: Console) -> int:
    """Run the network in an empty private folder, write and show what came of it; return the exit code."""
    training, held_out = load_digits(plan.fold)
    parts = [training.take(rows) for rows in parts_of(training.y, plan.nodes, plan.split, plan.random_seed)]
    view = view_for(console)
    network = Network(plan, folder, parts, held_out, view)
    broken: list[str] = []
    try:
        with view:
            network.run()
    except (Broken, ConfigError) as why:
        broken.append(str(why))
    finally:
        network.end()
    measured = results.Measured(
        daemon_peak_bytes={name: node.daemon_peak_bytes for name, node in network.nodes.items()},
        trainer_peak_bytes={name: node.trainer_peak_bytes for name, node in network.nodes.items()},
        seconds=time.monotonic() - network.began_s,
    )
    rows = [len(part) for part in parts]
    found = results.results_of(plan, rows, network.ledger, network.faults.told, measured)
    _leave_behind(plan, found, console)
    broken = broken or verdict.broken_promises(network.ledger, network.faults)
    for line in verdict.notes(network.ledger, network.faults):
        console.print(Text(line, "yellow"), soft_wrap=True)
    for line in broken:
        sys.stderr.write(f"local_network.py: {line}\n")
    return BROKEN if broken else OK


def _leave_behind(plan: Plan, found: results.Results, console: Console) -> None:
    console.print()
    results.show(console, found)
    if plan.json is not None:
        plan.json.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
        console.print(f"all that was measured: {plan.json}", soft_wrap=True)
    if found.rounds:
        from scripts.local import picture  # matplotlib takes its second only when there is something to draw

        picture.draw(found, plan.picture)
        console.print(f"the picture: {plan.picture.absolute()}", soft_wrap=True)


@contextmanager
def _folder(plan: Plan, console: Console) -> Iterator[Path]:
    """A temporary folder for this user alone, removed at the end unless it is to be kept."""
    folder = Path(tempfile.mkdtemp(prefix="comind-local-"))
    try:
        yield folder
    finally:
        if plan.keep:
            console.print(f"kept: {folder}", soft_wrap=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP clean up as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
