"""What a person asks of the exploration: which worlds, how far, and what came of it."""

# ruff: noqa: T201  (this is a command)

import argparse
import gc

from tests.exploration.beginning import Bounds
from tests.exploration.search import Found, Search
from tests.exploration.worlds import WORLDS

BUDGET = 150_000
SECONDS = 60.0
LINE = "{:<24} {:>10} {:>12} {:>6} {:>11} {:>6}  {:<9} {}"


def main() -> int:
    given = _parser().parse_args()
    if unknown := set(given.world) - set(WORLDS):
        print(f"no world is called {', '.join(sorted(unknown))}; there are: {', '.join(WORLDS)}")
        return 2
    print(LINE.format("world", "states", "transitions", "depth", "core steps", "CPU s", "explored", "broken"))
    gc.freeze()
    broken = False
    for name, bounds in WORLDS.items():
        if not given.world or name in given.world:
            found = Search(bounds, given.states, given.seconds).run()
            broken = broken or bool(found.broken)
            print(LINE.format(name, *_counted(found)), flush=True)
            print(f"    {_told(bounds)}", flush=True)
            if found.broken:
                print(found.story, flush=True)
    return int(broken)


def _told(bounds: Bounds) -> str:
    """Say in a few words how large a world is."""
    timers = min(bounds.patience, bounds.fires * bounds.members)
    parts = [
        f"{bounds.members} members",
        f"{bounds.heights} height{'s' * (bounds.heights > 1)}",
        f"{bounds.max_view + 1} views",
        f"{timers} timers",
        f"{bounds.crashes} crashes",
        f"{bounds.faults} faults",
        f"begins {bounds.begins}",
    ]
    return ", ".join(parts + ["snapshots at once"] * bounds.eager)


def _counted(found: Found) -> tuple[str, ...]:
    numbers = (found.states, found.transitions, found.depth, found.steps)
    explored = "complete" if found.complete else "partial"
    return (*(f"{number:,}" for number in numbers), f"{found.cpu_s:.0f}", explored, found.broken or "nothing")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/explore", description=__doc__)
    parser.add_argument("world", nargs="*", help=f"which of: {', '.join(WORLDS)}; default: all")
    parser.add_argument("--states", type=int, default=BUDGET, help="most states of one world (%(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="most CPU seconds for one world (%(default)s)"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
