"""Does the judge of disks see what is wrong? Chains made by hand, one promise broken in each."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.e2e.faults.judge import Disk, Judge, digest, statement, wrong_with_trainer

KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(1, 4)]
NODES = [key.public_key().public_bytes_raw() for key in KEYS]
ROOT = "ab" * 32


def block(height: int, previous: bytes, rule: str = "roster", **fields: Any) -> bytes:
    plain = {
        "height": height,
        "previous": previous,
        "rule": rule,
        "headers": (),
        "changes": (),
        "root": bytes(32),
    }
    return bytes(msgpack.packb(plain | fields))


def genesis() -> bytes:
    changes = [{"type": "admit", "node": node} for node in NODES]
    changes += [{"type": "give-vote", "node": node} for node in NODES]
    return block(0, bytes(32), "genesis", changes=changes)


NETWORK = digest("block", genesis())


def vote(number: int, height: int, wire: bytes, view: int = 0, kind: str = "commit") -> dict[str, Any]:
    named = digest("block", wire)
    spoken = statement(kind, NETWORK, height, view, named, NODES[number], 7, height)
    return {"kind": kind, "height": height, "view": view, "block": named, "node": NODES[number],
            "incarnation": 7, "promise": height, "signature": KEYS[number].sign(spoken)}  # fmt: skip


def certificate(height: int, wire: bytes, signers: Sequence[int] = (0, 1)) -> dict[str, Any]:
    return {"height": height, "view": 0, "block": digest("block", wire),
            "commits": [vote(one, height, wire) for one in signers]}  # fmt: skip


def mean(height: int, previous: bytes, first: int, last: int, of_height: int | None = None) -> bytes:
    header = bytes(
        msgpack.packb({"height": of_height or height, "node": NODES[0], "run": b"r", "first_step": first,
                       "last_step": last})
    )  # fmt: skip
    signed = {"header": header, "signature": KEYS[0].sign(statement("header", NETWORK, header))}
    return block(height, digest("block", previous), "mean", headers=[signed], root=bytes.fromhex(ROOT))


def disk_of(*blocks: bytes, name: str = "Lima") -> Disk:
    certificates = [
        certificate(height, wire) if height else {"commits": []} for height, wire in enumerate(blocks)
    ]
    promised = {"height": len(blocks), "view": 1, "count": 9}
    return Disk(name, tuple(blocks), tuple(certificates), promised, {ROOT: ROOT})


FIRST = mean(1, genesis(), 0, 5)
SECOND = mean(2, FIRST, 5, 9)
GOOD = disk_of(genesis(), FIRST, SECOND)


def test_what_is_right_is_found_right() -> None:
    judge = Judge(NETWORK)
    assert judge.read(disk_of(genesis(), FIRST)) == []
    assert judge.read_all([GOOD, replace(GOOD, name="Oslo")]) == []


def _other_vote(disk: Disk) -> Disk:
    other = block(2, digest("block", FIRST))
    return replace(disk, promised=disk.promised | {"committed": vote(0, 2, other)})


def _with_certificate(signers: Sequence[int], about: bytes = SECOND) -> Callable[[Disk], Disk]:
    def changed(disk: Disk) -> Disk:
        return replace(disk, certificates=(*disk.certificates[:2], certificate(2, about, signers)))

    return changed


def _unsigned(disk: Disk) -> Disk:
    forged = certificate(2, SECOND)
    forged["commits"][0]["signature"] = bytes(64)
    return replace(disk, certificates=(*disk.certificates[:2], forged))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            lambda _: disk_of(genesis(), FIRST, mean(2, FIRST, 4, 9)),
            "S4: steps of a run count again in block 2",
        ),
        (lambda _: disk_of(genesis(), FIRST, mean(2, FIRST, 5, 9, 3)), "S4: a header of height 3 in block 2"),
        (lambda _: disk_of(genesis(), FIRST, mean(2, SECOND, 5, 9)), "S1: block 2 does not follow"),
        (lambda _: disk_of(block(0, bytes(32))), "S1: genesis is another network's"),
        (_with_certificate((1,)), "S2: 1 of 3 voters committed height 2: no quorum"),
        (_with_certificate((0, 0)), "S2: 1 of 3 voters committed height 2: no quorum"),
        (_with_certificate((0, 1), FIRST), "S2: the certificate of height 2 holds a vote for something else"),
        (_unsigned, "S2: the certificate of height 2 holds a vote that is not signed"),
        (
            lambda disk: replace(disk, snapshots={ROOT: "cd" * 32}),
            "S3: snapshot abababab holds the bytes of cdcd",
        ),
        (_other_vote, "S7: two commit votes of one member, height 2, view 0"),
    ],
)
def test_what_is_wrong_with_one_disk_is_found(change: Callable[[Disk], Disk], line: str) -> None:
    assert any(line in found for found in Judge(NETWORK).read(change(GOOD)))


def test_two_disks_with_two_blocks_of_one_height_are_found() -> None:
    judge = Judge(NETWORK)
    assert judge.read(GOOD) == []
    other = disk_of(genesis(), FIRST, mean(2, FIRST, 6, 9), name="Oslo")
    assert judge.read(other) == ["Oslo: S1: another block at height 2"]


@pytest.mark.parametrize(
    ("promised", "line"),
    [({"count": 8}, "promise count went back from 9 to 8"), ({"view": 0}, "promised view went back")],
)
def test_a_disk_that_goes_back_is_found(promised: dict[str, int], line: str) -> None:
    judge = Judge(NETWORK)
    judge.read(GOOD)
    (found,) = judge.read(replace(GOOD, promised=GOOD.promised | promised))
    assert line in found


def test_disks_that_differ_at_the_end_or_lack_the_base_are_found() -> None:
    found = Judge(NETWORK).read_all([GOOD, replace(disk_of(genesis(), FIRST, name="Oslo"), snapshots={})])
    assert found == ["S1: chains differ: 3 blocks, 2 blocks", "Oslo: S3: the base is not there"]


@pytest.mark.parametrize(
    ("log", "lines"),
    [
        ("begins\n3 True x\n4 False\n5 True\nbegins\n2 True\n", []),
        ("begins\n3 True x\n2 False x\n", ["S5: Lima's trainer went back from average 3 to 2"]),
        ("begins\n3 True x\n3 True x\n", ["S5: Lima's trainer was counted twice in average 3"]),
    ],
)
def test_a_trainer_that_does_not_follow_is_found(tmp_path: Path, log: str, lines: list[str]) -> None:
    (tmp_path / "Lima").mkdir()
    (tmp_path / "Lima" / "trainer.log").write_text(log)
    assert wrong_with_trainer(tmp_path / "Lima" / "trainer.log") == lines
