"""What the daemon is started with: no secret, and nothing that cannot be."""

import pytest

from comind.node.daemon.__main__ import EXIT_USAGE, main
from comind.node.daemon.options import Options, host_name, parse
from comind.p2p.core.errors import ConfigError
from comind.p2p.shell.addresses import Listen


def test_nothing_given_is_the_usual() -> None:
    assert parse([]) == Options()
    assert 0 < len(host_name()) <= 64


def test_all_that_can_be_given() -> None:
    words = "--home /h --seed a:1 --seed tcp://b:2 --listen 127.0.0.1:9000 --advertise c:3 --name ada"
    flags = ["--no-lead", "--leave-with-trainer", "--invite-file", "-"]
    given = parse([*words.split(), *flags])
    assert given == Options(
        home="/h",
        seeds=("tcp://a:1", "tcp://b:2"),
        listen=Listen("127.0.0.1", (9000,)),
        advertise=("tcp://c:3",),
        name="ada",
        no_lead=True,
        leave_with_trainer=True,
        invite_file="-",
    )


@pytest.mark.parametrize(
    "secret",
    [
        "--invite=x",
        "--invite",
        "--key",
        "comind1-" + "a" * 100,
        "--home=comind1-" + "b" * 30,
        "f" * 64,
        "--seed=" + "0" * 64,
    ],
)
def test_a_secret_is_refused_and_not_repeated(secret: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match=r"--invite-file PATH or in COMIND_INVITE") as refused:
        parse(["--home", "/h", secret])
    assert secret.startswith("--") or secret not in str(refused.value)
    assert main([secret]) == EXIT_USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1


def test_a_home_below_a_folder_of_hex_is_no_secret() -> None:
    home = "/var/lib/overlay/" + "a" * 64 + "/home"
    assert parse(["--home", home]).home == home


@pytest.mark.parametrize(
    "arguments",
    [["--seed", "nonsense here"], ["--nam", "x"], ["stray"], ["--name", ""], ["--name", "x" * 65],
     ["--listen", "a b"], ["--home"], ["--advertise", "a:1"] * 9],
)  # fmt: skip
def test_what_cannot_be_is_one_line(arguments: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(arguments)
    assert "\n" not in str(refused.value)
