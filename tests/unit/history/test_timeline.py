"""Are several journals told in one order that the clocks, which nobody trusts, cannot spoil?"""

from pathlib import Path

import pytest

from comind.node.daemon.journal import segments_in
from comind.p2p.core.effects import Commit, Heard, Send
from comind.p2p.core.messages import Heartbeat
from scripts.history.clocks import align, merged
from scripts.history.lives import Given, Life, lives_of, names_in
from scripts.history.wording import Wording
from tests.scenarios.cluster import Cluster
from tests.scenarios.keys import stub_verify
from tests.scenarios.moments import committed
from tests.scenarios.noting import keep_journals

NEAR_MS = 100
"""Messages of scenarios take up to some tens of milliseconds, and each way another time."""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Four rounds of a network whose third chief was killed, and came back with another clock."""
    keep_journals(tmp_path, monkeypatch)
    cluster = Cluster.founded(trainers=3, seed=11)
    cluster.run_until(committed(round=2))
    victim = cluster.chief
    cluster.kill(victim)
    cluster.run_until(committed(round=3))
    cluster.restart(victim)
    cluster.run_until(committed(round=4))
    return cluster


def lives(folder: Path, cluster: Cluster, height: int | None = None) -> list[Life]:
    return [
        life
        for city in cluster.running
        for life in lives_of(
            Given(tuple(segments_in(folder / city / "journal")), tuple(cluster.disk(city).chain)),
            height,
            stub_verify,
        )
    ]


def test_clocks_that_know_nothing_of_each_other_are_aligned(tmp_path: Path, cluster: Cluster) -> None:
    found = lives(tmp_path, cluster)
    assert len(found) == 4
    aligned = align(found)
    assert not aligned.alone
    assert aligned.unsure_ms < NEAR_MS
    running = [cluster.process(city) for city in cluster.running]
    now: dict[int, int] = {process.incarnation: process._epoch_ms for process in running}
    truth = {life: now[life.incarnation] for life in found if life.incarnation in now}
    assert len(truth) == 3
    zero = [truth[life] + aligned.shift_ms[life] for life in truth]
    assert max(zero) - min(zero) < NEAR_MS


def test_nothing_is_heard_before_it_was_said_and_each_node_s_order_stays(
    tmp_path: Path, cluster: Cluster
) -> None:
    found = lives(tmp_path, cluster)
    said: set[tuple[bytes, bytes, str]] = set()
    order: dict[Life, list[object]] = {life: [] for life in found}
    for _, moment in merged(found, align(found)):
        order[moment.life].append(moment)
        match moment.what:
            case Send(to=to, message=message) if not isinstance(message, Heartbeat):
                said |= {(moment.life.node, peer, repr(message)) for peer in to}
            case Heard(peer=peer, message=message) if not isinstance(message, Heartbeat):
                assert (peer, moment.life.node, repr(message)) in said
    assert order == {life: life.moments for life in found}


def test_a_journal_that_meets_no_other_s_messages_is_aligned_by_blocks(
    tmp_path: Path, cluster: Cluster
) -> None:
    first, *_, last = lives(tmp_path, cluster)
    for life in (first, last):
        life.moments = [moment for moment in life.moments if isinstance(moment.what, Commit)]
    aligned = align([first, last])
    assert aligned.messages == 0
    assert not aligned.alone
    last.moments.clear()
    assert align([first, last]).alone == (last,)


def test_one_height_is_told_from_the_segments_that_hold_it(tmp_path: Path, cluster: Cluster) -> None:
    height = 2
    whole = {
        (moment.life.node, moment.local_ms, repr(moment.what))
        for life in lives(tmp_path, cluster)
        for moment in life.moments
        if moment.height == height
    }
    narrow = lives(tmp_path, cluster, height)
    assert sum(life.steps for life in narrow) < sum(life.steps for life in lives(tmp_path, cluster))
    assert whole == {
        (moment.life.node, moment.local_ms, repr(moment.what))
        for life in narrow
        for moment in life.moments
        if moment.height == height
    }


def test_everything_that_happened_can_be_said_by_name(tmp_path: Path, cluster: Cluster) -> None:
    found = lives(tmp_path, cluster)
    wording = Wording(names_in([cluster.disk(city).chain for city in cluster.running], found))
    assert sorted(wording.names.values()) == sorted(cluster.running)
    said = [wording.describe(moment.what) for life in found for moment in life.moments]
    assert not [line for line in said for life in found if life.node.hex()[:8] in line]
    assert any("VIEWCHANGE" in line for line in said)
