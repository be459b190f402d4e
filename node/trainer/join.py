"""How does a training script come to a peer? Through the daemon of its home, which it starts if none runs.

Knows nothing of what is trained.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from getpass import getpass
from pathlib import Path

from comind.node.home import Home, find_home, prepare, remember_invite, resolve_invite
from comind.node.logfile import rotate
from comind.node.trainer.peer import Peer, say
from comind.p2p.core.errors import ConfigError

DAEMON = (sys.executable, "-m", "comind.node.daemon")
LOOK_EVERY_S = 0.02
MAX_START_S = 60.0
_MAX_LINE_BYTES = 4096

_daemons: list[subprocess.Popen[bytes]] = []
"""Those that this process started; they live on without it."""


def join(
    home: str | os.PathLike[str] | None = None,
    invite: str | os.PathLike[str] | None = None,
    seed: str | Sequence[str] | None = None,
    name: str | None = None,
    listen: str | None = None,
    max_wait: float | None = None,
    on_line: Callable[[str], None] = say,
) -> Peer:
    """Return the peer of this process, over the daemon of its home; if none runs there, start one.

    A daemon that is started here leaves its network and ends when its trainer has finished. In a process of
    torch.distributed other than rank 0 nothing is started: rank 0 speaks for it.

    Args:
        home: the node's folder; else `COMIND_HOME`, else the platform's data folder.
        invite: the file that holds the invite; else `COMIND_INVITE`, else the one that this home remembers.
        seed: an address of any member, or several, if the invite carries none: tcp://host:port.
        name: what this node is called; else the host's name.
        listen: what the daemon binds, if not the next free ports.
        max_wait: how many seconds a round is waited for at most, however it progresses.
        on_line: where lines for a person go; else to standard error.

    Raises:
        ConfigError: there is no invite, the home cannot be used, or the daemon does not start, with its line.
    """
    if _leaves_speaking():
        return Peer(None, max_wait=max_wait, on_line=on_line)
    place = find_home(None if home is None else os.fspath(home))
    prepare(place)
    if not _answers(place.socket_path):
        _resolve(place, invite)
        options = ["--leave-with-trainer", *_options(seed, name, listen)]
        _start(place, options, on_line)
    elif any(option is not None for option in (invite, seed, name, listen)):
        on_line(f"a daemon runs in {place.path} already: invite, seed, name and listen are as it was started")
    return Peer(place.socket_path, max_wait=max_wait, on_line=on_line)


def _leaves_speaking() -> bool:
    """Whether this is another rank than 0; torch is asked only where it is loaded already."""
    torch = sys.modules.get("torch")
    if torch is not None:
        distributed = torch.distributed
        if distributed.is_available() and distributed.is_initialized():
            return bool(distributed.get_rank() > 0)
    return "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("RANK", "0") != "0"


def _resolve(home: Home, invite: str | os.PathLike[str] | None) -> None:
    file = None if invite is None else os.fspath(invite)
    if file is not None and file.startswith("comind1-"):
        raise ConfigError(
            "an invite is a secret: keep it in a file (chmod 600), and give its path as invite="
        )
    is_asked = sys.stdin is not None and sys.stdin.isatty()
    remember_invite(home, resolve_invite(home, file, os.environ, _ask if is_asked else None))


def _ask() -> str:
    return getpass("paste the invite's text (it stays hidden): ")


def _options(seed: str | Sequence[str] | None, name: str | None, listen: str | None) -> list[str]:
    seeds = [seed] if isinstance(seed, str) else list(seed or ())
    given = [("--seed", one) for one in seeds]
    given += [(option, one) for option, one in (("--name", name), ("--listen", listen)) if one is not None]
    return [word for pair in given for word in pair]


def _start(home: Home, options: Sequence[str], on_line: Callable[[str], None]) -> None:
    """Start a daemon that outlives this process, and wait until it answers."""
    command = [*DAEMON, "--home", str(home.path), *options]
    rotate(home.log_file)
    with open(home.log_file, "ab") as log:
        begins = log.tell()
        daemon = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    _daemons.append(daemon)
    on_line(
        f"started a daemon in {home.path}, which ends after its training, or 10 minutes after its last"
        f" trainer was gone; its log is {home.log_file}"
    )
    for _ in range(int(MAX_START_S / LOOK_EVERY_S)):
        try:
            status = daemon.wait(LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            status = None
        if _answers(home.socket_path):
            return
        if status is not None:
            line = _last_line(home.log_file, begins)
            raise ConfigError(line or f"the daemon ended with status {status}; its log is {home.log_file}")
    raise ConfigError(f"the daemon does not answer after {MAX_START_S:g} s; its log is {home.log_file}")


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(MAX_START_S)
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
    return True


def _last_line(log: Path, begins: int) -> str:
    """Return what the daemon said last: its error, in one line."""
    with open(log, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(begins, end - _MAX_LINE_BYTES))
        lines = file.read(_MAX_LINE_BYTES).decode("utf-8", "replace").split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return said.removeprefix("comind: ")
