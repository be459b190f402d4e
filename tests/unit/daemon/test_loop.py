"""The daemon's loop with real sockets, files and threads, around a member that a test plays."""

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from comind.node.attach import (
    PROTOCOL,
    Ask,
    Attach,
    Channel,
    Done,
    Finished,
    FromDaemon,
    News,
    Offered,
    Refused,
    Released,
    Said,
    Status,
    StatusOf,
    Tensor,
    ToDaemon,
    Waiting,
    Welcome,
    Word,
)
from comind.node.daemon import loop as loop_module
from comind.node.daemon.assembly import Parts, assembled
from comind.node.daemon.founding import found
from comind.node.daemon.loop import Ending, Loop
from comind.node.daemon.options import Options
from comind.node.daemon.wakeup import Wakeup, now_ms
from comind.node.home import Home, find_home, recall_invite
from comind.p2p.core.effects import (
    Action,
    Adopt,
    Answer,
    Average,
    Averaged,
    Event,
    Gone,
    LeaveAsked,
    Note,
    OperatorAsked,
    Part,
    Promise,
    Promised,
    Record,
    Release,
    Step,
    StopAsked,
    TrainerAttached,
    TrainerLeft,
    TrainerOffered,
    Wait,
    Woken,
)
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.member import Member
from comind.p2p.core.words import BlockHash, Height, NodeId, Root, Rule, Settings
from comind.p2p.shell.addresses import Listen

OPEN = bytes([2]) * 32
SCHEMA = (Tensor("w", (4,), "float32"),)


