"""Which faults are there, and how is each done to a network? By name, in groups that share one network.

A group yields what came of each fault; whoever runs it judges the disks at its end.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from comind.p2p.core.words import Settings
from scripts.local.child import Child, end
from scripts.local.forwarder import READY
from scripts.local.ports import free_pairs
from tests.e2e.faults.points import POINTS
from tests.e2e.faults.stage import MEMBERS, Run, Stage
from tests.e2e.faults.wires import Wires, why_not
from tests.e2e.real_network import CITIES, RealNetwork

STOPPED_S = 5.0
"""Past the patience (1 s), and past what is silence (3 s)."""
CUT_S = 6.0
BAD_S = 8.0
"""So long packets are lost, or links slow."""
DELAY_MS = 80
MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for of a group."""

    names: tuple[str, ...]
    times: int
    kills: int
    seconds: float

    @property
    def all(self) -> tuple[str, ...]:
        """Each name as often as it is asked for."""
        return self.names * self.times


def points(stage: Stage, wish: Wish, chance: random.Random) -> None:
    for number, point in enumerate(wish.all):
        stage.attempt(partial(stage.dies_at, point, stage.nodes[number % len(stage.nodes)]))


def stops(stage: Stage, wish: Wish, chance: random.Random) -> None:
    for name in wish.all:
        role = name.removeprefix("stopped-")
        stage.attempt(partial(stage.is_stopped, stage.chief_or_not(role, chance), role, STOPPED_S))


def everyone(stage: Stage, wish: Wish, chance: random.Random) -> None:
    for name in wish.all:
        stage.attempt(partial(stage.everyone_is_killed, trainers=name == "everything"))


def random_kills(stage: Stage, wish: Wish, chance: random.Random) -> None:
    """Nobody helps: the first kill that the network does not get over by itself ends them all."""
    for _ in range(wish.kills):
        what = "daemon" if chance.random() < 0.7 else "trainer"
        stage.tell(stage.is_killed(chance.choice(stage.nodes), what))


def goodput(stage: Stage, wish: Wish, chance: random.Random) -> None:
    """Count examples a second, undisturbed and with a random kill a minute."""
    began_s = time.monotonic()
    stage.watch.for_(wish.seconds)
    plain = stage.watch.examples(began_s, began_s + wish.seconds) / wish.seconds
    began_s, kills = time.monotonic(), 0
    while (now_s := time.monotonic()) < began_s + wish.seconds:
        if now_s >= began_s + MINUTE_S * kills + min(MINUTE_S, wish.seconds) / 2:
            kills += 1
            stage.is_killed(chance.choice(stage.nodes), chance.choice(("daemon", "trainer")))
        stage.watch.turn()
    kept = stage.watch.examples(began_s, began_s + wish.seconds) / wish.seconds
    told = f"{kept:.0f} of {plain:.0f} examples/s, {kept / plain:.0%}, {kills} kills in {wish.seconds:.0f} s"
    stage.note(f"goodput: {told}", "goodput")


def _wires(stage: Stage, wires: Wires, wish: Wish) -> None:
    everyone = range(len(stage.nodes))
    for number, name in enumerate(wish.all):
        run = stage.note(name, "slow links" if name == "thin-links" else "dropped packets")
        alone = number % len(stage.nodes)
        away: Sequence[int] = ()
        match name:
            case "one-cut-off":
                away = (alone,)
                wires.cut(away, [one for one in everyone if one != alone])
            case "halves":
                away = (2, 3)  # the founder is the first voter: its half is a quorum
                wires.cut((0, 1), away)
            case "all-apart":
                away = everyone
                wires.cut(*[(one,) for one in everyone])
            case "tenth-lost":
                wires.lose(0.1)
            case "thin-links":
                wires.slow(4_000)
        began_s = time.monotonic()
        if name == "all-apart":
            stage.watch.for_(CUT_S)
            wires.heal()
            run.recovery_s = stage.recovery_since(time.monotonic())
        else:
            run.recovery_s = stage.recovery_since(began_s, [stage.nodes[one] for one in away])
            stage.watch.for_(began_s + (CUT_S if away else BAD_S) - time.monotonic())
            wires.heal()
        stage.comes_back(stage.nodes)
        stage.tell(run)


