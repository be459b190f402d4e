"""Does an invite get to another machine without being seen on the way?"""

from collections.abc import Callable
from pathlib import Path

import pytest

from comind.crypto.invite import Invite, decode, encode
from comind.node.attach import StatusOf
from comind.node.cli.invites import for_the_others, seeds_of
from comind.node.home import Home, recall_invite, remember_invite
from tests.unit.cli.conftest import Comind
from tests.unit.cli.fake_daemon import Answers, FakeDaemon, a_member, a_status

INVITE = Invite(bytes(range(32)), bytes(range(32)), ("tcp://10.0.0.4:7700",))


@pytest.fixture
def joined(home: Home) -> Home:
    remember_invite(home, INVITE)
    return home


def test_an_invite_is_written_for_its_owner_alone_and_not_shown(
    comind: Comind, joined: Home, tmp_path: Path
) -> None:
    file = tmp_path / "for-oslo"
    code, seen, said = comind("invite", "--out", file)
    assert (code, said) == (0, "")
    assert decode(file.read_text()) == INVITE
    assert file.stat().st_mode & 0o777 == 0o600
    assert f"the invite is in {file}" in seen
    assert encode(INVITE)[:20] not in seen


def test_without_a_path_it_lies_in_the_home(comind: Comind, joined: Home) -> None:
    assert f"the invite is in {joined.invite_file}\n" in comind("invite")[1]


def test_a_running_daemon_gives_the_members_present_addresses(
    comind: Comind, joined: Home, daemon: Callable[[Answers], FakeDaemon]
) -> None:
    daemon({"status": [StatusOf(a_status())]})
    code, seen, _ = comind("invite")
    remembered = recall_invite(joined)
    assert code == 0
    assert remembered is not None
    assert remembered.seeds == ("tcp://berlin.example:7700", "tcp://lima.example:7700")
    assert "comind node --seed tcp://berlin.example:7700 --invite-file hospitals.invite" in seen


def test_the_invite_is_printed_alone_and_only_when_asked_for(comind: Comind, joined: Home) -> None:
    assert comind("invite", "--show") == (0, f"{encode(INVITE)}\n", "")


def test_a_folder_that_is_not_there_is_one_line(comind: Comind, joined: Home) -> None:
    code, _, said = comind("invite", "--out", "/nowhere/it")
    assert (code, said) == (
        2,
        "comind: the invite cannot be written to /nowhere/it: No such file or directory\n",
    )


def test_seeds_begin_with_members_that_are_there_and_can_be_reached() -> None:
    two = ("tcp://lima.example:7700", "tcp://[2001:db8::7]:7700")
    members = (
        a_member("oslo", state="silent"),
        a_member("cape", can_lead=False),
        a_member("lima", addresses=two),
        a_member("rome", addresses=()),
        a_member("kiev"),
    )
    assert seeds_of(a_status(members=members)) == (
        "tcp://lima.example:7700",
        "tcp://kiev.example:7700",
        "tcp://cape.example:7700",
        "tcp://oslo.example:7700",
        "tcp://[2001:db8::7]:7700",
    )


def test_an_invite_holds_no_more_seeds_than_it_can_and_none_that_is_no_address() -> None:
    members = (
        a_member("evil", addresses=("tcp://x y:1",)),
        *(a_member(f"n{number}") for number in range(40)),
    )
    seeds = seeds_of(a_status(members=members))
    assert len(seeds) == 16
    assert "tcp://x y:1" not in seeds


def test_a_networks_name_is_no_way_to_write_a_command() -> None:
    told = for_the_others(Path("/home/ann/my invites/it"), "../x; rm -rf ~", ())
    assert "scp '/home/ann/my invites/it' OTHER-MACHINE:x-rm-rf.invite" in told
    assert "comind node --seed tcp://HOST:PORT --invite-file x-rm-rf.invite" in told
