"""How near does a network come to training on all data in one place, and how far beyond its nodes alone?

Runs the pinned setting for each fold and several seeds, as processes of their own, and compares within each
run. The seeds of a fold are averaged first: it is over folds that the intervals are.
"""

import argparse
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

import msgspec
from rich.console import Console
from rich.table import Table

from scripts.local.child import ROOT
from scripts.local.digits import FOLDS
from scripts.local.results import Results

PINNED = ("--nodes", "5", "--rounds", "30", "--split", "dirichlet:0.3")
SEEDS = 3
AIM = -3.0
"""Percentage points: the gap to pooled training is to be better than this."""
_T_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
"""Student's t at 97.5 %, by degrees of freedom."""


class Estimate(msgspec.Struct, frozen=True):
    """A mean over folds and the half width of its 95 % interval, in percentage points."""

    mean: float
    half_width: float
    by_fold: tuple[float, ...]


class Accuracies(msgspec.Struct, frozen=True):
    """What the JSON file holds."""

    network_to_pooled: Estimate
    network_to_best_alone: Estimate
    network_to_mean_alone: Estimate
    network: Estimate
    pooled: Estimate
    runs: int
    setting: str


def main() -> int:
    given = _parser().parse_args()
    folder: Path = given.folder or Path(tempfile.mkdtemp(prefix="comind-accuracy-"))
    folder.mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False)
    runs: list[list[Results]] = []
    for fold in range(given.folds):
        runs.append([])
        for seed in range(given.seeds):
            file = folder / f"{given.trainer}-fold-{fold}-seed-{seed}.json"
            console.print(f"fold {fold}, seed {seed}: {'known already' if file.exists() else 'runs …'}")
            if not file.exists() and not _run(file, fold, seed, given.trainer):
                return 1
            runs[-1].append(msgspec.json.decode(file.read_bytes(), type=Results))
    found = compare(runs, " ".join((*PINNED, "--trainer", given.trainer)))
    summary = folder / "accuracy.json"
    summary.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    _show(console, found)
    console.print(f"all of it: {summary}", soft_wrap=True)
    return 0 if found.network_to_pooled.mean > AIM else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/accuracy", description=__doc__)
    folder = "where runs are kept; those that are there are not run again (default: a new temporary folder)"
    parser.add_argument("--folder", type=Path, help=folder)
    parser.add_argument("--trainer", choices=("torch", "numpy"), default="torch")
    parser.add_argument("--folds", type=int, choices=range(2, FOLDS + 1), default=FOLDS)
    parser.add_argument("--seeds", type=int, choices=range(1, 11), default=SEEDS)
    return parser


def _run(file: Path, fold: int, seed: int, trainer: str) -> bool:
    """Run the network; its file is there only when all promises held."""
    unfinished = file.with_suffix(".unfinished.json")
    command = [sys.executable, str(ROOT / "scripts/local_network.py"), *PINNED, "--trainer", trainer]
    command += ["--fold", str(fold), "--random-seed", str(seed), "--json", str(unfinished)]
    command += ["--picture", str(file.with_suffix(".png"))]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    if done.returncode == 0:
        unfinished.rename(file)
    return done.returncode == 0


def compare(runs: Sequence[Sequence[Results]], setting: str) -> Accuracies:
    """Return the paired differences; `runs` are those of each fold."""

    def over_folds(differences: Sequence[Sequence[float]]) -> Estimate:
        return estimate([100 * fmean(fold) for fold in differences])

    return Accuracies(
        network_to_pooled=over_folds([[_network(run) - _pooled(run) for run in fold] for fold in runs]),
        network_to_best_alone=over_folds(
            [[_network(run) - max(_alone(run)) for run in fold] for fold in runs]
        ),
        network_to_mean_alone=over_folds(
            [[_network(run) - fmean(_alone(run)) for run in fold] for fold in runs]
        ),
        network=over_folds([[_network(run) for run in fold] for fold in runs]),
        pooled=over_folds([[_pooled(run) for run in fold] for fold in runs]),
        runs=sum(len(fold) for fold in runs),
        setting=setting,
    )


def estimate(by_fold: Sequence[float]) -> Estimate:
    """Return mean and interval of one value for each of 2 to 10 folds."""
    half_width = _T_95[len(by_fold) - 1] * stdev(by_fold) / math.sqrt(len(by_fold))
    return Estimate(fmean(by_fold), half_width, tuple(by_fold))


def _network(run: Results) -> float:
    accuracies = [node.network_accuracy for node in run.nodes]
    return fmean(accuracy for accuracy in accuracies if accuracy is not None)


def _pooled(run: Results) -> float:
    assert run.pooled_accuracy is not None
    return run.pooled_accuracy


def _alone(run: Results) -> list[float]:
    return [node.alone_accuracy for node in run.nodes if node.alone_accuracy is not None]


def _show(console: Console, found: Accuracies) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(f"{found.runs} runs, percentage points")
    table.add_column("mean", justify="right")
    table.add_column("95 % interval over folds", justify="right")
    for title, one in (
        ("network − all data pooled", found.network_to_pooled),
        ("network − best node alone", found.network_to_best_alone),
        ("network − mean node alone", found.network_to_mean_alone),
        ("network", found.network),
        ("pooled", found.pooled),
    ):
        low, high = one.mean - one.half_width, one.mean + one.half_width
        table.add_row(title, f"{one.mean:.2f}", f"{low:.2f} to {high:.2f}")
    console.print(table)
    verdict = "better" if found.network_to_pooled.mean > AIM else "NOT better"
    console.print(f"the gap to pooled training is {verdict} than {AIM:g} points")


if __name__ == "__main__":
    sys.exit(main())
