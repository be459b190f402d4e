"""Can anything that is not PyTorch average through its daemon? Arrays in, arrays out."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from comind.node.attach import Called, Offered, Refused, Released
from comind.node.trainer.peer import Array, Peer
from comind.node.trainer.round import Absentee, Contributor
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.words import NO_ROOT
from tests.unit.trainer.conftest import Lines
from tests.unit.trainer.fake_daemon import ALONE, FakeDaemon


def vector(*values: float) -> list[np.ndarray]:
    return [np.array(values, np.float32)]


def values(arrays: list[np.ndarray]) -> list[float]:
    return [float(one) for array in arrays for one in array.reshape(-1)]


# -- the start ----------------------------------------------------------------------------------------------


def test_a_trainer_starts_from_the_network_s_base(daemon: FakeDaemon, peer: Peer, lines: Lines) -> None:
    daemon.base, daemon.round, daemon.height = np.array([1, 2], np.float32), 3, 9
    assert values(peer.start(vector(0, 0))) == [1, 2]
    assert lines == ["training starts from the average 3 of net"]


def test_the_first_trainer_s_weights_become_the_base(daemon: FakeDaemon, peer: Peer, lines: Lines) -> None:
    assert values(peer.start(vector(5, 6))) == [5, 6]
    (start,) = daemon.starts
    assert start.values.tolist() == [5, 6]
    assert start.word == Offered(0, 0, NO_ROOT, 0, {})
    assert lines == ["training starts from the first base of net"]


def test_another_trainer_s_weights_may_become_the_base_first(daemon: FakeDaemon, peer: Peer) -> None:
    def another(_: object) -> None:
        daemon.base = np.array([7, 7], np.float32)
        daemon.tell("b set the first base", rule="initial")

    daemon.on_start = another
    assert values(peer.start(vector(5, 6))) == [7, 7]


def test_a_trainer_waits_for_the_network_s_start_and_says_for_what(path: Path, lines: Lines) -> None:
    daemon = FakeDaemon(path, [1.0], started=False)

    def told(line: str) -> None:
        lines.append(line)
        if "not begun" in line:
            daemon.begin()

    peer = Peer(path, on_line=told)
    daemon.after_welcome = lambda: daemon.hold()
    assert values(peer.start(vector(0))) == [1]
    assert lines[0] == "training has not begun: waiting for b"
    daemon.close()


def test_a_base_that_changes_before_the_start_is_adopted_too(path: Path, lines: Lines) -> None:
    daemon = FakeDaemon(path, [1.0], started=False)

    def move_and_begin() -> None:
        daemon.miss()
        daemon.begin()

    daemon.after_welcome = move_and_begin
    assert values(Peer(path, on_line=lines.append).start(vector(0))) == [2]
    daemon.close()


def test_a_node_that_has_not_heard_from_its_network_is_waited_for(path: Path, lines: Lines) -> None:
    daemon = FakeDaemon(path, [1.0])
    daemon.welcomes = False

    def told(line: str) -> None:
        lines.append(line)
        if "not begun" in line:
            daemon.welcome_late()

    daemon.early_word = "this node has not heard from its network yet"
    assert values(Peer(path, on_line=told).start(vector(0))) == [1]
    assert lines[0] == "training has not begun: this node has not heard from its network yet"
    daemon.close()


def test_without_a_daemon_there_is_one_line_that_says_so(peer: Peer) -> None:
    with pytest.raises(
        ConfigError, match=r"^no daemon answers this trainer \(.*\): start one with comind node$"
    ):
        peer.start(vector(0))


def test_a_second_trainer_gets_the_daemon_s_line(daemon: FakeDaemon, peer: Peer, path: Path) -> None:
    peer.start(vector(0))
    with pytest.raises(ConfigError, match=r'^a trainer is attached; comind.join\(home="OTHER"\)$'):
        Peer(path).start(vector(0))
    assert peer.average(vector(1), weight=1).counted


def test_a_model_that_is_not_the_network_s_gets_the_daemon_s_line(daemon: FakeDaemon, peer: Peer) -> None:
    daemon.refusal = "this model is not the network's: here a is [2], in the network a is [3]"
    with pytest.raises(ConfigError, match=r"^this model is not the network's"):
        peer.start(vector(0, 0))
    daemon.refusal = None
    assert values(peer.start(vector(1))) == [1]  # nothing stands in the way of another try


def test_starting_weights_that_the_daemon_refuses_are_an_error(daemon: FakeDaemon, peer: Peer) -> None:
    daemon.on_start = lambda offer: daemon.say(Refused("its file is not sealed"))
    with pytest.raises(ConfigError, match="not sealed"):
        peer.start(vector(0))


def test_a_daemon_that_dies_before_training_began_and_stays_away_is_an_error(
    daemon: FakeDaemon, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comind.node.trainer.training.MAX_RETURN_S", 0.0)
    daemon.on_start = daemon.die
    with pytest.raises(ConfigError, match=r"before training began: its log says why"):
        peer.start(vector(0))


def test_a_peer_has_one_training(daemon: FakeDaemon, peer: Peer) -> None:
    peer.start(vector(0))
    with pytest.raises(ConfigError, match=r"has its trainer already.*comind.join\(home=OTHER\)"):
        peer.start(vector(0))


def test_average_starts_by_itself_and_counts_nothing_from_before(daemon: FakeDaemon, peer: Peer) -> None:
    daemon.base = np.array([4], np.float32)
    result = peer.average(vector(1), weight=5)
    assert (values(result.arrays), result.counted) == ([4], False)
    assert "training starts with this call" in result.because
    assert not daemon.offers


# -- a round ------------------------------------------------------------------------------------------------


def test_an_average_says_who_was_in_it(daemon: FakeDaemon, peer: Peer) -> None:
    daemon.others = [(np.array([4, 8], np.float32), 3)]
    peer.start(vector(0, 0))
    result = peer.average(vector(0, 4), weight=1, metrics={"loss": 0.5})
    assert values(result.arrays) == [3, 7]
    assert (result.counted, result.because, result.round, result.height) == (True, "counted", 1, 2)
    assert result.contributors == (Contributor("aaaaaaaa", "a", 7),)
    assert (result.absent, result.chief, result.view, result.seconds) == ((), "b (bbbbbbbb)", 0, 0.25)
    assert peer.last_round is not None
    assert peer.last_round.round == 1
    (offer,) = daemon.offers
    word = offer.word
    assert (word.first_step, word.last_step, word.weight, word.metrics) == (0, 1, 1, {"loss": 0.5})
    assert offer.values.tolist() == [0, 4]


def test_each_call_is_one_interval_of_one_step(daemon: FakeDaemon, peer: Peer) -> None:
    arrays = peer.start(vector(0))
    for weight in (3, 5, 7):
        arrays = peer.average([arrays[0] + 1], weight=weight).arrays
    assert [(one.word.first_step, one.word.last_step, one.word.weight) for one in daemon.offers] == [
        (0, 1, 3),
        (1, 2, 5),
        (2, 3, 7),
    ]
    assert len({one.word.base for one in daemon.offers}) == 3


def test_names_and_dtypes_come_back_as_they_were_given(daemon: FakeDaemon, peer: Peer) -> None:
    arrays: dict[str, Array] = {"b": np.ones((2, 1), np.float16), "a": np.ones((), np.float32)}
    result = peer.average(peer.start(arrays), weight=1)
    assert list(result.arrays) == ["b", "a"]
    assert result.arrays["b"].dtype == np.float16
    assert result.arrays["b"].shape == (2, 1)
    assert [tensor.name for tensor in daemon.attaches[0].schema] == ["a", "b"]


def test_what_was_given_is_not_written_to(daemon: FakeDaemon, peer: Peer) -> None:
    daemon.others = [(np.array([9], np.float32), 1)]
    peer.start(vector(0))
    given = vector(1)
    assert values(peer.average(given, weight=1).arrays) == [5]
    assert values(given) == [1]


def test_a_round_without_this_trainer_returns_its_work_on_the_new_base(
    daemon: FakeDaemon, peer: Peer
) -> None:
    arrays = peer.start(vector(10))
    daemon.on_offer = daemon.miss
    result = peer.average([arrays[0] + 5], weight=3)
    assert (values(result.arrays), result.counted) == ([16], False)
    assert result.absent == (Absentee("aaaaaaaa", "a", "it came after the door had closed"),)
    daemon.on_offer = daemon.count
    result = peer.average([result.arrays[0] + 1], weight=4)
    assert (values(result.arrays), result.counted) == ([17], True)
    assert daemon.offers[-1].word.weight == 7  # the examples were carried over
    assert (daemon.offers[-1].word.first_step, daemon.offers[-1].word.last_step) == (0, 2)


def test_a_lone_trainer_goes_on_at_once_and_is_told_once(
    daemon: FakeDaemon, peer: Peer, lines: Lines
) -> None:
    arrays = peer.start(vector(0))
    daemon.on_offer = daemon.release
    for _ in range(3):
        result = peer.average([arrays[0] + 1], weight=2)
        arrays = result.arrays
        assert (result.counted, result.because) == (False, ALONE)
    assert values(arrays) == [3]
    assert [one.word.weight for one in daemon.offers] == [2, 4, 6]
    assert lines.about("without a round") == [f"training goes on without a round: {ALONE}"]


def test_news_that_come_later_count_what_was_sent_and_keep_the_rest(daemon: FakeDaemon, peer: Peer) -> None:
    arrays = peer.start(vector(0))
    daemon.on_offer = daemon.release
    arrays = peer.average([arrays[0] + 1], weight=2).arrays
    daemon.others = [(np.array([3], np.float32), 2)]
    daemon.count(daemon.offers[0])  # of 1 and 3: 2
    daemon.on_offer, daemon.others = daemon.count, []
    result = peer.average([arrays[0] + 10], weight=4)
    assert values(result.arrays) == [12]
    word = daemon.offers[-1].word
    assert (word.first_step, word.last_step, word.weight) == (1, 2, 4)


def test_news_that_come_later_without_it_carry_all_of_it(daemon: FakeDaemon, peer: Peer) -> None:
    arrays = peer.start(vector(0))
    daemon.on_offer = daemon.release
    arrays = peer.average([arrays[0] + 1], weight=2).arrays
    daemon.miss()
    daemon.on_offer = daemon.count
    result = peer.average([arrays[0] + 10], weight=4)
    assert values(result.arrays) == [12]  # 1 and 10 of its own on a base that is 1 higher
    assert (daemon.offers[-1].word.first_step, daemon.offers[-1].word.weight) == (0, 6)


def test_of_several_news_the_newest_is_adopted(daemon: FakeDaemon, peer: Peer) -> None:
    arrays = peer.start(vector(0))
    daemon.on_offer = daemon.release
    arrays = peer.average([arrays[0] + 1], weight=2).arrays
    daemon.count(daemon.offers[0])
    daemon.miss()
    daemon.miss()
    daemon.on_offer = daemon.count
    assert values(peer.average([arrays[0] + 10], weight=4).arrays) == [13]
    assert daemon.offers[-1].word.weight == 4


def test_a_change_of_the_roster_does_not_end_the_wait(daemon: FakeDaemon, peer: Peer) -> None:
    arrays = peer.start(vector(0))

    def roster_first(offer: object) -> None:
        daemon.height += 1
        daemon.tell("only the roster changed", rule="roster", give=False)
        daemon.count(daemon.offers[-1])

    daemon.on_offer = roster_first
    assert peer.average([arrays[0] + 1], weight=2).counted


def test_news_from_before_are_not_gone_back_to(daemon: FakeDaemon, peer: Peer) -> None:
    arrays = peer.start(vector(0))
    arrays = peer.average([arrays[0] + 1], weight=2).arrays
    base, height = daemon.base, daemon.height
    daemon.base, daemon.height = np.array([-5], np.float32), 0
    daemon.tell("a daemon with an old disk")
    daemon.base, daemon.height = base, height
    assert values(peer.average([arrays[0] + 1], weight=2).arrays) == [2]


def test_a_trainer_waits_no_longer_than_it_will(daemon: FakeDaemon, path: Path) -> None:
    peer = Peer(path, max_wait=0.01, on_line=lambda _: None)
    arrays = peer.start(vector(0))
    daemon.on_offer = daemon.hold
    result = peer.average([arrays[0] + 1], weight=2)
    assert not result.counted
    assert result.because.startswith("no round came within 0.01 s")
    daemon.count(daemon.offers[0])
    daemon.on_offer = daemon.count
    assert values(peer.average([result.arrays[0] + 1], weight=3).arrays) == [2]
    assert daemon.offers[-1].word.weight == 3


def test_an_offer_that_is_waited_for_is_not_replaced(daemon: FakeDaemon, path: Path) -> None:
    peer = Peer(path, max_wait=0.01, on_line=lambda _: None)
    arrays = peer.start(vector(0))
    daemon.on_offer = daemon.hold
    for _ in range(3):
        arrays = peer.average([arrays[0] + 1], weight=2).arrays
    assert len(daemon.offers) == 1
    daemon.count(daemon.offers[0])
    daemon.on_offer = daemon.count
    assert values(peer.average([arrays[0] + 1], weight=2).arrays) == [4]
    assert [(one.word.first_step, one.word.last_step, one.word.weight) for one in daemon.offers] == [
        (0, 1, 2),
        (1, 4, 6),
    ]


def test_an_offer_may_be_counted_after_the_trainer_replaced_it(daemon: FakeDaemon, peer: Peer) -> None:
    """In a minority an offer is announced, but its trainer released; later the partition heals."""
    arrays = peer.start(vector(0))
    daemon.on_offer = daemon.release
    for _ in range(2):
        arrays = peer.average([arrays[0] + 1], weight=2).arrays
    daemon.say(Released("too few voters"))
    daemon.on_offer = lambda offer: daemon.say(Released("too few voters"))
    for _ in range(3):
        arrays = peer.average([arrays[0] + 1], weight=2).arrays
    daemon.on_offer = daemon.count
    daemon.count(daemon.offers[1])
    assert values(peer.average([arrays[0] + 1], weight=2).arrays) == [6]
    assert (daemon.offers[-1].word.first_step, daemon.offers[-1].word.weight) == (2, 8)


def test_of_an_offer_that_is_not_in_mind_any_more_the_steps_after_it_are_dropped_and_that_is_said(
    daemon: FakeDaemon, peer: Peer, lines: Lines
) -> None:
    arrays = peer.start(vector(0))
    daemon.on_offer = daemon.release
    for _ in range(4):
        arrays = peer.average([arrays[0] + 1], weight=2).arrays
    daemon.on_offer = daemon.count
    daemon.count(daemon.offers[1])
    assert values(peer.average([arrays[0] + 1], weight=2).arrays) == [3]
    assert (daemon.offers[-1].word.first_step, daemon.offers[-1].word.weight) == (4, 2)
    assert len(lines.about("what was trained between them is dropped")) == 1


def test_an_offer_that_the_daemon_cannot_take_is_no_round(daemon: FakeDaemon, peer: Peer) -> None:
    peer.start(vector(0))
    daemon.on_offer = lambda offer: daemon.say(Refused("this snapshot is not offered: …"))
    result = peer.average(vector(1), weight=2)
    assert (result.counted, result.because) == (False, "this snapshot is not offered: …")


def test_a_daemon_that_refuses_for_good_ends_training(daemon: FakeDaemon, peer: Peer) -> None:
    peer.start(vector(0))
    daemon.on_offer = lambda offer: daemon.say(Refused("this model is not the network's", fatal=True))
    with pytest.raises(ConfigError, match="not the network's"):
        peer.average(vector(1), weight=2)


def test_after_the_network_s_last_round_nothing_is_contributed(
    daemon: FakeDaemon, peer: Peer, lines: Lines
) -> None:
    daemon.rounds = 2
    arrays = peer.start(vector(0))
    arrays = peer.average([arrays[0] + 1], weight=2).arrays
    result = peer.average([arrays[0] + 1], weight=2)
    assert result.finished
    result = peer.average([arrays[0] + 1], weight=2)
    assert (result.counted, result.finished, result.because) == (
        False,
        True,
        "the network's averages are done",
    )
    assert len(daemon.offers) == 2
    assert lines.about("last") == ["average 2 was the network's last: nothing more is contributed"]


def test_who_missed_the_last_round_holds_that_average(daemon: FakeDaemon, peer: Peer) -> None:
    daemon.rounds = 1
    peer.start(vector(0))
    daemon.on_offer = daemon.miss
    result = peer.average(vector(5), weight=2)
    assert (values(result.arrays), result.finished) == ([1], True)


def test_finish_is_told_to_the_daemon_once(daemon: FakeDaemon, peer: Peer) -> None:
    peer.start(vector(0))
    peer.finish()
    peer.finish()
    assert daemon.finished.wait(20)
    with pytest.raises(ConfigError, match="this peer has finished"):
        peer.average(vector(1), weight=1)


# -- what a person gets wrong -------------------------------------------------------------------------------


def test_a_network_that_weighs_examples_asks_for_them(daemon: FakeDaemon, peer: Peer) -> None:
    peer.start(vector(0))
    with pytest.raises(ConfigError, match=r"tell how many, with peer.average\(arrays, weight=N\)"):
        peer.average(vector(1))


def test_a_network_that_weighs_equal_does_not(path: Path) -> None:
    daemon = FakeDaemon(path, [0.0], weight_unit="equal")
    peer = Peer(path, on_line=lambda _: None)
    peer.start(vector(0))
    assert peer.average(vector(1)).counted
    assert peer.average(vector(1), weight=99).counted
    assert [one.word.weight for one in daemon.offers] == [1, 1]
    daemon.close()


@pytest.mark.parametrize("weight", [0, -1, 1.5, "many"])
def test_a_weight_is_a_positive_number(daemon: FakeDaemon, peer: Peer, weight: object) -> None:
    peer.start(vector(0))
    with pytest.raises(ConfigError, match=r"whole number of examples, at least 1, not "):
        peer.average(vector(1), weight=weight)  # type: ignore[call-overload]


def test_float64_is_refused_by_name(daemon: FakeDaemon, peer: Peer) -> None:
    with pytest.raises(ConfigError, match=r"^w is float64"):
        peer.start({"w": np.zeros(2)})


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_not_offered(daemon: FakeDaemon, peer: Peer, value: float) -> None:
    arrays = peer.start({"fine": np.zeros(2, np.float32), "bad": np.zeros(2, np.float32)})
    arrays["bad"][1] = value
    with pytest.raises(ConfigError, match=r"^bad holds "):
        peer.average(arrays, weight=1)
    assert not daemon.offers


def test_other_arrays_than_before_are_refused_by_name(daemon: FakeDaemon, peer: Peer) -> None:
    peer.start(vector(0, 0))
    with pytest.raises(ConfigError, match=r"^0 \[3\] is given where 0 \[2\] was before"):
        peer.average(vector(0, 0, 0), weight=1)


def test_metrics_are_few_and_finite(daemon: FakeDaemon, peer: Peer) -> None:
    peer.start(vector(0))
    peer.average(vector(1), weight=1, metrics={"loss": float("nan"), "accuracy": 1})
    assert daemon.offers[0].word.metrics == {"accuracy": 1.0}
    with pytest.raises(ConfigError, match="at most 16 metrics"):
        peer.average(vector(1), weight=1, metrics={str(number): 0.0 for number in range(17)})
    with pytest.raises(ConfigError, match="1 to 32 letters"):
        peer.average(vector(1), weight=1, metrics={"x" * 33: 0.0})


def test_a_peer_that_crossed_a_fork_raises_and_leaves_the_daemon_s_trainer_alone(
    daemon: FakeDaemon, peer: Peer
) -> None:
    peer.start(vector(0))
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            peer.average(vector(1), weight=1)
        except ConfigError as why:
            os.write(write, str(why).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert "was forked from it: call comind.join()" in os.read(read, 4096).decode()
    os.close(read)
    os.close(write)
    assert peer.average(vector(1), weight=1).counted


def test_who_trains_with_numpy_loads_no_torch(path: Path, daemon: FakeDaemon) -> None:
    script = f"""
import sys
from pathlib import Path
import numpy as np
import comind

comind.join
peer = comind.Peer(Path({str(path)!r}))
result = peer.average(peer.start([np.zeros(2, np.float32)]), weight=1)
assert isinstance(result, comind.AverageResult) and result.counted
peer.finish()
assert "torch" not in sys.modules and "zmq" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


# -- calls --------------------------------------------------------------------------------------------------


def test_r5_a_peer_says_that_it_is_called_until_it_averages(daemon: FakeDaemon, peer: Peer) -> None:
    called = [peer.called]
    arrays = peer.start(vector(0, 0))
    called.append(peer.called)
    daemon.say(Called())
    called += [peer.called, peer.called]
    result = peer.average(arrays, weight=3)
    called.append(peer.called)
    peer.finish()
    called.append(peer.called)
    assert called == [False, False, True, True, False, False]
    assert result.counted
