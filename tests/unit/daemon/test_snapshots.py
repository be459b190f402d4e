"""Whole snapshots in files: named when whole, checked at the start, reused only when nobody looks."""

import os
from pathlib import Path

import numpy as np
import pytest

from comind.node.daemon.snapshots import Snapshots
from comind.p2p.core.snapshot import CHUNK_BYTES, CHUNK_VALUES, chunk_count, chunk_hash, root_of
from comind.p2p.core.words import Root


def some(size: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32).tobytes()


def put(snapshots: Snapshots, content: bytes) -> Root:
    chunks = [content[at : at + CHUNK_BYTES] for at in range(0, len(content), CHUNK_BYTES)]
    writer = snapshots.writer(len(content) // 4)
    for index, chunk in reversed(list(enumerate(chunks))):
        writer.put(index, memoryview(chunk))
    return writer.finish([chunk_hash(chunk) for chunk in chunks])


def read(snapshots: Snapshots, root: Root) -> bytes:
    descriptor = snapshots.descriptor(root)
    assert descriptor is not None
    with open(descriptor, "rb") as file:
        return file.read()


@pytest.mark.parametrize("size", [0, 1, CHUNK_VALUES - 1, CHUNK_VALUES, CHUNK_VALUES + 1])
def test_what_was_written_is_held_and_found_again_after_a_restart(tmp_path: Path, size: int) -> None:
    content = some(size)
    root = put(Snapshots(tmp_path), content)
    again = Snapshots(tmp_path)
    assert again.check() == []
    assert again.held() == {root}
    snapshot = again.open(root)
    assert snapshot is not None
    assert snapshot.size == size
    assert root_of(size, snapshot.hashes) == root
    back = b""
    for index in range(chunk_count(size)):
        out = memoryview(bytearray(min(CHUNK_BYTES, len(content) - index * CHUNK_BYTES)))
        snapshot.read_into(index, out)
        back += out
    assert back == content == read(again, root)
    snapshot.close()


def damage(file: Path) -> None:
    with open(file, "r+b") as opened:
        opened.seek(5)
        opened.write(b"\x99")


@pytest.mark.parametrize("how", ["flipped", "cut", "hashes flipped", "hashes gone"])
def test_a_damaged_file_is_set_aside_and_said(tmp_path: Path, how: str) -> None:
    before = Snapshots(tmp_path)
    root, whole = put(before, some(1000)), put(before, some(1000, seed=1))
    file = tmp_path / f"{root.hex()}.f32"
    match how:
        case "flipped":
            damage(file)
        case "cut":
            os.truncate(file, 100)
        case "hashes flipped":
            damage(file.with_suffix(".hashes"))
        case _:
            file.with_suffix(".hashes").unlink()
    again = Snapshots(tmp_path)
    assert again.check() == [f"snapshot {root.hex()[:8]} was damaged on disk: set aside as damaged.f32"]
    assert again.held() == {whole}
    assert (tmp_path / "damaged.f32").exists()
    assert again.open(root) is None
    assert again.descriptor(root) is None
    assert Snapshots(tmp_path).check() == []


def test_what_was_never_finished_is_gone_after_a_restart(tmp_path: Path) -> None:
    Snapshots(tmp_path).writer(1000).put(0, memoryview(some(1000)))
    (tmp_path / f"{bytes(32).hex()}.hashes").write_bytes(b"")
    assert Snapshots(tmp_path).check() == []
    assert list(tmp_path.iterdir()) == []


def let_go(snapshots: Snapshots, roots: frozenset[Root]) -> None:
    """Keep these of what is held, and throw away the others, as the daemon does."""
    gone = snapshots.held() - roots
    snapshots.forget(gone)
    snapshots.keep(roots, gone)


def test_what_is_written_between_a_decision_and_the_tidying_stays(tmp_path: Path) -> None:
    """The member cannot have named what it was not told of yet (S6)."""
    snapshots = Snapshots(tmp_path)
    old = put(snapshots, some(10))
    gone = frozenset({old})
    snapshots.forget(gone)
    assert snapshots.held() == frozenset()
    new, again = put(snapshots, some(10, seed=1)), put(snapshots, some(10))
    snapshots.keep(frozenset(), gone)
    assert snapshots.held() == {new, again}
    assert read(snapshots, again) == some(10)


def test_keep_lets_go_of_all_others(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    old, new = put(snapshots, some(10)), put(snapshots, some(10, seed=1))
    let_go(snapshots, frozenset({new, Root(bytes(32))}))
    assert snapshots.held() == {new}
    assert snapshots.open(old) is None
    again = Snapshots(tmp_path)
    again.check()
    assert again.held() == {new}


def test_a_file_that_nobody_has_open_is_written_anew(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    old = put(snapshots, some(1000))
    inode = (tmp_path / f"{old.hex()}.f32").stat().st_ino
    let_go(snapshots, frozenset())
    new = put(snapshots, some(700, seed=1))
    assert (tmp_path / f"{new.hex()}.f32").stat().st_ino == inode
    assert read(snapshots, new) == some(700, seed=1)


def test_a_file_that_a_trainer_still_reads_is_left_alone(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    old = put(snapshots, some(1000))
    held = snapshots.descriptor(old)
    assert held is not None
    let_go(snapshots, frozenset())
    put(snapshots, some(1000, seed=1))
    with open(held, "rb") as file:
        assert file.read() == some(1000)


def test_an_abandoned_writer_leaves_no_snapshot(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    writer = snapshots.writer(10)
    writer.put(0, memoryview(some(10)))
    writer.abandon()
    writer.abandon()
    assert snapshots.held() == frozenset()
    assert len({put(snapshots, some(10, seed=seed)) for seed in range(5)}) == 5


def test_the_same_snapshot_twice_is_held_once(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    assert put(snapshots, some(10)) == put(snapshots, some(10))
    assert len(list(tmp_path.glob("*.f32"))) == 1


def test_settling_goes_in_slices_and_survives_that_it_is_let_go(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    root = put(snapshots, some(5 * CHUNK_VALUES * 4))
    slices = snapshots.settle(root)
    next(slices)
    let_go(snapshots, frozenset())
    assert len(list(slices)) >= 2
    assert list(snapshots.settle(root)) == []


def test_a_reader_outlives_the_letting_go(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    snapshot = snapshots.open(put(snapshots, some(10)))
    assert snapshot is not None
    let_go(snapshots, frozenset())
    put(snapshots, some(10, seed=1))
    out = memoryview(bytearray(40))
    snapshot.read_into(0, out)
    assert bytes(out) == some(10)
    with pytest.raises(OSError, match="shorter"):
        snapshot.read_into(1, out)
    snapshot.close()
    snapshot.close()
