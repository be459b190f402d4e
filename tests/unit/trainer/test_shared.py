"""Can weights be handed over in a file that has no name and never shrinks?"""

import fcntl
import os

import numpy as np
import pytest

from comind.node.trainer import shared


def test_the_taker_sees_what_the_maker_wrote_and_cannot_write_it() -> None:
    mine, descriptor = shared.create(5)
    mine[:] = np.arange(5)
    theirs = shared.take(descriptor, 5)
    assert theirs is not None
    assert theirs.tolist() == [0, 1, 2, 3, 4]
    theirs[0] = 9
    assert mine[0] == 0


@pytest.mark.skipif(not hasattr(fcntl, "F_GET_SEALS"), reason="files are sealed on Linux")
def test_the_file_can_neither_shrink_nor_grow() -> None:
    _, descriptor = shared.create(5)
    for size in (0, 24):
        with pytest.raises(PermissionError):
            os.ftruncate(descriptor, size)
    os.close(descriptor)


@pytest.mark.parametrize("size", [4, 6])
def test_a_file_of_another_size_is_not_taken_but_closed(size: int) -> None:
    _, descriptor = shared.create(5)
    assert shared.take(descriptor, size) is None
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_platform_without_memory_files_takes_a_temporary_one_without_a_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.delattr(fcntl, "F_ADD_SEALS", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    mine, descriptor = shared.create(3)
    mine[:] = 7
    assert os.fstat(descriptor).st_nlink == 0
    theirs = shared.take(descriptor, 3)
    assert theirs is not None
    assert theirs.tolist() == [7, 7, 7]
