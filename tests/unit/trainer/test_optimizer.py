"""Does an ordinary `.step()` average the model, count what was trained on, and say what came of it?"""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from comind.node.attach import Called
from comind.node.trainer.optimizer import FederatedAveraging
from comind.node.trainer.peer import Peer
from comind.p2p.core.errors import ConfigError
from tests.unit.trainer.conftest import Lines
from tests.unit.trainer.fake_daemon import ALONE, FakeDaemon, Offer
from tests.unit.trainer.models import Line, train, vector, wrapped


def spans(daemon: FakeDaemon) -> list[tuple[int, int, int]]:
    return [(one.word.first_step, one.word.last_step, one.word.weight) for one in daemon.offers]


# -- the course of a training -------------------------------------------------------------------------------


def test_making_it_adopts_the_network_s_base(daemon: FakeDaemon, peer: Peer, lines: Lines) -> None:
    daemon.base, daemon.round = vector(5), 12
    model = Line(1)
    wrapped(model, peer)
    assert model.value == 5
    assert lines == ["training starts from the average 12 of net"]


def test_making_it_gives_an_empty_network_its_base(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line(1)
    wrapped(model, peer)
    assert model.value == 1
    assert daemon.base is not None
    assert daemon.base.tolist() == [1]


def test_every_interval_steps_the_model_becomes_the_average(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line(0)
    optimizer = wrapped(model, peer)
    daemon.others = [(vector(-12), 6)]
    train(optimizer, model)
    assert (model.value, daemon.offers) == (-1, [])
    train(optimizer, model)
    assert daemon.offers[0].values.tolist() == [-2]
    assert model.value == -7  # of -2 and -12, six examples each
    train(optimizer, model, steps=4)
    assert spans(daemon) == [(0, 2, 6), (2, 4, 6), (4, 6, 6)]


def test_r5_who_is_called_contributes_at_its_next_step_with_what_it_has(
    daemon: FakeDaemon, peer: Peer
) -> None:
    model = Line(0)
    optimizer = wrapped(model, peer, interval_steps=5)
    train(optimizer, model, steps=2)
    daemon.say(Called())
    train(optimizer, model)
    assert spans(daemon) == [(0, 3, 9)]
    assert optimizer.last_round is not None
    assert optimizer.last_round.counted
    train(optimizer, model, steps=4)
    assert spans(daemon) == [(0, 3, 9)]
    train(optimizer, model)
    assert spans(daemon) == [(0, 3, 9), (3, 8, 15)]


def test_r5_a_call_that_crosses_the_offer_is_answered_by_it(daemon: FakeDaemon, peer: Peer) -> None:
    def crossing(offer: Offer) -> None:
        daemon.say(Called())
        daemon.count(offer)

    model = Line(0)
    optimizer = wrapped(model, peer, interval_steps=2)
    daemon.on_offer = crossing
    train(optimizer, model, steps=3)
    assert spans(daemon) == [(0, 2, 6)]


def test_r5_whose_step_ends_after_the_door_contributes_to_the_next_round(
    daemon: FakeDaemon, peer: Peer
) -> None:
    """R5, R17: nothing of it is lost: the call stands, and the new base is adopted first."""
    model = Line(0)
    optimizer = wrapped(model, peer, interval_steps=5)
    train(optimizer, model)
    daemon.say(Called())
    daemon.miss()
    train(optimizer, model)
    assert spans(daemon) == [(0, 2, 6)]
    assert daemon.offers[0].values.tolist() == [-1]  # -2, and the base is 1 higher than before


def test_last_round_says_who_was_in_it_and_why_not(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line()
    optimizer = wrapped(model, peer, 1)
    before = optimizer.last_round
    train(optimizer, model)
    first = optimizer.last_round
    daemon.on_offer = daemon.release
    train(optimizer, model)
    second = optimizer.last_round
    assert before is None
    assert first is not None
    assert first.counted
    assert [one.name for one in first.contributors] == ["a"]
    assert second is not None
    assert (second.counted, second.because, second.round) == (False, ALONE, 1)


def test_news_that_come_in_mid_interval_are_adopted_at_the_next_step(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line()
    optimizer = wrapped(model, peer)
    daemon.on_offer = daemon.release
    train(optimizer, model, steps=2)
    assert model.value == -2
    daemon.others = [(vector(-12), 6)]
    daemon.count(daemon.offers[0])
    train(optimizer, model)
    assert model.value == -8  # the average of -2 and -12, and one step
    daemon.on_offer, daemon.others = daemon.count, []
    train(optimizer, model)
    assert spans(daemon) == [(0, 2, 6), (2, 4, 6)]
    assert model.value == -9


def test_a_base_that_moved_without_it_keeps_its_steps_and_their_examples(
    daemon: FakeDaemon, peer: Peer
) -> None:
    model = Line()
    optimizer = wrapped(model, peer)
    train(optimizer, model)
    daemon.miss()
    train(optimizer, model)
    assert (model.value, spans(daemon)) == (-1, [(0, 2, 6)])


def test_of_many_uncounted_intervals_max_carry_keep_their_examples(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line()
    optimizer = wrapped(model, peer, 1, max_carry=2)
    daemon.on_offer = daemon.release
    for _ in range(5):
        train(optimizer, model)
    assert [weight for _, _, weight in spans(daemon)] == [3, 6, 9, 9, 9]


def test_a_daemon_that_dies_and_comes_back_is_followed_from_step_to_step(
    daemon: FakeDaemon, peer: Peer
) -> None:
    model = Line()
    optimizer = wrapped(model, peer)
    daemon.on_offer = daemon.die
    train(optimizer, model, steps=2)
    assert optimizer.last_round is not None
    assert "the daemon is gone" in optimizer.last_round.because
    daemon.on_offer = daemon.count
    daemon.start()
    train(optimizer, model, steps=2)
    assert (model.value, spans(daemon)) == (-4, [(0, 2, 6), (0, 4, 12)])


def test_reported_metrics_travel_with_the_next_contributions(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line()
    optimizer = wrapped(model, peer, 1)
    optimizer.report(loss=torch.tensor(0.5), accuracy=0.25)
    optimizer.report(accuracy=0.75)
    train(optimizer, model)
    assert daemon.offers[0].word.metrics == {"loss": 0.5, "accuracy": 0.75}


@pytest.mark.parametrize(("optimizer_state", "kept"), [("keep", 1), ("reset", 0)])
def test_the_optimizer_s_state_is_kept_or_reset_at_an_average(
    daemon: FakeDaemon, peer: Peer, optimizer_state: str, kept: int
) -> None:
    model = Line()
    inner = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.5)
    optimizer = FederatedAveraging(inner, model, peer, 2, optimizer_state=optimizer_state)
    train(optimizer, model)
    assert len(inner.state) == 1
    train(optimizer, model)
    assert len(inner.state) == kept


# -- the end ------------------------------------------------------------------------------------------------


def test_finish_contributes_what_is_left_adopts_it_and_leaves(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line()
    optimizer = wrapped(model, peer)
    train(optimizer, model, steps=3)
    daemon.others = [(vector(-13), 3)]
    round = optimizer.finish()
    assert round.counted
    assert (model.value, spans(daemon)[-1]) == (-8, (2, 3, 3))
    assert daemon.finished.wait(20)
    assert optimizer.finish() == round == optimizer.last_round


def test_finish_right_after_a_round_returns_that_round(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line()
    optimizer = wrapped(model, peer)
    train(optimizer, model, steps=2)
    assert optimizer.finish().round == 1
    assert len(daemon.offers) == 1


def test_finish_offers_again_what_nobody_has_counted(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line()
    optimizer = wrapped(model, peer)
    daemon.on_offer = daemon.release
    train(optimizer, model, steps=2)
    daemon.on_offer = daemon.count
    assert optimizer.finish().counted
    assert spans(daemon) == [(0, 2, 6), (0, 2, 6)]


def test_finish_contributes_what_is_left_after_an_older_offer_was_counted(
    daemon: FakeDaemon, path: Path
) -> None:
    model = Line()
    optimizer = wrapped(model, Peer(path, max_wait=0.01, on_line=lambda _: None))
    daemon.on_offer = daemon.hold
    train(optimizer, model, steps=3)
    daemon.count(daemon.offers[0])
    daemon.on_offer = daemon.count
    assert optimizer.finish().counted
    assert spans(daemon) == [(0, 2, 6), (2, 3, 3)]


def test_finish_offers_again_when_it_found_the_door_closed(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line()
    optimizer = wrapped(model, peer)
    train(optimizer, model, steps=1)
    outcomes = [daemon.miss, daemon.count]
    daemon.on_offer = lambda offer: outcomes.pop(0)(offer)
    assert optimizer.finish().counted
    assert (model.value, spans(daemon)) == (0, [(0, 1, 3), (0, 1, 3)])


def test_finish_alone_keeps_the_local_work(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line()
    optimizer = wrapped(model, peer)
    daemon.on_offer = daemon.release
    train(optimizer, model, steps=3)
    assert not optimizer.finish().counted
    assert model.value == -3


def test_steps_after_the_end_are_the_inner_optimizer_s_alone(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line()
    optimizer = wrapped(model, peer)
    optimizer.finish()
    train(optimizer, model, steps=4, examples=None)
    assert (model.value, daemon.offers) == (-4, [])


def test_after_the_network_s_last_round_all_hold_that_average(
    daemon: FakeDaemon, peer: Peer, lines: Lines
) -> None:
    daemon.rounds = 1
    model = Line()
    optimizer = wrapped(model, peer)
    train(optimizer, model, steps=7)
    assert len(daemon.offers) == 1
    assert lines.about("was the network's last") == lines[1:]
    assert model.value == -7
    round = optimizer.finish()
    assert round.finished
    assert model.value == -2


# -- examples -----------------------------------------------------------------------------------------------


def test_a_network_that_weighs_examples_asks_for_them_at_the_first_step(
    daemon: FakeDaemon, peer: Peer
) -> None:
    model = Line()
    optimizer = wrapped(model, peer)
    with pytest.raises(ConfigError, match=r"tell how many, with optimizer.step\(examples=len\(batch\)\)"):
        train(optimizer, model, examples=None)
    assert model.value == 0
    train(optimizer, model)
    assert model.value == -1


@pytest.mark.parametrize("examples", [0, -3, 2.5])
def test_no_step_takes_no_examples(daemon: FakeDaemon, peer: Peer, examples: int) -> None:
    model = Line()
    optimizer = wrapped(model, peer)
    with pytest.raises(ConfigError, match=rf"at least 1, not {examples}"):
        train(optimizer, model, examples=examples)
    with pytest.raises(ConfigError, match=rf"at least 1, not {examples}"):
        optimizer.count(examples)
    assert model.value == 0


def test_a_network_that_weighs_equal_needs_none(path: Path) -> None:
    daemon = FakeDaemon(path, [0.0], weight_unit="equal")
    model = Line()
    optimizer = wrapped(model, Peer(path, on_line=lambda _: None))
    train(optimizer, model, steps=2, examples=None)
    train(optimizer, model, steps=2)
    assert [weight for _, _, weight in spans(daemon)] == [1, 1]
    daemon.close()


def test_where_all_batches_are_alike_their_size_is_told_once(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line()
    optimizer = wrapped(model, peer, examples=32)
    train(optimizer, model, examples=None)
    train(optimizer, model, examples=5)
    assert spans(daemon) == [(0, 2, 37)]


def test_each_micro_batch_is_counted_where_several_make_a_step(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line()
    optimizer = wrapped(model, peer, 2)
    for _ in range(2):
        optimizer.zero_grad()
        for size in (4, 3, 1):
            (model() / 3).backward()
            optimizer.count(size)
        optimizer.step()
    assert spans(daemon) == [(0, 2, 16)]


def test_examples_whose_gradients_were_thrown_away_are_not_counted(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line()
    optimizer = wrapped(model, peer, 1)
    optimizer.count(100)
    train(optimizer, model)
    assert spans(daemon) == [(0, 1, 3)]


def test_a_closure_is_called_and_its_loss_returned(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line(1)
    inner = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3)
    optimizer = FederatedAveraging(inner, model, peer, 2)
    calls: list[float] = []

    def closure() -> float:
        optimizer.zero_grad()
        loss = (model() - 3) ** 2
        loss.backward()
        calls.append(loss.item())
        return calls[-1]

    for _ in range(2):
        assert optimizer.step(closure, examples=3) == calls[0]
        calls.clear()
    assert spans(daemon) == [(0, 2, 6)]


# -- what a person gets wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize("spoil", [float("nan"), float("inf")])
def test_a_model_that_is_not_finite_is_not_offered(daemon: FakeDaemon, peer: Peer, spoil: float) -> None:
    model = Line()
    optimizer = wrapped(model, peer)
    train(optimizer, model)
    model.weight.data.fill_(spoil)
    with pytest.raises(ConfigError, match=r"^weight holds "):
        train(optimizer, model)
    assert not daemon.offers


def test_a_float64_model_is_refused_by_name(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line().double()
    with pytest.raises(ConfigError, match=r"^weight is float64, .*: convert it"):
        wrapped(model, peer)
    assert not daemon.attaches


def test_a_second_optimizer_on_one_daemon_gets_the_line_that_mends_it(
    daemon: FakeDaemon, peer: Peer, path: Path
) -> None:
    wrapped(Line(), peer)
    with pytest.raises(ConfigError, match=r"comind.join\(home="):
        wrapped(Line(), peer)
    with pytest.raises(ConfigError, match=r"comind.join\(home="):
        wrapped(Line(), Peer(path))


def test_the_optimizer_of_another_model_is_refused(daemon: FakeDaemon, peer: Peer) -> None:
    inner = torch.optim.SGD(Line().parameters(), lr=1.0)
    with pytest.raises(ConfigError, match="trains no tensor of this model"):
        FederatedAveraging(inner, Line(), peer)


@pytest.mark.parametrize(
    "options",
    [{"interval_steps": 0}, {"max_carry": -1}, {"examples": 0}, {"optimizer_state": "average"}],
)
def test_arguments_that_cannot_be_are_refused(peer: Peer, options: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        wrapped(Line(), peer, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_it_cannot_be_copied(daemon: FakeDaemon, peer: Peer, duplicate: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match=r"copy its state_dict\(\)"):
        duplicate(wrapped(Line(), peer))


def test_a_frozen_layer_and_buffers_travel_with_what_is_trained(daemon: FakeDaemon, peer: Peer) -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    model[0].requires_grad_(False)
    inner = torch.optim.SGD([one for one in model.parameters() if one.requires_grad], lr=0.1)
    optimizer = FederatedAveraging(inner, model, peer, 1)
    assert daemon.base is not None
    other = daemon.base + 1
    daemon.others = [(other, 8)]
    frozen = model.state_dict()["0.weight"].clone()
    model(torch.randn(8, 2)).sum().backward()
    optimizer.step(examples=8)
    names = [tensor.name for tensor in daemon.attaches[0].schema]
    assert {"0.weight", "1.running_mean", "1.running_var"} <= set(names)
    assert "1.num_batches_tracked" not in names
    state = model.state_dict()
    assert torch.allclose(state["0.weight"], frozen + 0.5)
    assert int(state["1.num_batches_tracked"]) == 1
