"""Would the oracles see it? Each is shown a broken promise. (S1-S8)"""

from collections.abc import Callable

import numpy as np
import pytest
from msgspec.structs import replace

from comind.crypto.statement import statement
from comind.p2p.core.effects import Promised
from comind.p2p.core.messages import Block, Committed, Header, Vote
from comind.p2p.core.signing import sign_header, sign_vote
from comind.p2p.core.wire import block_hash, pack, read
from comind.p2p.core.words import Height
from tests.scenarios.cluster import Cluster
from tests.scenarios.disk import Disk
from tests.scenarios.forging import Kind
from tests.scenarios.moments import committed
from tests.scenarios.oracles import Broken, exact_mean
from tests.scenarios.plane import weighted_mean
from tests.scenarios.readings import Reading, fields_of


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster.grown(trainers=3)
    cluster.run_until(committed(round=cluster.rounds + 1))
    return cluster


def certified(cluster: Cluster, block: Block, by: tuple[str, ...], kind: Kind = "commit") -> Committed:
    """A block as these would commit it."""
    wire = pack(block)
    commits = []
    for city in by:
        unsigned = Vote(kind, block.height, 0, block_hash(wire), cluster.node(city), 1, 1, bytes(64))
        commits.append(sign_vote(cluster.keys.signer(city), cluster.network_id, unsigned))
    newest = cluster.disk("lima").chain[-1].certificate
    return Committed(
        wire,
        replace(newest, height=block.height, view=0, block=block_hash(wire), commits=tuple(commits)),
    )


def following(cluster: Cluster, **changed: object) -> Block:
    """The newest block again, one height further."""
    block = cluster.last_block
    headers = []
    for signed in block.headers:
        header = replace(read(Header, signed.header), height=block.height + 1)
        city = cluster.names[header.node]
        headers.append(sign_header(cluster.keys.signer(city), cluster.network_id, header))
    head = cluster.history.hashes[block.height]
    again = replace(block, height=block.height + 1, previous=head, headers=tuple(headers))
    return replace(again, **changed)


def second_block(cluster: Cluster) -> None:
    block = replace(cluster.last_block, duration_ms=99_999)
    everyone = ("lima", "berlin", "hanoi")
    cluster.oracles.saw_commit(
        cluster.node("lima"), certified(cluster, block, everyone), Height(block.height)
    )


def too_few(cluster: Cluster) -> None:
    block = following(cluster)
    cluster.oracles.saw_commit(
        cluster.node("lima"), certified(cluster, block, ("berlin",)), Height(block.height)
    )


def one_twice(cluster: Cluster) -> None:
    block = following(cluster)
    twice = certified(cluster, block, ("berlin", "berlin"))
    cluster.oracles.saw_commit(cluster.node("lima"), twice, Height(block.height))


def other_votes(cluster: Cluster) -> None:
    block = following(cluster)
    prepares = certified(cluster, block, ("lima", "berlin"), kind="prepare")
    cluster.oracles.saw_commit(cluster.node("lima"), prepares, Height(block.height))


def unsigned(cluster: Cluster) -> None:
    block = following(cluster)
    good = certified(cluster, block, ("lima", "berlin"))
    votes = tuple(replace(vote, signature=bytes(64)) for vote in good.certificate.commits)
    bad = replace(good, certificate=replace(good.certificate, commits=votes))
    cluster.oracles.saw_commit(cluster.node("lima"), bad, Height(block.height))


def inexact(cluster: Cluster) -> None:
    headers = following(cluster).headers
    fresh = []
    for signed in headers:
        header = read(Header, signed.header)
        later = replace(header, first_step=header.last_step, last_step=header.last_step + 10)
        key = (header.run, header.last_step)
        cluster.oracles._offers[header.run, header.last_step + 10] = cluster.oracles._offers[key]
        fresh.append(sign_header(cluster.keys.signer(cluster.names[header.node]), cluster.network_id, later))
    block = following(cluster, headers=tuple(fresh), root=bytes(32))
    cluster.oracles.saw_commit(
        cluster.node("lima"), certified(cluster, block, ("lima", "berlin")), Height(block.height)
    )


def counted_twice(cluster: Cluster) -> None:
    block = following(cluster)
    cluster.oracles.saw_commit(
        cluster.node("lima"), certified(cluster, block, ("lima", "berlin")), Height(block.height)
    )


def two_votes(cluster: Cluster) -> None:
    record = _promise(cluster)
    assert record.prepared is not None
    other = replace(record.prepared, block=bytes(32))
    cluster.oracles.saw_promise(
        cluster.node("lima"), replace(record, count=record.count + 1, prepared=other), cluster.disk("lima")
    )


def count_goes_back(cluster: Cluster) -> None:
    record = _promise(cluster)
    cluster.oracles.saw_promise(cluster.node("lima"), record, cluster.disk("lima"))


def view_goes_back(cluster: Cluster) -> None:
    record = replace(_promise(cluster), height=cluster.last_height + 1, prepared=None, committed=None)
    record = replace(record, view=3, count=record.count + 1, lock=None, block=b"")
    node, disk = cluster.node("lima"), cluster.disk("lima")
    cluster.oracles.saw_promise(node, record, disk)
    cluster.oracles.saw_promise(node, replace(record, view=2, count=record.count + 1), disk)


def a_disk_forgets(cluster: Cluster) -> None:
    cluster.oracles.saw_start(cluster.node("lima"), cluster.disk("lima"))
    cluster.oracles.saw_start(cluster.node("lima"), Disk(chain=cluster.disk("lima").chain[:2]))


def honest_peer_dropped(cluster: Cluster) -> None:
    cluster.oracles.saw_drop(cluster.node("lima"), cluster.node("berlin"), "a whim")


def _promise(cluster: Cluster) -> Promised:
    record = cluster.disk("lima").promised
    assert record is not None
    return record


@pytest.mark.parametrize(
    ("sin", "promise"),
    [
        (second_block, "S1"),
        (too_few, "S2"),
        (one_twice, "S2"),
        (other_votes, "S2"),
        (unsigned, "S2"),
        (inexact, "S3"),
        (counted_twice, "S4"),
        (two_votes, "S"),
        (count_goes_back, "S8"),
        (view_goes_back, "S8"),
        (a_disk_forgets, "S8"),
        (honest_peer_dropped, "honesty"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_broken_promise_is_seen(cluster: Cluster, sin: Callable[[Cluster], None], promise: str) -> None:
    with pytest.raises(Broken, match=f"^{promise}"):
        sin(cluster)


def test_two_ways_to_the_mean_agree_to_the_bit() -> None:
    """S3."""
    chance = np.random.default_rng(7)
    for members in (1, 2, 3, 17):
        shares = [
            (
                (chance.standard_normal(64) * 10.0 ** chance.integers(-30, 30, 64)).astype(np.float32),
                int(chance.integers(1, 1 << 40)),
            )
            for _ in range(members)
        ]
        assert exact_mean(shares).tobytes() == weighted_mean(shares).tobytes()


def test_of_any_set_of_voters_and_its_complement_exactly_one_decides() -> None:
    """R1."""
    for voters in range(1, 8):
        names = [bytes([at]) for at in range(voters)]
        reading = Reading(dict.fromkeys(names, 0), dict.fromkeys(names, 0))
        for chosen in range(1 << voters):
            some = {name for at, name in enumerate(names) if chosen >> at & 1}
            assert reading.decides(some) != reading.decides(set(names) - some)


def test_statements_are_read_as_they_were_made() -> None:
    assert fields_of(statement("vote", b"ab", 7, "words", b"")) == ["vote", b"ab", 7, "words", b""]
