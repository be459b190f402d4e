"""Does a journal hold what happened, within its bounds, and does the core do the same again?"""

import random
import stat
import zlib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comind.node.daemon import journal as journal_module
from comind.node.daemon.frozen import CannotFreeze, CannotThaw, freeze, thaw
from comind.node.daemon.journal import (
    MAGIC,
    DamagedJournal,
    Journal,
    JournalFile,
    Piece,
    Record,
    Start,
    Stepped,
    digest_of,
    encode,
    event_of,
    read,
    segments_in,
    stepped,
)
from comind.node.daemon.replaying import CannotReplay, Differs, Played, replay
from comind.p2p.core import round as round_module
from comind.p2p.core.chain import Chain
from comind.p2p.core.discovery import Discovery
from comind.p2p.core.effects import (
    Action,
    Answer,
    Bar,
    CallTrainer,
    Commit,
    Event,
    Gone,
    Note,
    Reached,
    Step,
    TrainerOffered,
    Woken,
)
from comind.p2p.core.here import Me
from comind.p2p.core.member import Member
from comind.p2p.core.messages import Message
from comind.p2p.core.words import NodeId, Offer
from tests.scenarios import process as process_module
from tests.scenarios.cluster import Cluster
from tests.scenarios.keys import StubSigner, stub_verify
from tests.scenarios.moments import committed
from tests.scenarios.noting import keep_journals
from tests.unit.core.strategies import messages, of

ME = Me(NodeId(bytes(32)), "lima", ("tcp://10.0.0.1:7700",), 1 << 32, False)  # type: ignore[arg-type]


# -- the codec ----------------------------------------------------------------------------------------------


def events() -> st.SearchStrategy[Event]:
    """All values of all events' types, read off their fields."""
    return st.one_of([_built(kind) for kind in Event.__args__])


def _built(kind: type[Any]) -> st.SearchStrategy[Any]:
    types = get_type_hints(kind)
    return st.builds(kind, **{one.name: _values(types[one.name]) for one in fields(kind)})


def _values(kind: Any) -> st.SearchStrategy[Any]:
    kind = getattr(kind, "__supertype__", kind)
    if kind is Offer:
        return _built(Offer)
    if kind == Message:
        return messages
    return st.binary(max_size=64) if kind is bytes else of(kind)


@given(events(), st.integers(0, 2**62))
def test_every_event_is_read_as_it_was_noted(event: Event, now_ms: int) -> None:
    record = stepped(event, now_ms, Step((Note("because"),), now_ms + 5), [bytes(64)])
    again = msgspec.msgpack.decode(encode(record)[4:], type=Record)
    assert isinstance(again, Stepped)
    assert again == record
    assert repr(event_of(again)) == repr(event)  # NaN is no equal of itself
    assert len(again.digests) == 8


ODD_ACTIONS: list[Action] = [
    Bar(((ME.node, "lima: it flips bits"),), frozenset({ME.node})),
    Bar((), None),
    Answer(ticket=1, done=True, line="decided"),
    CallTrainer(),
    Gone("lima: it flips bits"),
]
"""What comes of few events."""


@pytest.mark.parametrize("action", ODD_ACTIONS, ids=lambda action: type(action).__name__)
def test_every_action_has_a_digest_of_its_own(action: Action) -> None:
    assert digest_of(action) == digest_of(action) != digest_of(Note("because"))
    assert len(digest_of(action)) == 8


def test_what_cannot_be_written_down_ends_the_journal_and_not_the_daemon(tmp_path: Path) -> None:
    log = _Log()
    journal, _, member = a_journal(tmp_path / "journal", log)
    journal.begin(member)
    journal.note(Woken(), 1, Step((Note({b"key": 1}),), None))  # type: ignore[arg-type]
    journal.note(Woken(), 2, Step((), None))
    assert len(log) == 1
    assert log[0].startswith("the journal ends here: there is no way to write down a Woken")


def test_an_event_of_another_version_is_no_event() -> None:
    record = Stepped(0, "Dreamt", b"\x80", (), b"", None)
    with pytest.raises(DamagedJournal, match="no event of this version"):
        event_of(record)


# -- the files ----------------------------------------------------------------------------------------------


class _Log(list[str]):
    def __call__(self, line: str) -> None:
        self.append(line)


def a_journal(folder: Path, log: _Log, **bounds: int) -> tuple[Journal, JournalFile, Member]:
    file = JournalFile(folder, ME.incarnation)
    journal = Journal(file, lambda piece: file.write([piece]), ME, StubSigner(ME.node), log, **bounds)
    cluster = Cluster(seed=1)
    cluster.start(cluster.founder, trains=False)
    return journal, file, cluster.process(cluster.founder).member


