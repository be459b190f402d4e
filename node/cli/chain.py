"""What is the chain in a home's store, while its daemon runs or not?

Reads a copy, and changes nothing. Knows nothing of whether the chain is sound (`verify`) or what it says
(`rounds`).
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from comind.node.daemon.store import Row, Store, network_in, rows_in
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.messages import Committed
from comind.p2p.core.words import NetworkId

ATTEMPTS = 5
"""What is read moves on under a running daemon: each attempt takes the newest."""


_T = TypeVar("_T")


class Moved(Exception):
    """The home changed while it was read."""


@contextmanager
def copied(store: Path) -> Iterator[Path]:
    """A copy of the store, which its daemon locks for itself while it runs.

    The main file must not change from before its copy until after that of its log (WAL): then what is torn
    in the log's copy is what SQLite ignores after a crash.
    """
    log = store.with_name(f"{store.name}-wal")
    with tempfile.TemporaryDirectory(prefix=".copy-", dir=store.parent) as folder:
        copy = Path(folder) / store.name
        before = store.stat().st_mtime_ns
        shutil.copyfile(store, copy)
        try:
            shutil.copyfile(log, copy.with_name(log.name))
        except FileNotFoundError:
            pass  # a daemon that ended put it away
        if store.stat().st_mtime_ns != before:
            raise Moved
        yield copy


def chain_in(store: Path) -> tuple[NetworkId, tuple[Committed, ...]]:
    """Return the network and the blocks of a store, from genesis on.

    Raises:
        ConfigError: there is no store, it is damaged, or its blocks are no chain.
    """

    def load(copy: Path, network: NetworkId) -> tuple[Committed, ...]:
        opened = Store(copy, network)
        try:
            return opened.load(frozenset()).chain
        finally:
            opened.close()

    return _read(store, load)


def rows_of(store: Path) -> tuple[NetworkId, tuple[Row, ...]]:
    """Return the network and the rows of a store as they lie there, whatever they hold.

    Raises:
        ConfigError: there is no store, or it is damaged as a database.
    """
    return _read(store, lambda copy, network: rows_in(copy))


def _read(store: Path, what: Callable[[Path, NetworkId], _T]) -> tuple[NetworkId, _T]:
    if not store.exists():
        raise ConfigError(
            f"{store.parent} is of no network yet: comind init, or comind node --invite-file PATH"
        )
    for _ in range(ATTEMPTS):
        try:
            with copied(store) as copy:
                try:
                    network = network_in(copy)
                    if network is not None:
                        return network, what(copy, network)
                except ConfigError as why:
                    raise ConfigError(str(why).replace(str(copy), str(store))) from None
            raise ConfigError(f"{store.parent} is of no network yet: comind node --invite-file PATH")
        except Moved:
            continue
        except OSError as why:
            raise ConfigError(f"{store.parent} cannot be read: {why.strerror or why}") from None
    raise ConfigError(f"{store} changes faster than it can be read: try again")
