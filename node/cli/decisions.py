"""How does an operator ask for what is decided for all: a pause, and its end?

The daemon makes it known to the others, and answers when a block decides it. Knows nothing of blocks.
"""

import sys

from comind.node.attach import Ask
from comind.node.cli.ask import decide
from comind.node.cli.phrases import plain
from comind.node.home import Home
from comind.p2p.core.errors import ConfigError

MAX_LETTERS = 200
"""Of a reason: it is shown in one line."""


def pause(home: Home, because: str, wait_s: float) -> None:
    """Pause the network.

    Raises:
        ConfigError: the reason cannot be shown.
        NoDaemon: none runs.
        NotDone: it is paused already, or the others did not agree in time.
    """
    line = decide(home, Ask("pause", because=_checked(because)), wait_s)
    _say(f"{line}: no averages are made until somebody says comind resume")


def resume(home: Home, wait_s: float) -> None:
    """End the pause.

    Raises:
        NoDaemon: none runs.
        NotDone: it is not paused, or the others did not agree in time.
    """
    _say(f"{decide(home, Ask('resume'), wait_s)}: averages go on")


def _checked(because: str) -> str:
    if len(because) > MAX_LETTERS or not because.isprintable():
        raise ConfigError(f"--because takes up to {MAX_LETTERS} printable letters, in one line")
    return because


def _say(line: str) -> None:
    sys.stdout.write(plain(line) + "\n")
