"""Is a snapshot all of a torch model that is averaged, and only that?"""

import numpy as np
import pytest
import torch
from torch import nn

from comind.node.trainer.model import ModelWeights
from comind.p2p.core.errors import ConfigError


def names(model: nn.Module) -> list[str]:
    return [tensor.name for tensor in ModelWeights(model).schema.tensors]


def read(model: nn.Module) -> np.ndarray:
    weights = ModelWeights(model)
    flat = np.full(weights.schema.size, np.nan, np.float32)
    weights.read_into(flat)
    return flat


def test_what_was_read_from_one_model_makes_another_alike() -> None:
    torch.manual_seed(0)
    one, other = (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)) for _ in range(2))
    one(torch.randn(8, 3))
    ModelWeights(other).write_from(read(one))
    for (name, mine), theirs in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs) or name == "1.num_batches_tracked"


def test_batch_norm_s_statistics_are_averaged_and_its_counter_stays_local() -> None:
    model = nn.BatchNorm1d(2)
    assert names(model) == ["bias", "running_mean", "running_var", "weight"]
    model(torch.randn(4, 2))
    ModelWeights(model).write_from(np.arange(8, dtype=np.float32))
    assert model.running_mean is not None
    assert model.running_mean.tolist() == [2, 3]
    assert int(model.state_dict()["num_batches_tracked"]) == 1


def test_frozen_parameters_are_in_it_and_stay_frozen() -> None:
    model = nn.Linear(2, 1)
    model.weight.requires_grad_(False)
    assert names(model) == ["bias", "weight"]
    ModelWeights(model).write_from(np.arange(3, dtype=np.float32))
    assert model.weight.tolist() == [[1, 2]]
    assert [one.requires_grad for one in model.parameters()] == [False, True]


def test_tied_weights_are_in_it_once_and_stay_tied() -> None:
    first, second = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    second.weight = first.weight
    model = nn.Sequential(first, second)
    assert names(model) == ["0.weight"]
    ModelWeights(model).write_from(np.arange(4, dtype=np.float32))
    assert second.weight is first.weight
    assert second.weight.tolist() == [[0, 1], [2, 3]]


class Buffers(nn.Module):
    kept: torch.Tensor
    cache: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(2))
        self.register_buffer("cache", torch.zeros(3), persistent=False)
        self.register_buffer("none", None)
        self.register_buffer("steps", torch.zeros(1, dtype=torch.int64))


def test_a_buffer_that_a_state_dict_leaves_out_stays_local() -> None:
    assert names(Buffers()) == ["kept"]


def test_a_buffer_that_its_module_replaced_is_found_where_it_is_now() -> None:
    model = Buffers()
    weights = ModelWeights(model)
    model.kept = torch.ones(2)
    weights.write_from(np.array([3, 4], np.float32))
    assert model.kept.tolist() == [3, 4]


def test_a_tensor_that_changed_its_shape_is_named() -> None:
    model = Buffers()
    weights = ModelWeights(model)
    model.kept = torch.ones(5)
    with pytest.raises(ConfigError, match=r"^kept was \[2\] and is \[5\] now"):
        weights.read_into(np.zeros(2, np.float32))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_travels_as_float32_and_stays_half_here(dtype: torch.dtype) -> None:
    model = nn.Linear(2, 1).to(dtype)
    assert {tensor.dtype for tensor in ModelWeights(model).schema.tensors} == {"float32"}
    assert read(model).tolist() == [*model.bias.tolist(), *model.weight.flatten().tolist()]
    ModelWeights(model).write_from(np.array([0.5, 1.001, 2.0], np.float32))
    assert model.weight.dtype == dtype
    assert model.weight[0, 0] == torch.tensor(1.001).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex64, torch.float8_e4m3fn])
def test_what_cannot_travel_is_refused_by_name(dtype: torch.dtype) -> None:
    model = nn.Linear(2, 1)
    model.register_buffer("odd", torch.zeros(1).to(dtype))
    said = str(dtype).removeprefix("torch.")
    with pytest.raises(ConfigError, match=f"^odd is {said}, .*: convert it"):
        ModelWeights(model)


def test_a_layer_without_a_shape_yet_is_refused_with_the_mend() -> None:
    with pytest.raises(ConfigError, match=r"^bias has no shape yet: run one batch"):
        ModelWeights(nn.LazyLinear(2))


def test_a_model_without_values_is_refused_with_the_mend() -> None:
    with pytest.raises(ConfigError, match=r"^bias is on the meta device"):
        ModelWeights(nn.Linear(2, 2, device="meta"))


def test_a_compiled_model_has_the_plain_one_s_schema() -> None:
    plain = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    compiled: object = torch.compile(plain, backend="eager")
    assert isinstance(compiled, nn.Module)
    assert ModelWeights(compiled).schema == ModelWeights(plain).schema
    layer: object = torch.compile(plain[1], backend="eager")
    assert isinstance(layer, nn.Module)
    plain[1] = layer
    assert ModelWeights(plain).schema.tensors[2].name == "1.bias"


def test_a_module_that_parallel_training_wraps_has_the_plain_one_s_schema() -> None:
    class Wrapped(nn.Module):
        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self.module = module

    plain = nn.Linear(2, 1)
    assert ModelWeights(Wrapped(plain)).schema == ModelWeights(plain).schema


def test_a_model_s_graph_is_not_recorded() -> None:
    model = nn.Linear(2, 1)
    ModelWeights(model).write_from(read(model))
    assert model.weight.grad_fn is None
    assert model.weight.is_leaf