class Played(Member):
    """A member whose answers a test gives: `answers` to an event by its type, else nothing."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.heard: list[Event] = []
        self.answers: dict[type, list[Action]] = {}

    def step(self, event: Event, now_ms: int) -> Step:
        self.heard.append(event)
        return Step(tuple(self.answers.pop(type(event), ())), now_ms + 20)


@dataclass
class Daemon:
    """A loop that is turned by hand."""

    parts: Parts
    loop: Loop
    stop: Wakeup
    log: list[str]
    ends: list[Channel] = field(default_factory=list)

    @property
    def member(self) -> Played:
        assert isinstance(self.loop._member, Played)
        return self.loop._member

    def until(self, happened: Callable[[], bool]) -> None:
        """Turn the loop until something happened: each turn waits for the world as in real life."""
        for _ in range(1_000):
            if happened():
                return
            self.loop._turn()
        raise AssertionError(f"it never happened; heard {self.member.heard}, said {self.log}")

    def heard(self, kind: type) -> Callable[[], bool]:
        return lambda: any(isinstance(event, kind) for event in self.member.heard)

    def has_heard(self, count: int) -> bool:
        return len(self.member.heard) >= count

    def connect(self) -> Channel:
        raw = socket.socket(socket.AF_UNIX)
        raw.connect(str(self.parts.home.socket_path))
        self.ends.append(Channel(raw, FromDaemon))
        return self.ends[-1]

    def hears(self, end: Channel, kind: type) -> Word:
        """Turn the loop until this end heard a word of that kind, and return it."""
        words: list[Word] = []

        def came() -> bool:
            while (heard := end.receive(0.01)) is not None:
                words.append(heard[0])
            return any(isinstance(word, kind) for word in words)

        self.until(came)
        return next(word for word in words if isinstance(word, kind))

    def says(self, end: Channel, word: ToDaemon, descriptor: int | None = None) -> None:
        end.send(word, descriptor)


def options(home: Path, **more: Any) -> Options:
    return Options(home=str(home), listen=Listen("127.0.0.1", (0,)), name="ada", **more)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    found(Home(tmp_path / "home"), "hospital", "ada", Settings(), ())
    return tmp_path / "home"


@pytest.fixture
def daemon(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    yield from running(options(home), monkeypatch)


def running(given: Options, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    monkeypatch.setattr(loop_module, "Member", Played)
    log: list[str] = []
    with assembled(given, log.append, environ={}) as parts:
        stop = Wakeup()
        loop = Loop(parts, log.append, stop)
        loop._begin()
        made = Daemon(parts, loop, stop, log)
        yield made
        for end in made.ends:
            end.close()


def attach() -> Attach:
    return Attach(protocol=PROTOCOL, pid=1, run=bytes([1]) * 16, schema=SCHEMA, size=4)


def snapshot(content: bytes) -> int:
    import fcntl

    descriptor = os.memfd_create("offer", os.MFD_ALLOW_SEALING)
    os.write(descriptor, content)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return descriptor


def starting_weights() -> Offered:
    return Offered(first_step=0, last_step=0, base=bytes(32), weight=0, metrics={})


def test_r9_a_network_whose_durability_is_power_has_its_snapshots_synced_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for durability in ("process", "power"):
        found(Home(tmp_path / durability), "hospital", "ada", Settings(durability=durability), ())
        for daemon in running(options(tmp_path / durability), monkeypatch):
            assert daemon.parts.snapshots.syncs is (durability == "power")


# -- its life -----------------------------------------------------------------------------------------------


def test_it_says_when_it_is_ready_and_the_member_is_woken_first(daemon: Daemon) -> None:
    ready = [line for line in daemon.log if line.startswith("ready: ada (")]
    assert len(ready) == 1
    assert f"listens on {daemon.parts.links.listening} in network hospital (" in ready[0]
    assert daemon.member.heard == [Woken()]


def test_a_signal_says_away_and_ends_it_once_what_waits_is_out(daemon: Daemon) -> None:
    daemon.member.answers[StopAsked] = [Promise(Promised(height=1, view=0, count=1), (Note("it is away"),))]
    daemon.stop.set()
    assert daemon.loop.run() is Ending.STOPPED
    assert daemon.log[-1] == "it is away"
    assert daemon.parts.store.load(frozenset()).promised == Promised(height=1, view=0, count=1)


def test_nothing_after_a_record_is_done_before_it_is_on_disk(daemon: Daemon) -> None:
    tickets: list[int] = []

    def put(records: Sequence[Record]) -> int:
        tickets.append(daemon.parts.disk.put(records))
        return tickets[-1]

    daemon.loop._orders._put = put
    daemon.member.answers[TrainerAttached] = [
        Note("before"),
        Promise(Promised(height=1, view=0, count=1), (Note("after"),)),
    ]

    def note(line: str) -> None:
        if line == "after":
            assert daemon.parts.disk.durable() >= tickets[0]
        daemon.log.append(line)

    daemon.loop._log = note
    daemon.says(daemon.connect(), attach())
    daemon.until(lambda: "after" in daemon.log)
    assert daemon.log[-2:] == ["before", "after"]


def test_it_wakes_the_member_in_time(daemon: Daemon) -> None:
    due_ms = daemon.loop._wake_at_ms = now_ms() + 5
    daemon.until(lambda: daemon.member.heard == [Woken(), Woken()])
    assert now_ms() >= due_ms


def test_the_command_line_can_stop_it_and_is_told(daemon: Daemon) -> None:
    end = daemon.connect()
    daemon.says(end, Ask("stop"))
    assert daemon.loop.run() is Ending.STOPPED
    assert end.receive(5) == (Done("stopped"), None)


def test_leaving_ends_it_when_the_member_is_gone_and_failing_to_is_told(daemon: Daemon) -> None:
    end = daemon.connect()
    daemon.says(end, Ask("leave"))
    daemon.until(daemon.heard(LeaveAsked))
    assert not daemon.loop._over
    daemon.member.answers[TrainerAttached] = [Note("nobody answers"), Gone()]
    daemon.says(daemon.connect(), attach())
    assert daemon.loop.run() is Ending.LEFT
    heard = [end.receive(5), end.receive(5)]
    assert [word and word[0] for word in heard] == [
        Said("nobody answers"),
        Refused("no block took this node off the roster in time: it is away"),
    ]
    assert daemon.loop.last_words == "no block took this node off the roster in time: it is away"


def test_who_asks_for_a_decision_is_told_what_became_of_it(daemon: Daemon) -> None:
    one, other = daemon.connect(), daemon.connect()
    daemon.says(one, Ask("pause", because="the lab moves"))
    daemon.until(daemon.heard(OperatorAsked))
    daemon.says(other, Ask("resume"))
    asked = [OperatorAsked(1, "pause", "the lab moves"), OperatorAsked(2, "resume")]
    daemon.until(
        lambda: [event for event in daemon.member.heard if isinstance(event, OperatorAsked)] == asked
    )
    answers = [
        Answer(2, done=False, line="it is not paused"),
        Answer(1, done=True, line="done"),
        Answer(7, True, "?"),
    ]
    daemon.member.answers[TrainerAttached] = list(answers)
    daemon.says(daemon.connect(), attach())
    daemon.until(lambda: not daemon.loop._audience._tickets)
    assert one.receive(5) == (Done("done"), None)
    assert other.receive(5) == (Refused("it is not paused"), None)


def test_a_full_disk_ends_it(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(entries: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(daemon.parts.store, "write", full)
    daemon.member.answers[StopAsked] = [Promise(Promised(height=1, view=0, count=1), (Note("said"),))]
    daemon.stop.set()
    with pytest.raises(OSError, match="full"):
        daemon.loop.run()
    assert "said" not in daemon.log


# -- its trainer --------------------------------------------------------------------------------------------


def test_an_offer_is_looked_through_and_becomes_an_average_that_the_trainer_adopts(daemon: Daemon) -> None:
    end = daemon.connect()
    daemon.says(end, attach())
    assert isinstance(daemon.hears(end, Welcome), Welcome)
    descriptor = snapshot(bytes(16))
    daemon.says(end, starting_weights(), descriptor)
    os.close(descriptor)
    daemon.until(daemon.heard(TrainerOffered))
    offered = next(event for event in daemon.member.heard if isinstance(event, TrainerOffered))
    me = daemon.parts.me.node
    daemon.member.answers[StopAsked] = [Average(OPEN, 4, (Part(me, 1, offered.offer),))]
    daemon.loop._events.append(StopAsked())
    daemon.until(daemon.heard(Averaged))
    averaged = next(event for event in daemon.member.heard if isinstance(event, Averaged))
    daemon.member.answers[StopAsked] = [adopt(averaged.root), Wait("for bob"), Release("alone")]
    daemon.loop._events.append(StopAsked())
    while (news := end.receive(0.001)) is None:
        daemon.loop._turn()
    assert isinstance(news[0], News)
    assert news[1] is not None
    with open(news[1], "rb") as file:
        assert file.read() == bytes(16)
    assert [end.receive(5), end.receive(5)] == [(Waiting("for bob"), None), (Released("alone"), None)]


def adopt(root: Root) -> Adopt:
    return Adopt(
        height=Height(1), block=BlockHash(bytes(32)), rule=Rule.INITIAL, round=0, root=root, size=4,
        counted=False, counted_run=b"", counted_last_step=0, because="", contributors=(), absent=(),
        chief=NodeId(bytes(32)), view=0, duration_ms=5, started=True, finished=False,
    )  # fmt: skip


def test_nan_is_refused_before_the_member_hears_of_it(daemon: Daemon) -> None:
    end = daemon.connect()
    daemon.says(end, attach())
    descriptor = snapshot(bytes(12) + b"\x00\x00\xc0\x7f")
    daemon.says(end, starting_weights(), descriptor)
    os.close(descriptor)
    refused = daemon.hears(end, Refused)
    assert isinstance(refused, Refused)
    assert refused.because.startswith("NaN in w:")
    assert not daemon.heard(TrainerOffered)()


def test_a_daemon_that_join_started_leaves_when_its_trainer_has_finished(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for daemon in running(options(home, leave_with_trainer=True), monkeypatch):
        end = daemon.connect()
        daemon.says(end, attach())
        daemon.says(end, Finished())
        daemon.until(daemon.heard(LeaveAsked))
        assert daemon.heard(TrainerLeft)()


def test_a_daemon_that_join_started_stops_when_its_trainer_never_comes_back(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "ORPHANED_MS", 60)
    for daemon in running(options(home, leave_with_trainer=True), monkeypatch):
        end = daemon.connect()
        daemon.says(end, attach())
        daemon.until(daemon.heard(TrainerAttached))
        heard = len(daemon.member.heard)
        daemon.until(partial(daemon.has_heard, heard + 6))  # it is woken every 20 ms
        assert not daemon.heard(StopAsked)()
        end.close()
        assert daemon.loop.run() is Ending.STOPPED
        assert "its trainer is gone for good" in daemon.log[-1]


# -- its watchers -------------------------------------------------------------------------------------------


def test_a_watcher_gets_the_status_and_each_line(daemon: Daemon) -> None:
    end = daemon.connect()
    daemon.says(end, Ask("watch"))
    shown = daemon.hears(end, StatusOf)
    assert isinstance(shown, StatusOf)
    status = shown.status
    assert isinstance(status, Status)
    assert (status.network, status.name, status.pid, status.height) == ("hospital", "ada", os.getpid(), 0)
    assert [member.name for member in status.members] == ["ada"]
    daemon.member.answers[TrainerAttached] = [Note("something happened")]
    daemon.says(daemon.connect(), attach())
    assert daemon.hears(end, Said) == Said("something happened")


def test_a_status_is_answered_once_and_who_hangs_up_is_forgotten(daemon: Daemon) -> None:
    end = daemon.connect()
    daemon.says(end, Ask("status"))
    daemon.hears(end, StatusOf)
    daemon.says(end, Ask("watch"))
    daemon.hears(end, StatusOf)
    assert len(daemon.loop._audience._watchers) == 1
    end.close()
    daemon.until(lambda: not daemon.loop._audience._watchers)


# -- being put together -------------------------------------------------------------------------------------


def test_what_join_and_init_leave_in_a_home_is_enough(home: Path) -> None:
    with assembled(options(home), lambda _: None, environ={}) as parts:
        assert parts.me.name == "ada"
        assert parts.memory.chain
        with (
            pytest.raises(ConfigError, match="a node runs in"),
            assembled(options(home), lambda _: None, environ={}),
        ):
            pass
    with assembled(options(home), lambda _: None, environ={}) as again:
        assert again.me.incarnation > parts.me.incarnation


def test_its_name_is_what_the_chain_says_unless_another_is_given(home: Path) -> None:
    unnamed = Options(home=str(home), listen=Listen("127.0.0.1", (0,)))
    with assembled(unnamed, lambda _: None, environ={}) as parts:
        assert parts.me.name == "ada"


def test_it_does_not_dial_itself_as_a_seed(home: Path) -> None:
    given = options(home, advertise=("tcp://127.0.0.1:7700",), seeds=("tcp://10.1.1.1:7700",))
    with assembled(given, lambda _: None, environ={}) as parts:
        assert parts.seeds == ("tcp://10.1.1.1:7700",)


def test_an_invite_in_the_environment_is_remembered(home: Path, tmp_path: Path) -> None:
    from comind.crypto.invite import encode

    invite = recall_invite(Home(home))
    assert invite is not None
    other = options(tmp_path / "other")
    with assembled(other, lambda _: None, environ={"COMIND_INVITE": encode(invite)}) as parts:
        assert not parts.memory.chain
    assert recall_invite(find_home(other.home)) == invite
