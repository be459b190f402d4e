"""What was the daemon started with?

    python -m comind.node.daemon --home PATH [--seed tcp://host:port]... [--listen ADDRESS]
        [--advertise ADDRESS]... [--name NAME] [--no-lead] [--leave-with-trainer] [--invite-file PATH]

Knows nothing of what comes of it. No option takes a secret: what is typed there is read by others.
"""

import argparse
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from comind.p2p.core.errors import ConfigError
from comind.p2p.shell.addresses import Listen, parse_address, parse_listen

MAX_NAME_LENGTH = 64
MAX_ADDRESSES = 8
_INVITE = re.compile(r"comind[0-9]{1,4}-[a-z2-7]{16}", re.IGNORECASE)
_KEY = re.compile(r"(--[a-z-]+=)?[0-9a-f]{64}", re.IGNORECASE)
_SECRET_FLAGS = ("--invite", "--key", "--network-key", "--secret")


@dataclass(frozen=True, slots=True)
class Options:
    home: str | None = None
    seeds: tuple[str, ...] = ()
    listen: Listen | None = None
    """None: what the home remembers, else the next free ports."""
    advertise: tuple[str, ...] = ()
    """Empty: what the home remembers, else what others can reach is found."""
    name: str | None = None
    """None: the name that the network knows, else the host's."""
    no_lead: bool = False
    leave_with_trainer: bool = False
    invite_file: str | None = None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see python -m comind.node.daemon --help")


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line.

    Raises:
        ConfigError: it cannot be, or holds a secret.
    """
    for argument in arguments:
        flag = argument.partition("=")[0]
        if _INVITE.search(argument) or _KEY.fullmatch(argument) or flag in _SECRET_FLAGS:
            raise ConfigError(
                "a secret on the command line is read by others: give the invite with --invite-file PATH"
                " or in COMIND_INVITE"
            )
    given = _parser().parse_args(arguments)
    advertise = tuple(parse_address(text, "--advertise") for text in given.advertise)
    if len(advertise) > MAX_ADDRESSES:
        raise ConfigError(f"--advertise can be given {MAX_ADDRESSES} times, not {len(advertise)}")
    return Options(
        home=given.home,
        seeds=tuple(parse_address(text, "--seed") for text in given.seed),
        listen=parse_listen(given.listen) if given.listen else None,
        advertise=advertise,
        name=_name(given.name),
        no_lead=given.no_lead,
        leave_with_trainer=given.leave_with_trainer,
        invite_file=given.invite_file,
    )


def host_name() -> str:
    """Return what this machine is called: the usual name of a node."""
    name = "".join(letter for letter in socket.gethostname().split(".")[0] if letter.isprintable())
    return name[:MAX_NAME_LENGTH] or "node"


def _name(given: str | None) -> str | None:
    if given is not None and not (0 < len(given) <= MAX_NAME_LENGTH and given.isprintable()):
        raise ConfigError(f"--name must have 1 to {MAX_NAME_LENGTH} printable letters")
    return given


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m comind.node.daemon", allow_abbrev=False)
    parser.add_argument("--home", metavar="PATH", help="the node's folder")
    parser.add_argument("--seed", metavar="ADDRESS", action="append", default=[], help="any member's address")
    parser.add_argument("--listen", metavar="ADDRESS", help="what to bind")
    parser.add_argument(
        "--advertise", metavar="ADDRESS", action="append", default=[], help="what to tell others"
    )
    parser.add_argument("--name", help="what this node is called")
    parser.add_argument("--no-lead", action="store_true", help="never be chief")
    parser.add_argument(
        "--leave-with-trainer", action="store_true", help="leave when the trainer has finished"
    )
    parser.add_argument("--invite-file", metavar="PATH", help="the invite, or - for standard input")
    return parser
