"""Do named arrays lie in one flat vector as they should, and are unfit ones named?"""

import numpy as np
import pytest

from comind.node.attach import Tensor
from comind.node.trainer.peer import Array
from comind.node.trainer.schema import ArrayWeights, Schema, refuse_other, schema_of, schema_of_arrays
from comind.p2p.core.errors import ConfigError

TWO = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, np.float32)]


def filled(schema: Schema, arrays: list[np.ndarray]) -> np.ndarray:
    flat = np.full(schema.size, np.nan, np.float32)
    ArrayWeights(schema, arrays).read_into(flat)
    return flat


def test_arrays_lie_one_after_the_other_without_gaps() -> None:
    schema = schema_of_arrays(TWO)
    assert schema.tensors == (Tensor("0", (2, 3), "float32"), Tensor("1", (), "float32"))
    assert filled(schema, TWO).tolist() == [0, 1, 2, 3, 4, 5, 7]


def test_arrays_come_back_in_their_shapes_dtypes_and_order() -> None:
    arrays: dict[str, Array] = {"b": np.zeros((2, 2), np.float16), "a": np.zeros(3, np.float32)}
    schema = schema_of_arrays(arrays)
    weights = ArrayWeights(schema, arrays)
    weights.write_from(np.arange(7, dtype=np.float32))
    back = weights.as_dict(arrays)
    assert list(back) == ["b", "a"]
    assert back["a"].tolist() == [0, 1, 2]
    assert back["b"].tolist() == [[3, 4], [5, 6]]
    assert back["b"].dtype == np.float16
    assert not arrays["a"].any()


def test_the_order_of_a_dict_is_no_matter() -> None:
    one, other = np.zeros(2, np.float32), np.zeros(3, np.float32)
    assert schema_of_arrays({"a": one, "b": other}).hash == schema_of_arrays({"b": other, "a": one}).hash


def test_an_array_that_is_not_contiguous_is_read_in_its_own_order() -> None:
    arrays = [np.arange(6, dtype=np.float32).reshape(2, 3).T]
    assert filled(schema_of_arrays(arrays), arrays).tolist() == [0, 3, 1, 4, 2, 5]


def test_fp16_travels_as_float32_and_is_one_schema_with_it() -> None:
    half, full = [np.zeros(3, np.float16)], [np.zeros(3, np.float32)]
    assert schema_of_arrays(half) == schema_of_arrays(full)


@pytest.mark.parametrize(
    "other",
    [
        [Tensor("b", (2, 3), "float32")],
        [Tensor("a", (3, 2), "float32")],
        [Tensor("a", (2, 3), "float32"), Tensor("b", (), "float32")],
    ],
)
def test_another_name_shape_or_number_of_tensors_is_another_hash(other: list[Tensor]) -> None:
    schema = schema_of([Tensor("a", (2, 3), "float32")])
    assert len(schema.hash) == 32
    assert schema_of(other).hash != schema.hash
    with pytest.raises(ConfigError, match=r"arrays of the first call"):
        refuse_other(schema, schema_of(other))


@pytest.mark.parametrize("dtype", [np.float64, np.complex64, np.int32, np.bool_])
def test_what_cannot_travel_is_refused_by_name(dtype: type) -> None:
    arrays = {"fine": np.zeros(2, np.float32), "bad": np.zeros(2, dtype)}
    with pytest.raises(ConfigError, match=rf"bad is {np.dtype(dtype)}, .*: convert it to float32") as refused:
        schema_of_arrays(arrays)
    assert "\n" not in str(refused.value)


def test_what_is_no_array_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"^0 is a list: give numpy arrays"):
        schema_of_arrays([[1.0]])  # type: ignore[list-item]


@pytest.mark.parametrize("arrays", [[], [np.zeros(0, np.float32)]])
def test_nothing_is_refused(arrays: list[np.ndarray]) -> None:
    with pytest.raises(ConfigError, match="nothing to average"):
        schema_of_arrays(arrays)


@pytest.mark.parametrize(
    ("value", "fault"),
    [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity"), (2.0**127, r"a value beyond 2\^126")],
)
@pytest.mark.parametrize("place", [0, 5, 6])
def test_a_value_that_would_spoil_the_average_is_refused_with_its_array_s_name(
    value: float, fault: str, place: int
) -> None:
    schema = schema_of_arrays(TWO)
    flat = filled(schema, TWO)
    flat[place] = value
    with pytest.raises(ConfigError, match=f"^{int(place == 6)} holds {fault}"):
        schema.refuse_unfit(flat)


def test_large_and_small_finite_values_are_fit() -> None:
    schema = schema_of_arrays([np.zeros(4, np.float32)])
    schema.refuse_unfit(np.array([2.0**126, -(2.0**126), 1e-45, -0.0], np.float32))
