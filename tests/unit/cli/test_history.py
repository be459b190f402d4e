"""Do `rounds`, `show` and `verify` tell what a chain holds, no more and no less?"""

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from comind.crypto.invite import Invite
from comind.node.cli import telling
from comind.node.cli.rounds import Later, history_of
from comind.node.cli.telling import told
from comind.node.daemon.snapshots import Snapshots
from comind.node.daemon.store import Store
from comind.node.home import Home, remember_invite
from comind.p2p.core.messages import Block, Certificate, Committed, Header
from comind.p2p.core.snapshot import chunk_hash
from comind.p2p.core.wire import block_hash, pack, read
from comind.p2p.core.words import NetworkId, Root, Rule, Settings, short_id
from tests.scenarios.cluster import Cluster
from tests.scenarios.moments import committed
from tests.unit.cli.conftest import Comind

ABSENT_ROUNDS = (4, 5)


@dataclass(frozen=True)
class Lived:
    """A chain with real signatures, the member that was killed for two rounds, and its base's values."""

    network: NetworkId
    chain: tuple[Committed, ...]
    victim: str
    base: bytes

    def headers(self, round: int) -> dict[bytes, Header]:
        blocks = [read(Block, one.block) for one in self.chain]
        block = [one for one in blocks if one.rule == Rule.MEAN][round - 1]
        return {one.node: one for one in (read(Header, signed.header) for signed in block.headers)}


@pytest.fixture(scope="module")
def lived() -> Lived:
    cluster = Cluster.founded(trainers=3, seed=3, real_keys=True)
    cluster.run_until(committed(round=3))
    victim = cluster.chief
    cluster.kill(victim)
    cluster.run_until(committed(round=5))
    cluster.restart(victim)
    cluster.run_until(committed(round=9))
    disk = cluster.disk(next(city for city in cluster.running if city != victim))
    base = next(read(Block, one.block).root for one in reversed(disk.chain))
    return Lived(cluster.network_id, tuple(disk.chain), victim, disk.snapshots[Root(base)].tobytes())


