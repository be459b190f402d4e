"""Do schedulers, GradScaler, compilers and frameworks take it for the optimizer that it wraps?"""

import inspect
import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau, SequentialLR, StepLR
from torch.optim.swa_utils import SWALR

from comind.node.trainer.optimizer import FederatedAveraging
from comind.node.trainer.peer import Peer
from comind.p2p.core.errors import ConfigError
from tests.unit.trainer.fake_daemon import FakeDaemon
from tests.unit.trainer.models import Line, train, vector, wrapped


@pytest.fixture(autouse=True)
def no_warning() -> Iterator[None]:
    """What torch's schedulers find wrong with an optimizer, they warn of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


def weights_in(daemon: FakeDaemon) -> list[int]:
    return [one.word.weight for one in daemon.offers]


# -- attributes ---------------------------------------------------------------------------------------------


def test_it_is_an_optimizer_and_its_attributes_are_the_inner_one_s(daemon: FakeDaemon, peer: Peer) -> None:
    inner = torch.optim.Adam([{"params": [nn.Parameter(torch.ones(1))]}], lr=0.5)
    model = nn.ParameterList(inner.param_groups[0]["params"])
    optimizer = FederatedAveraging(inner, model, peer)
    assert isinstance(optimizer, torch.optim.Optimizer)
    assert optimizer.param_groups is inner.param_groups
    assert optimizer.state is inner.state
    assert optimizer.defaults is inner.defaults
    assert optimizer._optimizer_step_post_hooks is inner._optimizer_step_post_hooks
    assert not hasattr(optimizer, "no_such_thing")


def test_what_is_set_on_it_is_set_on_the_inner_one_but_for_its_own_step(
    daemon: FakeDaemon, peer: Peer
) -> None:
    model = Line()
    inner = torch.optim.SGD(model.parameters(), lr=1.0)
    optimizer = FederatedAveraging(inner, model, peer)
    optimizer.something = 1
    assert inner.something == 1  # type: ignore[attr-defined]
    del optimizer.something
    assert not hasattr(inner, "something")
    original = optimizer.step
    optimizer.step = lambda: 7.0  # type: ignore[method-assign,assignment,misc]
    assert optimizer.step() == 7
    assert inner.step is not optimizer.step
    del optimizer.step
    assert optimizer.step == original


def test_parameter_groups_can_be_added_and_trained(daemon: FakeDaemon, peer: Peer) -> None:
    model = nn.ModuleList([Line(), Line()])
    inner = torch.optim.SGD(model[0].parameters(), lr=1.0)
    optimizer = FederatedAveraging(inner, model, peer, 1)
    optimizer.add_param_group({"params": list(model[1].parameters()), "lr": 2.0})
    sum(line() for line in model).backward()
    optimizer.step(examples=1)
    assert daemon.offers[0].values.tolist() == [-1, -2]


def test_it_shows_its_groups(daemon: FakeDaemon, peer: Peer) -> None:
    assert "lr: 1.0" in repr(wrapped(Line(), peer))


def test_hooks_of_others_run_once_a_step(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line()
    optimizer = wrapped(model, peer)
    seen: list[str] = []
    optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
    optimizer.register_step_post_hook(lambda *_: seen.append("after"))
    train(optimizer, model)
    assert seen == ["before", "after"]


# -- schedulers ---------------------------------------------------------------------------------------------

SCHEDULERS: dict[str, Callable[[torch.optim.Optimizer], LRScheduler]] = {
    "StepLR": lambda optimizer: StepLR(optimizer, step_size=2, gamma=0.5),
    "OneCycleLR": lambda optimizer: OneCycleLR(optimizer, max_lr=1.0, total_steps=20),
    "SWALR": lambda optimizer: SWALR(optimizer, swa_lr=0.05),
    "SequentialLR": lambda optimizer: SequentialLR(
        optimizer, [StepLR(optimizer, 1), StepLR(optimizer, 2)], milestones=[2]
    ),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_scheduler_sets_the_same_rates_as_on_the_plain_optimizer(
    daemon: FakeDaemon, peer: Peer, name: str
) -> None:
    plain_model, model = Line(), Line()
    plain = torch.optim.SGD(plain_model.parameters(), lr=1.0, momentum=0.9)
    optimizer = FederatedAveraging(
        torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9), model, peer, interval_steps=100
    )
    plain_scheduler, scheduler = SCHEDULERS[name](plain), SCHEDULERS[name](optimizer)
    for _ in range(6):
        plain.zero_grad()
        plain_model().backward()
        plain.step()
        plain_scheduler.step()
        train(optimizer, model)
        scheduler.step()
        assert scheduler.get_last_lr() == plain_scheduler.get_last_lr()
    assert model.value == plain_model.value


def test_a_scheduler_patches_the_step_and_examples_still_pass(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line()
    optimizer = wrapped(model, peer)
    scheduler = StepLR(optimizer, step_size=1, gamma=0.5)
    for _ in range(4):
        train(optimizer, model)
        scheduler.step()
    assert hasattr(optimizer.step, "_wrapped_by_lr_sched")
    assert weights_in(daemon) == [6, 6]
    assert model.value == -1.875


def test_a_scheduler_of_the_inner_optimizer_counts_alike(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line()
    inner = torch.optim.SGD(model.parameters(), lr=1.0)
    scheduler = StepLR(inner, step_size=1, gamma=0.5)
    optimizer = FederatedAveraging(inner, model, peer, 2)
    for _ in range(4):
        train(optimizer, model)
        scheduler.step()
    assert weights_in(daemon) == [6, 6]


def test_reduce_on_plateau_reduces(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line()
    optimizer = wrapped(model, peer)
    scheduler = ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    for _ in range(3):
        train(optimizer, model)
        scheduler.step(1.0)
    assert optimizer.param_groups[0]["lr"] == 0.25


# -- whose step it is ---------------------------------------------------------------------------------------


def test_a_framework_that_steps_the_inner_optimizer_is_counted(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line()
    inner = torch.optim.SGD(model.parameters(), lr=1.0)
    optimizer = FederatedAveraging(inner, model, peer, 2)
    for _ in range(4):
        inner.zero_grad()
        model().backward()
        optimizer.count(3)
        inner.step()
    assert weights_in(daemon) == [6, 6]
    with pytest.raises(ConfigError, match="tell how many"):
        inner.step()


class Nested(torch.optim.SGD):
    """Both its step and its parent's run the hooks."""

    fails = False

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        super().step()
        if self.fails:
            raise MemoryError("out of memory")
        return None


