"""Do the processes that train one model together average as one? Rank 0 speaks for them."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from comind.node.trainer.optimizer import FederatedAveraging
from comind.node.trainer.peer import Peer
from comind.node.trainer.ranks import Ranks
from comind.p2p.core.errors import ConfigError
from tests.unit.trainer.fake_daemon import PATIENCE_S, FakeDaemon
from tests.unit.trainer.models import Line, train, vector


class Group:
    """A process group of two threads: what torch.distributed does, as far as `Ranks` asks for it."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(2, timeout=PATIENCE_S)
        self._ranks: dict[int, int] = {}
        self._tensors: dict[int, torch.Tensor] = {}

    def get_rank(self) -> int:
        return self._ranks[threading.get_ident()]

    def get_world_size(self) -> int:
        return 2

    def is_available(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return True

    def all_reduce(self, tensor: torch.Tensor) -> None:
        self._exchange(tensor, lambda: sum(one.clone() for one in self._tensors.values()))

    def broadcast(self, tensor: torch.Tensor, src: int) -> None:
        self._exchange(tensor, lambda: self._tensors[src].clone())

    def _exchange(self, tensor: torch.Tensor, what: Callable[[], object]) -> None:
        self._tensors[self.get_rank()] = tensor
        self._barrier.wait()
        result = what()
        self._barrier.wait()
        tensor.copy_(result)  # type: ignore[arg-type]
        self._barrier.wait()

    def run(self, work: Callable[[int], None]) -> list[BaseException | None]:
        """Do this on both ranks, and return what each raised."""
        raised: list[BaseException | None] = [None, None]

        def on(rank: int) -> None:
            self._ranks[threading.get_ident()] = rank
            try:
                work(rank)
            except BaseException as why:  # noqa: BLE001  told to the test
                raised[rank] = why

        threads = [threading.Thread(target=on, args=(rank,)) for rank in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(2 * PATIENCE_S)
        return raised


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Group:
    group = Group()
    monkeypatch.setattr("comind.node.trainer.ranks.distributed", group)
    return group


def optimizer_on(rank: int, model: Line, path: Path) -> FederatedAveraging:
    peer = Peer(path if rank == 0 else None, on_line=lambda _: None)
    inner = torch.optim.SGD(model.parameters(), lr=1.0)
    return FederatedAveraging(inner, model, peer, 2)


def test_rank_0_averages_for_all_and_the_examples_of_all_count(
    daemon: FakeDaemon, path: Path, group: Group
) -> None:
    daemon.base = vector(5)
    models = [Line(1), Line(2)]

    def work(rank: int) -> None:
        optimizer = optimizer_on(rank, models[rank], path)
        assert models[rank].value == 5
        train(optimizer, models[rank], steps=2, examples=3 + rank)
        assert optimizer.last_round is not None
        assert optimizer.last_round.counted
        assert [one.name for one in optimizer.last_round.contributors] == ["a"]
        train(optimizer, models[rank], steps=1, examples=3)
        assert optimizer.finish().counted

    assert group.run(work) == [None, None]
    assert [one.word.weight for one in daemon.offers] == [14, 6]
    assert [model.value for model in models] == [2, 2]
    assert len(daemon.attaches) == 1
    assert daemon.finished.wait(PATIENCE_S)


def test_all_ranks_hold_the_same_average(daemon: FakeDaemon, path: Path, group: Group) -> None:
    daemon.base = vector(0)
    daemon.others = [(vector(10), 12)]
    models = [Line(), Line()]

    def work(rank: int) -> None:
        train(optimizer_on(rank, models[rank], path), models[rank], steps=2)

    assert group.run(work) == [None, None]
    assert [model.value for model in models] == [4, 4]


def test_what_stops_rank_0_stops_all_with_its_line(daemon: FakeDaemon, path: Path, group: Group) -> None:
    daemon.refusal = "this model is not the network's"
    first, second = group.run(lambda rank: (optimizer_on(rank, Line(), path), None)[1])
    assert isinstance(first, ConfigError)
    assert isinstance(second, ConfigError)
    assert str(second) == f"rank 0 stopped: {first}"


def test_every_rank_is_asked_for_its_examples(daemon: FakeDaemon, path: Path, group: Group) -> None:
    daemon.base = vector(0)

    def work(rank: int) -> None:
        model = Line()
        train(optimizer_on(rank, model, path), model, examples=None)

    assert all("tell how many" in str(why) for why in group.run(work))


def test_a_checkpoint_of_rank_0_restores_all(daemon: FakeDaemon, path: Path, group: Group) -> None:
    daemon.base = vector(0)
    models = [Line(), Line()]
    states: list[dict[str, object]] = []

    def work(rank: int) -> None:
        optimizer = optimizer_on(rank, models[rank], path)
        train(optimizer, models[rank])
        if rank == 0:
            states.append(optimizer.state_dict())
            daemon.miss_silently()
            daemon.tell("it was missed")
        group.broadcast(torch.zeros(1), src=0)
        optimizer.load_state_dict(states[0])
        train(optimizer, models[rank])

    assert group.run(work) == [None, None]
    assert models[0].value == models[1].value == -1
    assert daemon.offers[0].word.weight == 12 - 3  # what rank 1 took before is not in rank 0's checkpoint


def test_one_process_needs_no_group() -> None:
    ranks = Ranks(torch.device("cpu"))
    assert (ranks.several, ranks.speaks, ranks.total(5)) == (False, True, 5)
