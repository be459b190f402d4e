"""The attach socket, with real sockets: words become events, actions words, and nobody is waited for."""

import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from comind.node.attach import (
    PROTOCOL,
    Ask,
    Attach,
    Called,
    Channel,
    Closed,
    Finished,
    FromDaemon,
    News,
    Offered,
    Refused,
    Released,
    Said,
    Started,
    Tensor,
    ToDaemon,
    Waiting,
    Welcome,
    Word,
)
from comind.node.daemon.layout import first_difference, layout_of, schema_in, tensor_at, what_is_wrong_with
from comind.node.daemon.shared import Brought
from comind.node.daemon.telling import Facts
from comind.node.daemon.trainers import Asked, Happening, HungUp, Trainers
from comind.p2p.core.effects import (
    Adopt,
    Begin,
    CallTrainer,
    LeaveAsked,
    Release,
    TrainerAttached,
    TrainerLeft,
    TrainerOffered,
    Wait,
)
from comind.p2p.core.words import BlockHash, Height, NodeId, Root, Rule, Settings

SCHEMA = (Tensor("a.weight", (2, 3), "float32"), Tensor("a.bias", (2,), "float32"))
SIZE = 8
RUN = bytes([1]) * 16
NODE = NodeId(bytes([9]) * 32)
ROOT = Root(bytes([4]) * 32)


def facts(layout: bytes = b"", leaves: bool = False) -> Facts:
    return Facts("hospital", "ada", NODE, Settings(rounds=5, start_at=2), layout, leaves)


def attach(
    run: bytes = RUN, schema: tuple[Tensor, ...] = SCHEMA, size: int = SIZE, protocol: int = PROTOCOL
) -> Attach:
    return Attach(protocol=protocol, pid=77, run=run, schema=schema, size=size)


def offered(weight: int = 3, base: bytes = ROOT) -> Offered:
    return Offered(first_step=10, last_step=20, base=base, weight=weight, metrics={"loss": 1.5})


def adopt(root: Root = ROOT, height: int = 4) -> Adopt:
    return Adopt(
        height=Height(height), block=BlockHash(RUN * 2), rule=Rule.MEAN, round=2, root=root, size=SIZE,
        counted=True, counted_run=RUN, counted_last_step=20, because="counted with weight 3 of 9",
        contributors=((NODE, "ada", 3),), absent=((NodeId(RUN * 2), "bob", "no trainer"),), chief=NODE,
        view=0, duration_ms=1500, started=True, finished=False,
    )  # fmt: skip


def shared_file(size: int = SIZE, sealed: bool = True) -> int:
    descriptor = os.memfd_create("snapshot", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size * 4)
    if sealed:
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return descriptor