def test_a_step_that_calls_its_parent_s_is_one_step(daemon: FakeDaemon, peer: Peer) -> None:
    torch.optim.SGD([nn.Parameter(torch.ones(1))])  # which gives the parent its hooks
    model = Line()
    inner = Nested(model.parameters(), lr=1.0)
    optimizer = FederatedAveraging(inner, model, peer, 2)
    for _ in range(2):
        model().backward()
        optimizer.count(3)
        inner.step()
    train(optimizer, model, steps=2)
    assert weights_in(daemon) == [6, 6]


def test_a_step_that_failed_is_not_counted_and_the_next_one_is(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line()
    inner = Nested(model.parameters(), lr=1.0)
    optimizer = FederatedAveraging(inner, model, peer, 2)
    failures = []
    for fails in (False, True, True, False):
        inner.fails = fails
        inner.zero_grad()
        model().backward()
        optimizer.count(3)
        try:
            inner.step()
        except MemoryError as why:
            failures.append(why)  # with its traceback, as a notebook keeps it
    assert len(failures) == 2
    assert weights_in(daemon) == [6]


def test_fabric_s_way_with_an_optimizer_works(daemon: FakeDaemon, peer: Peer) -> None:
    """It makes a class of its own and the optimizer's, and takes the optimizer's attributes over."""

    class Framework:
        def __init__(self, optimizer: torch.optim.Optimizer) -> None:
            self.__dict__ = dict(vars(optimizer))
            self.__class__ = type("Framework" + type(optimizer).__name__, (Framework, type(optimizer)), {})
            self._optimizer = optimizer

        @property
        def optimizer(self) -> torch.optim.Optimizer:
            return self._optimizer

        def step(self) -> float | None:
            return self.optimizer.step()

    model = Line()
    optimizer = wrapped(model, peer, examples=3)
    framework = Framework(optimizer)
    assert isinstance(framework, torch.optim.Optimizer)
    for _ in range(2):
        framework.zero_grad()
        model().backward()
        framework.step()
    assert weights_in(daemon) == [6]


def test_a_subclass_has_attributes_of_its_own(daemon: FakeDaemon, peer: Peer) -> None:
    class Careful(FederatedAveraging):
        limit = 1.0

        def step(  # type: ignore[override]
            self, closure: Callable[[], float] | None = None, *, examples: int | None = None
        ) -> float | None:
            torch.nn.utils.clip_grad_norm_(self.param_groups[0]["params"], self.limit / 2)
            return super().step(examples=examples)

    model = Line()
    optimizer = Careful(torch.optim.SGD(model.parameters(), lr=1.0), model, peer, 1)
    train(optimizer, model)
    assert daemon.offers[0].values.tolist() == pytest.approx([-0.5], abs=1e-5)


def test_accelerate_s_way_with_an_optimizer_works(daemon: FakeDaemon, peer: Peer) -> None:
    """It moves the state to a device by loading it back, and patches the step to see whether it was taken."""
    model = Line()
    optimizer = wrapped(model, peer)
    optimizer.load_state_dict(optimizer.state_dict())
    assert "set_to_none" in inspect.signature(optimizer.zero_grad).parameters
    original, taken = optimizer.step, []

    def patched(*args: object, **kwargs: object) -> float | None:
        taken.append(1)
        return original(*args, **kwargs)  # type: ignore[arg-type]

    scaler = torch.amp.GradScaler("cpu", enabled=False)
    for _ in range(2):
        optimizer.zero_grad(set_to_none=True)
        model().backward()
        optimizer.count(3)
        optimizer.step = patched  # type: ignore[method-assign]
        scaler.step(optimizer)
        optimizer.step = original  # type: ignore[method-assign]
    assert len(taken) == 2
    assert weights_in(daemon) == [6]


# -- GradScaler ---------------------------------------------------------------------------------------------


def scaled(
    optimizer: FederatedAveraging, model: Line, losses: list[float], count: bool, **options: object
) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for loss in losses:
        optimizer.zero_grad()
        scaler.scale(model() * loss).backward()
        if count:
            optimizer.count(3)
            scaler.step(optimizer)
        else:
            scaler.step(optimizer, examples=3)
        scaler.update()


@pytest.mark.parametrize("count", [False, True])
@pytest.mark.parametrize("fused", [False, True])
def test_a_step_that_the_scaler_skips_does_not_count_nor_do_its_examples(
    daemon: FakeDaemon, peer: Peer, fused: bool, count: bool
) -> None:
    model = Line()
    inner = torch.optim.SGD(model.parameters(), lr=1.0, fused=fused)
    optimizer = FederatedAveraging(inner, model, peer, 2)
    assert hasattr(optimizer, "_step_supports_amp_scaling") == fused
    scaled(optimizer, model, [1.0, float("inf"), float("inf"), 1.0], count)
    assert model.value == -2
    (offer,) = daemon.offers
    assert (offer.word.last_step, offer.word.weight) == (2, 6)
    assert not hasattr(inner, "found_inf")


def test_unscaling_before_the_step_works(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line()
    optimizer = wrapped(model, peer, 1)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    scaler.scale(model()).backward()
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    scaler.step(optimizer, examples=1)
    assert daemon.offers[0].values.tolist() == pytest.approx([-0.5], abs=1e-5)


# -- models -------------------------------------------------------------------------------------------------


def test_a_compiled_model_trains_and_adopts_averages(daemon: FakeDaemon, peer: Peer) -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    model: object = torch.compile(plain, backend="aot_eager")  # all but the code, which takes a minute
    assert isinstance(model, nn.Module)
    inner = torch.optim.SGD(plain.parameters(), lr=0.1)
    optimizer = FederatedAveraging(inner, model, peer, 1)
    assert daemon.base is not None
    daemon.others = [(daemon.base + 2, 4)]
    batch = torch.ones(4, 2)
    before = model(batch)
    before.sum().backward()
    optimizer.step(examples=4)
    after = model(batch)
    assert not torch.equal(before, after)
    assert torch.allclose(after, plain(batch))
    assert daemon.attaches[0].schema[0].name == "0.bias"


def test_bf16_trains_in_bf16_and_travels_as_float32(daemon: FakeDaemon, peer: Peer) -> None:
    model = Line().bfloat16()
    optimizer = wrapped(model, peer, 1)
    daemon.others = [(vector(3), 1)]
    train(optimizer, model, examples=1)
    assert daemon.offers[0].values.dtype == "float32"
    assert (model.value, model.weight.dtype) == (1, torch.bfloat16)


def test_tied_weights_are_averaged_once(daemon: FakeDaemon, peer: Peer) -> None:
    one = Line()
    model = nn.ModuleList([one, Line()])
    model[1].weight = one.weight
    inner = torch.optim.SGD(model.parameters(), lr=1.0)
    optimizer = FederatedAveraging(inner, model, peer, 1)
    daemon.others = [(vector(8), 1)]
    sum(line() for line in model).backward()
    optimizer.step(examples=1)
    assert daemon.offers[0].values.tolist() == [-2]
    assert [line.value for line in model] == [3, 3]
