"""How do secrets lie on disk, so that nobody else reads them and no crash halves them?

Does not know which folder is a node's home, nor what an invite says.

An identity's file is one line, `comind-identity-1 SECRET NODE_ID` in hex: the id is there to show damage.
"""

import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from comind.crypto.errors import UnusableKeyFile
from comind.crypto.identity import Identity

MAX_SECRET_FILE_BYTES = 65_536

_IDENTITY = re.compile(rb"comind-identity-1 ([0-9a-f]{64}) ([0-9a-f]{64})\n")


def new_network_key() -> bytes:
    """32 bytes of the operating system's randomness: 256 bits, so HKDF needs no stretching."""
    return secrets.token_bytes(32)


def load_or_create_identity(path: Path) -> Identity:
    """The identity in `path`; a new one, on disk before this returns, where there is no such file.

    Of several processes that create it at once, one wins, and all return its identity.

    Raises:
        UnusableKeyFile: others can read it, or it holds no identity, or not this user's.
        OSError: the folder is missing or cannot be written.
    """
    try:
        return _load_identity(path)
    except FileNotFoundError:
        identity = Identity.generate()
    try:
        _create(path, _identity_text(identity))
    except FileExistsError:  # another process was quicker
        return _load_identity(path)
    return identity


def read_secret_file(path: Path) -> bytes:
    """All bytes of `path`, at most `MAX_SECRET_FILE_BYTES`.

    Raises:
        FileNotFoundError: there is none.
        UnusableKeyFile: others can read it, this user cannot, it is too long, or no ordinary file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not block here
    except PermissionError:
        mend = f'sudo chown "$(id -un)" {quote(str(path))}'
        raise UnusableKeyFile(f"{path} cannot be read by this user: {mend}") from None
    try:
        _check_private(path, os.fstat(descriptor).st_mode)
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(MAX_SECRET_FILE_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > MAX_SECRET_FILE_BYTES:
        raise _foreign(path)
    return content


def write_secret_file(path: Path, text: bytes) -> None:
    """Write or replace `path`, for its owner alone; after a crash it is the old or the new one, whole.

    Raises:
        OSError: the folder is missing or cannot be written.
    """
    with _written_beside(path, text) as temporary:
        os.replace(temporary, path)
    _sync_folder(path.parent)


def _create(path: Path, text: bytes) -> None:
    """Like `write_secret_file`, but FileExistsError where there is a file already: a link never replaces."""
    with _written_beside(path, text) as temporary:
        os.link(temporary, path)
    _sync_folder(path.parent)


@contextmanager
def _written_beside(path: Path, text: bytes) -> Iterator[str]:
    """A new file beside `path`, 0600 and synced, under a name of its own; taken away afterwards."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # O_EXCL, 0600
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)  # whatever the umask says
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        yield temporary
    finally:
        Path(temporary).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _identity_text(identity: Identity) -> bytes:
    return f"comind-identity-1 {identity.secret().hex()} {identity.node_id.hex()}\n".encode("ascii")


def _load_identity(path: Path) -> Identity:
    line = _IDENTITY.fullmatch(read_secret_file(path))
    if line is None:
        raise _foreign(path)
    secret, node_id = (bytes.fromhex(part.decode("ascii")) for part in line.groups())
    identity = Identity.from_secret(secret)
    if identity.node_id != node_id:
        raise _foreign(path)
    return identity


def _check_private(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise UnusableKeyFile(f"{path} is not an ordinary file: ls -ld {quote(str(path))}")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UnusableKeyFile(f"{path} can be reached by others than its owner: chmod 600 {quote(str(path))}")


def _foreign(path: Path) -> UnusableKeyFile:
    mend = f"mv {quote(str(path))} {quote(f'{path}.unusable')}"
    return UnusableKeyFile(f"{path} is damaged or not comind's: restore it, or begin anew without it: {mend}")