def test_a_journal_is_its_owner_s_alone_and_ends_where_the_process_did(tmp_path: Path) -> None:
    journal, file, member = a_journal(tmp_path / "journal", _Log())
    journal.begin(member)
    for number in range(5):
        journal.note(Woken(), number, Step((), None))
    journal.flush(member)
    (segment,) = segments_in(tmp_path / "journal")
    assert stat.S_IMODE(segment.stat().st_mode) == 0o600
    assert stat.S_IMODE(segment.parent.stat().st_mode) == 0o700
    start, *steps = read(segment)
    assert isinstance(start, Start)
    assert start.me == ME
    assert [one.now_ms for one in steps if isinstance(one, Stepped)] == list(range(5))

    whole = segment.read_bytes()
    for length in range(len(MAGIC), len(whole)):
        segment.write_bytes(whole[:length])
        assert list(read(segment)) == [start, *steps][: len(list(read(segment)))]
    file.close()


def test_the_oldest_segments_go_and_each_stands_by_itself(tmp_path: Path) -> None:
    journal, file, member = a_journal(tmp_path / "journal", _Log(), segment_bytes=2_000)
    journal.begin(member)
    for number in range(4_000):
        journal.note(Woken(), number, Step((), None))
        journal.flush(member)
    segments = segments_in(tmp_path / "journal")
    assert len(segments) == journal_module.SEGMENTS_KEPT
    numbers = [next(read(segment)) for segment in segments]
    assert [one.number for one in numbers if isinstance(one, Start)] == sorted(
        one.number for one in numbers if isinstance(one, Start)
    )
    last = list(read(segments[-1]))[-1]
    assert isinstance(last, Stepped)
    assert last.now_ms == 3_999
    file.close()


def test_a_disk_that_fails_ends_the_journal_and_says_so_once(tmp_path: Path) -> None:
    log = _Log()
    (tmp_path / "journal").write_text("a file where the folder should be")
    journal, _, member = a_journal(tmp_path / "journal", log)
    journal.begin(member)
    for number in range(3):
        journal.note(Woken(), number, Step((), None))
        journal.flush(member)
    assert len(log) == 1
    assert log[0].startswith(f"the journal ends here: {tmp_path / 'journal'} cannot be written")


def test_a_disk_that_is_far_behind_leaves_a_gap_and_then_a_new_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "MAX_WAITING_BYTES", 100_000)
    waiting: list[Piece] = []
    _, file, member = a_journal(tmp_path / "journal", _Log())
    journal = Journal(file, waiting.append, ME, StubSigner(ME.node), _Log())
    journal.begin(member)
    for number in range(10_000):
        journal.note(Woken(), number, Step((), None))
        journal.flush(member)
    assert sum(len(piece.wire) for piece in waiting) < 120_000
    file.write(waiting)
    journal.flush(member)
    journal.note(Woken(), 77_777, Step((), None))
    journal.flush(member)
    file.write(waiting[-2:])
    assert [one.now_ms for one in read(segments_in(file.folder)[1]) if isinstance(one, Stepped)] == [77_777]
    file.close()


@pytest.mark.parametrize("damage", ["no journal", "bits", "a length", "no record"])
def test_damage_is_told_and_not_taken_for_a_journal(tmp_path: Path, damage: str) -> None:
    segment = tmp_path / "one.journal"
    body = {
        "bits": zlib.compress(encode(Stepped(0, "Woken", b"\x80", (), b"", 1)))[:10] + b"\xff" * 30,
        "a length": zlib.compress(b"\xff\xff\xff\xff" + bytes(50)),
        "no record": zlib.compress((5).to_bytes(4, "big") + b"hello"),
    }
    segment.write_bytes(b"#!/bin/sh" if damage == "no journal" else MAGIC + body[damage])
    with pytest.raises(DamagedJournal):
        list(read(segment))


# -- the member, written down -------------------------------------------------------------------------------


def test_only_what_the_core_is_made_of_can_be_frozen_or_thawed(tmp_path: Path) -> None:
    _, _, member = a_journal(tmp_path, _Log())
    chain = Chain(member.here.network)
    assert isinstance(thaw(freeze(member), chain, None, None), Member)
    for frozen in (b"", b"\xc1", msgspec.msgpack.encode(["object", "os.system", []]), b"\x01"):
        with pytest.raises(CannotThaw):
            thaw(frozen, chain, None, None)
    member.planted = random.Random(0)  # type: ignore[attr-defined]
    with pytest.raises(CannotFreeze, match=r"random\.Random"):
        freeze(member)


