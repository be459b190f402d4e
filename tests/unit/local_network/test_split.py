"""Which rows are whose? Disjoint, covering, and decided by the seed alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.local.split import LEAST_ROWS, Dirichlet, Iid, Split, parts_of

LABELS = np.arange(1437) % 10
SPLITS = st.one_of(st.just(Iid()), st.builds(Dirichlet, st.sampled_from([0.001, 0.1, 0.3, 1.0, 100.0])))


@given(st.integers(2, 128), SPLITS, st.integers(0, 2**32 - 1))
def test_parts_are_disjoint_cover_all_rows_and_leave_nobody_without(
    nodes: int, split: Split, seed: int
) -> None:
    parts = parts_of(LABELS, nodes, split, seed)
    assert len(parts) == nodes
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(LABELS)))
    assert min(len(part) for part in parts) >= LEAST_ROWS


@pytest.mark.parametrize("split", [Iid(), Dirichlet(0.3)])
def test_one_seed_gives_one_split_and_another_seed_another(split: Split) -> None:
    def rows(seed: int) -> list[list[int]]:
        return [part.tolist() for part in parts_of(LABELS, 5, split, seed)]

    assert rows(1) == rows(1)
    assert rows(1) != rows(2)


def test_iid_parts_are_of_one_size() -> None:
    assert {len(part) for part in parts_of(LABELS, 5, Iid(), 0)} == {287, 288}


def test_a_small_alpha_is_more_one_sided_than_a_large_one() -> None:
    def largest_class_share(alpha: float) -> float:
        parts = parts_of(LABELS, 5, Dirichlet(alpha), 0)
        return float(np.mean([np.bincount(LABELS[part]).max() / len(part) for part in parts]))

    assert largest_class_share(0.1) > largest_class_share(1.0) > largest_class_share(100.0)


def test_too_many_nodes_for_the_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="1437 rows are not 10 for each of 144 nodes"):
        parts_of(LABELS, 144, Iid(), 0)
