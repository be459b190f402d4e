"""What does a person see while the network runs?

In a terminal a table that is drawn anew, in a pipe plain lines. Knows what it is handed, and decides nothing.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from scripts.local.ledger import Average

CROWN = "♛"
_REDRAW_S = 0.1
_STYLES = {
    "ready": "green",
    "training": "cyan",
    "joining": "magenta",
    "killed": "bold red",
    "paused": "bold red",
    "finished": "bold green",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One node, as the table shows it."""

    name: str
    state: str
    round: int
    leads: bool
    loss: float | None
    accuracy: float | None
    sent: int | None
    received: int | None


@dataclass(frozen=True, slots=True)
class Scene:
    """The whole network now."""

    title: str
    rows: Sequence[Row]


class View(Protocol):
    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None: ...

    def say(self, line: str, style: str = "") -> None:
        """Tell something that stays on the screen."""

    def draw(self, scene: Callable[[], Scene]) -> None:
        """Show how it stands now, if it is time to; `scene` is asked only then."""

    def averaged(self, average: Average, accuracy: float | None) -> None:
        """Tell of a new average."""


def view_for(console: Console) -> View:
    return LiveView(console) if console.is_terminal else PlainView(console)


class PlainView:
    """One line for each thing that happens, with the seconds since the start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began_s = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        pass

    def say(self, line: str, style: str = "") -> None:
        self._console.print(
            Text(f"{time.monotonic() - self._began_s:7.2f}  ").append(line, style), soft_wrap=True
        )

    def draw(self, scene: Callable[[], Scene]) -> None:
        pass

    def averaged(self, average: Average, accuracy: float | None) -> None:
        line = average.line
        view = f" in view {line.view}" if line.view else ""
        told = "" if accuracy is None else f", accuracy {accuracy:.1%}"
        absent = "".join(f"; without {name}: {because}" for _, name, because in line.absent)
        self.say(
            f"round {line.round}: {line.chief_name} led{view}, {len(line.contributors)} counted,"
            f" {line.seconds:.3f} s{told}{absent}"
        )


class LiveView:
    """The table, redrawn in place, below what was said."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._next_s = 0.0

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._live.stop()

    def say(self, line: str, style: str = "") -> None:
        self._console.print(Text(line, style))

    def draw(self, scene: Callable[[], Scene]) -> None:
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + _REDRAW_S
            self._live.update(picture_of(scene()), refresh=True)

    def averaged(self, average: Average, accuracy: float | None) -> None:
        pass  # the table shows it


def picture_of(scene: Scene) -> Group:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading, width in _COLUMNS.items():
        table.add_column(heading, justify="right" if heading in _NUMBERS else "left", min_width=width)
    for row in scene.rows:
        table.add_row(
            Text(CROWN if row.leads else "", "yellow"),
            Text(row.name, "bold" if row.leads else ""),
            Text(row.state, _STYLES.get(row.state, "")),
            str(row.round),
            "" if row.loss is None else f"{row.loss:.3f}",
            "" if row.accuracy is None else f"{row.accuracy:.1%}",
            "" if row.sent is None else size(row.sent),
            "" if row.received is None else size(row.received),
        )
    return Group(Text(scene.title, "bold"), table)


_COLUMNS = {"": 1, "node": 8, "state": 11, "round": 5, "loss": 5, "accuracy": 8, "sent": 7, "received": 8}
"""Headings, and what their columns need at least: so that the table stands still while it fills."""

_NUMBERS = ("round", "loss", "accuracy", "sent", "received")


def size(count: float) -> str:
    """Say a number of bytes with three digits at most."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError
