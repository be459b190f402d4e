"""Is a person's mistake one line that says how to mend it, with exit code 2?"""

import re
import subprocess
import sys

import msgspec
import pytest

import comind as package
from comind.crypto.invite import Invite, encode
from comind.node.cli.errors import EXIT_CODES
from comind.node.cli.genesis import MEANINGS, flag
from comind.node.cli.main import __doc__ as table
from comind.node.home import Home
from comind.p2p.core.words import CHOICES, RANGES, Settings
from tests.unit.cli.conftest import Comind

INVITE = encode(Invite(bytes(range(32)), bytes(range(32)), ("tcp://10.0.0.4:7700",)))
SECRETS = [
    ("node", INVITE),
    ("node", "--invite", INVITE),
    ("node", f"--invite={INVITE}"),
    ("node", "--invite-file", INVITE),
    ("node", f"--invite-file={INVITE.upper()}"),
    ("node", "--invite", "typed-wrong"),
    ("node", "--key", "abc"),
    ("node", "--key=abc"),
    (INVITE,),
    ("init", "--network-key", "abc"),
]


@pytest.mark.parametrize("arguments", SECRETS, ids=lambda arguments: " ".join(arguments)[:20])
def test_a_secret_on_the_command_line_is_refused_with_the_ways_in(
    comind: Comind, arguments: tuple[str, ...]
) -> None:
    code, seen, said = comind(*arguments)
    assert (code, seen) == (2, "")
    assert said.count("\n") == 1
    for way in ("--invite-file PATH", "standard input", "COMIND_INVITE", "prompt", "history"):
        assert way in said
    assert INVITE[8:20] not in said.lower()


MISTAKES = {
    ("statsu",): "No such command 'statsu'. Did you mean 'status'?; `comind --help` tells what there is",
    ("node", "--sed", "x"): "`comind node --help` tells what there is",
    ("init", "--rounds", "many"): "--rounds",
    ("init", "--rounds", "-1"): "--rounds is -1; it can be 0 to 10000000",
    ("init", "--min-peers", "0"): "--min-peers is 0; it can be 1 to 10000",
    ("init", "--weight", "heavy"): "--weight is 'heavy'; it can be examples or equal",
    ("export",): "MODEL.safetensors",
    ("init", "--name", ""): "--name takes 1 to 64 printable letters, unlike ''",
    ("init", "--network", "x" * 65): "--network takes 1 to 64 printable letters",
    ("init", "--name", "a\x1b[2Jb"): "--name takes 1 to 64 printable letters",
    ("init", "--listen", "tcp://"): "--listen takes tcp://host:port",
    ("init", "--advertise", "tcp://*:1"): "--advertise takes an address that others can dial",
    ("node", "--seed", "tcp://a:99999"): "--seed has port 99999",
    ("node",): "no invite: give the file that `comind init` wrote",
    ("node", "--invite-file", "/nowhere/it"): "there is no file /nowhere/it",
    ("invite",): "is of no network yet: found one with comind init",
    ("export", "/nowhere/m.safetensors"): "is of no network yet",
    ("rounds",): "is of no network yet: comind init, or comind node --invite-file PATH",
    ("rounds", "--last", "0"): "`comind rounds --help` tells what there is",
    ("show", "3"): "is of no network yet",
    ("show", "three"): "`comind show --help` tells what there is",
    ("show", "0"): "`comind show --help` tells what there is",
    ("verify",): "is of no network yet",
}


@pytest.mark.parametrize(("arguments", "line"), MISTAKES.items(), ids=lambda value: " ".join(value)[:30])
def test_a_mistake_is_one_line_and_exit_code_2(comind: Comind, arguments: tuple[str, ...], line: str) -> None:
    code, seen, said = comind(*arguments)
    assert (code, seen) == (2, "")
    assert said.startswith("comind: ")
    assert said.count("\n") == 1
    assert line in said
    assert "\x1b" not in said


def test_a_newcomer_that_knows_nobody_is_asked_for_a_seed(comind: Comind, home: Home) -> None:
    file = home.path / "given"
    file.write_text(encode(Invite(bytes(32), bytes(32), ())))
    file.chmod(0o600)
    code, _, said = comind("node", "--invite-file", file)
    assert (code, said) == (
        2,
        "comind: the invite carries no address: add --seed tcp://host:port, of any member\n",
    )
    assert not home.invite_file.exists()


def test_an_invite_that_others_can_read_is_refused_with_its_mend(comind: Comind, home: Home) -> None:
    file = home.path / "given"
    file.write_text(INVITE)
    file.chmod(0o644)
    code, _, said = comind("node", "--invite-file", file)
    assert code == 2
    assert f"chmod 600 {file}" in said


def test_every_genesis_setting_has_a_flag_with_its_meaning_and_range(comind: Comind) -> None:
    code, seen, _ = comind("init", "--help")
    seen = " ".join(seen.split())
    assert code == 0
    assert MEANINGS.keys() == set(Settings.__struct_fields__) == CHOICES.keys() | RANGES.keys()
    for field in msgspec.structs.fields(Settings):
        assert f"{flag(field.name)} " in seen
    assert "1 to 15" in seen
    assert "examples or equal" in seen


def test_help_ends_with_the_exit_codes_of_the_table(comind: Comind) -> None:
    code, seen, _ = comind("--help")
    assert code == 0
    for number, meaning in EXIT_CODES.items():
        assert re.search(rf"^ *{number:d} +{re.escape(meaning)}$", seen, re.MULTILINE)
        assert table is not None
        assert re.search(rf"^ *{number:d} +{re.escape(meaning)}$", table, re.MULTILINE)


def test_no_command_at_all_is_help(comind: Comind) -> None:
    assert comind() == comind("--help")


def test_the_version_is_said(comind: Comind) -> None:
    assert comind("--version") == (0, f"comind {package.__version__}\n", "")


def test_a_mistake_of_ours_is_exit_code_70_and_shows_no_values(
    comind: Comind, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(home: Home, as_json: bool) -> None:
        network_key = "a secret " + "that must not be shown"
        raise RuntimeError(f"a key of {len(network_key)} letters")

    monkeypatch.setattr("comind.node.cli.report.report", broken)
    code, _, said = comind("status")
    assert code == 70
    assert "RuntimeError: a key of 31 letters" in said
    assert "a secret that" not in said
    assert said.endswith("comind: this is a mistake of comind's own; please report the lines above\n")


def test_ctrl_c_is_no_traceback(comind: Comind, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(home: Home, as_json: bool) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("comind.node.cli.report.report", interrupted)
    assert comind("status") == (130, "", "")


def test_the_entry_point_is_light() -> None:
    """`comind node` shall be ready at once: no torch, and rich only where something is drawn."""
    mains = "comind.node.cli.main, comind.node.cli.commands, comind.node.cli.start"
    code = f"import sys, {mains}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in ran.stdout.split()}
    assert "typer" in loaded
    assert not loaded & {"rich", "torch", "zmq", "numpy", "safetensors"}
