"""What do the promises hold against, and how fast does a network get over it? scripts/faults.

    scripts/faults [--only NAME]... [--times N] [--kills N] [--seconds S] [--random-seed N] [--list] [--keep]

Exit codes: 0 every run ended well, 1 one did not, 2 a bad flag, 130 Ctrl-C.
"""

import argparse
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.faults.catalogue import GROUPS, Wish, run_group, why_skipped
from tests.e2e.faults.stage import Run

OK, BROKEN, INTERRUPTED = 0, 1, 130


def main(arguments: Sequence[str]) -> int:
    given = _parse(arguments)
    if given.list:
        _say("\n".join(f"{group}: {' '.join(names)}" for group, names in GROUPS.items()))
        return OK
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it cleans up as at Ctrl-C
    runs: list[Run] = []
    folder = Path(tempfile.mkdtemp(prefix="comind-faults-"))
    try:
        for group, names in _chosen(given.only).items():
            runs += _run(
                group, Wish(names, given.times, given.kills, given.seconds), folder, given.random_seed
            )
    except KeyboardInterrupt:
        _say("interrupted: every process that was started has ended")
        return INTERRUPTED
    finally:
        if given.keep:
            _say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    _say(table(runs))
    for run in runs:
        for line in run.wrong:
            _say(f"{run.fault}: {line}")
    return BROKEN if any(run.wrong for run in runs) else OK


def _run(group: str, wish: Wish, folder: Path, seed: int) -> list[Run]:
    if because := why_skipped(group):
        _say(f"{group}: skipped: {because}")
        return []
    began_s = time.monotonic()
    (folder / group).mkdir()
    runs = run_group(group, wish, folder / group, random.Random(seed), _tell)
    _say(f"{group}: {len(runs)} runs in {time.monotonic() - began_s:.0f} s")
    return runs


def _tell(run: Run) -> None:
    took = "" if run.recovery_s is None else f", {run.recovery_s:.2f} s"
    _say(f"  {run.fault}{took}")
    for line in run.wrong:
        _say(f"    wrong: {line}")


def table(runs: Sequence[Run]) -> str:
    """Return what came of them: by fault, and by how it was done."""
    lines = [f"{'fault':<50} {'runs':>5} {'failures':>9} {'median s':>9} {'worst s':>8}"]
    for fault in dict.fromkeys(run.fault for run in runs):
        lines += [_line(fault, [run for run in runs if run.fault == fault])]
    lines += ["", "recovery, from all live trainers ready to the commit"]
    for how in dict.fromkeys(run.how for run in runs):
        lines += [_line(how, [run for run in runs if run.how == how])]
    return "\n".join(lines)


def _line(name: str, runs: Sequence[Run]) -> str:
    took = [run.recovery_s for run in runs if run.recovery_s is not None]
    median, worst = (f"{statistics.median(took):.2f}", f"{max(took):.2f}") if took else ("", "")
    return f"{name:<50} {len(runs):>5} {sum(bool(run.wrong) for run in runs):>9} {median:>9} {worst:>8}"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _chosen(only: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the names to run, by group; all of them if none was named."""
    return {
        group: chosen
        for group, names in GROUPS.items()
        if (chosen := tuple(name for name in names if not only or group in only or name in only))
    }


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--only", action="append", default=[], metavar="NAME", help="a fault or a group; --list names them")
    add("--times", type=int, default=1, metavar="N", help="do each so often (default: 1)")
    add("--kills", type=int, default=200, metavar="N", help="of random-kills (default: 200)")
    add("--seconds", type=float, default=120, metavar="S", help="goodput's two runs, each (default: 120)")
    add("--random-seed", type=int, default=0, metavar="N", help="of who is hit (default: 0)")
    add("--list", action="store_true", help="name all faults, by group")
    add("--keep", action="store_true", help="keep the nodes' folders")
    given = parser.parse_args(arguments)
    known = {*GROUPS, *(name for names in GROUPS.values() for name in names)}
    if wrong := [name for name in given.only if name not in known]:
        parser.exit(2, f"scripts/faults: there is no fault {wrong[0]}; scripts/faults --list names them\n")
    if min(given.times, given.kills) < 1 or given.seconds <= 0:
        parser.exit(2, "scripts/faults: --times, --kills and --seconds are above 0\n")
    return given


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
