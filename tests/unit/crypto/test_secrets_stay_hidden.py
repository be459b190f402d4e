"""Does any secret ever reach a log, by a repr, an error or its traceback?"""

import traceback
from base64 import b32encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from comind.crypto.errors import CannotOpen, InvalidInvite, UnusableKeyFile
from comind.crypto.gate import gate_of
from comind.crypto.greeting import Initiator, Link, Responder
from comind.crypto.identity import Identity
from comind.crypto.invite import Invite, decode, encode
from comind.crypto.keyfile import load_or_create_identity, write_secret_file
from comind.crypto.sealing import ChunkOpener, ChunkSealer, MessageOpener, MessageSealer

SECRET = bytes(range(100, 132))
NETWORK = b"n" * 32
IDENTITY = Identity.from_secret(SECRET)
INVITE = Invite(NETWORK, SECRET, ("tcp://192.0.2.1:7700",))


def spellings(secret: bytes) -> Iterator[str]:
    yield repr(secret)[2:-1]
    yield secret.decode("latin-1")
    yield secret.hex()
    yield b32encode(secret).decode().rstrip("=")[2:-2].lower()
    yield str(list(secret))[1:-1]


def assert_hidden(text: str, secret: bytes = SECRET) -> None:
    lower = text.lower()
    for spelling in spellings(secret):
        assert spelling.lower() not in lower
        assert spelling[:12].lower() not in lower


def linked() -> tuple[Initiator, Link]:
    initiator = Initiator(IDENTITY, NETWORK, SECRET, 1, ephemeral=X25519PrivateKey.from_private_bytes(SECRET))
    responder = Responder(Identity.generate(), NETWORK, SECRET, 1)
    responder.receive_finish(initiator.receive(responder.receive_hello(initiator.hello())))
    assert initiator.link is not None
    return initiator, initiator.link


@pytest.mark.parametrize(
    "holder",
    [
        IDENTITY,
        INVITE,
        MessageSealer(SECRET),
        MessageOpener(SECRET),
        ChunkSealer(SECRET),
        ChunkOpener(SECRET),
        Responder(IDENTITY, NETWORK, SECRET, 1),
        linked()[0],
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_a_repr_holds_no_secret(holder: object) -> None:
    assert_hidden(repr(holder))
    assert_hidden(str(holder))


def test_the_repr_of_a_gate_holds_neither_of_its_keys() -> None:
    gate = gate_of(NETWORK, SECRET)
    assert_hidden(repr(gate), gate.secret)
    assert_hidden(repr(gate), gate.public)


def test_the_repr_of_a_link_shows_the_peer_and_no_secret() -> None:
    link = linked()[1]
    assert_hidden(repr(link), link.bulk_secret)
    assert "peer_incarnation=1" in repr(link)
    assert "Sealer" not in repr(link)


def open_wrongly() -> None:
    MessageOpener(SECRET).open(SECRET)


def open_wrong_chunk() -> None:
    ChunkOpener(SECRET).open_into(0, SECRET, bytearray(16))


def seal_twice() -> None:
    sealer = ChunkSealer(SECRET)
    for _ in range(2):
        sealer.seal_into(0, SECRET, bytearray(48))


def greet_wrongly() -> None:
    Responder(IDENTITY, NETWORK, SECRET, 1).receive_hello(Initiator(IDENTITY, NETWORK, SECRET, 1).hello())


def mistype() -> None:
    text = encode(INVITE)
    decode(text[:-1] + ("a" if text[-1] != "a" else "b"))


def cut_off_the_beginning() -> None:
    decode(encode(INVITE)[1:])


def use_another_version() -> None:
    decode(encode(INVITE).replace("comind1", "comind9"))


def use_a_long_key() -> None:
    Invite(NETWORK, SECRET + SECRET, ())


def use_a_long_secret() -> None:
    Identity.from_secret(SECRET + SECRET)


@pytest.mark.parametrize(
    ("fail", "error"),
    [
        (open_wrongly, CannotOpen),
        (open_wrong_chunk, CannotOpen),
        (seal_twice, ValueError),
        (greet_wrongly, CannotOpen),
        (mistype, InvalidInvite),
        (cut_off_the_beginning, InvalidInvite),
        (use_another_version, InvalidInvite),
        (use_a_long_key, InvalidInvite),
        (use_a_long_secret, ValueError),
    ],
    ids=lambda value: value.__name__,
)
def test_an_error_and_its_traceback_hold_no_secret(fail: Callable[[], None], error: type[Exception]) -> None:
    with pytest.raises(error) as failed:
        fail()
    assert_hidden("".join(traceback.format_exception(failed.value)))
    if error is CannotOpen:
        assert failed.value.args == ()


def test_what_is_said_of_a_damaged_key_file_holds_none_of_it(tmp_path: Path) -> None:
    path = tmp_path / "identity"
    write_secret_file(path, b"comind-identity-1 " + SECRET.hex().encode() + b" " + b"0" * 64 + b"\n")
    with pytest.raises(UnusableKeyFile) as failed:
        load_or_create_identity(path)
    assert_hidden("".join(traceback.format_exception(failed.value)))
