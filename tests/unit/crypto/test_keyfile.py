"""Does a key file keep its secret, survive a crash, and say what mends it?"""

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from comind.crypto import keyfile
from comind.crypto.errors import UnusableKeyFile
from comind.crypto.identity import Identity
from comind.crypto.keyfile import (
    MAX_SECRET_FILE_BYTES,
    load_or_create_identity,
    new_network_key,
    read_secret_file,
    write_secret_file,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "identity"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_identity_is_created_once_and_kept(path: Path) -> None:
    created = load_or_create_identity(path)
    assert load_or_create_identity(path).secret() == created.secret()
    assert os.listdir(path.parent) == ["identity"]


def test_a_key_file_is_its_owners_alone_whatever_the_umask(path: Path) -> None:
    for umask in (0o000, 0o777):
        before = os.umask(umask)
        try:
            write_secret_file(path, b"secret")
            load_or_create_identity(path.with_name(f"identity-{umask}"))
        finally:
            os.umask(before)
        assert mode_of(path) == mode_of(path.with_name(f"identity-{umask}")) == 0o600


def test_of_many_that_create_an_identity_at_once_all_get_the_same(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        nodes = {identity.node_id for identity in pool.map(load_or_create_identity, [path] * 16)}
    assert len(nodes) == 1
    assert os.listdir(path.parent) == ["identity"]


def test_who_is_second_to_create_takes_the_first_ones_identity(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rival = Identity.generate()
    create = keyfile._create

    def slow_create(path: Path, text: bytes) -> None:
        create(path, keyfile._identity_text(rival))
        create(path, text)

    monkeypatch.setattr(keyfile, "_create", slow_create)
    assert load_or_create_identity(path).node_id == rival.node_id


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o644, 0o601])
def test_a_file_that_others_can_reach_is_refused_with_what_mends_it(path: Path, mode: int) -> None:
    node_id = load_or_create_identity(path).node_id
    path.chmod(mode)
    for read in (load_or_create_identity, read_secret_file):
        with pytest.raises(UnusableKeyFile) as refused:
            read(path)
        assert str(refused.value).endswith(f": chmod 600 {path}")
    path.chmod(0o600)
    assert load_or_create_identity(path).node_id == node_id


def test_the_command_that_mends_is_quoted_for_the_shell(tmp_path: Path) -> None:
    path = tmp_path / "my key; rm -r x"
    write_secret_file(path, b"")
    path.chmod(0o644)
    with pytest.raises(UnusableKeyFile) as refused:
        read_secret_file(path)
    assert str(refused.value).endswith(f": chmod 600 '{path}'")


def damaged(text: bytes) -> list[bytes]:
    flipped = text.replace(text[18:20], b"00" if text[18:20] != b"00" else b"11", 1)
    return [b"", b"\n", text[:-1], text[:40], text + b"\n", text.upper(), flipped, b"\0" * len(text)]


@pytest.mark.parametrize("number", range(8))
def test_a_damaged_identity_is_refused_and_left_alone(path: Path, number: int) -> None:
    load_or_create_identity(path)
    text = damaged(path.read_bytes())[number]
    write_secret_file(path, text)
    with pytest.raises(UnusableKeyFile, match="is damaged or not comind's") as refused:
        load_or_create_identity(path)
    assert str(refused.value).endswith(f": mv {path} {path}.unusable")
    assert "\n" not in str(refused.value)
    assert path.read_bytes() == text


@pytest.mark.parametrize(
    "text",
    [
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n",
        b"comind-identity-2 " + b"0" * 64 + b" " + b"0" * 64 + b"\n",
        os.urandom(32),
    ],
)
def test_a_file_of_another_kind_is_no_identity(path: Path, text: bytes) -> None:
    write_secret_file(path, text)
    with pytest.raises(UnusableKeyFile, match="is damaged or not comind's"):
        load_or_create_identity(path)


def test_a_secret_file_holds_what_was_written_last(path: Path) -> None:
    for text in (b"first, and longer", b"second", b""):
        write_secret_file(path, text)
        assert read_secret_file(path) == text
    assert os.listdir(path.parent) == ["identity"]


def test_replacing_a_file_that_others_could_read_closes_it(path: Path) -> None:
    path.write_bytes(b"open")
    path.chmod(0o644)
    write_secret_file(path, b"closed")
    assert (mode_of(path), read_secret_file(path)) == (0o600, b"closed")


def test_a_file_that_is_too_long_is_refused_unread(path: Path) -> None:
    write_secret_file(path, bytes(MAX_SECRET_FILE_BYTES))
    assert len(read_secret_file(path)) == MAX_SECRET_FILE_BYTES
    write_secret_file(path, bytes(MAX_SECRET_FILE_BYTES + 1))
    with pytest.raises(UnusableKeyFile, match="is damaged or not comind's"):
        read_secret_file(path)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_ordinary_file_is_refused_without_waiting(
    path: Path, make: Callable[[Path], None]
) -> None:
    make(path)
    path.chmod(0o600)
    with pytest.raises(UnusableKeyFile, match="is not an ordinary file"):
        read_secret_file(path)


def test_a_link_to_a_private_file_is_followed(path: Path) -> None:
    write_secret_file(path, b"secret")
    link = path.with_name("link")
    link.symlink_to(path)
    assert read_secret_file(link) == b"secret"


def test_a_file_of_another_user_is_refused_with_what_mends_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, flags: int) -> int:
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        with pytest.raises(UnusableKeyFile) as refused:
            read_secret_file(path)
    assert str(refused.value).endswith(f': sudo chown "$(id -un)" {path}')


def test_a_file_that_is_not_there_is_an_ordinary_answer(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_secret_file(path)


class PowerCut(Exception):
    """The machine stops here."""


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_crash_while_writing_leaves_the_old_file_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def crash(*_: object) -> None:
        raise PowerCut

    write_secret_file(path, b"old")
    monkeypatch.setattr(os, step, crash)
    with pytest.raises(PowerCut):
        write_secret_file(path, b"new")
    assert read_secret_file(path) == b"old"


@pytest.mark.parametrize("step", ["fsync", "link"])
def test_a_crash_while_creating_leaves_no_identity(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def crash(*_: object) -> None:
        raise PowerCut

    with monkeypatch.context() as patched:
        patched.setattr(os, step, crash)
        with pytest.raises(PowerCut):
            load_or_create_identity(path)
    assert not path.exists()
    load_or_create_identity(path)


def test_bytes_are_on_disk_before_they_get_their_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    for step in ("fsync", "link", "replace"):
        original = getattr(os, step)

        def noted(*arguments: object, step: str = step, original: Callable[..., None] = original) -> None:
            done.append(step)
            original(*arguments)

        monkeypatch.setattr(os, step, noted)
    load_or_create_identity(path)
    write_secret_file(path, b"text")
    assert done == ["fsync", "link", "fsync", "fsync", "replace", "fsync"]


def test_a_network_key_is_32_random_bytes() -> None:
    keys = {new_network_key() for _ in range(10)}
    assert len(keys) == 10
    assert {len(key) for key in keys} == {32}