def test_a_failure_of_the_core_is_the_last_record_and_fails_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, file, member = a_journal(tmp_path / "journal", _Log())
    journal.begin(member)
    journal.note_failure(Reached(ME.node), 1, KeyError("its text is not noted"))
    file.close()
    segment = segments_in(tmp_path / "journal")[0]
    *_, last = read(segment)
    assert isinstance(last, Stepped)
    assert (last.failure, last.digests) == ("KeyError", b"")
    assert b"not noted" not in encode(last)

    chain = member.here.chain.committed
    with pytest.raises(Differs, match="record 1, Reached: the core failed with KeyError, and does not now"):
        list(replay(read(segment), chain, stub_verify))
    monkeypatch.setattr(Discovery, "reach", lambda people, peer: {}[peer])
    (played,) = replay(read(segment), chain, stub_verify)
    assert played.failure == "KeyError"


class Thawing:
    """A member of a scenario that is written down and made anew before every third step."""

    def __init__(self, *given: Any) -> None:
        self._member = Member(*given)
        self._steps = 0

    def step(self, event: Event, now_ms: int) -> Step:
        self._steps += 1
        if self._steps % 3 == 0:
            here = self._member.here
            self._member = thaw(freeze(self._member), here.chain, here.signer, here.verify)
        return self._member.step(event, now_ms)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._member, name)


def test_a_member_that_is_made_anew_again_and_again_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    as_ever = a_troubled_network(seed=8)
    monkeypatch.setattr(process_module, "Member", Thawing)
    made_anew = a_troubled_network(seed=8)
    for city in as_ever.running:
        assert made_anew.disk(city).chain == as_ever.disk(city).chain
        assert made_anew.disk(city).promised == as_ever.disk(city).promised


# -- whole clusters, played again ---------------------------------------------------------------------------


@pytest.fixture
def noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    keep_journals(tmp_path, monkeypatch)
    return tmp_path


def played(folder: Path, cluster: Cluster) -> Iterator[tuple[Path, Played]]:
    """Each with its own chain: certificates of one block can hold other votes from node to node."""
    for segment in sorted(folder.glob("*/journal/*.journal")):
        for one in replay(read(segment), cluster.disk(segment.parent.parent.name).chain, stub_verify):
            yield segment, one


def a_troubled_network(seed: int) -> Cluster:
    cluster = Cluster.founded(trainers=4, seed=seed)
    cluster.run_until(committed(round=3))
    victim = cluster.chief
    cluster.kill(victim)
    cluster.run_until(committed(round=6))
    cluster.restart(victim)
    cluster.run_until(committed(round=8))
    return cluster


@pytest.mark.parametrize("seed", range(3))
def test_the_core_does_the_same_again_from_every_segment(noted: Path, seed: int) -> None:
    cluster = a_troubled_network(seed)
    seen = list(played(noted, cluster))
    assert len({segment for segment, _ in seen}) > 12
    assert any(isinstance(one.event, TrainerOffered) for _, one in seen)
    heights = {action.height for _, one in seen for action in one.step.actions if isinstance(action, Commit)}
    assert heights >= set(range(1, max(heights)))


def test_a_tampered_record_is_found_and_named(noted: Path) -> None:
    cluster = a_troubled_network(seed=5)
    segment = min(noted.glob("*/journal/*.journal"))
    records = list(read(segment))
    number, one = next(
        (number, one)
        for number, one in enumerate(records)
        if isinstance(one, Stepped) and one.kind == "Heard" and len(one.digests) > 8
    )
    for tampered in (
        msgspec.structs.replace(one, digests=bytes(8) + one.digests[8:]),
        msgspec.structs.replace(one, digests=one.digests[:-8]),
        msgspec.structs.replace(one, digests=one.digests + bytes(8)),
        msgspec.structs.replace(one, wake_at_ms=1),
        msgspec.structs.replace(one, signatures=(*one.signatures, bytes(64))),
    ):
        records[number] = tampered
        with pytest.raises(Differs, match=f"^record {number}, Heard "):
            list(replay(records, cluster.disk(segment.parent.parent.name).chain, stub_verify))


def test_a_changed_core_is_found(noted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = a_troubled_network(seed=6)
    monkeypatch.setattr(round_module.Round, "electors", lambda one, view: one.here.chain.roster.nodes())
    with pytest.raises(Differs, match=r"record \d+, \w+.*Send"):
        list(played(noted, cluster))


def test_a_journal_without_its_chain_is_not_played(noted: Path) -> None:
    cluster = a_troubled_network(seed=7)
    segment = max(noted.glob("*/journal/*.journal"))
    chain = cluster.disk(segment.parent.parent.name).chain
    with pytest.raises(CannotReplay, match="the store beside it lacks that block"):
        list(replay(read(segment), chain[:2], stub_verify))
    with pytest.raises(CannotReplay, match="does not begin with how the member was"):
        list(replay(list(read(segment))[1:], chain, stub_verify))
