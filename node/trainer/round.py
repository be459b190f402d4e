"""What came of one interval, for the person who trains to read?

Knows nothing of how it came about.
"""

from dataclasses import dataclass
from typing import NamedTuple

from comind.node.attach import News


class Contributor(NamedTuple):
    """A member that was counted."""

    id: str
    name: str
    weight: int


class Absentee(NamedTuple):
    """A member that was not counted, and why."""

    id: str
    name: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """The newest average as this trainer met it, or why there was none."""

    counted: bool
    """Whether a contribution of this trainer is in it."""
    because: str
    """Why it is or is not."""
    round: int
    """Averages of the network so far, as far as is known here."""
    height: int
    """Of the newest block that is known here; -1 if none is."""
    contributors: tuple[Contributor, ...] = ()
    """Who was counted, in roster order; empty if no round came."""
    absent: tuple[Absentee, ...] = ()
    chief: str = ""
    """`name (short id)` of who led."""
    view: int = 0
    """Above 0, chiefs before this one failed."""
    seconds: float = 0.0
    """How long the round took."""
    finished: bool = False
    """Whether it was the network's last: nothing more is averaged."""


def told_by(news: News, counted: bool) -> Round:
    return Round(
        counted=counted,
        because=news.because,
        round=news.round,
        height=news.height,
        contributors=tuple(Contributor(*one) for one in news.contributors),
        absent=tuple(Absentee(*one) for one in news.absent),
        chief=news.chief,
        view=news.view,
        seconds=news.seconds,
        finished=news.finished,
    )
