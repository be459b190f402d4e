"""Where a node keeps what is its own: what is taken, and what is refused with the line that mends it."""

import os
from pathlib import Path

import pytest

from comind.crypto.invite import Invite, encode
from comind.node.home import (
    MAX_SOCKET_PATH_BYTES,
    Home,
    find_home,
    lock,
    prepare,
    recall_invite,
    remember_invite,
    resolve_invite,
)
from comind.p2p.core.errors import ConfigError

ROOT_ON_EXT4 = "21 1 8:1 / / rw,relatime - ext4 /dev/vda rw\n"
OURS = Invite(bytes([1]) * 32, bytes([2]) * 32, ("tcp://10.0.0.1:7700",))
THEIRS = Invite(bytes([3]) * 32, bytes([4]) * 32, ())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    prepare(made, lambda: ROOT_ON_EXT4)
    return made


def mounts_with(kind: str, point: Path | str) -> str:
    where = str(point).replace(" ", "\\040")
    return ROOT_ON_EXT4 + f"40 21 0:44 / {where} rw,relatime shared:1 - {kind} server:/export rw\n"


# -- which folder -------------------------------------------------------------------------------------------


def test_the_given_home_comes_first_then_the_environment_then_one_for_this_host() -> None:
    assert find_home("/a", {"COMIND_HOME": "/b"}).path == Path("/a")
    assert find_home(None, {"COMIND_HOME": "/b"}).path == Path("/b")
    default = find_home(None, {}).path
    assert default.parent.name == "comind"
    assert default.name == os.uname().nodename.split(".")[0]


def test_a_relative_home_and_a_tilde_become_absolute() -> None:
    assert find_home("here").path == Path.cwd() / "here"
    assert find_home("~/x").path == Path.home() / "x"


def test_prepare_makes_private_folders(home: Home) -> None:
    for folder in (home.path, home.snapshots):
        assert folder.stat().st_mode & 0o777 == 0o700
    prepare(home, lambda: ROOT_ON_EXT4)


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "lustre", "ceph", "fuse.glusterfs"]
)
def test_a_network_file_system_is_refused_with_a_line_that_mends_it(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ConfigError, match=rf"network file system \({kind}\).*--home"):
        prepare(Home(tmp_path / "sub" / "home"), lambda: mounts_with(kind, tmp_path))
    assert not (tmp_path / "sub").exists()


def test_only_the_deepest_mount_above_the_home_counts(tmp_path: Path) -> None:
    inner = tmp_path / "with space"
    table = (
        mounts_with("nfs4", tmp_path)
        + f"41 40 8:2 / {str(inner).replace(' ', chr(92) + '040')} rw - xfs /dev/b rw\n"
    )
    prepare(Home(inner / "home"), lambda: table)


def test_a_link_into_a_network_file_system_is_seen_through(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "share")
    with pytest.raises(ConfigError, match="network file system"):
        prepare(Home(tmp_path / "link" / "home"), lambda: mounts_with("nfs", tmp_path / "share"))


def test_the_table_of_macos_is_read_too(tmp_path: Path) -> None:
    table = f"/dev/disk1 on / (apfs, local)\n//user@server/share on {tmp_path} (smbfs, nodev)\n"
    with pytest.raises(ConfigError, match="smbfs"):
        prepare(Home(tmp_path / "home"), lambda: table)


def test_the_real_table_takes_a_local_folder(tmp_path: Path) -> None:
    prepare(Home(tmp_path / "home"))


def test_a_folder_that_others_can_reach_is_refused_with_chmod(tmp_path: Path) -> None:
    (tmp_path / "open home").mkdir(mode=0o755)
    with pytest.raises(ConfigError, match=r"chmod 700 '.*open home'"):
        prepare(Home(tmp_path / "open home"), lambda: "")


def test_a_path_with_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "home"):
        with pytest.raises(ConfigError, match="no folder can be made"):
            prepare(Home(path), lambda: "")


def test_a_second_daemon_in_a_folder_is_told_how_to_start(home: Home) -> None:
    held = lock(home)
    with pytest.raises(ConfigError, match="comind node --home OTHER"):
        lock(home)
    held.close()
    lock(home).close()


def test_a_path_too_long_for_a_socket_gets_one_in_a_private_runtime_folder(tmp_path: Path) -> None:
    deep = Home(tmp_path / ("d" * 60) / ("e" * 60))
    prepare(deep, lambda: "")
    assert len(os.fsencode(deep.socket_path)) <= MAX_SOCKET_PATH_BYTES
    assert deep.socket_path == Home(deep.path).socket_path
    folder = deep.socket_path.parent
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    folder.symlink_to(tmp_path)
    try:
        with pytest.raises(ConfigError, match="not this user's own folder"):
            prepare(deep, lambda: "")
    finally:
        folder.unlink()


# -- the invite ---------------------------------------------------------------------------------------------


def test_an_invite_is_remembered_in_a_private_file(home: Home) -> None:
    assert recall_invite(home) is None
    remember_invite(home, OURS)
    assert recall_invite(home) == OURS
    assert home.invite_file.stat().st_mode & 0o777 == 0o600


def test_the_file_comes_before_the_environment_before_memory_before_the_prompt(
    home: Home, tmp_path: Path
) -> None:
    def of(seed: str) -> Invite:
        return Invite(OURS.network, OURS.key, (seed,))

    file = tmp_path / "invite"
    file.write_text(encode(of("tcp://file:1")))
    file.chmod(0o600)
    environ = {"COMIND_INVITE": encode(of("tcp://environment:1"))}

    def never() -> str:
        raise AssertionError("asked")

    assert resolve_invite(home, None, {}, prompt=lambda: encode(OURS)) == OURS
    remember_invite(home, OURS)
    assert resolve_invite(home, str(file), environ, never).seeds == ("tcp://file:1",)
    assert resolve_invite(home, None, environ, never).seeds == ("tcp://environment:1",)
    assert resolve_invite(home, None, {}, never) == OURS
    assert resolve_invite(home, "-", environ, never, stdin=lambda: encode(OURS) + "\n") == OURS


def test_no_invite_at_all_says_where_to_give_one(home: Home) -> None:
    with pytest.raises(ConfigError, match=r"--invite-file PATH or in COMIND_INVITE"):
        resolve_invite(home, None, {})


def test_an_invite_of_another_network_is_refused_with_the_line_that_mends_it(home: Home) -> None:
    remember_invite(home, OURS)
    with pytest.raises(ConfigError, match=r"belongs to network 01010101.*--home OTHER"):
        resolve_invite(home, None, {"COMIND_INVITE": encode(THEIRS)})


@pytest.mark.parametrize(
    ("mode", "text", "line"),
    [
        (0o644, encode(OURS), "chmod 600"),
        (0o600, "comind1-nonsense", "mistyped"),
        (0o600, "hello", "not a comind invite"),
    ],
)
def test_a_file_that_cannot_be_used_says_why_and_nothing_of_its_text(
    home: Home, tmp_path: Path, mode: int, text: str, line: str
) -> None:
    file = tmp_path / "given"
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(ConfigError, match=line) as refused:
        resolve_invite(home, str(file), {})
    assert text not in str(refused.value)
    with pytest.raises(ConfigError, match="there is no file"):
        resolve_invite(home, str(tmp_path / "absent"), {})
    with pytest.raises(ConfigError, match=r"folder|ordinary"):
        resolve_invite(home, str(tmp_path), {})
