"""Does anything but the right bytes, in the right place, ever open?"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comind.crypto.errors import CannotOpen
from comind.crypto.sealing import (
    TAG_BYTES,
    ChunkOpener,
    ChunkSealer,
    MessageOpener,
    MessageSealer,
    derive_key,
)

KEY = bytes(range(32))
messages = st.lists(st.binary(max_size=40), min_size=1, max_size=6)


def seal_all(plaintexts: list[bytes]) -> list[bytes]:
    sealer = MessageSealer(KEY)
    return [sealer.seal(plaintext) for plaintext in plaintexts]


def sealed_chunk(chunk: bytes, index: int = 0, associated: bytes = b"") -> bytearray:
    out = bytearray(len(chunk) + TAG_BYTES)
    ChunkSealer(KEY).seal_into(index, chunk, out, associated)
    return out


# Keys


def test_a_derived_key_depends_on_secret_domain_and_context() -> None:
    keys = {
        derive_key(KEY, "use"),
        derive_key(KEY, "other use"),
        derive_key(KEY, "use", 1),
        derive_key(KEY, "use", "1"),
        derive_key(KEY, "use", 1, b""),
        derive_key(KEY[::-1], "use"),
    }
    assert len(keys) == 6
    assert {len(key) for key in keys} == {32}
    assert derive_key(KEY, "use", 1) in keys


def test_a_derived_key_takes_a_long_context() -> None:
    assert derive_key(KEY, "use", b"x" * 5000) != derive_key(KEY, "use", b"x" * 5001)


@pytest.mark.parametrize("kind", [MessageSealer, MessageOpener, ChunkSealer, ChunkOpener])
@pytest.mark.parametrize("length", [0, 16, 24, 31, 33])
def test_a_key_of_another_length_is_refused(kind: type, length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        kind(bytes(length))


# Messages


@given(messages)
def test_messages_open_in_the_order_in_which_they_were_sealed(plaintexts: list[bytes]) -> None:
    opener = MessageOpener(KEY)
    sealed = seal_all(plaintexts)
    assert [opener.open(memoryview(message)) for message in sealed] == plaintexts
    assert [len(message) for message in sealed] == [len(plaintext) + TAG_BYTES for plaintext in plaintexts]


def test_the_same_plaintext_is_never_sealed_alike() -> None:
    assert len(set(seal_all([b"same"] * 50))) == 50


@given(messages, st.data())
def test_a_message_out_of_place_does_not_open(plaintexts: list[bytes], data: st.DataObject) -> None:
    """A replay, a gap and a swap are all one thing: message `other` where `place` is due."""
    sealed = seal_all([*plaintexts, b"last"])
    place = data.draw(st.integers(0, len(plaintexts)))
    other = data.draw(st.integers(0, len(plaintexts)).filter(lambda number: number != place))
    opener = MessageOpener(KEY)
    for message in sealed[:place]:
        opener.open(message)
    with pytest.raises(CannotOpen):
        opener.open(sealed[other])


@given(st.binary(max_size=40), st.data())
def test_a_message_that_was_changed_does_not_open(plaintext: bytes, data: st.DataObject) -> None:
    sealed = bytearray(MessageSealer(KEY).seal(plaintext))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CannotOpen):
        MessageOpener(KEY).open(bytes(sealed))


@given(st.binary(max_size=40), st.data())
def test_a_message_that_was_cut_or_grew_does_not_open(plaintext: bytes, data: st.DataObject) -> None:
    sealed = MessageSealer(KEY).seal(plaintext)
    length = data.draw(st.integers(0, len(sealed) - 1))
    for changed in (sealed[:length], sealed[length + 1 :], sealed + b"\0"):
        with pytest.raises(CannotOpen):
            MessageOpener(KEY).open(changed)


def test_another_key_opens_nothing() -> None:
    with pytest.raises(CannotOpen):
        MessageOpener(bytes(32)).open(MessageSealer(KEY).seal(b"text"))


def test_an_opener_that_failed_once_stays_closed() -> None:
    first, second = seal_all([b"first", b"second"])
    opener = MessageOpener(KEY)
    with pytest.raises(CannotOpen):
        opener.open(second)
    for message in (first, second):
        with pytest.raises(CannotOpen):
            opener.open(message)


# Chunks


@given(st.binary(max_size=100), st.integers(0, 2**64 - 1), st.binary(max_size=20))
def test_a_chunk_opens_at_its_index(chunk: bytes, index: int, associated: bytes) -> None:
    out = bytearray(len(chunk))
    ChunkOpener(KEY).open_into(index, sealed_chunk(chunk, index, associated), out, associated)
    assert out == chunk


def test_chunks_open_in_any_order_and_more_than_once() -> None:
    chunks = [bytes([number]) * 8 for number in range(4)]
    sealed = [sealed_chunk(chunk, index) for index, chunk in enumerate(chunks)]
    opener, out = ChunkOpener(KEY), bytearray(8)
    for index in (2, 0, 3, 1, 2):
        opener.open_into(index, sealed[index], out)
        assert out == chunks[index]


def test_one_index_is_sealed_once() -> None:
    sealer, out = ChunkSealer(KEY), bytearray(20)
    sealer.seal_into(7, b"four", out)
    kept = bytes(out)
    with pytest.raises(ValueError, match="chunk 7 was sealed before"):
        sealer.seal_into(7, b"else", out)
    assert out == kept
    sealer.seal_into(8, b"else", out)


def test_a_call_that_was_refused_spends_no_index() -> None:
    sealer = ChunkSealer(KEY)
    with pytest.raises(ValueError, match="out must have 20 bytes, not 19"):
        sealer.seal_into(0, b"four", bytearray(19))
    sealer.seal_into(0, b"four", bytearray(20))


def test_of_many_threads_one_seals_an_index() -> None:
    sealer = ChunkSealer(KEY)

    def seal(_: int) -> bool:
        try:
            sealer.seal_into(0, bytes(4096), bytearray(4096 + TAG_BYTES))
        except ValueError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(seal, range(40))) == 1


def test_threads_share_a_sealer_and_an_opener() -> None:
    sealer, opener = ChunkSealer(KEY), ChunkOpener(KEY)

    def there_and_back(index: int) -> bool:
        chunk, sealed, out = bytes([index]) * 50_000, bytearray(50_000 + TAG_BYTES), bytearray(50_000)
        sealer.seal_into(index, chunk, sealed)
        opener.open_into(index, sealed, out)
        return out == chunk

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(there_and_back, range(50)))


@pytest.mark.parametrize("index", [-1, 2**64])
def test_an_index_that_does_not_fit_is_refused(index: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        ChunkSealer(KEY).seal_into(index, b"", bytearray(TAG_BYTES))
    with pytest.raises(ValueError, match="64 bits"):
        ChunkOpener(KEY).open_into(index, bytes(TAG_BYTES), bytearray(0))


@given(st.binary(max_size=40), st.data())
def test_a_chunk_that_was_changed_leaves_zeros_behind(chunk: bytes, data: st.DataObject) -> None:
    sealed = sealed_chunk(chunk)
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    out = bytearray(b"\xff" * len(chunk))
    with pytest.raises(CannotOpen):
        ChunkOpener(KEY).open_into(0, sealed, out)
    assert out == bytes(len(chunk))


@pytest.mark.parametrize(
    ("key", "index", "associated"), [(KEY, 1, b"a"), (KEY, 0, b"b"), (KEY, 0, b""), (bytes(32), 0, b"a")]
)
def test_a_chunk_out_of_place_leaves_zeros_behind(key: bytes, index: int, associated: bytes) -> None:
    out = bytearray(b"\xff" * 4)
    with pytest.raises(CannotOpen):
        ChunkOpener(key).open_into(index, sealed_chunk(b"four", 0, b"a"), out, associated)
    assert out == bytes(4)


@pytest.mark.parametrize("length", [0, 1, TAG_BYTES - 1, TAG_BYTES, 1000 + TAG_BYTES - 1])
def test_a_chunk_that_was_cut_does_not_open(length: int) -> None:
    sealed = sealed_chunk(bytes(1000))[:length]
    with pytest.raises(CannotOpen):
        ChunkOpener(KEY).open_into(0, sealed, bytearray(max(0, length - TAG_BYTES)))


def test_a_failed_opener_of_chunks_opens_the_right_one_afterwards() -> None:
    sealed, out, opener = sealed_chunk(b"four"), bytearray(4), ChunkOpener(KEY)
    with pytest.raises(CannotOpen):
        opener.open_into(1, sealed, out)
    opener.open_into(0, sealed, out)
    assert out == b"four"


def test_arrays_go_as_uint8_views_and_in_place() -> None:
    values = np.arange(1000, dtype=np.float32)
    buffer = np.zeros(4000 + TAG_BYTES, np.uint8)
    buffer[:4000] = values.view(np.uint8)
    ChunkSealer(KEY).seal_into(3, buffer[:4000], buffer)
    assert bytes(buffer) == bytes(sealed_chunk(values.tobytes(), 3))
    ChunkOpener(KEY).open_into(3, buffer, buffer[:4000])
    assert np.array_equal(buffer[:4000].view(np.float32), values)


@pytest.mark.parametrize(
    "chunk", [np.zeros(4, np.float32), np.zeros(32, np.uint8)[::2], np.zeros((4, 4), np.uint8)]
)
def test_buffers_of_another_kind_are_refused(chunk: np.ndarray) -> None:
    with pytest.raises(TypeError, match="uint8"):
        ChunkSealer(KEY).seal_into(0, chunk, bytearray(chunk.nbytes + TAG_BYTES))
    with pytest.raises(TypeError, match="uint8"):
        ChunkOpener(KEY).open_into(0, bytes(chunk.nbytes + TAG_BYTES), chunk)


def test_an_output_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(TypeError, match="out cannot be written"):
        ChunkSealer(KEY).seal_into(0, b"", bytes(TAG_BYTES))
    with pytest.raises(TypeError, match="out cannot be written"):
        ChunkOpener(KEY).open_into(0, bytes(TAG_BYTES + 1), b"x")


def test_an_output_of_another_length_is_refused() -> None:
    for length in (3, 5):
        with pytest.raises(ValueError, match=f"out must have 4 bytes, not {length}"):
            ChunkOpener(KEY).open_into(0, sealed_chunk(b"four"), bytearray(length))
