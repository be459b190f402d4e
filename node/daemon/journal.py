"""What happened to this node's member, event by event, so that it can be looked into and played again?

A journal is a folder of segments, each a file that stands by itself: how the member was when the segment
began (`frozen`), then every event with its time, and a digest of what the member did about it. It is bounded:
the oldest segments go. Knows nothing of how it is played again (`replaying`) or when it is written (`disk`).

    segment = magic | zlib(record, record, ...)       cut off anywhere after a crash
    record  = length, 4 bytes big-endian | MessagePack of `Start` or `Stepped`
"""

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec
from blake3 import blake3

import comind.p2p.core
from comind.node.daemon.frozen import MAX_FROZEN_BYTES, CannotFreeze, freeze
from comind.p2p.core.effects import Action, Event, Step
from comind.p2p.core.here import Me
from comind.p2p.core.member import Member
from comind.p2p.core.signing import Signer
from comind.p2p.core.words import NodeId

MAGIC = b"comind journal 1\n"
SEGMENT_BYTES = 16 << 20
"""A segment that holds more than this, before it is packed, is followed by the next one."""
SEGMENTS_KEPT = 32
MAX_WAITING_BYTES = 16 << 20
"""While the disk is so far behind, nothing more is noted; a new segment begins once it has caught up."""
MAX_RECORD_BYTES = MAX_FROZEN_BYTES + (1 << 20)
DIGEST_BYTES = 8
_LENGTH_BYTES = 4
_READ_BYTES = 1 << 16


class Start(msgspec.Struct, frozen=True, array_like=True, tag="start"):
    """A segment's first record: who this is, and how its member was."""

    core: str
    """Which code of the core this was (`core_digest`): another one may do otherwise."""
    network: bytes
    me: Me
    number: int
    """Of the segment in this incarnation, from 0 on."""
    height: int
    """Of the chain's last block then; -1: none. The blocks lie in the store."""
    head: bytes
    """That block's hash."""
    member: bytes


class Stepped(msgspec.Struct, frozen=True, array_like=True, tag="stepped"):
    """One call of `Member.step`."""

    now_ms: int
    kind: str
    event: bytes
    signatures: tuple[bytes, ...]
    """What the member signed in this step, in order: so it can be played again without its key."""
    digests: bytes
    """8 bytes of BLAKE3 for each action that the step returned."""
    wake_at_ms: int | None
    failure: str = ""
    """The error with which the core itself failed, by its type: then it did nothing."""


Record = Start | Stepped

_EVENTS: dict[str, type[Event]] = {kind.__name__: kind for kind in Event.__args__}
_records = msgspec.msgpack.Decoder(Record)
_encoder = msgspec.msgpack.Encoder()
_sorting = msgspec.msgpack.Encoder(order="deterministic")
"""For digests alone: what an event holds stays in its order, since that is in the bytes of headers."""


class DamagedJournal(Exception):
    """A file is no journal, or not whole up to its end."""


# -- the codec ----------------------------------------------------------------------------------------------


def stepped(event: Event, now_ms: int, step: Step, signatures: Sequence[bytes]) -> Stepped:
    """Return the record of one step."""
    return Stepped(
        now_ms,
        type(event).__name__,
        _encoder.encode(event),
        tuple(signatures),
        b"".join(map(digest_of, step.actions)),
        step.wake_at_ms,
    )


def event_of(record: Stepped) -> Event:
    """Return the event that a record holds.

    Raises:
        DamagedJournal: it holds none that this version knows.
    """
    try:
        return msgspec.msgpack.decode(record.event, type=_EVENTS[record.kind])
    except (KeyError, msgspec.MsgspecError, UnicodeDecodeError) as why:
        raise DamagedJournal(f"no event of this version of comind: {why}") from None


def digest_of(action: Action) -> bytes:
    """Return 8 bytes by which an action is told from others."""
    return blake3(type(action).__name__.encode() + b"\0" + _sorting.encode(action)).digest(DIGEST_BYTES)


@cache
def core_digest() -> str:
    """Return 16 hexadecimal digits that name the code of `comind.p2p.core`, as it lies on this disk."""
    (folder,) = comind.p2p.core.__path__
    code = blake3()
    for module in sorted(Path(folder).glob("*.py")):
        code.update(module.name.encode() + b"\0" + module.read_bytes() + b"\0")
    return code.hexdigest(8)


def encode(record: Record) -> bytes:
    wire = _encoder.encode(record)
    return len(wire).to_bytes(_LENGTH_BYTES, "big") + wire


