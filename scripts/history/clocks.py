"""By how much do the nodes' clocks differ, and what came before what?

No clock is trusted: each node has its own monotonic one. What was sent came before it was heard, and the
quickest messages each way bound by how much two clocks differ; where there are none, the same blocks do.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from statistics import median

from blake3 import blake3

from comind.p2p.core.effects import Commit, Heard, Send
from comind.p2p.core.messages import Heartbeat, Message
from comind.p2p.core.wire import pack
from scripts.history.lives import Life, Moment

Key = tuple[bytes, bytes, bytes]
"""Who said it, to whom, and a digest of what."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """What to add to each life's clock, and how well that is known."""

    shift_ms: Mapping[Life, float]
    messages: int
    """So many were matched for it."""
    unsure_ms: float
    """Two clocks may differ by so much more or less, as far as the messages show."""
    alone: tuple[Life, ...]
    """Nothing connects these with the first one: they begin where it does."""


def align(lives: Sequence[Life]) -> Aligned:
    """Bring the clocks of all lives as near to the first one's as messages and blocks allow."""
    quickest, matched = _quickest(lives)
    shift: dict[Life, float] = {}
    unsure: list[float] = []
    alone: list[Life] = []
    for first in lives:
        if first in shift:
            continue
        if shift:
            alone.append(first)
        shift[first] = _meet_beginnings(first, lives[0]) + shift.get(lives[0], 0.0) if shift else 0.0
        waiting = [first]
        while waiting:
            known = waiting.pop(0)
            for other in lives:
                if other not in shift and (found := _difference(known, other, quickest)) is not None:
                    shift[other] = shift[known] + found[0]
                    unsure += [found[1]] if found[1] is not None else []
                    waiting.append(other)
    return Aligned(shift, matched, max(unsure, default=0.0), tuple(alone))


def merged(lives: Sequence[Life], aligned: Aligned) -> Iterator[tuple[float, Moment]]:
    """Yield all moments in one order in which nothing is heard before it was said, with the first one's time.

    Each node's own order stays; between nodes the aligned clocks decide where messages do not.
    """
    said = {key for life in lives for moment in life.moments for key in _sent(moment)}
    told: set[Key] = set()
    at = dict.fromkeys(lives, 0)
    queue: list[tuple[float, int, Life]] = []
    blocked: dict[Key, list[tuple[float, int, Life]]] = defaultdict(list)

    def line_up(life: Life, number: int) -> None:
        if at[life] < len(life.moments):
            heappush(queue, (life.moments[at[life]].local_ms + aligned.shift_ms[life], number, life))

    for number, life in enumerate(lives):
        line_up(life, number)
    while queue or any(blocked.values()):
        if not queue:  # two journals with gaps can say that each heard the other first
            queue = sorted(one for several in blocked.values() for one in several)
            blocked.clear()
            said.clear()
        ms, number, life = heappop(queue)
        moment = life.moments[at[life]]
        key = _heard(moment)
        if key is not None and key in said and key not in told:
            blocked[key].append((ms, number, life))
            continue
        yield ms, moment
        at[life] += 1
        line_up(life, number)
        for sent in _sent(moment):
            told.add(sent)
            for one in blocked.pop(sent, []):
                heappush(queue, (max(one[0], ms), *one[1:]))


def _quickest(lives: Sequence[Life]) -> tuple[dict[tuple[Life, Life], float], int]:
    """Return by how much, at least, one life's clock at hearing was ahead of another's at saying."""
    sent: dict[Key, list[Moment]] = defaultdict(list)
    heard: dict[Key, list[Moment]] = defaultdict(list)
    for life in lives:
        for moment in life.moments:
            for key in _sent(moment):
                sent[key].append(moment)
            if (key_heard := _heard(moment)) is not None:
                heard[key_heard].append(moment)
    quickest: dict[tuple[Life, Life], float] = {}
    matched = 0
    for key, there in heard.items():
        here = sent.get(key, [])
        if len(here) == len(there) == 1:  # what was said again cannot be told apart
            matched += 1
            pair = here[0].life, there[0].life
            took = there[0].local_ms - here[0].local_ms
            quickest[pair] = min(took, quickest.get(pair, took))
    return quickest, matched


def _difference(
    known: Life, other: Life, quickest: Mapping[tuple[Life, Life], float]
) -> tuple[float, float | None] | None:
    """Return what to add to the other's clock for the known one's, and half the room that leaves."""
    there, back = quickest.get((known, other)), quickest.get((other, known))
    if there is not None and back is not None:
        return (back - there) / 2, abs(back + there) / 2
    if there is not None:
        return -there, None
    if back is not None:
        return back, None
    mine, its = _commits(known), _commits(other)
    both = mine.keys() & its.keys()
    return (median(mine[height] - its[height] for height in both), None) if both else None


def _commits(life: Life) -> dict[int, int]:
    return {one.what.height: one.local_ms for one in life.moments if isinstance(one.what, Commit)}


def _meet_beginnings(life: Life, first: Life) -> float:
    if not life.moments or not first.moments:
        return 0.0
    return first.moments[0].local_ms - life.moments[0].local_ms


def _sent(moment: Moment) -> Iterator[Key]:
    what = moment.what
    if isinstance(what, Send) and not isinstance(what.message, Heartbeat):
        name = _digest(what.message)
        for peer in what.to:
            yield moment.life.node, peer, name


def _heard(moment: Moment) -> Key | None:
    what = moment.what
    if isinstance(what, Heard) and not isinstance(what.message, Heartbeat):
        return what.peer, moment.life.node, _digest(what.message)
    return None


def _digest(message: Message) -> bytes:
    return blake3(pack(message)).digest(16)
