"""How does an operator ask for what is decided for all: pauses, removals, who is let in?

The daemon makes it known to the others, and answers when a block decides it. Knows nothing of blocks.
"""

import sys
from collections.abc import Callable

from comind.node.attach import Ask
from comind.node.cli.ask import decide
from comind.node.cli.errors import Exit
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


def remove(
    home: Home, node: str, because: str, yes: bool, wait_s: float, ask: Callable[[str], bool] | None = None
) -> Exit:
    """Remove another member, if that is meant.

    Raises:
        ConfigError: nobody is there to be asked, and --yes was not given; or the reason cannot be shown.
        NoDaemon: none runs.
        NotDone: there is no such member, it cannot be removed, or the others did not agree in time.
    """
    wish = Ask("remove", about=node, because=_checked(because))
    if not yes and not (ask or confirmed)(
        f"{plain(node)} is taken off the roster, and gets no link until somebody allows it again. Remove it?"
    ):
        return Exit.DECLINED
    _say(f"{decide(home, wish, wait_s)}: {node} is removed")
    return Exit.OK


def allow(home: Home, node: str, wait_s: float) -> None:
    """Let a node in.

    Raises:
        NoDaemon: none runs.
        NotDone: it is no id, nothing keeps it out, or the others did not agree in time.
    """
    _say(f"{decide(home, Ask('allow', about=node), wait_s)}: it comes in by itself if it runs")


def deny(home: Home, node: str, because: str, wait_s: float) -> None:
    """Give a node no link.

    Raises:
        ConfigError: the reason cannot be shown.
        NoDaemon: none runs.
        NotDone: it is no id, is a member or denied already, or the others did not agree in time.
    """
    _say(f"{decide(home, Ask('deny', about=node, because=_checked(because)), wait_s)}: it gets no link")


def confirmed(question: str) -> bool:
    """Ask who sits at the terminal.

    Raises:
        ConfigError: nobody does.
    """
    if not sys.stdin.isatty():
        raise ConfigError("nobody is here to be asked whether that is meant: add --yes")
    import typer

    return typer.confirm(question)


def _checked(because: str) -> str:
    if len(because) > MAX_LETTERS or not because.isprintable():
        raise ConfigError(f"--because takes up to {MAX_LETTERS} printable letters, in one line")
    return because


def _say(line: str) -> None:
    sys.stdout.write(plain(line) + "\n")