def read(segment: Path) -> Iterator[Record]:
    """Yield a segment's records; what a crash cut off at its end is left out.

    Raises:
        DamagedJournal: it is no journal, or damaged before its end.
        OSError: it cannot be read.
    """
    with open(segment, "rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise DamagedJournal("it is no journal of this version of comind")
        packed, waiting = zlib.decompressobj(), bytearray()
        while (more := packed.unconsumed_tail or file.read(_READ_BYTES)) and not packed.eof:
            try:
                waiting += packed.decompress(more, _READ_BYTES)
            except zlib.error as why:
                raise DamagedJournal(f"it is damaged: {why}") from None
            yield from _taken_from(waiting)
        waiting += packed.flush()
        yield from _taken_from(waiting)


def _taken_from(waiting: bytearray) -> Iterator[Record]:
    """Yield the whole records at the front of what was read, and take them away."""
    at = 0
    while len(waiting) - at >= _LENGTH_BYTES:
        begins = at + _LENGTH_BYTES
        length = int.from_bytes(waiting[at:begins], "big")
        if length > MAX_RECORD_BYTES:
            raise DamagedJournal(f"it is damaged: a record of {length} bytes")
        if len(waiting) < begins + length:
            break
        at = begins + length
        try:
            yield _records.decode(bytes(waiting[begins:at]))
        except (msgspec.MsgspecError, UnicodeDecodeError) as why:
            raise DamagedJournal(f"it is damaged, or of another version of comind: {why}") from None
    del waiting[:at]


# -- the daemon's side --------------------------------------------------------------------------------------


class NotingSigner:
    """Signs, and remembers what it signed until it is asked."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._signatures: list[bytes] = []

    @property
    def node_id(self) -> NodeId:
        return self._signer.node_id

    def sign(self, statement: bytes, /) -> bytes:
        self._signatures.append(self._signer.sign(statement))
        return self._signatures[-1]

    def take(self) -> list[bytes]:
        taken, self._signatures = self._signatures, []
        return taken


@dataclass(frozen=True, slots=True)
class Piece:
    """Some records for the disk; they begin a segment, or go on with the present one."""

    begins: bool
    wire: bytes


class Journal:
    """Notes what happens to one member. `put` hands pieces to whoever writes them to `file`."""

    def __init__(
        self,
        file: "JournalFile",
        put: Callable[[Piece], None],
        me: Me,
        signer: Signer,
        log: Callable[[str], None],
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self.signer = NotingSigner(signer)
        """Give this one to the member."""
        self._file = file
        self._put = put
        self._me = me
        self._log = log
        self._segment_bytes = segment_bytes
        self._buffer = bytearray()
        self._put_bytes = 0
        self._noted_bytes = 0
        """In this segment."""
        self._number = 0
        self._lost = False
        self._over = False

    def begin(self, member: Member) -> None:
        """Begin a segment with `member` as it is now."""
        chain = member.here.chain
        try:
            frozen = freeze(member)
        except CannotFreeze as why:
            self._end(str(why))
            return
        start = Start(core_digest(), chain.network, self._me, self._number, chain.height, chain.head, frozen)
        self._number += 1
        self._noted_bytes, self._lost = 0, False
        self._hand_over(Piece(True, encode(start)))

    def note(self, event: Event, now_ms: int, step: Step) -> None:
        """Note one step; `now_ms` is the time that the member took it for."""
        signatures = self.signer.take()
        if self._over or self._lost:
            return
        try:
            self._buffer += encode(stepped(event, now_ms, step, signatures))
        except (TypeError, ValueError) as why:
            self._end(f"there is no way to write down a {type(event).__name__} or what came of it: {why}")

    def note_failure(self, event: Event, now_ms: int, why: Exception) -> None:
        """Note the event at which the core failed: the daemon ends, and this is what to look into."""
        nothing = stepped(event, now_ms, Step((), None), self.signer.take())
        if not (self._over or self._lost):
            self._buffer += encode(msgspec.structs.replace(nothing, failure=type(why).__name__))
            self._hand_over(Piece(False, bytes(self._buffer)))

    def flush(self, member: Member) -> None:
        """Hand what was noted to the disk thread; where the segment is full, begin the next."""
        if self._over:
            return
        if self._file.failure is not None:
            self._end(f"{self._file.folder} cannot be written: {self._file.failure}")
            return
        if self._buffer:
            self._noted_bytes += len(self._buffer)
            self._hand_over(Piece(False, bytes(self._buffer)))
            self._buffer.clear()
        waiting_bytes = self._put_bytes - self._file.taken_bytes
        if waiting_bytes > MAX_WAITING_BYTES:
            self._lost = True
        elif self._noted_bytes >= self._segment_bytes or (self._lost and not waiting_bytes):
            self.begin(member)

    def _hand_over(self, piece: Piece) -> None:
        self._put_bytes += len(piece.wire)
        self._put(piece)

    def _end(self, because: str) -> None:
        """A daemon without a journal is a daemon all the same."""
        self._over = True
        self._buffer.clear()
        self._log(f"the journal ends here: {because}")


# -- the disk's side ----------------------------------------------------------------------------------------


class JournalFile:
    """The segments of one incarnation in the journal's folder, readable by the owner alone."""

    def __init__(self, folder: Path, incarnation: int, kept: int = SEGMENTS_KEPT) -> None:
        self.folder = folder
        self.failure: str | None = None
        """Why nothing is written any more."""
        self.taken_bytes = 0
        self._incarnation = incarnation
        self._kept = kept
        self._number = 0
        self._descriptor: int | None = None
        self._packer = zlib.compressobj(1)

    def write(self, pieces: Sequence[Piece]) -> None:
        """Write these; a disk that is full or failed ends the journal, and nothing else."""
        try:
            for piece in pieces:
                if piece.begins:
                    self._begin()
                if self._descriptor is not None and self.failure is None:
                    packed = self._packer.compress(piece.wire) + self._packer.flush(zlib.Z_SYNC_FLUSH)
                    _write_all(self._descriptor, packed)
        except OSError as why:
            self.failure = why.strerror or str(why)
        self.taken_bytes += sum(len(piece.wire) for piece in pieces)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _begin(self) -> None:
        self.close()
        self.folder.mkdir(mode=0o700, exist_ok=True)
        for old in segments_in(self.folder)[: -(self._kept - 1)]:
            old.unlink()
        file = self.folder / f"{self._incarnation:016x}-{self._number:06}.journal"
        self._descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        self._number += 1
        self._packer = zlib.compressobj(1)
        _write_all(self._descriptor, MAGIC)


def segments_in(folder: Path) -> list[Path]:
    """Return a journal's segments, oldest first."""
    return sorted(folder.glob("*.journal"))


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
