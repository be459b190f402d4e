"""What does a run look like? Accuracy by round, who led, and what it took to get over a kill.

Drawn from the results alone, so that a picture can be made again from the JSON file. Faint lines: each node
alone; bold: the network; dashed: all data in one place; crowns under the axis for who led.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # before anything chooses another backend

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from scripts.local.faults import Kind
from scripts.local.results import FaultResult, Results, percent
from scripts.local.view import CROWN

INK, GREY, FAINT, TOGETHER, FAULT, LATE, GOLD = (
    "#1f2933", "#616e7c", "#aab4bf", "#0b6e99", "#c2362b", "#2f855a", "#c58b1b",
)  # fmt: skip
MOST_ROWS, MOST_CROWNS = 12, 60
"""With more nodes or rounds, names or crowns would not be told apart: they are left out."""
_WIDTH_IN, _CURVES_IN, _ROW_IN, _HEAD_IN, _FOOT_IN = 9.6, 3.9, 0.25, 0.95, 0.55
_LEFT, _RIGHT = 0.085, 0.835
MOST_TEXTS = 8
"""With more faults only their ticks are drawn."""
_TEXT_WIDTH, _TEXT_HEIGHT = 0.17, 0.085
"""Of what is written beside a fault, as shares of the curves' width and height."""
MOST_RETURNS = 2
_BACKED = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1}
_LABEL_GAP = 0.052
"""Between two labels beside the curves, as a share of their height."""


def draw(results: Results, path: Path) -> None:
    """Write the picture; its format is the name's ending."""
    crowned = len(results.nodes) <= MOST_ROWS and len(results.rounds) <= MOST_CROWNS
    rows_in = _ROW_IN * len(results.nodes) + 0.15 if crowned else 0.0
    height_in = _HEAD_IN + _CURVES_IN + rows_in + _FOOT_IN
    figure = plt.figure(figsize=(_WIDTH_IN, height_in), dpi=150, facecolor="white")
    heights = [_CURVES_IN, rows_in] if crowned else [_CURVES_IN]
    grid = figure.add_gridspec(
        len(heights),
        1,
        height_ratios=heights,
        hspace=0.04,
        left=_LEFT,
        right=_RIGHT,
        top=1 - _HEAD_IN / height_in,
        bottom=_FOOT_IN / height_in,
    )
    curves = figure.add_subplot(grid[0])
    _draw_curves(curves, results)
    _draw_faults(curves, results.faults, with_names=not crowned)
    _draw_returns(curves, results)
    lowest = curves
    if crowned:
        lowest = figure.add_subplot(grid[1], sharex=curves)
        curves.tick_params(labelbottom=False)
        _draw_rows(lowest, results)
    lowest.set_xlabel("round", color=GREY, fontsize=9)
    figure.text(_LEFT, 1 - 0.18 / height_in, _title(results), va="top", fontsize=14, weight="bold", color=INK)
    figure.text(_LEFT, 1 - 0.50 / height_in, _subtitle(results), va="top", fontsize=9, color=GREY)
    figure.savefig(path)
    plt.close(figure)


def _title(results: Results) -> str:
    pairs = [(node.alone_accuracy, node.network_accuracy) for node in results.nodes]
    alone = [before for before, _ in pairs if before is not None]
    together = [after for _, after in pairs if after is not None]
    gained = len(alone) == len(together) == len(pairs) and min(together) > max(alone)
    beyond = " what none of them learns alone" if gained else ""
    return f"{len(results.nodes)} nodes learn together{beyond}"


def _subtitle(results: Results) -> str:
    setup = results.setup
    kind, _, alpha = setup["split"].partition(":")
    split = f"split one-sidedly, Dirichlet({alpha})" if kind == "dirichlet" else "split evenly"
    return f"Accuracy on handwritten digits held out from all. The data, {split}, never leave their nodes."


# -- the curves ---------------------------------------------------------------------------------------------


def _draw_curves(axes: Axes, results: Results) -> None:
    curves = results.setup["accuracy_by_round"]
    alone = [curve for curve in curves["alone"].values() if curve]
    labels: list[tuple[float, str, str, str]] = []
    for curve in alone:
        axes.plot(curve, color=FAINT, linewidth=1.1, alpha=0.8, zorder=2)
    if alone:
        last = [curve[-1] for curve in alone]
        span = percent(min(last)) if min(last) == max(last) else f"{min(last):.0%} to {max(last):.0%}"
        labels.append((sum(last) / len(last), f"each alone\n{span}", GREY, "normal"))
    if pooled := curves["pooled"]:
        axes.plot(pooled, color=GREY, linewidth=1.4, linestyle=(0, (4, 2.5)), zorder=3)
        labels.append((pooled[-1], f"all data pooled\n{percent(pooled[-1])}", GREY, "normal"))
    together = [(round, share) for round, share in enumerate(curves["together"]) if share is not None]
    if together:
        axes.plot(*zip(*together, strict=True), color=TOGETHER, linewidth=2.8, zorder=4)
        labels.append((together[-1][1], f"together\n{percent(together[-1][1])}", TOGETHER, "bold"))
    _dress(axes, results)
    _label(axes, labels)


