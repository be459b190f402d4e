"""What if anyone dies at any time? Each phase, each role; then it restarts and catches up. (R9-R14, S1-S8)"""

from collections.abc import Callable
from functools import partial

import pytest

from comind.p2p.core.words import Settings
from tests.scenarios.cluster import Cluster
from tests.scenarios.moments import (
    Moment,
    able_to_lead,
    caught_up,
    committed,
    locked,
    opened,
    prepared,
    proposed,
    ready,
    uploading,
)

SETTINGS = Settings(max_voters=3)


def cast(cluster: Cluster) -> dict[str, str]:
    """Somebody for each role; four train, three vote, one is a witness, all can lead."""
    chief, second = cluster.leads(view=0), cluster.leads(view=1)
    others = [city for city in cluster.members if city not in (chief, second)]
    return {
        "chief": chief,
        "next chief": second,
        "voter": next(city for city in others if city in cluster.voters),
        "contributor": next(city for city in others if city not in cluster.voters and city != "accra"),
        "witness": "accra",
        "founder": "lima",
    }


def somebody_uploads(round: int) -> Moment:
    each = [uploading(round, city) for city in ("lima", "berlin", "hanoi", "quito")]
    return Moment("somebody uploads", lambda cluster: any(one.has_come(cluster) for one in each))


PHASES: dict[str, Callable[[int], Moment]] = {
    "ready": partial(ready, by="lima"),
    "opened": opened,
    "uploading": somebody_uploads,
    "proposed": proposed,
    "prepared": prepared,
    "locked": locked,
    "certified": partial(committed, anyone=True),
}
ROLES = ("chief", "next chief", "voter", "contributor", "witness", "founder")


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("role", ROLES)
def test_anyone_dies_at_any_time_and_comes_back(phase: str, role: str) -> None:
    cluster = Cluster.grown(trainers=4, witnesses=1, settings=SETTINGS)
    round, who = cluster.rounds + 1, cast(cluster)[role]
    cluster.run_until(PHASES[phase](round))
    cluster.kill(who, losing=role in ("chief", "voter"))
    decided = cluster.history.decided.get(cluster.last_height + 1)
    cluster.run_until(committed(round=round + 1))
    if decided is not None:
        assert cluster.average(round) == cluster.locked_average(round)
    cluster.restart(who)
    cluster.run_until(committed(round=round + 3) & able_to_lead(who))
    cluster.run_until(caught_up())
    assert len(cluster.digests()) == 1
    assert cluster.contributors(cluster.rounds) == {"lima", "berlin", "hanoi", "quito"}
    assert cluster.history.drops == []


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("pause_ms", [0, 5_000])
def test_all_restart_at_once(phase: str, pause_ms: int) -> None:
    """R14: nobody waits in a circle, and what was locked is what is committed."""
    cluster = Cluster.grown(trainers=3, witnesses=1)
    round = cluster.rounds + 1
    cluster.run_until(PHASES[phase](round))
    everyone = cluster.running
    for city in everyone:
        cluster.kill(city, losing=True)
    cluster.run_for(pause_ms)
    for city in everyone:
        cluster.restart(city)
    cluster.run_until(committed(round=round))
    if cluster.locked_average(round) is not None:
        assert cluster.average(round) == cluster.locked_average(round)
    cluster.run_until(committed(round=round + 2))
    assert cluster.contributors(cluster.rounds) == {"lima", "berlin", "hanoi"}
    assert len(cluster.digests()) == 1


@pytest.mark.parametrize("phase", PHASES)
def test_one_after_the_other_restarts_in_mid_round(phase: str) -> None:
    """R14, S8: a rolling restart; at most one is away at any time."""
    cluster = Cluster.grown(trainers=4)
    round = cluster.rounds + 1
    cluster.run_until(PHASES[phase](round))
    for city in cluster.running:
        cluster.kill(city)
        cluster.run_for(100)
        cluster.restart(city)
        cluster.run_for(400)
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert cluster.contributors(cluster.rounds) == {"lima", "berlin", "hanoi", "quito"}
    assert len(cluster.digests()) == 1
