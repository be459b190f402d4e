"""What did each node's member do, from its start on? Journals are found, read and played again.

A life is one incarnation of one node. Knows nothing of how lives are put side by side.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from comind.crypto.identity import verify as verify_ed25519
from comind.node.cli.chain import chain_in
from comind.node.daemon.journal import DamagedJournal, Record, Start, read, segments_in
from comind.node.daemon.replaying import CannotReplay, Differs, Played, replay
from comind.p2p.core.effects import Action, Commit, Event, Promise
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.messages import Admit, Block, Committed, Move
from comind.p2p.core.signing import Verify
from comind.p2p.core.wire import read as read_bytes
from comind.p2p.core.words import NodeId, short_id


@dataclass(frozen=True, slots=True)
class Moment:
    """One event or action of one life."""

    life: "Life"
    local_ms: int
    height: int
    """The one that the member worked on, by what it had committed before."""
    what: Event | Action | str


@dataclass(slots=True)
class Life:
    """One incarnation of one node, as far back as its journal reaches."""

    node: NodeId
    name: str
    incarnation: int
    moments: list[Moment] = field(default_factory=list)
    steps: int = 0
    differs: str = ""
    """Where the core does otherwise than it did, or the journal ends early, and how; it is not played on."""

    def __hash__(self) -> int:
        return hash((self.node, self.incarnation))

    def __eq__(self, other: object) -> bool:
        return self is other


@dataclass(frozen=True, slots=True)
class Given:
    """The segments of one journal, and the chain in the store beside it."""

    segments: tuple[Path, ...]
    chain: tuple[Committed, ...]


def find(path: Path) -> Given:
    """Find what a path names: a node's folder, its journal, or one segment of it.

    Raises:
        ConfigError: there is no journal, or no store beside it.
    """
    if path.is_file():
        segments, home = [path], path.resolve().parent.parent
    else:
        folder = path / "journal" if (path / "journal").is_dir() else path
        segments, home = segments_in(folder), folder.resolve().parent
    if not segments:
        raise ConfigError(f"{path} holds no journal: give a node's folder, its journal/, or one segment")
    for segment in segments:
        _start_of(segment)
    if not (home / "store.db").exists():
        raise ConfigError(f"{home} holds no store.db: a journal plays beside its own node's store alone")
    return Given(tuple(segments), chain_in(home / "store.db")[1])


def names_in(chains: Sequence[Sequence[Committed]], lives: Sequence[Life]) -> Mapping[bytes, str]:
    """Return what each node is called last; with its short id where two are called alike."""
    names: dict[bytes, str] = {}
    for committed in max(chains, key=len, default=()):
        for change in read_bytes(Block, committed.block).changes:
            if isinstance(change, Admit | Move):
                names[change.node] = change.name
    names |= {life.node: life.name for life in lives if life.node not in names}
    called = list(names.values())
    return {
        node: f"{name} ({short_id(NodeId(node))})" if called.count(name) > 1 else name
        for node, name in names.items()
    }


def lives_of(given: Given, height: int | None = None, verify: Verify = verify_ed25519) -> list[Life]:
    """Play all segments; with `height`, only those in which the node may have worked on it.

    Raises:
        ConfigError: a file is no journal, or its chain is not there.
    """
    lives: dict[tuple[NodeId, int], Life] = {}
    for segment, start in _of_height(given.segments, height):
        life = lives.setdefault(
            (start.me.node, start.me.incarnation), Life(start.me.node, start.me.name, start.me.incarnation)
        )
        if not life.differs:
            _play(life, segment, start, given.chain, verify)
    return list(lives.values())


def _of_height(segments: Sequence[Path], height: int | None) -> Iterator[tuple[Path, Start]]:
    begun = [(segment, _start_of(segment)) for segment in segments]
    for (segment, start), later in pairwise([*begun, None]):  # type: ignore[misc]
        ends = later[1].height if later is not None and later[1].me == start.me else None
        if height is None or (start.height < height and (ends is None or ends >= height - 1)):
            yield segment, start


def _start_of(segment: Path) -> Start:
    try:
        start = next(read(segment), None)
    except DamagedJournal as why:
        raise ConfigError(f"{segment}: {why}") from None
    except OSError as why:
        raise ConfigError(f"{segment} cannot be read: {why.strerror}") from None
    if not isinstance(start, Start):
        raise ConfigError(f"{segment}: it does not begin with how the member was")
    return start


def _play(life: Life, segment: Path, start: Start, chain: Sequence[Committed], verify: Verify) -> None:
    height = start.height + 1
    try:
        for played in replay(_records(segment), chain, verify):
            life.steps += 1
            for what in _what(played):
                life.moments.append(Moment(life, played.now_ms, height, what))
                height += isinstance(what, Commit)
    except CannotReplay as why:
        raise ConfigError(f"{segment}: {why}") from None
    except (Differs, DamagedJournal) as why:
        life.differs = f"{segment.name}, {why}"


def _records(segment: Path) -> Iterator[Record]:
    try:
        yield from read(segment)
    except OSError as why:
        raise DamagedJournal(f"it cannot be read: {why.strerror}") from None


def _what(played: Played) -> Iterator[Event | Action | str]:
    yield played.event
    yield from _flat(played.step.actions)
    if played.failure:
        yield f"!! the core failed with {played.failure}"


def _flat(actions: Sequence[Action]) -> Iterator[Action]:
    for action in actions:
        yield action
        if isinstance(action, Promise):
            yield from _flat(action.then)