def _dress(axes: Axes, results: Results) -> None:
    axes.set_xlim(0, max(1, len(results.rounds)) + 0.6)
    axes.set_ylim(0, 1.0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.grid(axis="y", color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=GREY, labelsize=9, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#cbd2d9")


def _label(axes: Axes, labels: list[tuple[float, str, str, str]]) -> None:
    """Write each curve's name beside its end, spread where they would overlap."""
    taken = 1.1
    for height, text, color, weight in sorted(labels, reverse=True):
        place = min(height, taken - 2 * _LABEL_GAP)
        taken = place
        _beside(axes, place, text, color, weight)


def _beside(axes: Axes, height: float, text: str, color: str, weight: str) -> None:
    axes.annotate(
        text,
        (1, height),
        xycoords=("axes fraction", "data"),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=9.5,
        color=color,
        weight=weight,
        linespacing=1.15,
        annotation_clip=False,
    )


# -- what befell, and who led -------------------------------------------------------------------------------


def _draw_faults(axes: Axes, faults: Sequence[FaultResult], *, with_names: bool) -> None:
    """A tick for each, between two averages, with the seconds that it took to get over it."""
    right = axes.get_xlim()[1]
    width = _TEXT_WIDTH * right
    ends: list[float] = []  # of the texts, from the lowest level up
    for fault in sorted(faults, key=lambda fault: fault.round):
        color, place = (LATE if fault.kind == Kind.LATE else FAULT), _place(fault)
        axes.axvline(place, color=color, linewidth=1.0, alpha=0.55, zorder=1)
        if fault.last_round is not None:
            axes.axvspan(place, max(place, fault.last_round + 0.5), color=color, alpha=0.07, zorder=0)
        if len(faults) > MOST_TEXTS:
            continue
        left = place if place + width < right else place - width
        level = next((level for level, end in enumerate(ends) if end < left), len(ends))
        ends[level : level + 1] = [left + width]
        who = f"{fault.node}: " if with_names and fault.kind != Kind.PARTITION else ""
        then = _THEN.get(Kind(fault.kind), "next average")
        took = "never" if fault.recovery_seconds is None else f"{fault.recovery_seconds:.2f} s later"
        axes.annotate(
            f"{who}{_WHAT[Kind(fault.kind)]}\n{then} {took}",
            (place, 0.015 + _TEXT_HEIGHT * level),
            xytext=(5 if left == place else -5, 0),
            textcoords="offset points",
            ha="left" if left == place else "right",
            va="bottom",
            fontsize=8,
            color=color,
            linespacing=1.2,
            bbox=_BACKED,
        )


def _draw_returns(axes: Axes, results: Results) -> None:
    """A faint line where whoever was killed is counted again: with all that it learnt alone meanwhile."""
    for fault in results.faults if len(results.faults) <= MOST_RETURNS else ():
        counted = [one.round for one in results.rounds if fault.node in one.contributors]
        again = next((round for round in counted if round >= fault.round), None)
        if fault.kind in (Kind.LATE, Kind.PARTITION) or again is None or again == fault.round:
            continue
        axes.axvline(again, color=LATE, linewidth=1.0, alpha=0.45, zorder=1)
        axes.annotate(
            f"{fault.node} is counted again,\nwith what it learnt alone",
            (again, 0.015 + _TEXT_HEIGHT),
            xytext=(5, 0),
            textcoords="offset points",
            va="bottom",
            fontsize=8,
            color=LATE,
            linespacing=1.2,
            bbox=_BACKED,
        )


def _hurt(fault: FaultResult) -> list[str]:
    """Whom it befell: of a partition, those who are not on its largest side."""
    sides = [side.split(",") for side in fault.node.split("|")]
    largest = max(sides, key=len) if len(sides) > 1 else []
    return [name for side in sides if side is not largest for name in side]


def _place(fault: FaultResult) -> float:
    """It happened after one average, and before the next."""
    return fault.round - 0.5


_WHAT = {
    Kind.LATE: "joins",
    Kind.KILL: "killed",
    Kind.KILL_CHIEF: "chief killed",
    Kind.KILL_TRAINER: "trainer killed",
    Kind.PAUSE: "paused",
    Kind.PARTITION: "links cut",
}


_THEN = {Kind.LATE: "counted", Kind.PARTITION: "once back, all counted"}


def _draw_rows(axes: Axes, results: Results) -> None:
    """A row for each node: dots where it was counted, crowns where it led, a cross where it was hurt."""
    names = [node.name for node in results.nodes]
    for place, name in enumerate(names):
        counted = [one.round for one in results.rounds if name in one.contributors and one.chief != name]
        axes.plot(counted, [place] * len(counted), ".", color="#c3ccd5", markersize=5, zorder=2)
        for one in results.rounds:
            if one.chief == name:
                axes.text(
                    one.round, place, CROWN, ha="center", va="center", fontsize=12, color=GOLD, zorder=3
                )
    for fault in results.faults:
        color, mark = (LATE, ">") if fault.kind == Kind.LATE else (FAULT, "X")
        for name in _hurt(fault):
            axes.plot(_place(fault), names.index(name), mark, color=color, markersize=7, zorder=4)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(colors=GREY, labelsize=9, length=0)
    _beside(axes, 0, f"{CROWN} leads", GOLD, "normal")
    _beside(axes, 1, "●  is counted", FAINT, "normal")
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
