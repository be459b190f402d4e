"""What exactly is signed, hashed, or put into a key derivation?

Does not know what the fields mean: a domain says what they are for.

    b"comind/1" | field(domain) | field(first) | field(second) | ...
    field = tag (b"b" bytes, b"s" UTF-8 text, b"i" 8-byte integer) | length, 8 bytes | content

Integers are big-endian and unsigned. Every field says its own type and length, so two different lists
of fields never give the same bytes, and a signature for one domain is worth nothing in another.
"""

from blake3 import blake3

_PREFIX = b"comind/1"
_INTEGERS = range(2**64)


def statement(domain: str, *fields: bytes | int | str) -> bytes:
    """Encode `fields` under `domain`, injectively: different arguments give different bytes.

    Raises:
        TypeError: a field is neither bytes, int nor str (bool counts as neither: it would equal an int).
        ValueError: an integer outside 0 <= n < 2**64, or text that has no UTF-8 (lone surrogates).
    """
    return _PREFIX + b"".join(_encode(field) for field in (domain, *fields))


def digest(domain: str, *fields: bytes | int | str) -> bytes:
    """BLAKE3-256 of `statement(domain, *fields)`, 32 bytes. Raises what `statement` raises."""
    return blake3(statement(domain, *fields)).digest()


def _encode(field: bytes | int | str) -> bytes:
    match field:
        case bytes():
            return _tagged(b"b", field)
        case str():
            return _tagged(b"s", field.encode())
        case int() if not isinstance(field, bool):
            if field not in _INTEGERS:
                raise ValueError(f"{field} does not fit 64 bits without a sign")
            return _tagged(b"i", field.to_bytes(8, "big"))
        case _:
            raise TypeError(f"a field is bytes, int or str, not {type(field).__name__}")


def _tagged(tag: bytes, content: bytes) -> bytes:
    return tag + len(content).to_bytes(8, "big") + content
