"""What does a node find on its disk when it starts, and how does a record get there?

One SQLite file: the chain, the newest promise, the boot counter and addresses. Knows nothing of what
a record means, nor of snapshots (`snapshots`) or of when to write (`disk`).
"""

import os
import secrets
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import assert_never

import msgpack
import msgspec

from comind.p2p.core.effects import Memory, Promised, Record
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.messages import Certificate, Committed
from comind.p2p.core.wire import block_hash
from comind.p2p.core.words import GENESIS_PARENT, Incarnation, NetworkId, NodeId, Root

APPLICATION_ID = 0x636F_6D64  # "comd"
SCHEMA_VERSION = 1
LOG_BYTES = 1 << 20
"""SQLite's log is made so long at the start: what overwrites it needs one sync, what makes it longer two."""
_HEADER_BYTES = 100
_PAGE_BYTES = 4_096
_MAGIC = b"SQLite format 3\x00"
_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE chain (height INTEGER PRIMARY KEY, block BLOB NOT NULL, certificate BLOB NOT NULL);
CREATE TABLE promised (one INTEGER PRIMARY KEY CHECK (one = 1), record BLOB NOT NULL);
CREATE TABLE addresses (node BLOB PRIMARY KEY, addresses BLOB NOT NULL) WITHOUT ROWID;
"""


class KnownAddresses(msgspec.Struct, frozen=True):
    """Where a node was dialled last: for a start at which the seeds are gone."""

    node: NodeId
    addresses: tuple[str, ...]


Entry = Record | KnownAddresses


class Store:
    """The file of one node in one network, open for this process alone.

    Raises:
        ConfigError: the file is not comind's, of a newer comind, of another network, or damaged.
    """

    def __init__(self, file: Path, network: NetworkId) -> None:
        self._file = file
        self._logged_bytes = 0
        _refuse_foreign(file)
        try:
            self._database = _connect(file)
            self._network_is(network)
            self._lengthen_log()
        except sqlite3.DatabaseError as why:
            raise self._damaged(why) from None

    def load(self, held: frozenset[Root]) -> Memory:
        """Return what a member starts from; `held` are the roots of the snapshots on this disk.

        Raises:
            ConfigError: the file is damaged, or its chain is no chain.
        """
        try:
            rows = self._database.execute("SELECT height, block, certificate FROM chain ORDER BY height")
            chain = tuple(self._linked(rows.fetchall()))
            row = self._database.execute("SELECT record FROM promised").fetchone()
            promised = None if row is None else msgspec.msgpack.decode(row[0], type=Promised)
        except (sqlite3.DatabaseError, msgspec.MsgspecError) as why:
            raise self._damaged(why) from None
        return Memory(chain, promised, held)

    def next_incarnation(self, above: Incarnation | None = None) -> Incarnation:
        """Return an incarnation that was never used and never will be: on disk before this returns.

        `above`: it is to be higher than this one, too, which others saw where this disk came from a backup.
        """
        with self._database:
            boots = 1 + max(int.from_bytes(self._meta("boots") or b"", "big"), (above or 0) >> 32)
            self._set_meta("boots", boots.to_bytes(4, "big"))
        return Incarnation(boots << 32 | secrets.randbits(32))

    def addresses(self) -> dict[NodeId, tuple[str, ...]]:
        """Return where each node was dialled last."""
        rows = self._database.execute("SELECT node, addresses FROM addresses")
        return {NodeId(node): msgspec.msgpack.decode(kept, type=tuple[str, ...]) for node, kept in rows}

    def write(self, entries: Sequence[Entry]) -> None:
        """Write these in one transaction and fsync it: when this returns, all are on disk.

        Raises:
            OSError: the disk is full or failed; nothing was written.
        """
        try:
            with self._database:
                for entry in entries:
                    self._logged_bytes += self._write(entry)
        except sqlite3.DatabaseError as why:
            raise OSError(f"{self._file} cannot be written: {why}") from None

    @property
    def log_is_long(self) -> bool:
        return self._logged_bytes > LOG_BYTES // 2

    def checkpoint(self) -> None:
        """Move what was written into the main file: when nothing waits, since it costs two fsyncs."""
        self._database.execute("PRAGMA wal_checkpoint(PASSIVE)")
        self._logged_bytes = 0

    def close(self) -> None:
        self._database.close()

    def _write(self, entry: Entry) -> int:
        """Write one entry, and return about how many bytes that puts into the log."""
        execute = self._database.execute
        match entry:
            case Promised():
                packed = msgspec.msgpack.encode(entry)
                execute("INSERT OR REPLACE INTO promised VALUES (1, ?)", (packed,))
            case Committed(block=block, certificate=certificate):
                packed = msgspec.msgpack.encode(certificate)
                values = (certificate.height, block, packed)
                execute("INSERT INTO chain VALUES (?, ?, ?) ON CONFLICT DO NOTHING", values)
                kept = execute("SELECT block FROM chain WHERE height = ?", values[:1]).fetchone()
                assert kept == (block,), f"a second block at height {certificate.height}"  # S1
                packed += block
            case KnownAddresses(node=node, addresses=addresses):
                packed = msgspec.msgpack.encode(addresses)
                execute("INSERT OR REPLACE INTO addresses VALUES (?, ?)", (node, packed))
            case _:
                assert_never(entry)
        return len(packed) + 3 * _PAGE_BYTES

    def _lengthen_log(self) -> None:
        with self._database:
            self._set_meta("long", bytes(LOG_BYTES))
        with self._database:
            self._database.execute("DELETE FROM meta WHERE name = 'long'")
        self.checkpoint()

    def _linked(self, rows: Sequence[tuple[int, bytes, bytes]]) -> Sequence[Committed]:
        chain: list[Committed] = []
        parent = bytes(GENESIS_PARENT)
        for expected, (height, block, packed) in enumerate(rows):
            certificate = msgspec.msgpack.decode(packed, type=Certificate)
            name = block_hash(block)
            if height != expected or certificate.block != name or _previous(block) != parent:
                raise ConfigError(f"the chain in {self._file} breaks at height {expected}: {self._mend()}")
            chain.append(Committed(block=block, certificate=certificate))
            parent = name
        if chain and chain[0].certificate.block != self._meta("network"):
            raise ConfigError(f"the chain in {self._file} is of another network: {self._mend()}")
        return chain

    def _network_is(self, network: NetworkId) -> None:
        with self._database:
            kept = self._meta("network")
            if kept is None:
                self._set_meta("network", network)
        if kept is not None and kept != network:
            raise ConfigError(
                f"{self._file.parent} belongs to network {kept.hex()[:8]}, not to {network.hex()[:8]};"
                " take another folder: comind node --home OTHER"
            )

    def _meta(self, name: str) -> bytes | None:
        row = self._database.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def _set_meta(self, name: str, value: bytes) -> None:
        self._database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def _damaged(self, why: Exception) -> ConfigError:
        return ConfigError(f"{self._file} is damaged ({why}): {self._mend()}")

    def _mend(self) -> str:
        """The promises go with the file: the others tell it so, and it abstains until it is safe (R14)."""
        return f"move it away and start again, to catch up from the others: {_aside(self._file)}"


def network_in(file: Path) -> NetworkId | None:
    """Return the network of a store's file; None where there is no file.

    Raises:
        ConfigError: there is a file, and it is not a store.
    """
    if not file.exists() or not file.stat().st_size:
        return None
    _refuse_foreign(file)
    try:
        database = sqlite3.connect(file, timeout=0)
        try:
            row = database.execute("SELECT value FROM meta WHERE name = 'network'").fetchone()
        finally:
            database.close()
    except sqlite3.DatabaseError as why:
        raise ConfigError(f"{file} is damaged ({why}): {_aside(file)}") from None
    return None if row is None else NetworkId(bytes(row[0]))


Row = tuple[int, bytes, bytes]
"""Height, block and packed certificate, as they lie in the store."""


def rows_in(file: Path) -> tuple[Row, ...]:
    """Return the chain of a store's file without a look at what it says.

    Raises:
        ConfigError: the file is no store, or damaged.
    """
    _refuse_foreign(file)
    try:
        database = sqlite3.connect(file, timeout=0)
        try:
            rows = database.execute("SELECT height, block, certificate FROM chain ORDER BY height")
            return tuple((height, _as_bytes(block), _as_bytes(packed)) for height, block, packed in rows)
        finally:
            database.close()
    except sqlite3.DatabaseError as why:
        raise ConfigError(f"{file} is damaged ({why}): {_aside(file)}") from None


def _as_bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""


def _refuse_foreign(file: Path) -> None:
    """Judge by the first bytes alone: a file that is not ours is not even opened as a database."""
    try:
        with open(file, "rb") as opened:
            header = opened.read(_HEADER_BYTES)
    except FileNotFoundError:
        return
    except OSError as why:
        raise ConfigError(f"{file} cannot be read: {why.strerror}") from None
    if not header:
        return  # a crash at its creation
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        raise ConfigError(f"{file} is damaged or not a store of comind: {_aside(file)}")
    version, application = int.from_bytes(header[60:64], "big"), int.from_bytes(header[68:72], "big")
    if application != APPLICATION_ID:
        raise ConfigError(f"{file} is a database of another program: {_aside(file)}")
    if version > SCHEMA_VERSION:
        raise ConfigError(f"{file} was written by a newer comind: pip install --upgrade comind")


def _connect(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, check_same_thread=False, isolation_level="IMMEDIATE")
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    if database.execute("PRAGMA user_version").fetchone() == (0,):
        # In one transaction, and before WAL: so the file's first bytes say whose it is, or it is empty.
        database.executescript(
            f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION_ID}; {_TABLES}"
            f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )
        os.chmod(file, 0o600)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA fullfsync = 1")
    database.execute("PRAGMA wal_autocheckpoint = 0")
    return database


def _previous(block: bytes) -> bytes | None:
    try:
        previous = msgpack.unpackb(block)["previous"]
    except (ValueError, KeyError, TypeError):
        return None
    return previous if isinstance(previous, bytes) else None


def _aside(file: Path) -> str:
    return f"mv {quote(str(file))} {quote(f'{file}.aside')}"
