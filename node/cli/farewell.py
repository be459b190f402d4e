"""How does a node go: for a while (stop), or off the roster (leave)?"""

import sys
from collections.abc import Callable

from comind.node.cli.ask import carry_out, home_flag, no_daemon, status_of
from comind.node.cli.errors import Exit, NoDaemon
from comind.node.cli.phrases import plain
from comind.node.home import Home
from comind.p2p.core.errors import ConfigError

STOP_S = 15.0


def stop(home: Home) -> None:
    """Stop the daemon; it has ended when this returns.

    Raises:
        NoDaemon: none runs.
        NotDone: it does not end.
    """
    line = carry_out(home, "stop", STOP_S, _say)
    _say(f"{line}; it comes back with: comind node{home_flag(home)}")


def leave(home: Home, yes: bool, wait_s: float, ask: Callable[[str], bool] | None = None) -> Exit:
    """Leave the network, if that is meant.

    Raises:
        ConfigError: nobody is there to be asked, and it was not said with --yes.
        NoDaemon: none runs: only a running one can leave.
        NotDone: the others did not agree in time.
    """
    status = status_of(home)
    if status is None:
        raise NoDaemon(f"only a running node can leave: {no_daemon(home)}")
    if not yes and not (ask or _ask)(
        f'{plain(status.name)} leaves network "{plain(status.network)}" and is no member until it joins'
        " again. Leave?"
    ):
        return Exit.DECLINED
    _say(carry_out(home, "leave", wait_s, _say))
    return Exit.OK


def _ask(question: str) -> bool:
    if not sys.stdin.isatty():
        raise ConfigError("nobody is here to be asked whether to leave: add --yes")
    import typer

    return typer.confirm(question)


def _say(line: str) -> None:
    sys.stdout.write(plain(line) + "\n")
