"""Does training outlive its daemon, and go on with the next one as if nothing had happened? (R17)"""

import signal
import socket
import threading
from pathlib import Path

import numpy as np
import pytest

from comind.node.attach import Attach, Waiting
from comind.node.trainer import conversation
from comind.node.trainer.peer import AverageResult, Peer
from comind.node.trainer.schema import ArrayWeights, schema_of_arrays
from comind.node.trainer.training import Training
from tests.unit.trainer.conftest import Lines
from tests.unit.trainer.fake_daemon import ALONE, FakeDaemon, Offer

Result = AverageResult[list[np.ndarray]]


def vector(*values: float) -> list[np.ndarray]:
    return [np.array(values, np.float32)]


def values(result: Result) -> list[float]:
    return [float(one) for array in result.arrays for one in array.reshape(-1)]


def one_more(peer: Peer, result: Result | list[np.ndarray], weight: int = 2) -> Result:
    """Train one step, which adds 1, and average."""
    arrays = result if isinstance(result, list) else result.arrays
    return peer.average([arrays[0] + 1], weight=weight)


def weights_in(daemon: FakeDaemon) -> list[int]:
    return [one.word.weight for one in daemon.offers]


def test_a_daemon_that_dies_in_mid_wait_ends_the_wait(daemon: FakeDaemon, peer: Peer, lines: Lines) -> None:
    arrays = peer.start(vector(0))
    daemon.on_offer = daemon.die
    result = one_more(peer, arrays)
    assert (values(result), result.counted) == ([1], False)
    assert result.because.startswith("the daemon is gone (")
    assert len(lines.about("training goes on, and attaches again when it is back")) == 1


def test_without_a_daemon_training_goes_on_at_once_and_says_so_once(
    daemon: FakeDaemon, peer: Peer, lines: Lines
) -> None:
    result = one_more(peer, peer.start(vector(0)))
    daemon.stop()
    for _ in range(3):
        result = one_more(peer, result)
        assert result.because.startswith("the daemon is gone (")
    assert values(result) == [4]
    assert len(lines.about("the daemon is gone")) == 1


def test_the_next_daemon_gets_the_same_run_and_all_that_was_not_counted(
    daemon: FakeDaemon, peer: Peer, lines: Lines
) -> None:
    arrays = peer.start(vector(0))
    daemon.on_offer = daemon.die
    result = one_more(peer, one_more(peer, arrays))
    daemon.on_offer = daemon.count
    daemon.start()
    result = one_more(peer, result)
    assert (values(result), result.counted) == ([3], True)
    first, second = daemon.attaches
    assert (first.detached, second.detached) == (False, True)
    assert first.run == second.run
    assert weights_in(daemon) == [2, 6]
    assert lines.about("the daemon is back") == ["the daemon is back, as a of net"]


def test_what_the_dead_daemon_had_counted_is_not_offered_again(daemon: FakeDaemon, peer: Peer) -> None:
    arrays = peer.start(vector(0))
    daemon.others = [(np.array([3], np.float32), 2)]

    def count_and_die(offer: Offer) -> None:
        daemon.count_silently(offer)  # of 1 and 3: 2
        daemon.die()

    daemon.on_offer = count_and_die
    result = one_more(peer, one_more(peer, arrays))
    daemon.on_offer, daemon.others = daemon.count, []
    daemon.start()
    result = one_more(peer, result)
    assert values(result) == [4]
    word = daemon.offers[-1].word
    assert (word.first_step, word.last_step, word.weight) == (1, 3, 4)


def test_rounds_that_went_on_meanwhile_are_caught_up_with(daemon: FakeDaemon, peer: Peer) -> None:
    result = one_more(peer, peer.start(vector(0)))
    daemon.stop()
    result = one_more(peer, result)
    for _ in range(5):
        daemon.miss_silently()
    daemon.start()
    result = one_more(peer, result)
    assert (values(result), result.round) == ([8], 7)
    assert weights_in(daemon) == [2, 4]


def test_of_long_solitude_ten_intervals_examples_are_carried(daemon: FakeDaemon, peer: Peer) -> None:
    result = one_more(peer, peer.start(vector(0)))
    daemon.stop()
    for _ in range(15):
        result = one_more(peer, result)
    daemon.start()
    result = one_more(peer, result, weight=1)
    assert values(result) == [17]
    assert weights_in(daemon) == [2, 21]


