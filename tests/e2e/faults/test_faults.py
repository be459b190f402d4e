"""A short choice of scripts/faults: killed at points of a round, stopped, all dead at once, cut off."""

import random
from pathlib import Path

import pytest

from tests.e2e.faults.catalogue import Wish, run_group, why_skipped
from tests.e2e.faults.points import SHORT
from tests.e2e.faults.stage import Run


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ("points", SHORT),
        ("stops", ("stopped-chief",)),
        ("everyone", ("everything",)),
        ("wires", ("one-cut-off",)),
    ],
)
def test_a_network_gets_over_it_and_its_disks_keep_the_promises(
    tmp_path: Path, group: str, names: tuple[str, ...]
) -> None:
    if because := why_skipped(group):
        pytest.skip(because)
    runs = run_group(group, Wish(names, times=1, kills=1, seconds=1), tmp_path, random.Random(0))
    assert _wrong(runs) == []
    assert len(runs) == len(names)
    assert all(run.recovery_s is not None for run in runs)


def _wrong(runs: list[Run]) -> list[str]:
    return [f"{run.fault}: {line}" for run in runs for line in run.wrong]
