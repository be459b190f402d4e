"""How does a home go over to another network that goes on from its own? (R18)

Nothing is lost: what belonged to the old network is kept aside in the home, the identity stays. What is
needed is made ready in a folder first; from then on a crash is finished at the next start. Knows nothing of
why a network is left.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from comind.crypto.invite import Invite, encode
from comind.crypto.keyfile import write_secret_file
from comind.node.daemon.store import Store
from comind.node.home import Home
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.messages import Committed
from comind.p2p.core.words import Incarnation, NetworkId

_MOVED = ("store.db", "invite")
_OLD_ONLY = ("store.db-wal", "store.db-shm")


def move(
    home: Home, old: NetworkId, invite: Invite, chain: Sequence[Committed], above: Incarnation | None = None
) -> Path:
    """Make this home one of the invite's network, with this chain; return where the old network is kept.

    The home is locked by the caller. The next incarnation will be higher than `above`.

    Raises:
        ConfigError: the folder cannot be written.
    """
    try:
        return _move(home, old, invite, chain, above)
    except OSError as why:
        raise ConfigError(f"{home.path} cannot be written: {why.strerror or why}") from None


def finish(home: Home) -> None:
    """Finish what a crash interrupted. The home is locked by the caller."""
    for ready in home.path.glob("moving-from-*"):
        _take_over(home, ready)


def _move(
    home: Home, old: NetworkId, invite: Invite, chain: Sequence[Committed], above: Incarnation | None
) -> Path:
    preparing = home.path / "preparing"
    if preparing.exists():
        shutil.rmtree(preparing)
    preparing.mkdir(mode=0o700)
    store = Store(preparing / "store.db", NetworkId(invite.network))
    try:
        store.write(chain)
        if above is not None:
            store.next_incarnation(above)
    finally:
        store.close()
    write_secret_file(preparing / "invite", (encode(invite) + "\n").encode("ascii"))
    ready = home.path / f"moving-from-{old.hex()[:8]}"
    os.rename(preparing, ready)
    return _take_over(home, ready)


def _take_over(home: Home, ready: Path) -> Path:
    """Each step can be done again: what is not in `ready` any more has been put in its place."""
    aside = home.path / ready.name.replace("moving-from-", "network-")
    aside.mkdir(mode=0o700, exist_ok=True)
    if (ready / "store.db").exists():
        _keep_snapshots(home, aside)
        for name in _OLD_ONLY:
            _rename(home.path / name, aside / name)
    for name in _MOVED:
        if (ready / name).exists():
            _rename(home.path / name, aside / name)
            os.rename(ready / name, home.path / name)
    ready.rmdir()
    return aside


def _keep_snapshots(home: Home, aside: Path) -> None:
    """Under a second name, since the new network needs the base as well."""
    (aside / "snapshots").mkdir(mode=0o700, exist_ok=True)
    for file in home.snapshots.iterdir():
        there = aside / "snapshots" / file.name
        if file.is_file() and not there.exists():
            os.link(file, there)


def _rename(one: Path, other: Path) -> None:
    if one.exists():
        os.rename(one, other)
