"""Does a restored training neither lose nor repeat a contribution? (R16)"""

import copy
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from comind.node.trainer.optimizer import FederatedAveraging
from comind.node.trainer.peer import Peer
from comind.p2p.core.errors import ConfigError
from tests.unit.trainer.conftest import Lines
from tests.unit.trainer.fake_daemon import FakeDaemon
from tests.unit.trainer.models import Line, train, vector

Checkpoint = dict[str, dict[str, object]]


@dataclass
class Process:
    """A training script's process, as far as a checkpoint goes."""

    path: Path
    lines: Lines = field(default_factory=Lines)

    def __post_init__(self) -> None:
        self.peer = Peer(self.path, on_line=self.lines.append)
        self.model = Line()
        self.optimizer = FederatedAveraging(
            torch.optim.SGD(self.model.parameters(), lr=1.0), self.model, self.peer, 2
        )

    def train(self, steps: int) -> None:
        train(self.optimizer, self.model, steps)

    def save(self) -> Checkpoint:
        return {
            "model": copy.deepcopy(self.model.state_dict()),
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
        }

    def load(self, checkpoint: Checkpoint) -> None:
        self.model.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])

    def die(self) -> None:
        training = self.peer._training
        assert training is not None
        training.daemon.hang_up()


@pytest.fixture
def start(daemon: FakeDaemon, path: Path) -> Iterator[Callable[[], Process]]:
    """Begin a process, and end the one before it."""
    processes: list[Process] = []

    def begin() -> Process:
        if processes:
            processes[-1].die()
            daemon.wait_until_alone()
        processes.append(Process(path))
        return processes[-1]

    yield begin
    processes[-1].die()


Start = Callable[[], Process]


def spans(daemon: FakeDaemon) -> list[tuple[int, int, int]]:
    return [(one.word.first_step, one.word.last_step, one.word.weight) for one in daemon.offers]


def test_a_restored_training_keeps_its_uncounted_steps_and_its_place_in_the_interval(
    daemon: FakeDaemon, start: Start
) -> None:
    before = start()
    before.train(3)
    checkpoint = before.save()
    after = start()
    after.load(checkpoint)
    after.train(1)
    assert after.model.value == -4
    assert [weight for _, _, weight in spans(daemon)] == [6, 6]
    first, second = daemon.attaches
    assert first.run != second.run


@pytest.mark.parametrize("model_first", [True, False])
def test_the_model_may_be_loaded_before_or_after(daemon: FakeDaemon, start: Start, model_first: bool) -> None:
    before = start()
    before.train(3)
    checkpoint = before.save()
    daemon.miss_silently()
    after = start()
    if model_first:
        after.model.load_state_dict(checkpoint["model"])
    after.optimizer.load_state_dict(checkpoint["optimizer"])
    if not model_first:
        after.model.load_state_dict(checkpoint["model"])
    after.train(1)
    assert daemon.offers[-1].values.tolist() == [-3]  # its 2 steps on a base of −1
    assert daemon.offers[-1].word.weight == 6


def test_a_checkpoint_from_before_a_counted_round_is_dropped(daemon: FakeDaemon, start: Start) -> None:
    before = start()
    before.train(1)
    checkpoint = before.save()
    before.train(1)  # a round counts both steps
    after = start()
    after.load(checkpoint)
    after.train(1)
    assert daemon.offers[-1].values.tolist() == [-3]
    assert daemon.offers[-1].word.weight == 3
    assert len(after.lines.about("uncounted work was dropped")) == 1


def test_an_offer_that_was_counted_after_the_process_died_is_not_repeated(
    daemon: FakeDaemon, start: Start
) -> None:
    before = start()
    daemon.on_offer = daemon.release
    before.train(3)
    checkpoint = before.save()
    daemon.others = [(vector(-12), 6)]
    daemon.count_silently(daemon.offers[0])  # of −2 and −12: −7
    daemon.on_offer, daemon.others = daemon.count, []
    after = start()
    after.load(checkpoint)
    after.train(1)
    assert daemon.offers[-1].values.tolist() == [-9]
    assert daemon.offers[-1].word.weight == 6


def test_an_offer_of_the_dead_process_that_is_counted_late_takes_the_inherited_work(
    daemon: FakeDaemon, start: Start
) -> None:
    before = start()
    before.train(1)
    checkpoint = before.save()
    daemon.on_offer = daemon.release
    before.train(1)
    run = daemon.attaches[0].run
    after = start()
    after.load(checkpoint)
    after.optimizer.step(examples=1)  # without a gradient: nothing moves, and what is loaded is settled
    daemon.counted = (run, 2)
    daemon.base = vector(-2)
    daemon.height += 1
    daemon.tell("counted")
    daemon.on_offer = daemon.count
    after.train(2)
    assert daemon.offers[-1].values.tolist()[0] <= -3
    assert len(after.lines.about("another run of this node")) == 1