def test_a_daemon_that_took_another_trainer_meanwhile_does_not_end_this_one(
    daemon: FakeDaemon, peer: Peer
) -> None:
    result = one_more(peer, peer.start(vector(0)))
    daemon.stop()
    daemon.refusal = "a trainer (process 7) is attached to this node"
    daemon.start()
    result = one_more(peer, result)
    assert result.because == "the daemon is gone (a trainer (process 7) is attached to this node)"
    daemon.refusal = None
    assert one_more(peer, result).counted


def test_a_daemon_that_comes_back_but_says_nothing_is_not_waited_for_long(
    daemon: FakeDaemon, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "PROMPT_S", 0.01)
    result = one_more(peer, peer.start(vector(0)))
    daemon.stop()
    daemon.welcomes = False
    daemon.start()
    result = one_more(peer, result)
    assert "does not know yet where the chain is" in result.because
    result = one_more(peer, result)
    daemon.welcome_late()
    assert one_more(peer, result).counted
    assert weights_in(daemon) == [2, 6]


def test_a_daemon_that_has_lost_its_network_gets_the_weights_as_a_start(
    daemon: FakeDaemon, peer: Peer
) -> None:
    result = one_more(peer, peer.start(vector(0)))
    daemon.stop()
    daemon.base, daemon.height, daemon.round, daemon.counted = None, 0, 0, (b"", 0)
    daemon.start()
    result = one_more(peer, result)
    assert (values(result), result.counted) == ([2], False)
    assert daemon.starts[-1].values.tolist() == [2]
    assert one_more(peer, result).counted
    assert weights_in(daemon) == [2, 2]


def test_another_network_s_base_is_adopted_whole(daemon: FakeDaemon, peer: Peer) -> None:
    result = one_more(peer, peer.start(vector(0)))
    daemon.stop()
    daemon.network, daemon.base, daemon.height, daemon.round = "other", np.array([50], np.float32), 0, 0
    daemon.start()
    result = one_more(peer, result)
    assert (values(result), result.counted) == ([50], False)
    result = one_more(peer, result)
    assert (values(result), result.counted) == ([51], True)


def test_a_daemon_that_comes_back_with_an_old_disk_takes_nobody_backwards(
    daemon: FakeDaemon, peer: Peer
) -> None:
    result = one_more(peer, peer.start(vector(0)))
    old = daemon.base, daemon.height, daemon.counted
    result = one_more(peer, result)
    new = daemon.base, daemon.height, daemon.counted
    daemon.stop()
    daemon.base, daemon.height, daemon.counted = old
    daemon.on_offer = daemon.release
    daemon.start()
    result = one_more(peer, result)
    assert (values(result), result.because) == ([3], ALONE)
    daemon.base, daemon.height, daemon.counted = new
    daemon.tell("it has caught up", rule="roster")
    daemon.on_offer = daemon.count
    assert values(one_more(peer, result)) == [4]
    assert weights_in(daemon)[-1] == 4


@pytest.mark.parametrize("garbage", [b"\xff" * 64, b"\x01\x00\x00\x00\x00\xc0"])
def test_a_daemon_that_speaks_something_else_is_as_good_as_gone(
    daemon: FakeDaemon, peer: Peer, garbage: bytes
) -> None:
    arrays = peer.start(vector(0))
    daemon.on_offer = lambda offer: daemon.say_raw(garbage)
    result = one_more(peer, arrays)
    assert "it speaks something else" in result.because


def test_news_of_another_size_or_without_a_base_are_not_adopted(daemon: FakeDaemon, peer: Peer) -> None:
    arrays = peer.start(vector(0))

    def resized(offer: Offer) -> None:
        daemon.base = np.zeros(3, np.float32)
        daemon.tell("counted")

    daemon.on_offer = resized
    assert "a base of 3 values to a model of 1" in one_more(peer, arrays).because


def test_news_without_a_base_that_is_not_known_are_not_adopted(daemon: FakeDaemon, peer: Peer) -> None:
    arrays = peer.start(vector(0))

    def withheld(offer: Offer) -> None:
        daemon.miss_silently()
        daemon.tell("counted", give=False)

    daemon.on_offer = withheld
    assert "told of a base without sending it" in one_more(peer, arrays).because


def test_a_file_that_belongs_to_no_base_is_closed(daemon: FakeDaemon, peer: Peer) -> None:
    arrays = peer.start(vector(0))
    daemon.on_offer = lambda offer: daemon.say(Waiting("for b"), offer.values)
    assert "a file that belongs to no base" in one_more(peer, arrays).because


def test_who_finishes_while_the_daemon_is_gone_finishes(daemon: FakeDaemon, peer: Peer) -> None:
    peer.start(vector(0))
    daemon.stop()
    peer.finish()


