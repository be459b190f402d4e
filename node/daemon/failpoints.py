"""Where is this daemon to die, if whoever tests it asks for that?

    COMIND_FAILPOINT=before-send:propose            it kills itself (SIGKILL) before it says its first PROPOSE
    COMIND_FAILPOINT=after-write:block@3            after its third block is on disk
    COMIND_FAILPOINT=chief/before-write:promise     before its first promise in a round that it leads

    [chief/ or contributor/] before or after - send or write : what [@ which time]

It is `chief` in rounds in which it has said an OPEN or a PROPOSE, `contributor` in all others. What a daemon
sends is called as on the wire, a vote by its kind, and what the data plane sends by its stream
(`average-chunk`); what it writes is in `WRITES`. For developers alone: unless the environment arms one,
nothing here is called, and no part of the daemon differs. Knows nothing of what the points mean.
"""

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from comind.node.daemon.outgoing import Ask, Chunk, ChunkList, Grant, Refuse, ToPeer
from comind.node.daemon.plane import Plane
from comind.node.daemon.snapshots import Snapshots
from comind.node.daemon.store import Entry, KnownAddresses, Store
from comind.p2p.core.effects import Promised
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.messages import Committed, Message, Open, Propose, ViewChanged, Voted
from comind.p2p.core.words import NodeId, Root
from comind.p2p.shell.bulk import BulkPort, StreamKind
from comind.p2p.shell.links import Links

VARIABLE = "COMIND_FAILPOINT"
WRITES = ("block", "promise", "addresses", "snapshot")
"""A block with its certificate, a promise, where somebody was dialled; a snapshot's file gets its name."""
_BULK = (Ask, Grant, ChunkList, Chunk, Refuse)
_LEAVES_S = 0.1
"""What was said is on its way after so long: a kill after a send is none before it."""
_SHAPE = re.compile(r"(?:(chief|contributor)/)?(before|after)-(send|write):([a-z-]+)(?:@([1-9][0-9]{0,8}))?")


def sends() -> tuple[str, ...]:
    """Return what the messages, votes and parts of the data plane are called that a daemon can send."""
    tags = [str(kind.__struct_config__.tag) for kind in get_args(Message) if kind not in (Voted, ViewChanged)]
    bulk = [_bulk_name(part, stream) for part in _BULK for stream in StreamKind]
    return (*tags, "prepare", "commit", "viewchange", *bulk)


@dataclass(frozen=True, slots=True)
class Point:
    """One moment of a daemon's life."""

    when: str
    """before or after."""
    deed: str
    """send or write."""
    what: str
    role: str = ""
    """chief, contributor, or empty for either."""
    nth: int = 1
    """The first, the second, ..."""

    def __str__(self) -> str:
        role = f"{self.role}/" if self.role else ""
        return f"{role}{self.when}-{self.deed}:{self.what}@{self.nth}"


def armed_in(environ: Mapping[str, str]) -> Point | None:
    """Return the point that the environment arms; None where it arms none.

    Raises:
        ConfigError: it names none that there is.
    """
    if not (text := environ.get(VARIABLE, "")):
        return None
    if (found := _SHAPE.fullmatch(text)) is None:
        raise ConfigError(
            f"{VARIABLE}={text} is no failpoint: write before-send:propose, or after-write:block@3"
        )
    role, when, deed, what, nth = found.groups(default="")
    known = sends() if deed == "send" else WRITES
    if what not in known:
        raise ConfigError(f"{VARIABLE}={text}: there is no {deed} of {what}; there are {', '.join(known)}")
    return Point(when, deed, what, role, int(nth or 1))


def arm(point: Point, log: Callable[[str], None], parts: Sequence[object]) -> None:
    """Have this process die at the point: of these parts, those that send or write are wrapped."""
    log(f"armed for a test: this daemon kills itself {point}")
    fuse = _Fuse(point, log)
    for part in parts:
        match part:
            case Links():
                part.send = fuse.around_send(part.send)  # type: ignore[method-assign, assignment]
            case Plane():
                part.say = fuse.around_say(part.say)  # type: ignore[method-assign, assignment]
            case Store():
                part.write = fuse.around_write(part.write)  # type: ignore[method-assign, assignment]
            case Snapshots():
                part._take = fuse.around_take(part._take)  # type: ignore[method-assign, assignment]


