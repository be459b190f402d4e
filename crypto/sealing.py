"""How is a message or a chunk sealed, so that only the other side opens it, once and in order?

Does not know what it seals, nor who agreed on the key.

AES-256-GCM throughout (NIST SP 800-38D). The nonce is never sent: it is the message's number or the chunk's
index, 96 bits big-endian, so a message that was replayed, dropped or reordered does not open. One
(key, nonce) used twice would give plaintexts away and let others forge; so every key is derived for one use,
and a sealer never repeats.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from comind.crypto.errors import CannotOpen
from comind.crypto.statement import statement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Buffer = bytes | bytearray | memoryview | NDArray[np.uint8]

KEY_BYTES = 32
TAG_BYTES = 16


def derive_key(secret: bytes, domain: str, *context: bytes | int | str) -> bytes:
    """A 32-byte key for one use: HKDF-SHA256 (RFC 5869), no salt, info = `statement(domain, *context)`.

    `secret` must have at least 256 bits of entropy; it is no password. Raises what `statement` raises.
    """
    return HKDF(SHA256(), length=KEY_BYTES, salt=None, info=statement(domain, *context)).derive(secret)


class MessageSealer:
    """Seals the messages of one direction, in order. The key must be 32 bytes and this sealer's alone."""

    __slots__ = ("_cipher", "_numbers")

    def __init__(self, key: bytes) -> None:
        self._cipher = _cipher(key)
        self._numbers = count()

    def seal(self, plaintext: bytes | memoryview) -> bytes:
        """The sealed message, `TAG_BYTES` longer. What was sealed must be opened in the same order."""
        number = next(self._numbers)  # in one atomic step, and spent even if sealing fails
        return self._cipher.encrypt(_nonce(number), plaintext, None)


class MessageOpener:
    """Opens what the `MessageSealer` of the same key sealed, in its order, until the first that fails."""

    __slots__ = ("_cipher", "_closed", "_count")

    def __init__(self, key: bytes) -> None:
        self._cipher = _cipher(key)
        self._count = 0
        self._closed = False

    def open(self, sealed: bytes | memoryview) -> bytes:
        """The plaintext of the next message, `TAG_BYTES` shorter.

        Raises:
            CannotOpen: it is not the next message of this key, or an earlier one was not.
        """
        if self._closed:
            raise CannotOpen
        try:
            plaintext = self._cipher.decrypt(_nonce(self._count), sealed, None)
        except InvalidTag:
            self._closed = True
            raise CannotOpen from None
        self._count += 1
        return plaintext


class ChunkSealer:
    """Seals the chunks of one bulk transfer, each once, in any order.

    The key must be 32 bytes and this sealer's alone. A chunk that is sent again is the
    stored ciphertext, or goes under another key.
    """

    __slots__ = ("_cipher", "_sealed")

    def __init__(self, key: bytes) -> None:
        self._cipher = _cipher(key)
        self._sealed: dict[int, object] = {}

    def seal_into(self, index: int, chunk: Buffer, out: Buffer, associated: bytes = b"") -> None:
        """Seal `chunk` into `out`, without the GIL; in place works (`chunk` being the start of `out`).

        `chunk` has shape (n,), uint8, contiguous (a float32 array goes as its uint8 view);
        `out` likewise, writable, n + `TAG_BYTES` long. `associated` is authenticated, not sent.

        Raises:
            ValueError: `index` was sealed before, or is not a 64-bit one, or `out` has another length.
            TypeError: a buffer of another kind.
        """
        source, target = _readable(chunk), _writable(out)
        _check_length(target, len(source) + TAG_BYTES)
        nonce = _nonce(index)
        use = object()  # set and test in one atomic step, so that of two threads only one passes
        if self._sealed.setdefault(index, use) is not use:
            raise ValueError(f"chunk {index} was sealed before: send the stored ciphertext")
        self._cipher.encrypt_into(nonce, source, associated, target)


class ChunkOpener:
    """Opens what the `ChunkSealer` of the same key sealed, in any order."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        self._cipher = _cipher(key)

    def open_into(self, index: int, sealed: Buffer, out: Buffer, associated: bytes = b"") -> None:
        """Open `sealed` into `out`, without the GIL; on failure `out` is all zeros.

        `sealed` has shape (n,), uint8, contiguous; `out` likewise, writable, n - `TAG_BYTES` long.

        Raises:
            CannotOpen: this is not chunk `index` of this key with this `associated`.
            ValueError: `index` is not a 64-bit one, or `out` has another length.
            TypeError: a buffer of another kind.
        """
        source, target = _readable(sealed), _writable(out)
        if len(source) < TAG_BYTES:
            raise CannotOpen
        _check_length(target, len(source) - TAG_BYTES)
        try:
            self._cipher.decrypt_into(_nonce(index), source, associated, target)
        except InvalidTag:
            target[:] = bytes(len(target))  # it holds plaintext that nobody vouches for
            raise CannotOpen from None


def _cipher(key: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:  # AESGCM itself would take 16 and 24 too
        raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(key)}")
    return AESGCM(key)


def _nonce(number: int) -> bytes:
    if not 0 <= number < 2**64:
        raise ValueError(f"{number} does not fit 64 bits without a sign")
    return number.to_bytes(12, "big")


def _readable(buffer: Buffer) -> memoryview:
    view = memoryview(buffer)  # type: ignore[arg-type]  # numpy's stubs know no buffers before Python 3.12
    if view.ndim != 1 or view.format != "B" or not view.c_contiguous:
        raise TypeError("a chunk is a flat, contiguous uint8 buffer: give a float32 array as its uint8 view")
    return view


def _writable(buffer: Buffer) -> memoryview:
    view = _readable(buffer)
    if view.readonly:
        raise TypeError("out cannot be written")
    return view


def _check_length(out: memoryview, size_bytes: int) -> None:
    if len(out) != size_bytes:
        raise ValueError(f"out must have {size_bytes} bytes, not {len(out)}")
