"""Where does a node keep what is its own, and may it?

The folder (home) holds identity, invite, store and snapshots of one node of one network. Knows nothing of
what is in the store, nor of what a network is.
"""

import fcntl
import hashlib
import os
import socket
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import IO

import platformdirs

from comind.crypto.errors import InvalidInvite, UnusableKeyFile
from comind.crypto.invite import Invite, decode, encode
from comind.crypto.keyfile import read_secret_file, write_secret_file
from comind.p2p.core.errors import ConfigError

MAX_SOCKET_PATH_BYTES = 103
"""macOS takes 103 and a zero, Linux 107 and a zero."""
MOUNT_TABLE = Path("/proc/self/mountinfo")
_NETWORK_FILE_SYSTEMS = (
    "afs", "afpfs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.gcsfuse", "fuse.glusterfs", "fuse.juicefs",
    "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2",
    "orangefs", "pvfs2", "smb2", "smb3", "smbfs", "webdav", "fuse.davfs", "davfs",
)  # fmt: skip
"""Not 9p: virtual machines hand local disks in by it, too; where it cannot keep 0700 (WSL), that is said."""
_MAX_INVITE_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one node; an absolute path."""

    path: Path

    @property
    def identity_file(self) -> Path:
        return self.path / "identity"

    @property
    def invite_file(self) -> Path:
        return self.path / "invite"

    @property
    def next_invite_file(self) -> Path:
        """Of a network that goes on from this home's, until the daemon has looked into it."""
        return self.path / "next-invite"

    @property
    def store_file(self) -> Path:
        return self.path / "store.db"

    @property
    def snapshots(self) -> Path:
        return self.path / "snapshots"

    @property
    def log_file(self) -> Path:
        return self.path / "daemon.log"

    @property
    def journal(self) -> Path:
        return self.path / "journal"

    @property
    def lock_file(self) -> Path:
        return self.path / "lock"

    @property
    def socket_path(self) -> Path:
        """Where the trainer and the command line meet the daemon: in the home, else where a path fits."""
        inside = self.path / "attach.sock"
        if len(os.fsencode(inside)) <= MAX_SOCKET_PATH_BYTES:
            return inside
        return self._runtime_folder / "attach.sock"

    @property
    def _runtime_folder(self) -> Path:
        """Named by the home's hash alone, so that processes with other environments find it too."""
        name = hashlib.blake2b(os.fsencode(self.path), digest_size=8).hexdigest()
        return Path("/tmp") / f"comind-{os.getuid()}-{name}"  # noqa: S108  made 0700, and refused if it is not


def find_home(given: str | None, environ: Mapping[str, str] = os.environ) -> Home:
    """Return the home that was given, else `COMIND_HOME`, else this host's in the user's data folder."""
    where = given or environ.get("COMIND_HOME")
    if where:
        return Home(Path(where).expanduser().absolute())
    host = socket.gethostname().split(".")[0] or "localhost"
    return Home(platformdirs.user_data_path("comind", appauthor=False) / host)


def prepare(home: Home, mounts: Callable[[], str] | None = None) -> None:
    """Make the folder, for its owner alone, or say why it cannot be a home. `mounts` gives the mount table.

    Raises:
        ConfigError: no folder can be made there, others can reach it, or it lies on a network file system.
    """
    _refuse_network(home.path, (mounts or _mount_table)())
    _make_private(home.path)
    _make_private(home.snapshots)
    if home.socket_path.parent != home.path:
        _make_private(home.socket_path.parent, planted=True)


def lock(home: Home) -> IO[bytes]:
    """Take the folder for this process, until the returned file is closed or the process ends.

    Raises:
        ConfigError: another daemon has it.
    """
    try:
        file = open(home.lock_file, "ab")  # noqa: SIM115  held for the daemon's life
    except OSError as why:
        raise ConfigError(f"{home.path} cannot be written: {why.strerror}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise ConfigError(
            f"a node runs in {home.path} already; start a second one in its own folder:"
            " comind node --home OTHER"
        ) from None
    return file


# -- the invite ---------------------------------------------------------------------------------------------


def remember_invite(home: Home, invite: Invite) -> None:
    """Keep the invite in the home, readable by its owner alone.

    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        write_secret_file(home.invite_file, (encode(invite) + "\n").encode("ascii"))
    except OSError as why:
        raise ConfigError(f"{home.invite_file} cannot be written: {why.strerror}") from None


def remember_next_invite(home: Home, invite: Invite) -> None:
    """Keep the invite of a network that may go on from this home's, for the daemon to look into.

    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        write_secret_file(home.next_invite_file, (encode(invite) + "\n").encode("ascii"))
    except OSError as why:
        raise ConfigError(f"{home.next_invite_file} cannot be written: {why.strerror}") from None


def take_next_invite(home: Home) -> Invite | None:
    """Return what `remember_next_invite` kept, if anything, and forget it: it is looked into once.

    Raises:
        ConfigError: others can read it, or it is damaged.
    """
    try:
        return _read_invite(home.next_invite_file)
    except FileNotFoundError:
        return None
    finally:
        home.next_invite_file.unlink(missing_ok=True)