@pytest.fixture
def stored(home: Home, lived: Lived) -> Lived:
    """The same, in a home."""
    with closing(Store(home.store_file, lived.network)) as store:
        store.write(list(lived.chain))
    writer = Snapshots(home.snapshots).writer(len(lived.base) // 4)
    writer.put(0, memoryview(lived.base))
    writer.finish([chunk_hash(lived.base)])
    return lived


# -- rounds and show ----------------------------------------------------------------------------------------


def test_rounds_are_the_averages_of_the_chain_with_who_was_counted(comind: Comind, stored: Lived) -> None:
    code, seen, said = comind("rounds")
    assert (code, said) == (0, "")
    averages = [block for one in stored.chain if (block := read(Block, one.block)).rule == Rule.MEAN]
    rows = [line.split() for line in seen.splitlines() if re.match(r" +\d+ ", line)]
    assert [int(row[0]) for row in rows] == list(range(1, len(averages) + 1))
    for number in ABSENT_ROUNDS:
        assert f"{stored.victim}: " in " ".join(rows[number - 1])
    assert len(comind("rounds", "--last", 2)[1].splitlines()) == 5

    as_json = json.loads(comind("rounds", "--json")[1])
    assert [one["round"] for one in as_json["rounds"]] == list(range(len(averages) + 1))
    for one, block in zip(as_json["rounds"][1:], averages, strict=True):
        assert one["height"] == block.height
        assert sum(each["share"] for each in one["counted"]) == pytest.approx(1)
        assert [each["weight"] for each in one["counted"]] == [
            read(Header, signed.header).weight for signed in block.headers
        ]


def test_show_tells_what_became_of_the_work_of_who_was_absent(comind: Comind, stored: Lived) -> None:
    node = next(one for one in stored.headers(3) if one not in stored.headers(ABSENT_ROUNDS[0]))
    back = next(number for number in range(5, 10) if node in stored.headers(number))
    header, before = stored.headers(back)[node], stored.headers(3)[node]
    assert header.run == before.run
    for number in ABSENT_ROUNDS:
        code, seen, said = comind("show", number)
        assert (code, said) == (0, "")
        words = " ".join(seen.split())
        assert f"{stored.victim} ({short_id(node)}): " in words  # type: ignore[arg-type]
        assert f"Counted next in round {back}: step" in words
        assert f"{header.last_step:,}" in words
        assert f"with {header.weight:,} example" in words
        if header.first_step == before.last_step:
            assert "No step since it was last counted is missing." in words
    for number in range(1, 10):
        seen = comind("show", number)[1]
        assert seen.startswith(f"Round {number} of network ")
        assert max(map(len, seen.splitlines())) <= telling.WIDTH
        assert ("Every member was counted." in seen) is (number not in ABSENT_ROUNDS)
        assert "which is a quorum" in seen or "the only one who could vote" in seen


def test_show_as_json_is_the_round_of_rounds(comind: Comind, stored: Lived) -> None:
    all_rounds = json.loads(comind("rounds", "--json")[1])["rounds"]
    assert json.loads(comind("show", 4, "--json")[1]) == all_rounds[4]
    absent = all_rounds[4]["absent"]
    assert [one["who"]["name"] for one in absent] == [stored.victim]
    assert absent[0]["later"]["round"] > 5


def test_a_round_that_is_not_there_is_one_line(comind: Comind, stored: Lived) -> None:
    code, seen, said = comind("show", 999)
    assert (code, seen) == (2, "")
    assert said == "comind: there is no round 999 yet: the newest here is 9 (comind rounds lists them)\n"


def test_a_network_without_a_round_says_so(comind: Comind, home: Home, lived: Lived) -> None:
    with closing(Store(home.store_file, lived.network)) as store:
        store.write(list(lived.chain[:1]))
    assert comind("rounds")[1].endswith(", height 0: no round yet\n")
    assert comind("show", 1)[2] == (
        "comind: this network has no round yet: comind status tells what is waited for\n"
    )
    assert "no base yet" not in comind("verify")[1]
    assert comind("verify")[0] == 0


@pytest.mark.parametrize(
    ("later", "words"),
    [
        (Later(9, 30, 10, 20, 10, False), "No step since it was last counted is missing."),
        (Later(9, 30, 12, 20, 10, False), "Steps 11 to 12 are in no round."),
        (Later(9, 30, 11, 20, 10, False), "Step 11 are in no round."),
        (Later(9, 30, 0, 20, None, False), "That is from its first step on."),
        (Later(9, 30, 5, 20, None, False), "Its steps up to 5 are in no round."),
        (Later(9, 30, 0, 20, None, True), "That is a new run"),
    ],
)
def test_what_is_missing_is_said_exactly(later: Later, words: str) -> None:
    assert telling._whole(later).startswith(words.replace("Step 11 are", "Step 11 is"))


def test_what_others_call_themselves_steers_no_terminal(lived: Lived) -> None:
    history = history_of(lived.network, lived.chain)
    evil = msgspec.structs.replace(history.averages()[3].led_by, name="a\x1b[2J")
    assert "\x1b" not in told(history, msgspec.structs.replace(history.averages()[3], led_by=evil))


# -- verify -------------------------------------------------------------------------------------------------


def test_a_whole_chain_is_sound_and_its_limits_are_said(comind: Comind, stored: Lived, home: Home) -> None:
    code, seen, said = comind("verify")
    assert (code, said) == (0, "")
    assert seen.startswith(f"Sound: {len(stored.chain)} blocks, 9 rounds and ")
    assert "This proves:" in seen
    assert "It does not prove:" in seen
    assert f"it is {stored.network.hex()}" in " ".join(seen.split())
    remember_invite(home, Invite(stored.network, bytes(32), ()))
    assert "is the one in this node's invite" in " ".join(comind("verify")[1].split())
    verdict = json.loads(comind("verify", "--json")[1])
    assert (verdict["sound"], verdict["first_bad_block"], verdict["base"]) == (True, None, "whole")
    blocks = [read(Block, one.block) for one in stored.chain]
    votes = sum(len(one.certificate.commits) for one in stored.chain)
    assert verdict["signatures"] == votes + sum(len(block.headers) for block in blocks)


def _sql(home: Home, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(home.store_file)) as database, database:
        database.execute(statement, values)


def _respell(home: Home, height: int, lived: Lived, **differs: Any) -> None:
    """Put another block there, with the old votes."""
    block = pack(msgspec.structs.replace(read(Block, lived.chain[height].block), **differs))
    old = lived.chain[height].certificate
    certificate = msgspec.structs.replace(old, block=block_hash(block))
    packed = msgspec.msgpack.encode(certificate)
    _sql(home, "UPDATE chain SET block = ?, certificate = ? WHERE height = ?", block, packed, height)


def _recertify(home: Home, height: int, change: Callable[[Certificate], Certificate], lived: Lived) -> None:
    packed = msgspec.msgpack.encode(change(lived.chain[height].certificate))
    _sql(home, "UPDATE chain SET certificate = ? WHERE height = ?", packed, height)


def _forge(certificate: Certificate) -> Certificate:
    first, *others = certificate.commits
    return msgspec.structs.replace(
        certificate, commits=(msgspec.structs.replace(first, signature=bytes(64)), *others)
    )


TAMPERINGS: dict[str, Callable[[Home, int, Lived], None]] = {
    "a block with other metrics": lambda home, at, lived: _respell(home, at, lived, metrics={"loss": 0.0}),
    "a block with another root": lambda home, at, lived: _respell(home, at, lived, root=bytes(32)),
    "a missing block": lambda home, at, lived: _sql(home, "DELETE FROM chain WHERE height = ?", at),
    "a flipped byte": lambda home, at, lived: _sql(
        home,
        "UPDATE chain SET block = ? WHERE height = ?",
        lived.chain[at].block[:-1] + bytes([lived.chain[at].block[-1] ^ 1]),
        at,
    ),
    "no bytes at all": lambda home, at, lived: _sql(
        home, "UPDATE chain SET block = 'x' WHERE height = ?", at
    ),
    "a number for a certificate": lambda home, at, lived: _sql(
        home, "UPDATE chain SET certificate = 7 WHERE height = ?", at
    ),
    "no votes": lambda home, at, lived: _recertify(
        home, at, lambda one: msgspec.structs.replace(one, commits=()), lived
    ),
    "a forged vote": lambda home, at, lived: _recertify(home, at, _forge, lived),
}


@pytest.mark.parametrize("tamper", TAMPERINGS.values(), ids=TAMPERINGS.keys())
@pytest.mark.parametrize("from_the_end", [1, 4])
def test_the_first_bad_block_is_named(
    comind: Comind,
    home: Home,
    stored: Lived,
    tamper: Callable[[Home, int, Lived], None],
    from_the_end: int,
) -> None:
    at = len(stored.chain) - from_the_end - 1
    tamper(home, at, stored)
    code, seen, said = comind("verify")
    assert (code, said) == (1, "")
    words = " ".join(seen.split())
    assert words.startswith(f"NOT SOUND: block {at} of network ")
    assert f"Blocks 0 to {at - 1} are sound." in words
    verdict = json.loads(comind("verify", "--json")[1])
    assert (verdict["sound"], verdict["first_bad_block"], verdict["base"]) == (False, at, "unchecked")


def test_a_spoilt_genesis_is_block_0(comind: Comind, home: Home, stored: Lived) -> None:
    _respell(home, 0, stored, settings=Settings(min_peers=1))
    code, seen, _ = comind("verify")
    assert code == 1
    assert "NOT SOUND: block 0 of network " in seen
    assert "are sound" not in seen


@pytest.mark.parametrize(
    ("spoil", "state"),
    [
        (Path.unlink, "missing"),
        (lambda file: file.write_bytes(bytes(file.stat().st_size)), "damaged"),
        (lambda file: file.write_bytes(b""), "damaged"),
    ],
)
def test_a_base_that_is_not_the_chain_s_is_not_sound(
    comind: Comind, home: Home, stored: Lived, spoil: Callable[[Path], object], state: str
) -> None:
    (file,) = home.snapshots.glob("*.f32")
    file.chmod(0o600)
    spoil(file)
    code, seen, said = comind("verify")
    assert (code, said) == (1, "")
    assert f"is {state} in {home.snapshots}" in " ".join(seen.split())


def test_the_chain_of_another_network_than_the_invite_s_is_not_sound(
    comind: Comind, home: Home, stored: Lived
) -> None:
    remember_invite(home, Invite(bytes(32), bytes(32), ()))
    code, seen, _ = comind("verify")
    assert code == 1
    assert "the invite here of another" in " ".join(seen.split())


def test_a_store_that_is_no_database_is_a_mistake_with_its_mend(comind: Comind, home: Home) -> None:
    home.store_file.write_bytes(b"SQLite format 3\0" + bytes(200))
    for command in (("verify",), ("rounds",), ("show", 1)):
        code, seen, said = comind(*command)
        assert (code, seen, said.count("\n")) == (2, "", 1)
        assert str(home.store_file) in said


def test_a_damaged_chain_is_one_line_for_rounds(comind: Comind, home: Home, stored: Lived) -> None:
    _respell(home, len(stored.chain) - 2, stored, metrics={"loss": 0.0})
    code, seen, said = comind("rounds")
    assert (code, seen, said.count("\n")) == (2, "", 1)