class Desk:
    """The daemon's end, pumped by hand, and the other ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trainers = Trainers(path)
        self.ends: list[Channel] = []

    def connect(self) -> Channel:
        raw = socket.socket(socket.AF_UNIX)
        raw.connect(str(self.path))
        raw.settimeout(10)
        end = Channel(raw, FromDaemon)
        self.ends.append(end)
        self.pump()
        return end

    def pump(self) -> list[Happening]:
        """Serve every descriptor that is ready now."""
        happened: list[Happening] = []
        while True:
            poll = select.poll()
            for descriptor, writes in self.trainers.watched().items():
                poll.register(descriptor, select.POLLIN | (select.POLLOUT if writes else 0))
            ready = poll.poll(0)
            if not ready:
                return happened
            for descriptor, _ in ready:
                happened += self.trainers.ready(descriptor)

    def says(self, end: Channel, word: ToDaemon, descriptor: int | None = None) -> list[Happening]:
        end.send(word, descriptor)
        if descriptor is not None:
            os.close(descriptor)
        return self.pump()

    def hears(self, end: Channel) -> tuple[Word, int | None]:
        heard = end.receive(10)
        assert heard is not None
        return heard

    def trainer(self) -> Channel:
        end = self.connect()
        assert self.says(end, attach()) == [TrainerAttached()]
        assert isinstance(self.hears(end)[0], Welcome)
        return end


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "attach.sock")
    made.trainers.know(facts())
    yield made
    made.trainers.close()
    for end in made.ends:
        end.close()


def no_base(_: Root) -> int | None:
    return None


# -- the trainer --------------------------------------------------------------------------------------------


def test_a_trainer_is_welcomed_with_the_networks_facts(desk: Desk) -> None:
    end = desk.connect()
    assert desk.says(end, attach()) == [TrainerAttached()]
    word, _ = desk.hears(end)
    assert word == Welcome("hospital", "ada", NODE, "examples", 5, 2, has_base=False, started_by_join=False)
    assert desk.trainers.attached


def test_a_trainer_that_comes_before_the_network_is_known_waits_and_is_told(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "attach.sock")
    end = desk.connect()
    assert desk.says(end, attach()) == []
    assert isinstance(desk.hears(end)[0], Waiting)
    assert desk.trainers.unreached("seed tcp://a:1: nobody answers there") == []
    heard = desk.hears(end)[0]
    assert isinstance(heard, Waiting)
    assert heard.because.endswith("network yet: seed tcp://a:1: nobody answers there")
    assert desk.trainers.know(facts()) == [TrainerAttached()]
    assert isinstance(desk.hears(end)[0], Welcome)
    desk.trainers.close()
    end.close()


def test_a_second_trainer_gets_the_line_that_makes_it_work(desk: Desk) -> None:
    desk.trainer()
    second = desk.connect()
    happened = desk.says(second, attach())
    assert [type(one) for one in happened] == [HungUp]
    word, _ = desk.hears(second)
    assert isinstance(word, Refused)
    assert word.fatal
    assert (
        'process 77) is attached to this node; give this one a node of its own: comind.join(home="OTHER")'
        in word.because
    )
    with pytest.raises(Closed):
        desk.hears(second)
    assert desk.trainers.attached


OTHER = (Tensor("a.weight", (2, 3), "float32"), Tensor("a.bias", (2, 1), "float32"))


@pytest.mark.parametrize(
    ("word", "line"),
    [
        (attach(protocol=99), "different versions"),
        (attach(size=9), "its tensors hold 8 values, its snapshots 9"),
        (attach(run=b"short"), "no id of 16 bytes"),
        (attach(schema=(SCHEMA[0], SCHEMA[0]), size=12), "two tensors have one name"),
        (attach(schema=(Tensor("a", (-1, -8), "float32"),)), "negative length"),
        (attach(schema=OTHER), "here a.bias is float32 [2, 1], in the network a.bias is float32 [2]"),
    ],
)
def test_what_cannot_train_here_is_refused_for_good(desk: Desk, word: Attach, line: str) -> None:
    desk.trainers.know(facts(layout_of(SCHEMA)))
    end = desk.connect()
    desk.says(end, word)
    refused, _ = desk.hears(end)
    assert isinstance(refused, Refused)
    assert refused.fatal
    assert line in refused.because
    assert not desk.trainers.attached


def test_a_trainer_whose_model_is_not_that_of_the_first_base_is_refused_when_it_comes(desk: Desk) -> None:
    end = desk.trainer()
    happened = desk.trainers.know(facts(layout_of(OTHER)))
    assert [type(one) for one in happened] == [HungUp, TrainerLeft]
    refused, _ = desk.hears(end)
    assert isinstance(refused, Refused)
    assert "here a.bias is float32 [2], in the network a.bias is float32 [2, 1]" in refused.because


def test_an_offer_is_brought_looked_through_and_offered(desk: Desk) -> None:
    end = desk.trainer()
    (brought,) = desk.says(end, offered(), shared_file())
    assert isinstance(brought, Brought)
    offer = brought.offer
    assert (offer.run, offer.first_step, offer.last_step, offer.base, offer.weight) == (RUN, 10, 20, ROOT, 3)
    assert (offer.size, offer.metrics, offer.layout) == (SIZE, {"loss": 1.5}, layout_of(SCHEMA))
    assert os.fstat(brought.descriptor).st_size == SIZE * 4
    os.close(brought.descriptor)
    assert desk.trainers.looked_through(offer, None) == [TrainerOffered(offer)]


def test_once_there_is_a_base_an_offer_needs_no_layout(desk: Desk) -> None:
    end = desk.trainer()
    desk.trainers.know(facts(layout_of(SCHEMA)))
    (brought,) = desk.says(end, offered(), shared_file())
    assert isinstance(brought, Brought)
    assert brought.offer.layout == b""
    os.close(brought.descriptor)


@pytest.mark.parametrize(
    ("position", "tensor"), [(0, "a.weight"), (5, "a.weight"), (6, "a.bias"), (7, "a.bias")]
)
def test_nan_in_a_snapshot_is_refused_by_the_tensors_name(desk: Desk, position: int, tensor: str) -> None:
    end = desk.trainer()
    (brought,) = desk.says(end, offered(), shared_file())
    assert isinstance(brought, Brought)
    os.close(brought.descriptor)
    assert desk.trainers.looked_through(brought.offer, (position, "NaN")) == []
    refused, _ = desk.hears(end)
    assert isinstance(refused, Refused)
    assert refused.because.startswith(f"NaN in {tensor}:")
    assert not refused.fatal


@pytest.mark.parametrize(
    ("word", "size", "sealed", "line"),
    [
        (offered(), SIZE + 1, True, "its file has 36 bytes, 8 values take 32"),
        (offered(), SIZE, False, "not sealed"),
        (offered(weight=-1), SIZE, True, "its weight is -1"),
        (offered(base=b"x"), SIZE, True, "no root"),
        (Offered(first_step=5, last_step=4, base=ROOT, weight=1, metrics={}), SIZE, True, "steps 5 to 4"),
    ],
)
def test_an_offer_that_cannot_be_taken_says_why(
    desk: Desk, word: Offered, size: int, sealed: bool, line: str
) -> None:
    end = desk.trainer()
    assert desk.says(end, word, shared_file(size, sealed)) == []
    refused, _ = desk.hears(end)
    assert isinstance(refused, Refused)
    assert line in refused.because
    assert desk.trainers.attached


def test_something_that_is_no_file_is_refused(desk: Desk) -> None:
    end = desk.trainer()
    reading, writing = os.pipe()
    os.close(writing)
    assert desk.says(end, offered(), reading) == []
    refused, _ = desk.hears(end)
    assert isinstance(refused, Refused)
    assert "no file" in refused.because


def test_an_offer_without_its_snapshot_ends_the_connection(desk: Desk) -> None:
    end = desk.trainer()
    assert [type(one) for one in desk.says(end, offered())] == [HungUp, TrainerLeft]


def test_a_trainer_that_dies_has_left_and_another_may_come(desk: Desk) -> None:
    end = desk.trainer()
    end.close()
    assert [type(one) for one in desk.pump()] == [HungUp, TrainerLeft]
    desk.trainer()


def test_a_trainer_that_finished_has_left_and_takes_its_own_daemon_along(desk: Desk) -> None:
    end = desk.trainer()
    assert desk.says(end, Finished()) == [TrainerLeft("it has finished")]
    assert desk.says(end, Finished()) == []
    desk.trainers.know(facts(leaves=True))
    end = desk.trainer()
    assert desk.says(end, Finished()) == [TrainerLeft("it has finished"), LeaveAsked()]


def test_a_new_run_on_the_same_connection_is_a_new_trainer(desk: Desk) -> None:
    end = desk.trainer()
    assert desk.says(end, attach(run=bytes(16))) == [TrainerLeft("it began anew"), TrainerAttached()]


# -- what the trainer is told -------------------------------------------------------------------------------


def test_news_carries_the_base_once(desk: Desk, tmp_path: Path) -> None:
    end = desk.trainer()
    (tmp_path / "base").write_bytes(b"0123")

    def base(root: Root) -> int:
        assert root == ROOT
        return os.open(tmp_path / "base", os.O_RDONLY)

    desk.trainers.tell(adopt(), base)
    word, descriptor = desk.hears(end)
    assert isinstance(word, News)
    assert descriptor is not None
    assert os.read(descriptor, 10) == b"0123"
    os.close(descriptor)
    short = word.contributors[0][0]
    assert word.contributors == ((short, "ada", 3),)
    assert word.chief == f"ada ({short})"
    assert (word.seconds, word.counted, word.round, word.because) == (
        1.5,
        True,
        2,
        "counted with weight 3 of 9",
    )
    desk.trainers.tell(adopt(height=5), base)
    assert desk.hears(end)[1] is None


def test_begin_release_wait_and_call_become_words(desk: Desk) -> None:
    end = desk.trainer()
    words = [Started(), Waiting("for bob"), Called(), Released("alone")]
    for action in (Begin(), Wait("for bob"), CallTrainer(), Release("alone")):
        desk.trainers.tell(action, no_base)
    assert [desk.hears(end)[0] for _ in words] == words


def test_without_a_trainer_nobody_is_told(desk: Desk) -> None:
    assert desk.trainers.tell(adopt(), no_base) == []


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_trainer_that_does_not_read_is_not_waited_for_and_gets_the_newest(desk: Desk) -> None:
    end = desk.trainer()
    before = open_descriptors()
    for number in range(3_000):
        root = Root(number.to_bytes(32, "big"))
        assert desk.trainers.tell(adopt(root, number), lambda _: os.open("/dev/null", os.O_RDONLY)) == []
        assert desk.trainers.tell(Wait(f"{number}"), no_base) == []
    assert open_descriptors() - before <= 1
    heard: list[Word] = []
    while not (heard and heard[-1] == Waiting("2999")):
        desk.pump()
        word, descriptor = desk.hears(end)
        if descriptor is not None:
            os.close(descriptor)
        heard.append(word)
    news = [word.height for word in heard if isinstance(word, News)]
    assert news == sorted(news)
    assert news[-1] == 2999
    assert len(heard) < 6_000


# -- the command line ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "what", ["status", "stop", "leave", "watch", "pause", "resume", "remove", "allow", "deny"]
)
def test_a_question_is_passed_on_and_answered(desk: Desk, what: str) -> None:
    end = desk.connect()
    (asked,) = desk.says(end, Ask(what))
    assert isinstance(asked, Asked)
    assert asked.what == what
    assert desk.trainers.say(asked.who, Said("hello")) == []
    assert desk.hears(end)[0] == Said("hello")


def test_an_unknown_question_says_which_are_known(desk: Desk) -> None:
    end = desk.connect()
    assert desk.says(end, Ask("sudo")) == []
    word, _ = desk.hears(end)
    assert isinstance(word, Refused)
    assert "status, stop, leave, watch" in word.because


def test_a_watcher_that_never_reads_is_hung_up_on(desk: Desk) -> None:
    end = desk.connect()
    (asked,) = desk.says(end, Ask("watch"))
    assert isinstance(asked, Asked)
    happened: list[Happening] = []
    for _ in range(200):
        happened += desk.trainers.say(asked.who, Said("x" * 100_000))
    assert happened == [HungUp(asked.who)]


def test_a_stranger_at_the_socket_is_dropped(desk: Desk) -> None:
    raw = socket.socket(socket.AF_UNIX)
    raw.connect(str(desk.path))
    desk.pump()
    raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert [type(one) for one in desk.pump()] == [HungUp]
    raw.close()


def test_so_many_and_no_more_may_connect(desk: Desk) -> None:
    ends = [desk.connect() for _ in range(70)]
    with pytest.raises(Closed):
        ends[-1].receive(10)
    assert len(desk.trainers.watched()) == 65


def test_a_dead_daemons_socket_is_no_obstacle(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "again.sock"
    Trainers(path)
    again = Trainers(path)
    again.close()
    assert not path.exists()


# -- layouts ------------------------------------------------------------------------------------------------


def test_a_layout_is_read_back_and_a_strangers_bytes_are_none() -> None:
    assert schema_in(layout_of(SCHEMA)) == SCHEMA
    assert schema_in(layout_of(())) == ()
    for stranger in (b"", b"\xc1", b"\x91\x01", b"\x91\x93\xa1a\xa1b\xa1c", layout_of(SCHEMA)[:-1]):
        assert schema_in(stranger) is None


def test_the_first_difference_is_named_here_and_there() -> None:
    longer = (*SCHEMA, Tensor("b", (1,), "float16"))
    assert first_difference(longer, SCHEMA) == "here b is float16 [1], in the network no further tensor"
    assert first_difference(SCHEMA, longer) == "here no further tensor, in the network b is float16 [1]"
    assert first_difference(SCHEMA, None) == "here 2 tensors, in the network others"


def test_a_scalar_and_an_empty_tensor_have_their_place() -> None:
    schema = (
        Tensor("scalar", (), "float32"),
        Tensor("empty", (0, 3), "float32"),
        Tensor("b", (2,), "float32"),
    )
    assert what_is_wrong_with(schema, 3) is None
    assert [tensor_at(schema, position) for position in range(4)] == ["scalar", "b", "b", "?"]


def test_a_model_too_large_is_told_so() -> None:
    assert "at most" in str(what_is_wrong_with((Tensor("a", (2**32 + 1,), "float32"),), 2**32 + 1))
    many = tuple(Tensor("t" * 100 + str(number), (1,), "float32") for number in range(6_000))
    assert "names and shapes" in str(what_is_wrong_with(many, 6_000))
