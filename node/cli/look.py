"""How are the rounds of a home's chain printed, all of them or one?

Reads the home alone, so it does not matter whether a daemon runs.
"""

import json
import os
import sys

import msgspec

from comind.node.cli.ask import home_flag
from comind.node.cli.chain import chain_in
from comind.node.cli.phrases import plain
from comind.node.cli.rounds import History, history_of
from comind.node.cli.telling import line_of, told
from comind.node.home import Home
from comind.p2p.core.errors import ConfigError

WIDTH_IN_A_PIPE = 120


def rounds(home: Home, last: int | None, as_json: bool) -> None:
    """Print the averages, the newest last.

    Raises:
        ConfigError: no network is here, or its store is damaged.
    """
    history = _history(home)
    shown = history.averages()[-last:] if last else history.rounds
    if as_json:
        _print_json(msgspec.structs.replace(history, rounds=shown))
        return
    from rich.console import Console

    from comind.node.cli.picture import rounds_table

    narrow = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(width=None if narrow else WIDTH_IN_A_PIPE)
    sys.stdout.write(_summary(history, home) + "\n")
    if shown:
        sys.stdout.write("\n")
        console.print(rounds_table([line_of(one) for one in shown], history.weighted))


def show(home: Home, number: int, as_json: bool) -> None:
    """Print all that the chain says of one round.

    Raises:
        ConfigError: there is no such round, no network is here, or its store is damaged.
    """
    history = _history(home)
    averages = history.averages()
    if not averages:
        raise ConfigError("this network has no round yet: comind status tells what is waited for")
    if not 1 <= number <= len(averages):
        raise ConfigError(
            f"there is no round {number} yet: the newest here is {len(averages)}"
            f" (comind rounds{home_flag(home)} lists them)"
        )
    if as_json:
        _print_json(averages[number - 1])
    else:
        sys.stdout.write(told(history, averages[number - 1]))


def _history(home: Home) -> History:
    return history_of(*chain_in(home.store_file))


def _summary(history: History, home: Home) -> str:
    averages = history.averages()
    head = f'network "{plain(history.network)}" ({history.network_id[:8]}), height {history.height}: '
    if not averages:
        return f"{head}no round yet"
    rounds = "1 round" if len(averages) == 1 else f"{len(averages):,} rounds"
    examples = sum(one.weight for one in averages)
    counted = f", {examples:,} examples counted" if history.weighted else ""
    return f"{head}{rounds}{counted}; comind show {len(averages)}{home_flag(home)} tells all of the newest"


def _print_json(value: msgspec.Struct) -> None:
    """ASCII, and so it steers no terminal."""
    sys.stdout.write(json.dumps(msgspec.to_builtins(value), indent=2) + "\n")