def test_ctrl_c_works_while_a_round_is_waited_for(daemon: FakeDaemon, peer: Peer) -> None:
    arrays = peer.start(vector(0))
    main = threading.main_thread().ident
    assert main is not None

    def interrupt(offer: Offer) -> None:
        daemon.hold()
        signal.pthread_kill(main, signal.SIGINT)

    daemon.on_offer = interrupt
    with pytest.raises(KeyboardInterrupt):
        one_more(peer, arrays)
    daemon.on_offer = daemon.count
    daemon.count(daemon.offers[0])
    assert values(one_more(peer, vector(1))) == [2]
    assert weights_in(daemon) == [2, 2]


def test_ctrl_c_works_while_the_network_s_start_is_waited_for(daemon: FakeDaemon, peer: Peer) -> None:
    main = threading.main_thread().ident
    assert main is not None
    daemon.on_start = lambda offer: signal.pthread_kill(main, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        peer.start(vector(0))
    daemon.on_start = daemon.take_start
    assert peer.start(vector(3))[0].tolist() == [3]


# -- between intervals --------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def begun(path: Path, clock: Clock) -> tuple[Training, ArrayWeights]:
    schema = schema_of_arrays(vector(0))
    weights = ArrayWeights(schema, vector(0))
    training = Training(path, schema, say=lambda _: None, clock=clock)
    training.start(weights)
    return training, weights


def test_between_intervals_a_daemon_is_called_with_growing_pauses(daemon: FakeDaemon, path: Path) -> None:
    clock = Clock()
    training, weights = begun(path, clock)
    daemon.stop()
    calls = [0.0]
    original = socket.socket.connect

    def connect(self: socket.socket, address: str) -> None:
        calls.append(clock.now_s)
        original(self, address)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(socket.socket, "connect", connect, raising=False)
        for tenth in range(200):
            clock.now_s = tenth / 10
            training.follow(weights)
    pauses = np.diff(calls[1:])
    assert np.all(np.diff(pauses) > -1e-9)
    assert pauses[-1] == pytest.approx(5.0, abs=0.1)


def test_between_intervals_a_daemon_that_is_back_is_followed(daemon: FakeDaemon, path: Path) -> None:
    clock = Clock()
    training, weights = begun(path, clock)
    daemon.stop()
    training.follow(weights)
    daemon.miss_silently()
    daemon.start()
    training.follow(weights)  # it calls
    for _ in range(2):
        daemon.wait_for(Attach)
    training.follow(weights)  # and hears
    assert weights.as_list()[0].tolist() == [1]


def test_a_network_that_goes_on_from_the_one_before_takes_the_run_on(
    daemon: FakeDaemon, peer: Peer, lines: Lines
) -> None:
    """R18: its heights begin anew, and what was trained meanwhile is neither lost nor dropped."""
    daemon.network_id = b"n" * 32
    result = one_more(peer, one_more(peer, peer.start(vector(0))))
    daemon.stop()
    result = one_more(peer, result)
    daemon.network_id, daemon.parent, daemon.height = b"m" * 32, b"n" * 32, 0
    daemon.start()
    result = one_more(peer, result)
    assert (values(result), result.counted, result.height) == ([4], True, 1)
    assert daemon.attaches[0].run == daemon.attaches[-1].run
    assert weights_in(daemon) == [2, 2, 4]
    assert lines.about("dropped") == []


def test_what_the_last_block_before_counted_unheard_is_not_offered_again(
    daemon: FakeDaemon, peer: Peer
) -> None:
    """R16, R18."""
    daemon.network_id = b"n" * 32
    result = one_more(peer, peer.start(vector(0)))

    def count_and_die(offer: Offer) -> None:
        daemon._commit(offer.values.copy(), (daemon.attaches[-1].run, offer.word.last_step))
        daemon.die()

    daemon.on_offer = count_and_die
    result = one_more(peer, result)
    daemon.on_offer = daemon.count
    daemon.network_id, daemon.parent, daemon.height = b"m" * 32, b"n" * 32, 0
    daemon.start()
    result = one_more(peer, result)
    assert (values(result), result.counted) == ([3], True)
    assert [(one.word.first_step, one.word.last_step) for one in daemon.offers] == [(0, 1), (1, 2), (2, 3)]


def test_a_network_of_the_same_name_that_goes_on_from_another_is_adopted_whole(
    daemon: FakeDaemon, peer: Peer
) -> None:
    daemon.network_id = b"n" * 32
    result = one_more(peer, peer.start(vector(0)))
    daemon.stop()
    daemon.network_id, daemon.parent, daemon.base = b"m" * 32, b"x" * 32, np.array([50], np.float32)
    daemon.start()
    assert values(one_more(peer, result)) == [50]