# -- groups -------------------------------------------------------------------------------------------------

GROUPS: dict[str, tuple[str, ...]] = {
    "points": POINTS,
    "stops": ("stopped-chief", "stopped-contributor"),
    "everyone": ("every-daemon", "everything"),
    "wires": ("one-cut-off", "halves", "all-apart", "tenth-lost", "thin-links"),
    "far-links": ("far-links",),
    "random-kills": ("random-kills",),
    "goodput": ("goodput",),
}
"""Names by group; a group is a name for all of its own."""

_PLAIN: dict[str, Callable[[Stage, Wish, random.Random], None]] = {
    "points": points,
    "stops": stops,
    "everyone": everyone,
    "random-kills": random_kills,
    "goodput": goodput,
}


def why_skipped(group: str) -> str:
    """Say why this machine cannot do a group; empty if it can."""
    return why_not() if group == "wires" else ""


def run_group(
    group: str,
    wish: Wish,
    folder: Path,
    chance: random.Random,
    tell: Callable[[Run], None] = lambda run: None,
) -> list[Run]:
    """Do all that is asked for of a group to one network, tell of each, and judge what is left behind."""
    with _stage_for(group, folder, wish) as (stage, begin):
        stage.tell = tell
        try:
            with stage:
                begin(stage, chance)
                wrong = stage.judge()
        except AssertionError as why:
            wrong = [str(why)]
        if wrong:
            stage.note(f"the disks after {group}", "at the end").wrong += wrong
        return stage.runs


_Begin = Callable[[Stage, random.Random], None]


@contextmanager
def _stage_for(group: str, folder: Path, wish: Wish) -> Iterator[tuple[Stage, _Begin]]:
    if group == "wires":
        with Wires(MEMBERS) as wires:
            yield Stage(folder, places=wires.places), lambda stage, chance: _wires(stage, wires, wish)
    elif group == "far-links":
        with _far_network(folder) as network:
            yield Stage(folder, network=network), lambda stage, chance: _far(stage, wish)
    else:
        step_s = 0.2 if group == "goodput" else 0.02
        yield Stage(folder, step_s=step_s), lambda stage, chance: _PLAIN[group](stage, wish, chance)


@contextmanager
def _far_network(folder: Path) -> Iterator[RealNetwork]:
    """A network whose every link passes a relay that takes its time."""
    fronts = free_pairs(MEMBERS, 7_000 + hash(str(folder)) % 4_000)
    backs: list[int] = []

    def behind(address: str) -> str:
        backs.append(int(address.rpartition(":")[2]))
        return f"tcp://127.0.0.1:{fronts[len(backs) - 1]}"

    folder.mkdir(exist_ok=True)
    network = RealNetwork(folder, MEMBERS, Settings(start_at=MEMBERS), behind=behind)
    pairs = zip(CITIES, fronts, backs, strict=False)
    arguments = [f"{name}:{front}={back}" for name, front, back in pairs]
    relay = Child("scripts.local.forwarder", arguments, folder / "relay.log", hears=True)
    try:
        network.wait(lambda: READY in relay.log.read_text(), "the relay listens")
        relay.tell(f"delay {DELAY_MS}")
        yield network
    finally:
        end([relay], patience_s=5)
        relay.close()


def _far(stage: Stage, wish: Wish) -> None:
    """Kill the chief where every word takes its time."""
    for _ in range(wish.times):
        run = stage.is_killed(stage.chief_or_not("chief", random.Random(0)), "daemon")
        run.fault = f"chief killed, every word {DELAY_MS} ms late"
        stage.tell(run)
