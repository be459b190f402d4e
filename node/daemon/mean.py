"""What is the weighted mean of snapshots, to the bit (S3)?

    w_k = float32(float64(n_k) / float64(n_1 + ... + n_K))
    acc = +0; for k in roster order: tmp = x_k * w_k; acc = acc + tmp

Each is one IEEE float32 operation, rounded to nearest even; none fused, none reordered. So every CPU gives
the same bits, and any member can recompute any chunk. Knows nothing of where the chunks come from.
"""

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]

assert sys.byteorder == "little", "chunks travel as little-endian float32, and are added as they came"

BOUND = float(np.float32(2.0**126))
"""The largest magnitude that a contribution may hold: so no mean of any number of them overflows."""


def scales(weights: Sequence[int]) -> tuple[np.float32, ...]:
    """Return w_k for each contribution; weights are example counts below 2^63, all positive, in roster order.

    A single contribution counts whole, whatever it weighs: the starting weights of a first base weigh 0.

    Raises:
        ValueError: there is none, or one of several is not positive.
    """
    if len(weights) == 1:
        return (np.float32(1.0),)
    if not weights or min(weights) < 1:
        raise ValueError("each contribution to a mean must weigh at least 1")
    total = np.float64(sum(weights))
    return tuple(np.float32(np.float64(weight) / total) for weight in weights)


def weighted_mean(
    shares: Sequence[Values], scale: Sequence[np.float32], out: Values, scratch: Values
) -> None:
    """Write the weighted mean of equally long shares into `out`, in the order in which they are given.

    Each of `shares`, `out` and `scratch` has shape (chunk,), float32; none of them overlap. `what_is_wrong`
    found nothing wrong with the shares. One IEEE operation a pass (scale, then add).
    Source: McMahan et al. 2017, Algorithm 1, with n_k/n as the weight.

    Raises:
        ValueError: the shapes differ, or there is not one scale for each share.
    """
    if len(shares) != len(scale) or any(share.shape != out.shape for share in (*shares, scratch)):
        raise ValueError("shares, scales and out differ in length")
    begin(out)
    for share, factor in zip(shares, scale, strict=True):
        add(out, share, factor, scratch)


def values_of(chunk: memoryview) -> Values:
    """Return a chunk's bytes as the float32 values that they are; neither is copied."""
    return np.frombuffer(chunk, np.float32)


def begin(acc: Values) -> None:
    acc.fill(0.0)  # the first add is 0 + x·w: so −0 becomes +0


def add(acc: Values, share: Values, factor: np.float32, scratch: Values) -> None:
    """Add one share, times its factor, to what was added before it in roster order."""
    np.multiply(share, factor, out=scratch)
    np.add(acc, scratch, out=acc)


def what_is_wrong(values: Values) -> str | None:
    """Say why these values must not be averaged: NaN, infinite or huge ones. None if all is well.

    Two passes without a temporary array: a NaN is the least and the greatest of what it is among.
    """
    if not values.size:
        return None
    least, most = values.min(), values.max()
    if least >= -BOUND and most <= BOUND:
        return None
    if np.isnan(most):
        return "NaN"
    return "an infinite value" if np.isinf(least) or np.isinf(most) else "a value beyond 2^126"


def find_wrong(values: Values) -> tuple[int, str] | None:
    """Return the place of the first value that must not be averaged, and why; None if all is well."""
    if (wrong := what_is_wrong(values)) is None:
        return None
    with np.errstate(invalid="ignore"):
        return int(np.argmax(~(np.abs(values) <= BOUND))), wrong


def keeps_small_numbers() -> bool:
    """Whether this thread computes with denormals, as S3 needs; a library may have switched them off."""
    tiny = np.array([1e-45], np.float32)
    return bool((tiny * np.float32(1.0))[0] == tiny[0] != 0)