class _Fuse:
    """Counts how often the point was passed; the loop, the disk and the plane pass by, each in its thread."""

    def __init__(self, point: Point, log: Callable[[str], None]) -> None:
        self._point = point
        self._log = log
        self._left = point.nth
        self._lock = threading.Lock()
        self._led = -1
        """The newest height at which this daemon said an OPEN or a PROPOSE."""
        self._height = 0
        """Of the newest block that it wrote."""

    def around_send(self, send: Callable[[NodeId, Message], None]) -> Callable[[NodeId, Message], None]:
        def sending(peer: NodeId, message: Message) -> None:
            if isinstance(message, Open | Propose):
                self._led = message.height
            passed = [(_name_of(message), self._role(_height_of(message)))]
            self._pass("before", "send", passed)
            send(peer, message)
            self._pass("after", "send", passed)

        return sending

    def around_say(self, say: Callable[[ToPeer, BulkPort], None]) -> Callable[[ToPeer, BulkPort], None]:
        def saying(output: ToPeer, port: BulkPort) -> None:
            passed = [(_bulk_name(type(output), output.stream.kind), self._role(None))]
            self._pass("before", "send", passed)
            say(output, port)
            self._pass("after", "send", passed)

        return saying

    def around_write(self, write: Callable[[Sequence[Entry]], None]) -> Callable[[Sequence[Entry]], None]:
        def writing(entries: Sequence[Entry]) -> None:
            passed = [(_record(entry), self._role(_height_of(entry))) for entry in entries]
            self._pass("before", "write", passed)
            write(entries)
            heights = [entry.certificate.height for entry in entries if isinstance(entry, Committed)]
            self._height = max([self._height, *heights])
            self._pass("after", "write", passed)

        return writing

    def around_take(
        self, take: Callable[[Root, int, Sequence[bytes], Path], None]
    ) -> Callable[[Root, int, Sequence[bytes], Path], None]:
        def taking(root: Root, size: int, hashes: Sequence[bytes], part: Path) -> None:
            passed = [("snapshot", self._role(None))]
            self._pass("before", "write", passed)
            take(root, size, hashes, part)
            self._pass("after", "write", passed)

        return taking

    def _role(self, height: int | None) -> str:
        """In which role something is done that belongs to this height, or to the present one."""
        leads = self._led > self._height if height is None else self._led == height
        return "chief" if leads else "contributor"

    def _pass(self, when: str, deed: str, passed: Iterable[tuple[str, str]]) -> None:
        point = self._point
        if (when, deed) != (point.when, point.deed):
            return
        with self._lock:
            for what, role in passed:
                self._left -= what == point.what and point.role in ("", role)
                if self._left <= 0:
                    self._die()

    def _die(self) -> None:
        point = self._point
        if point.when == "after" and point.deed == "send":
            time.sleep(_LEAVES_S)
        self._log(f"killed by its failpoint {point}")
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)


def _name_of(message: Message) -> str:
    match message:
        case Voted(vote=vote):
            return vote.kind
        case ViewChanged():
            return "viewchange"
        case _:
            return str(message.__struct_config__.tag)


def _record(entry: Entry) -> str:
    match entry:
        case Promised():
            return "promise"
        case Committed():
            return "block"
        case KnownAddresses():
            return "addresses"


def _height_of(it: Message | Entry) -> int | None:
    match it:
        case Voted(vote=inner) | ViewChanged(change=inner) | Committed(certificate=inner):
            return inner.height
        case Open() | Propose() | Promised():
            return it.height
        case _:
            return None


def _bulk_name(part: type[ToPeer], stream: StreamKind) -> str:
    """Return `average-chunk-list` for the ChunkList of an average."""
    words = re.findall("[A-Z][a-z]*", part.__name__)
    return "-".join([stream.name, *words]).lower()
