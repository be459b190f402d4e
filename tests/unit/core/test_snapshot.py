"""Is a snapshot cut into the same chunks everywhere, and is its root that of no other?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comind.p2p.core.snapshot import (
    CHUNK_BYTES,
    CHUNK_VALUES,
    chunk_count,
    chunk_hash,
    chunk_values,
    root_of,
)

n = CHUNK_VALUES


@pytest.mark.parametrize(
    ("size", "chunks"),
    [(0, []), (1, [1]), (n - 1, [n - 1]), (n, [n]), (n + 1, [n, 1]), (2 * n, [n, n]), (2 * n + 5, [n, n, 5])],
)
def test_chunks_are_full_but_for_the_last(size: int, chunks: list[int]) -> None:
    assert chunk_count(size) == len(chunks)
    assert [chunk_values(size, index) for index in range(len(chunks))] == chunks


@given(st.integers(1, 1 << 45))
def test_chunks_make_up_the_snapshot(size: int) -> None:
    count = chunk_count(size)
    assert (count - 1) * n + chunk_values(size, count - 1) == size
    assert 1 <= chunk_values(size, count - 1) <= n
    assert chunk_values(size, 0) == min(size, n)


@pytest.mark.parametrize(("size", "index"), [(0, 0), (1, 1), (n, 1), (n, -1), (n + 1, 2)])
def test_there_is_no_chunk_outside(size: int, index: int) -> None:
    with pytest.raises(IndexError, match=f"has no chunk {index}"):
        chunk_values(size, index)


def test_a_chunk_is_hashed_alike_wherever_it_lies() -> None:
    chunk = bytes(range(256)) * 16
    assert chunk_hash(chunk) == chunk_hash(memoryview(chunk)) == chunk_hash(memoryview(bytearray(chunk)))
    assert len(chunk_hash(chunk)) == 32
    assert CHUNK_BYTES == 1 << 20


hashes = st.lists(st.binary(min_size=32, max_size=32), max_size=4)


@given(st.tuples(hashes, st.integers(0, 3)), st.tuples(hashes, st.integers(0, 3)))
def test_another_size_hash_or_order_is_another_root(
    one: tuple[list[bytes], int], other: tuple[list[bytes], int]
) -> None:
    def sized(hashes: list[bytes], short: int) -> int:
        return max(0, len(hashes) * n - short)

    roots = [root_of(sized(*each), each[0]) for each in (one, other)]
    assert (roots[0] == roots[1]) == ((sized(*one), one[0]) == (sized(*other), other[0]))


@pytest.mark.parametrize(
    ("size", "given_hashes"),
    [
        (0, [bytes(32)]),
        (1, []),
        (n, [bytes(32)] * 2),
        (n + 1, [bytes(32)]),
        (1, [bytes(31)]),
        (1, [bytes(64)]),
    ],
)
def test_a_root_takes_one_hash_for_each_chunk(size: int, given_hashes: list[bytes]) -> None:
    with pytest.raises(ValueError, match="chunks, not"):
        root_of(size, given_hashes)
