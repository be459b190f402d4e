"""How near is the network to pooled training? Means and intervals, from runs that never ran."""

import pytest

from scripts.local.accuracy import compare, estimate
from scripts.local.results import NodeResult, Results


def run(network: float, pooled: float, alone: tuple[float, ...]) -> Results:
    nodes = tuple(NodeResult(str(one), one, network, "ab", 6, 1, 1, 1) for one in alone)
    return Results(nodes, pooled, (), (), {})


def test_an_interval_is_students_over_folds() -> None:
    found = estimate([-1.0, -2.0, -3.0, -2.0, -2.0])
    assert found.mean == pytest.approx(-2.0)
    assert found.half_width == pytest.approx(2.776 * 0.5**0.5 / 5**0.5)


def test_differences_are_within_runs_and_seeds_of_a_fold_are_averaged_first() -> None:
    found = compare(
        [
            [run(0.96, 0.98, (0.5, 0.7)), run(0.94, 0.98, (0.5, 0.7))],
            [run(0.90, 0.92, (0.6, 0.8)), run(0.92, 0.94, (0.6, 0.8))],
        ],
        "pinned",
    )
    assert found.network_to_pooled.by_fold == pytest.approx((-3.0, -2.0))
    assert found.network_to_pooled.mean == pytest.approx(-2.5)
    assert found.network_to_best_alone.by_fold == pytest.approx((25.0, 11.0))
    assert found.network_to_mean_alone.by_fold == pytest.approx((35.0, 21.0))
    assert found.runs == 4
