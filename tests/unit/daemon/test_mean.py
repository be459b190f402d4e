"""S3: the mean is one sequence of IEEE float32 operations, on every machine."""

import os
import subprocess
import sys
from fractions import Fraction
from hashlib import sha256
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from comind.node.daemon.mean import BOUND, keeps_small_numbers, scales, weighted_mean, what_is_wrong

MAX = 2**63 - 1


def nearest(exact: Fraction, digits: int, least: int) -> Fraction:
    """Round to so many binary digits, ties to even; the last one is worth 2^least or more."""
    if exact == 0:
        return exact
    top = exact.numerator.bit_length() - exact.denominator.bit_length()
    exponent = max(top - digits - 1, least)
    while abs(exact) / Fraction(2) ** exponent >= 2**digits:
        exponent += 1
    return round(exact / Fraction(2) ** exponent) * Fraction(2) ** exponent


def f32(exact: Fraction) -> Fraction:
    return nearest(exact, 24, -149)


def f64(exact: Fraction) -> Fraction:
    return nearest(exact, 53, -1074)


def reference(columns: list[list[float]], weights: list[int]) -> list[Fraction]:
    total = f64(Fraction(sum(weights)))
    w = [f32(f64(f64(Fraction(n)) / total)) for n in weights]
    means = []
    for column in columns:
        acc = Fraction(0)
        for x, factor in zip(column, w, strict=True):
            acc = f32(acc + f32(Fraction(x) * factor))
        means.append(acc)
    return means


def mean(rows: list[NDArray[np.float32]], weights: list[int]) -> NDArray[np.float32]:
    out, scratch = np.full_like(rows[0], np.nan), np.full_like(rows[0], np.nan)
    weighted_mean(rows, scales(weights), out, scratch)
    return out


values = st.one_of(
    st.floats(width=32, min_value=-BOUND, max_value=BOUND, allow_nan=False),
    st.sampled_from(
        [0.0, -0.0, 2.0**-149, -(2.0**-149), 2.0**-126, BOUND, -BOUND, 1.0, -1.0, 1.0 + 2.0**-23]
    ),
)
parts = st.lists(
    st.tuples(st.lists(values, min_size=3, max_size=3), st.integers(1, MAX)), min_size=2, max_size=6
)


@given(parts)
def test_every_bit_is_that_of_exact_arithmetic_rounded_after_each_operation(
    parts: list[tuple[list[float], int]],
) -> None:
    rows = [np.array(row, np.float32) for row, _ in parts]
    weights = [weight for _, weight in parts]
    columns = [[float(row[i]) for row in rows] for i in range(3)]
    assert [Fraction(float(value)) for value in mean(rows, weights)] == reference(columns, weights)


def test_minus_zero_becomes_plus_zero() -> None:
    minus = np.array([-0.0, -0.0], np.float32)
    assert not np.signbit(mean([minus], [7])).any()
    assert not np.signbit(mean([minus, minus], [1, 2])).any()


def test_a_single_contribution_comes_back_bit_for_bit_whatever_it_weighs() -> None:
    row = np.array([1e-45, -1e-45, 1.1754942e-38, 3.3, -BOUND], np.float32)
    for weight in (0, 1, MAX):
        assert mean([row], [weight]).tobytes() == row.tobytes()


def test_the_order_of_the_roster_decides_the_bits() -> None:
    a, b, c = (np.array([value], np.float32) for value in (2.0**26, -(2.0**26), 1.0))
    assert mean([a, b, c], [1, 1, 1])[0] != mean([a, c, b], [1, 1, 1])[0]


def test_weights_are_divided_in_float64_and_rounded_once() -> None:
    assert scales([1, 2]) == (np.float32(1 / 3), np.float32(2 / 3))
    assert scales([MAX, MAX]) == (np.float32(0.5), np.float32(0.5))
    assert scales([1, MAX])[0] == np.float32(2.0**-63)


@pytest.mark.parametrize("weights", [[], [1, 0], [3, -1]])
def test_weights_that_are_not_positive_are_refused(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="weigh"):
        scales(weights)


def test_other_lengths_are_refused() -> None:
    a, b = np.zeros(3, np.float32), np.zeros(2, np.float32)
    with pytest.raises(ValueError, match="length"):
        weighted_mean([a, b], scales([1, 1]), a.copy(), a.copy())


@pytest.mark.parametrize("at", [0, 1, 15, 16, 17, 63, 99])
@pytest.mark.parametrize(
    ("value", "wrong"),
    [(np.nan, "NaN"), (-np.nan, "NaN"), (np.inf, "an infinite value"), (-np.inf, "an infinite value"),
     (1e38, "a value beyond 2^126"), (-1e38, "a value beyond 2^126"),
     (BOUND, None), (-BOUND, None), (-0.0, None)],
)  # fmt: skip
def test_what_must_not_be_averaged_is_found_wherever_it_is(at: int, value: float, wrong: str | None) -> None:
    row = np.zeros(100, np.float32)
    row[at] = value
    assert what_is_wrong(row) == wrong


def test_nothing_is_wrong_with_nothing() -> None:
    assert what_is_wrong(np.zeros(0, np.float32)) is None


def test_the_largest_values_allowed_do_not_overflow_in_any_number() -> None:
    rows = [np.full(4, BOUND, np.float32)] * 1024
    assert np.isfinite(mean(rows, [3] * 1024)).all()


def test_small_numbers_are_kept() -> None:
    assert keeps_small_numbers()


PROGRAM = """
import hashlib, numpy as np
from comind.node.daemon.mean import scales, weighted_mean
g = np.random.default_rng(7)
bits = g.integers(0, 2**32, (5, 4099), dtype=np.uint32) & np.uint32(0xBFFFFFFF)
rows = list(bits.view(np.float32))
out, scratch = np.empty(4099, np.float32), np.empty(4099, np.float32)
weighted_mean(rows, scales([1, 3, 2**40, 77, 2**62]), out, scratch)
print(hashlib.sha256(out.tobytes()).hexdigest())
"""


def features() -> list[str]:
    core = import_module("numpy._core._multiarray_umath")
    return [name for name in core.__cpu_dispatch__ if core.__cpu_features__[name]]


def test_every_set_of_cpu_features_gives_the_same_bits() -> None:
    there = features()
    sets = ["", " ".join(there)] + [" ".join(there[cut:]) for cut in range(1, min(len(there), 4))]
    found = {}
    for off in sets:
        environ = os.environ | {"NPY_DISABLE_CPU_FEATURES": off}
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environ, capture_output=True, text=True, check=True
        )
        found[off] = run.stdout
    assert len(set(found.values())) == 1, found
    assert len(found[""].strip()) == len(sha256().hexdigest())
