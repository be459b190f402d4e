"""What is in an invite, and how is it one line of text?

Does not know where the line is kept or typed, nor whether its seeds answer.

    comind1-BASE32 of: network, 32 bytes | key, 32 bytes | seeds, a space between | checksum, 8 bytes

Base32 is that of RFC 4648 §6 in lower case without padding, so that a double click selects all of it.
The checksum is the start of a BLAKE3 digest: it finds slips of the hand, and is no proof of origin.
Each invite has exactly one text.
"""

import re
from base64 import b32decode, b32encode
from dataclasses import dataclass, field

from comind.crypto.errors import InvalidInvite
from comind.crypto.statement import digest

MAX_SEEDS = 16
MAX_SEED_LENGTH = 256

_VERSION = "1"
_CHECKSUM_BYTES = 8
_MAX_LENGTH = 8_000  # of the text; 16 of the longest seeds make 6,701 characters
_TEXT = re.compile(r"comind([0-9]{1,4})-(.*)", re.DOTALL)
_SEED = re.compile(r"tcp://(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\]):([1-9][0-9]{0,4})")

_NO_INVITE = "this is not a comind invite: one is a single line that starts with comind1-"
_MISTYPED = "this invite was mistyped or cut off: copy the whole line again"


@dataclass(frozen=True, slots=True)
class Invite:
    """All that a newcomer needs: the network's id (32 bytes), its key (32 bytes), and seeds as `tcp://host:port`.

    Raises:
        InvalidInvite: another length, more than 16 seeds, or a seed that is none.
    """

    network: bytes
    key: bytes = field(repr=False)
    seeds: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.network) != 32 or len(self.key) != 32:
            raise InvalidInvite("a network's id has 32 bytes, and so has its key")
        if len(self.seeds) > MAX_SEEDS:
            raise InvalidInvite(f"an invite carries at most {MAX_SEEDS} seeds, not {len(self.seeds)}")
        for seed in self.seeds:
            if not _is_seed(seed):
                raise InvalidInvite(f"a seed looks like tcp://host:port, unlike {seed[:MAX_SEED_LENGTH]!r}")


def encode(invite: Invite) -> str:
    """The invite as one line, without a newline. It holds the network key: a secret."""
    payload = invite.network + invite.key + " ".join(invite.seeds).encode("ascii")
    return f"comind{_VERSION}-{_base32(payload + _checksum(payload))}"


def decode(text: str) -> Invite:
    """Turn what somebody typed, pasted or sent into an invite; white space around it is no matter.

    Raises:
        InvalidInvite: it is no invite, of an unknown version, or mistyped; the message says which.
    """
    line = text.strip()
    split = _TEXT.fullmatch(line)
    if split is None or len(line) > _MAX_LENGTH:
        raise InvalidInvite(_NO_INVITE)
    version, body = split.groups()
    if version != _VERSION:
        raise InvalidInvite(f"this invite is of version {version}, and this comind reads {_VERSION} only")
    content = _from_base32(body)
    payload, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
    if checksum != _checksum(payload):
        raise InvalidInvite(_MISTYPED)
    return _parse(payload)


def _parse(payload: bytes) -> Invite:
    """The checksum held, so whatever is wrong in here was made so, not mistyped."""
    network, key, seeds = payload[:32], payload[32:64], payload[64:]
    try:
        return Invite(network, key, tuple(seeds.decode("ascii").split(" ")) if seeds else ())
    except UnicodeDecodeError:
        raise InvalidInvite(_NO_INVITE) from None


def _is_seed(seed: str) -> bool:
    match = _SEED.fullmatch(seed)
    return match is not None and len(seed) <= MAX_SEED_LENGTH and int(match[1]) < 2**16


def _checksum(payload: bytes) -> bytes:
    return digest("invite checksum", payload)[:_CHECKSUM_BYTES]


def _base32(content: bytes) -> str:
    return b32encode(content).decode("ascii").rstrip("=").lower()


def _from_base32(body: str) -> bytes:
    """The inverse of `_base32`: text that it never gives (capitals, padding, stray last bits) is refused."""
    try:
        content = b32decode(body.upper() + "=" * (-len(body) % 8))
    except ValueError:  # not base32, or not even ASCII
        raise InvalidInvite(_MISTYPED) from None
    if _base32(content) != body:
        raise InvalidInvite(_MISTYPED)
    return content