def test_a_checkpoint_taken_right_after_a_round_costs_nothing(daemon: FakeDaemon, start: Start) -> None:
    before = start()
    before.train(2)
    checkpoint = before.save()
    after = start()
    after.load(checkpoint)
    after.train(2)
    assert [weight for _, _, weight in spans(daemon)] == [6, 6]
    assert after.model.value == -4
    assert not after.lines.about("dropped")


def test_finishing_right_after_loading_contributes_the_uncounted_work(
    daemon: FakeDaemon, start: Start
) -> None:
    before = start()
    before.train(3)
    checkpoint = before.save()
    after = start()
    after.load(checkpoint)
    assert after.optimizer.finish().counted
    assert daemon.offers[-1].values.tolist() == [-3]


def test_going_back_within_one_process_tells_no_step_twice(daemon: FakeDaemon, start: Start) -> None:
    process = start()
    process.train(1)
    checkpoint = process.save()
    daemon.on_offer = daemon.release
    process.train(2)
    process.load(checkpoint)
    daemon.on_offer = daemon.count
    process.train(1)
    assert spans(daemon) == [(0, 2, 6), (3, 5, 6)]
    assert process.model.value == -2


def test_loading_one_s_own_state_changes_nothing(daemon: FakeDaemon, start: Start) -> None:
    process = start()
    daemon.on_offer = daemon.release
    process.train(3)
    process.optimizer.load_state_dict(process.optimizer.state_dict())
    daemon.count(daemon.offers[0])
    daemon.on_offer = daemon.count
    process.train(1)
    assert spans(daemon) == [(0, 2, 6), (2, 4, 6)]


def test_a_state_that_was_loaded_is_saved_again_as_it_was(daemon: FakeDaemon, start: Start) -> None:
    before = start()
    before.train(1)
    checkpoint = before.save()
    after = start()
    after.load(checkpoint)
    again = after.save()["optimizer"]["comind"]
    assert isinstance(again, dict)
    assert again["progress"] == checkpoint["optimizer"]["comind"]["progress"]  # type: ignore[index]


def test_a_checkpoint_without_the_model_s_weights_is_told_and_claims_nothing(
    daemon: FakeDaemon, start: Start
) -> None:
    before = start()
    before.train(3)
    checkpoint = before.save()
    after = start()
    after.optimizer.load_state_dict(checkpoint["optimizer"])
    after.train(1)
    assert len(after.lines.about("load the model's weights, too")) == 1
    assert daemon.offers[-1].word.weight == 3


def test_a_checkpoint_that_was_made_without_comind_adopts_the_base(daemon: FakeDaemon, start: Start) -> None:
    daemon.base = vector(50)
    process = start()
    plain = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.25)
    process.load({"model": {"weight": torch.zeros(1)}, "optimizer": plain.state_dict()})
    assert process.optimizer.param_groups[0]["lr"] == 0.25
    process.train(1)
    assert process.model.value == 49.75
    assert len(process.lines.about("made without comind")) == 1


def test_the_inner_optimizer_s_state_is_restored(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line()
    inner = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.5)
    optimizer = FederatedAveraging(inner, model, peer, 100)
    train(optimizer, model, steps=2)
    state = copy.deepcopy(optimizer.state_dict())
    train(optimizer, model, steps=2)
    optimizer.load_state_dict(state)
    (momentum,) = [one["momentum_buffer"] for one in inner.state.values()]
    assert momentum.tolist() == [1.5]


def leaves(value: object) -> Iterator[object]:
    match value:
        case dict():
            for key, one in value.items():
                yield key
                yield from leaves(one)
        case list() | tuple():
            for one in value:
                yield from leaves(one)
        case _:
            yield value


def test_a_checkpoint_holds_nothing_that_would_have_to_be_unpickled(daemon: FakeDaemon, start: Start) -> None:
    process = start()
    daemon.on_offer = daemon.release
    process.train(3)
    state = process.optimizer.state_dict()
    assert {type(one) for one in leaves(state["comind"])} <= {str, int, bool, torch.Tensor}
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    assert torch.serialization.get_unsafe_globals_in_checkpoint(file) == []


def test_a_checkpoint_of_another_model_is_refused(daemon: FakeDaemon, start: Start) -> None:
    process = start()
    state = process.optimizer.state_dict()
    state["comind"] = {**state["comind"], "schema": "00"}  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match="of another model"):
        process.optimizer.load_state_dict(state)


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ({"version": 2}, "this comind reads 1: update comind"),
        ({"base": torch.zeros(5)}, "a vector of 1 values is missing"),
        ({"base": None}, "a vector of 1 values is missing"),
        ({"progress": {}}, "damaged"),
        ({"sent": [torch.zeros(1)]}, "damaged"),
    ],
)
def test_a_damaged_checkpoint_is_refused(
    daemon: FakeDaemon, start: Start, spoilt: dict[str, object], said: str
) -> None:
    process = start()
    state = process.optimizer.state_dict()
    state["comind"] = {**state["comind"], **spoilt}  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match=said):
        process.optimizer.load_state_dict(state)
    state["comind"] = "no dict"
    with pytest.raises(ConfigError, match="no dict"):
        process.optimizer.load_state_dict(state)
