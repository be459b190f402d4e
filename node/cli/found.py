"""How is a network founded, and what does its founder do next?

Chooses names and addresses, has the network founded, and tells the lines that bring others in. Knows nothing
of blocks or keys.
"""

import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from comind.node.cli.ask import home_flag
from comind.node.cli.invites import for_the_others, write
from comind.node.cli.names import name_or_host
from comind.node.home import Home
from comind.node.remembered import Kept, remember
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.words import Settings
from comind.p2p.shell.addresses import (
    DEFAULT_PORT,
    Advertised,
    Listen,
    advertise,
    listen_as_advertised,
    parse_address,
    parse_listen,
)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for on the command line, genesis settings aside."""

    network: str | None = None
    name: str | None = None
    listen: str | None = None
    advertise: tuple[str, ...] = ()
    initial: Path | None = None
    invite_out: Path | None = None


def found(home: Home, wishes: Wishes, settings: Settings) -> None:
    """Found a network in this home, write its invite, and say what to do next.

    Raises:
        ConfigError: the home is of a network already or cannot be one, or a name, an address, or the first
            base cannot be used.
    """
    network, name = name_or_host(wishes.network, "--network"), name_or_host(wishes.name, "--name")
    listen, reached = _addresses(wishes)
    out = wishes.invite_out
    if out is not None and not out.expanduser().absolute().parent.is_dir():
        raise ConfigError(f"--invite-out {out}: there is no such folder")
    from comind.node.daemon import founding

    invite = founding.found(home, network, name, settings, reached.addresses, wishes.initial)
    remember(home, Kept(listen, wishes.advertise))
    file = home.invite_file if out is None else write(home, invite, out)
    reach = f"\n  ({reached.because})" if reached.because else ""
    sys.stdout.write(
        f'Founded network "{network}" ({invite.network.hex()[:8]}).'
        f" This node is {name} at {' '.join(reached.addresses)}{reach}\n\n"
        f"Start it here (a training script starts it by itself):\n\n  comind node{home_flag(home)}\n\n"
        f"The invite is in {file}\n\n{for_the_others(file, network, invite.seeds)}"
    )


def _addresses(wishes: Wishes) -> tuple[str, Advertised]:
    """What every start shall listen on, and what the invite leads to."""
    listen = parse_listen(wishes.listen or listen_as_advertised(wishes.advertise) or "*")
    port = _port(listen)
    said = f"tcp://{listen.host}:{port}"
    if wishes.advertise:
        given = tuple(parse_address(address, "--advertise") for address in wishes.advertise)
        return said, Advertised(given, "")
    host = "0.0.0.0" if listen.host == "*" else listen.host  # noqa: S104  a question, nothing is bound
    return said, advertise(f"tcp://{host}:{port}")


def _port(listen: Listen) -> int:
    """Settle on a port, since the invite names it; another node on this machine may have the usual one."""
    if len(listen.ports) == 1:
        return listen.ports[0]
    return next((port for port in listen.ports if _is_free(port) and _is_free(port + 1)), DEFAULT_PORT)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
