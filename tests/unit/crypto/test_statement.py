"""Can two different things be signed by the same bytes?"""

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from comind.crypto.statement import digest, statement

fields = st.one_of(st.binary(max_size=20), st.text(max_size=20), st.integers(0, 2**64 - 1))
domains = st.text(max_size=10)


def test_the_bytes_of_a_statement_are_these() -> None:
    assert statement("vote", b"\x01\x02", "é", 258) == (
        b"comind/1"
        b"s\0\0\0\0\0\0\0\x04vote"
        b"b\0\0\0\0\0\0\0\x02\x01\x02"
        b"s\0\0\0\0\0\0\0\x02\xc3\xa9"
        b"i\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\x01\x02"
    )


def read_back(encoded: bytes) -> list[bytes | str | int]:
    """The inverse of `statement`, written apart from it: what has an inverse is injective."""
    assert encoded[:8] == b"comind/1"
    found: list[bytes | str | int] = []
    rest = encoded[8:]
    while rest:
        tag, size = rest[:1], int.from_bytes(rest[1:9], "big")
        content, rest = rest[9 : 9 + size], rest[9 + size :]
        assert len(content) == size
        match tag:
            case b"b":
                found.append(content)
            case b"s":
                found.append(content.decode())
            case b"i":
                found.append(int.from_bytes(content, "big"))
            case _:
                pytest.fail(f"no such tag: {tag!r}")
    return found


@given(domains, st.lists(fields, max_size=5))
def test_a_statement_can_be_read_back(domain: str, values: list[bytes | str | int]) -> None:
    found = read_back(statement(domain, *values))
    assert found == [domain, *values]
    assert [type(value) for value in found] == [str, *map(type, values)]


@given(st.tuples(domains, st.lists(fields, max_size=4)), st.tuples(domains, st.lists(fields, max_size=4)))
def test_different_fields_or_domains_give_different_statements(
    one: tuple[str, list[bytes | str | int]], other: tuple[str, list[bytes | str | int]]
) -> None:
    assert (statement(one[0], *one[1]) == statement(other[0], *other[1])) == (one == other)


@given(st.binary(max_size=20), st.binary(max_size=20), st.integers(1, 20))
def test_moving_a_boundary_between_fields_changes_the_statement(left: bytes, right: bytes, by: int) -> None:
    joined = left + right
    moved = (len(left) + by) % (len(joined) + 1)
    if moved != len(left):
        assert statement("x", joined[:moved], joined[moved:]) != statement("x", left, right)
    assert statement("x", joined) != statement("x", left, right)


def test_a_number_its_text_and_its_bytes_are_three_things() -> None:
    assert (
        len({statement("x", 49), statement("x", "1"), statement("x", b"1"), statement("x", b"\0" * 7 + b"1")})
        == 4
    )


@pytest.mark.parametrize("number", [-1, 2**64])
def test_an_integer_that_does_not_fit_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        statement("x", number)


def test_text_without_utf8_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        statement("x", "\ud800")


@pytest.mark.parametrize("field", [True, None, 1.0, bytearray(b"x"), (b"x",)])
def test_other_types_are_refused(field: object) -> None:
    with pytest.raises(TypeError, match="a field is bytes, int or str"):
        statement("x", field)  # type: ignore[arg-type]


def test_a_digest_is_the_blake3_of_the_statement() -> None:
    assert digest("x", b"y", 1) == blake3(statement("x", b"y", 1)).digest()
    assert len(digest("x")) == 32
