"""What happened between several nodes, in one order, and why?

    scripts/replay JOURNAL...              each a node's folder, its journal/, or one segment of it
    scripts/replay --height 12 JOURNAL...  only while a node worked on this height
    scripts/replay --last 50 JOURNAL...    only the last lines
    scripts/replay --all JOURNAL...        with what was heard, said again, promised, dialled, and every beat

Every event is fed to the core again, and what it does must be what it did: exit code 1 and a line on standard
error where it is not, 2 where what was given is no journal.
"""

import argparse
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from comind.node.cli.phrases import plain
from comind.p2p.core.effects import (
    Action,
    Announced,
    Dial,
    DialFailed,
    Event,
    Forget,
    Heard,
    Held,
    Keep,
    Progressed,
    Promise,
    Reached,
    Send,
    Undial,
    Woken,
)
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.messages import Addressbook, AskBlocks, Blocks, Greeting, Heartbeat
from scripts.history.clocks import Aligned, align, merged
from scripts.history.lives import Life, Moment, find, lives_of, names_in
from scripts.history.wording import Wording

QUIET: tuple[type[Event | Action], ...] = (
    Announced,
    Dial,
    DialFailed,
    Forget,
    Held,
    Keep,
    Progressed,
    Promise,
    Reached,
    Undial,
    Woken,
)
"""Left out without --all: what only this node cares for, and what is said in another line."""
SMALL_TALK = (Addressbook, AskBlocks, Blocks, Greeting, Heartbeat)


def main(arguments: Sequence[str]) -> int:
    given = _parser().parse_args(arguments)
    try:
        found = [find(path) for path in given.journals]
        lives = [life for one in found for life in lives_of(one, given.height)]
    except ConfigError as why:
        sys.stderr.write(f"replay: {why}\n")
        return 2
    wording = Wording(names_in([one.chain for one in found], lives))
    aligned = align(lives)
    print(_head(lives, aligned, wording))
    shown = _chosen(merged(lives, aligned), {life.node for life in lives}, given.all, given.height)
    for line in deque(_lines(shown, wording), maxlen=given.last):
        print(line)
    for life in lives:
        if life.differs:
            sys.stderr.write(f"replay: {life.name}: {life.differs}\n")
    return int(any(life.differs for life in lives))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/replay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("journals", nargs="+", type=Path, metavar="JOURNAL")
    parser.add_argument("--height", type=int, help="only while a node worked on this height")
    parser.add_argument("--last", type=int, metavar="N", help="only the last N lines")
    parser.add_argument("--all", action="store_true", help="leave nothing out")
    return parser


def _head(lives: Sequence[Life], aligned: Aligned, wording: Wording) -> str:
    nodes = len({life.node for life in lives})
    steps = sum(life.steps for life in lives)
    same = "all as they were" if not any(life.differs for life in lives) else "up to a difference, see below"
    lines = [f"{_count(nodes, 'node')}, {_count(len(lives), 'start')}, {_count(steps, 'step')}: {same}"]
    if len(lives) > 1:
        messages = _count(aligned.messages, "message")
        lines.append(f"clocks aligned by {messages}, to within {aligned.unsure_ms:.1f} ms")
    lines.append("seconds since the first line, the height that the node works on, and what happens there")
    lines += [f"nothing connects {life.name}'s clock with the others'" for life in aligned.alone]
    return "\n".join([*lines, ""])


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _chosen(
    moments: Iterable[tuple[float, Moment]], known: set[bytes], all: bool, height: int | None
) -> Iterator[tuple[float, Moment]]:
    said: set[tuple[Life, type, str]] = set()
    for ms, moment in moments:
        if height is not None and moment.height != height:
            continue
        if all or (_is_telling(moment, known) and _is_new(moment, said)):
            yield ms, moment


def _is_telling(moment: Moment, known: set[bytes]) -> bool:
    match moment.what:
        case Send(message=message) | Heard(message=message) if isinstance(message, SMALL_TALK):
            return False
        case Heard(peer=peer):
            return peer not in known  # else it stands where it was said
    return not isinstance(moment.what, QUIET)


def _is_new(moment: Moment, said: set[tuple[Life, type, str]]) -> bool:
    """What is said again, at every heartbeat and on every new link, is told once."""
    if not isinstance(moment.what, Send | Heard):
        return True
    message = moment.what.message
    key = moment.life, type(moment.what), repr(message)
    new = key not in said
    said.add(key)
    return new


def _lines(moments: Iterable[tuple[float, Moment]], wording: Wording) -> Iterator[str]:
    width = max((len(name) for name in wording.names.values()), default=0)
    first_ms: float | None = None
    for ms, moment in moments:
        first_ms = ms if first_ms is None else first_ms
        name = wording.names.get(moment.life.node, moment.life.name)
        told = plain(wording.describe(moment.what))
        yield f"{(ms - first_ms) / 1_000:>9.3f}  {moment.height:>4}  {name:<{width}}  {told}".rstrip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