def recall_invite(home: Home) -> Invite | None:
    """Return the invite that this home remembers, if any.

    Raises:
        ConfigError: there is one, but others can read it, or it is damaged.
    """
    try:
        return _read_invite(home.invite_file)
    except FileNotFoundError:
        return None


def resolve_invite(
    home: Home,
    invite_file: str | None,
    environ: Mapping[str, str] = os.environ,
    prompt: Callable[[], str] | None = None,
    stdin: Callable[[], str] | None = None,
    may_move: bool = False,
) -> Invite:
    """Return the invite of this node: from `--invite-file`, `COMIND_INVITE`, the home, or a hidden prompt.

    Does not remember it. `prompt` is None where nobody is there to be asked. With `may_move` it may be of
    another network than a home that has a chain: whether that goes on from the home's is to be looked into.

    Raises:
        ConfigError: there is none, it cannot be read, or it is of another network than the home's.
    """
    remembered = recall_invite(home)
    given = _given_invite(invite_file, environ, stdin)
    if given is None and remembered is None and prompt is not None:
        given = _decode(prompt(), "what was pasted")
    if given is None:
        given = remembered
    if given is None:
        raise ConfigError(
            "no invite: give the file that `comind init` wrote, with --invite-file PATH or in COMIND_INVITE"
            " (in a script: comind.join(invite=PATH))"
        )
    if remembered is not None and remembered.network != given.network:
        if may_move and home.store_file.exists():
            return given
        raise ConfigError(
            f"{home.path} belongs to network {remembered.network.hex()[:8]}, this invite to"
            f" {given.network.hex()[:8]}; take another folder for it: comind node --home OTHER"
        )
    return given


def _given_invite(
    invite_file: str | None, environ: Mapping[str, str], stdin: Callable[[], str] | None
) -> Invite | None:
    if invite_file == "-":
        return _decode((stdin or _read_stdin)(), "standard input")
    if invite_file is not None:
        try:
            return _read_invite(Path(invite_file).expanduser())
        except FileNotFoundError:
            raise ConfigError(
                f"there is no file {invite_file}: --invite-file takes what `comind init` wrote"
            ) from None
    if text := environ.get("COMIND_INVITE"):
        return _decode(text, "COMIND_INVITE")
    return None


def _read_invite(path: Path) -> Invite:
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: give the invite's file")
    try:
        text = read_secret_file(path).decode("utf-8", "replace")
    except UnusableKeyFile as why:
        raise ConfigError(str(why)) from None
    return _decode(text, str(path))


def _decode(text: str, source: str) -> Invite:
    try:
        return decode(text)
    except InvalidInvite as why:
        raise ConfigError(f"{source}: {why}") from None


def _read_stdin() -> str:
    return sys.stdin.read(_MAX_INVITE_BYTES)


# -- what may be a home -------------------------------------------------------------------------------------


def _make_private(folder: Path, planted: bool = False) -> None:
    """`planted`: it lies where others could have put a link in its place."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat() if planted else folder.stat()
    except OSError as why:
        raise ConfigError(
            f"no folder can be made at {folder} ({why.strerror}); take another: comind node --home OTHER"
        ) from None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise ConfigError(f"{folder} is not this user's own folder; take another: comind node --home OTHER")
    if status.st_mode & 0o077:
        raise ConfigError(f"others can reach {folder}: chmod 700 {quote(str(folder))}")


def _refuse_network(path: Path, table: str) -> None:
    kind = _file_system_of(Path(os.path.realpath(path)), table)
    if kind in _NETWORK_FILE_SYSTEMS or kind.startswith("nfs"):
        raise ConfigError(
            f"{path} lies on a network file system ({kind}), which does not keep promises across a crash;"
            " take a local folder: comind node --home /var/tmp/comind"
        )


def _file_system_of(path: Path, table: str) -> str:
    """Return the type of the file system on which `path` lies or would lie: the deepest mount above it."""
    deepest, kind = -1, ""
    for mount_point, mounted in _mounts(table):
        point = Path(mount_point)
        if (path == point or point in path.parents) and len(point.parts) >= deepest:
            deepest, kind = len(point.parts), mounted
    return kind


def _mounts(table: str) -> list[tuple[str, str]]:
    """Read (mount point, type) from Linux' mountinfo or from what macOS' `mount` prints."""
    found: list[tuple[str, str]] = []
    for line in table.splitlines():
        if " - " in line and len(fields := line.split(" ")) > 6:
            found.append((_unescape(fields[4]), line.rsplit(" - ", 1)[1].split(" ")[0]))
        elif " on " in line and line.endswith(")"):
            point, _, options = line.split(" on ", 1)[1].rpartition(" (")
            found.append((point, options.split(",")[0].rstrip(")")))
    return found


def _unescape(field: str) -> str:
    for code, letter in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, letter)
    return field


def _mount_table() -> str:
    if os.uname().sysname == "Linux":
        try:
            return MOUNT_TABLE.read_text("utf-8", "replace")
        except OSError:
            return ""  # a sandbox without /proc: what cannot be asked is not refused
    import subprocess  # not on Linux, where the daemon is to start at once

    return subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=False).stdout
