"""What happens between `python -m comind.node.daemon ...` and an exit code?

    0    it was stopped, or left its network
    2    what was given cannot work; the line on standard error says how to mend it
    4    the network removed this node; the line says what lets it in again
    70   a mistake of comind's own, or a disk that failed

Knows nothing of what a daemon does.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType

from comind.node.daemon.options import Options, parse
from comind.node.daemon.wakeup import Wakeup
from comind.node.home import Home
from comind.node.logfile import shorten
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.words import Incarnation

EXIT_USAGE = 2
EXIT_EXPELLED = 4
EXIT_OURS = 70
MAX_REBIRTHS = 3


def main(arguments: Sequence[str]) -> int:
    """Run a daemon to its end and return the exit code."""
    stop = _stop_at_signals()
    try:
        return _live(parse(arguments), stop)
    except ConfigError as why:
        sys.stderr.write(f"comind: {why}\n")
        return EXIT_USAGE
    except BaseException as why:
        if isinstance(why, SystemExit):  # --help
            raise
        _confess(why)
        return EXIT_OURS


def _live(options: Options, stop: Wakeup) -> int:
    from comind.node.daemon.assembly import assembled
    from comind.node.daemon.loop import Ending, Loop, expelled_line

    above: Incarnation | None = None
    for _ in range(MAX_REBIRTHS):
        with assembled(options, log, above) as parts:
            loop = Loop(parts, _logging_to(parts.home), stop)
            ending = loop.run()
        if ending is Ending.EXPELLED:
            sys.stderr.write(f"comind: {expelled_line(loop.expelled, parts.me.node)}\n")
            return EXIT_EXPELLED
        if ending is not Ending.RESTORED:
            log(loop.last_words)
            return 0
        above = loop.seen_above
    return 0


def log(line: str) -> None:
    """Write one line of the log. Whoever reads it may be gone: the daemon goes on."""
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except OSError:
        pass


def _logging_to(home: Home) -> Callable[[str], None]:
    """Log to standard output; where that is the home's own log file, keep it short."""

    def line(text: str) -> None:
        log(text)
        shorten(home.log_file, sys.stdout.fileno())

    return line


def _stop_at_signals() -> Wakeup:
    """Have the first SIGTERM or Ctrl-C stop the daemon, and the second end it at once."""
    stop = Wakeup()
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(128 + number)
        asked = True
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stop


def _confess(why: BaseException) -> None:
    """Tell what went wrong and where, without the values of anything: they can hold secrets."""
    if isinstance(why, OSError):
        log(f"the daemon ends: {why}")
    places = [
        f"{frame.filename}:{frame.lineno} in {frame.name}"
        for frame in traceback.extract_tb(why.__traceback__)
    ]
    sys.stderr.write(f"comind ends by a mistake of its own: {type(why).__name__}\n")
    for place in places:
        sys.stderr.write(f"  at {place}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
