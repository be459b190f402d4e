"""How does an invite get from here to another machine?

An invite is a secret: it goes into a file that its owner alone can read, and to the screen only when asked
for.
"""

import re
import sys
from pathlib import Path
from shlex import quote

from comind.crypto.errors import InvalidInvite
from comind.crypto.invite import MAX_SEEDS, Invite, encode
from comind.crypto.keyfile import write_secret_file
from comind.node.attach import MemberLine, Status
from comind.node.cli.ask import home_flag, status_of
from comind.node.home import Home, recall_invite, remember_invite
from comind.p2p.core.errors import ConfigError

_LOOPBACK = ("tcp://127.", "tcp://[::1]", "tcp://localhost")
_STRANGE = re.compile(r"[^A-Za-z0-9._]+")


def hand_out(home: Home, out: Path | None, show: bool) -> None:
    """Write the invite, or print it, with the members' addresses as the daemon knows them now.

    Raises:
        ConfigError: this home is of no network, or the file cannot be written.
        NotDone: the daemon does not answer.
    """
    remembered = recall_invite(home)
    if remembered is None:
        raise ConfigError(
            f"{home.path} is of no network yet: found one with comind init{home_flag(home)},"
            f" or join one with comind node{home_flag(home)} --invite-file PATH"
        )
    status = status_of(home)
    invite = remembered if status is None else Invite(remembered.network, remembered.key, seeds_of(status))
    if show:
        sys.stdout.write(encode(invite) + "\n")
        return
    file = write(home, invite, out)
    sys.stdout.write(f"the invite is in {file}\n")
    if status is None:
        sys.stdout.write("no daemon runs here: the addresses in it are those of when this node joined\n")
    network = "comind" if status is None else status.network
    sys.stdout.write(f"\n{for_the_others(file, network, invite.seeds)}")


def write(home: Home, invite: Invite, out: Path | None) -> Path:
    """Write the invite to `out`, else into the home, readable by its owner alone; return where it lies.

    Raises:
        ConfigError: the file cannot be written.
    """
    if out is None:
        remember_invite(home, invite)
        return home.invite_file
    file = out.expanduser().absolute()
    try:
        write_secret_file(file, (encode(invite) + "\n").encode("ascii"))
    except OSError as why:
        raise ConfigError(f"the invite cannot be written to {file}: {why.strerror}") from None
    return file


def for_the_others(file: Path, network: str, seeds: tuple[str, ...]) -> str:
    """The lines that another machine needs, to be copied; or another node here, where no other can come."""
    if seeds and all(map(_is_of_this_machine, seeds)):
        return (
            f"Start another node on this machine:\n\n  comind node --home OTHER --invite-file {_told(file)}\n"
        )
    there = f"{_STRANGE.sub('-', network).strip('-.') or 'comind'}.invite"
    seed = seeds[0] if seeds else "tcp://HOST:PORT"
    return (
        "Hand it to each other machine over a private channel, for instance:\n\n"
        f"  scp {_told(file)} OTHER-MACHINE:{there}\n\n"
        "and start a node there:\n\n"
        f"  comind node --seed {seed} --invite-file {there}\n\n"
        "Whoever holds the invite can join. A node remembers it, so the copy can be deleted then.\n"
    )


def _told(file: Path) -> str:
    return quote(str(file))


def seeds_of(status: Status) -> tuple[str, ...]:
    """The addresses to try first: of members that are there and can be reached, one of each first."""
    ordered = sorted(status.members, key=_doubtful)
    turns = range(max((len(member.addresses) for member in ordered), default=0))
    seeds = [each.addresses[turn] for turn in turns for each in ordered if turn < len(each.addresses)]
    seeds.sort(key=_is_of_this_machine)
    return tuple(filter(_is_seed, dict.fromkeys(seeds)))[:MAX_SEEDS]


def _is_of_this_machine(address: str) -> bool:
    return address.startswith(_LOOPBACK)


def _is_seed(address: str) -> bool:
    """Whether an invite takes it: what a member advertises is its own choice."""
    try:
        Invite(bytes(32), bytes(32), (address,))
    except InvalidInvite:
        return False
    return True


def _doubtful(member: MemberLine) -> tuple[bool, bool]:
    return (member.state in ("silent", "away"), not member.can_lead)
