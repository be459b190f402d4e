"""How does `comind node` become, or start, this home's daemon?

In a terminal the daemon is a child and `live` draws what it does; everywhere else this process becomes the
daemon. Either way the invite is in the home by then: neither an argument nor the environment carries it on.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

from comind.crypto.invite import Invite
from comind.node.cli.ask import connect, home_flag
from comind.node.cli.names import name_or_host
from comind.node.home import (
    Home,
    prepare,
    recall_invite,
    remember_invite,
    remember_next_invite,
    resolve_invite,
)
from comind.node.remembered import Kept, recall
from comind.p2p.core.errors import ConfigError
from comind.p2p.shell.addresses import listen_as_advertised, parse_address, parse_listen

DAEMON = (sys.executable, "-P", "-m", "comind.node.daemon")
"""-P: a file in the working folder, which may be anybody's training code, is not imported."""


@dataclass(frozen=True, slots=True)
class Start:
    """What was asked for on the command line."""

    seeds: tuple[str, ...] = ()
    invite_file: str | None = None
    kept: Kept = field(default_factory=Kept)
    name: str | None = None
    no_lead: bool = False


def start(home: Home, wishes: Start) -> int:
    """Run the daemon until it ends, and return its exit code; outside of a terminal this never returns.

    Raises:
        ConfigError: the home cannot be one, there is no invite, or an address or the name cannot be used.
    """
    _refuse_second(home)
    command = [*DAEMON, *settled(home, wishes)]
    environ = {name: value for name, value in os.environ.items() if name != "COMIND_INVITE"}
    if not in_a_terminal():
        _become(command, environ)
    from rich.console import Console

    from comind.node.cli.live import follow

    return follow(command, environ, home, Console())


def settled(home: Home, wishes: Start) -> list[str]:
    """Check all that was given, keep the invite in the home, and return the daemon's flags: none is secret.

    Raises:
        ConfigError: see `start`.
    """
    seeds = [parse_address(seed, "--seed") for seed in wishes.seeds]
    _check(wishes.kept)
    if wishes.name is not None:
        name_or_host(wishes.name, "--name")
    prepare(home)
    kept = recall(home).but(wishes.kept)
    invite = resolve_invite(home, wishes.invite_file, os.environ, _prompt_in(home), may_move=True)
    _check_ways_in(home, invite, seeds)
    remembered = recall_invite(home)
    if remembered is not None and remembered.network != invite.network:
        remember_next_invite(home, invite)  # R18
    elif invite != remembered:
        remember_invite(home, invite)
    flags = [("--home", str(home.path)), *(("--seed", seed) for seed in seeds)]
    listen = kept.listen or listen_as_advertised(kept.advertise)
    flags += [("--listen", listen)] if listen else []
    flags += [("--advertise", address) for address in kept.advertise]
    flags += [("--name", wishes.name)] if wishes.name is not None else []
    return [word for flag in flags for word in flag] + (["--no-lead"] if wishes.no_lead else [])


def _refuse_second(home: Home) -> None:
    """What the daemon would say too, before the view shows the other one's picture."""
    channel = connect(home)
    if channel is not None:
        channel.close()
        raise ConfigError(
            f"a node runs in {home.path} already (comind status{home_flag(home)});"
            " start a second one in its own folder: comind node --home OTHER"
        )


def in_a_terminal() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _become(command: list[str], environ: dict[str, str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], command, environ)  # noqa: S606  our own interpreter and module


def _check(kept: Kept) -> None:
    if kept.listen:
        parse_listen(kept.listen)
    for address in kept.advertise:
        parse_address(address, "--advertise")


def _check_ways_in(home: Home, invite: Invite, seeds: list[str]) -> None:
    """Refuse a start that could only wait for ever: a newcomer that knows nobody."""
    if not (seeds or invite.seeds or home.store_file.exists()):
        raise ConfigError("the invite carries no address: add --seed tcp://host:port, of any member")


def _prompt_in(home: Home) -> Callable[[], str] | None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def prompt() -> str:
        from getpass import getpass

        sys.stderr.write(
            f"{home.path} is of no network yet.\n"
            f"To found one: Ctrl-C, then comind init{home_flag(home)}\n"
            "To join one: paste the invite that you were handed (it is not shown), then Enter.\n"
        )
        return getpass("invite: ", stream=sys.stderr)

    return prompt
