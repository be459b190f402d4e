"""Does `comind init` found what was asked for, and tell the exact lines that bring others in?"""

import re
import shlex
import socket
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from comind.crypto.invite import decode, encode
from comind.node.cli import found
from comind.node.daemon.store import Store, network_in
from comind.node.home import Home, recall_invite
from comind.node.remembered import Kept, recall
from comind.p2p.core.messages import Block
from comind.p2p.core.wire import read
from comind.p2p.core.words import Settings
from tests.unit.cli.conftest import Comind

AT = ("--advertise", "tcp://berlin.example:7700")


@pytest.fixture(autouse=True)
def _every_port_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(found, "_is_free", lambda port: True)


def genesis_of(home: Home) -> Block:
    network = network_in(home.store_file)
    assert network is not None
    store = Store(home.store_file, network)
    block = read(Block, store.load(frozenset()).chain[0].block)
    store.close()
    return block


def test_it_ends_with_the_lines_for_here_and_for_the_others(comind: Comind, home: Home) -> None:
    code, seen, said = comind("init", "--network", "our hospitals", "--name", "berlin", *AT)
    invite = recall_invite(home)
    assert (code, said) == (0, "")
    assert invite is not None
    assert seen == (
        f"""\
Founded network "our hospitals" ({invite.network.hex()[:8]}). This node is berlin at tcp://berlin.example:7700

Start it here (a training script starts it by itself):

  comind node

The invite is in {home.invite_file}

Hand it to each other machine over a private channel, for instance:

  scp {home.invite_file} OTHER-MACHINE:our-hospitals.invite

and start a node there:

  comind node --seed tcp://berlin.example:7700 --invite-file our-hospitals.invite

Whoever holds the invite can join. A node remembers it, so the copy can be deleted then.
"""
    )


def test_each_flag_sets_its_setting(comind: Comind, home: Home) -> None:
    flags = "--weight equal --min-peers 3 --start-at 4 --rounds 30 --max-voters 5 --patience-ms 500"
    flags += " --door adaptive --durability power"
    assert comind("init", *flags.split(), *AT)[0] == 0
    assert genesis_of(home).settings == Settings(
        weight="equal",
        min_peers=3,
        start_at=4,
        rounds=30,
        max_voters=5,
        patience_ms=500,
        door="adaptive",
        durability="power",
    )


def test_without_flags_the_defaults_are_the_cores_and_the_names_the_hosts(comind: Comind, home: Home) -> None:
    assert comind("init", *AT)[0] == 0
    block = genesis_of(home)
    assert block.settings == Settings()
    assert block.name == socket.gethostname().split(".")[0]


def test_the_invite_is_written_twice_when_that_is_asked_for(
    comind: Comind, home: Home, tmp_path: Path
) -> None:
    out = tmp_path / "hospitals.invite"
    code, seen, _ = comind("init", *AT, "--invite-out", out)
    assert code == 0
    assert out.stat().st_mode & 0o777 == 0o600
    assert decode(out.read_text()) == recall_invite(home)
    assert f"The invite is in {out}\n" in seen
    assert encode(decode(out.read_text()))[:20] not in seen


def test_a_mistake_in_the_last_flag_founds_nothing(comind: Comind, home: Home) -> None:
    code, _, said = comind("init", *AT, "--invite-out", "/nowhere/it")
    assert (code, said) == (2, "comind: --invite-out /nowhere/it: there is no such folder\n")
    assert not home.store_file.exists()


def test_a_home_founds_one_network(comind: Comind, home: Home) -> None:
    assert comind("init", *AT)[0] == 0
    before = recall_invite(home)
    code, _, said = comind("init", *AT)
    assert code == 2
    assert "is of a network already" in said
    assert recall_invite(home) == before


def test_where_to_listen_and_what_to_advertise_are_remembered(comind: Comind, home: Home) -> None:
    assert comind("init", "--listen", "127.0.0.1:7900", *AT)[0] == 0
    assert recall(home) == Kept("tcp://127.0.0.1:7900", ("tcp://berlin.example:7700",))


def test_the_port_that_is_advertised_is_bound_where_no_other_is_named(comind: Comind, home: Home) -> None:
    assert comind("init", "--advertise", "tcp://berlin.example:7800")[0] == 0
    assert recall(home) == Kept("tcp://*:7800", ("tcp://berlin.example:7800",))


def test_the_port_that_the_invite_names_holds_for_every_start(comind: Comind, home: Home) -> None:
    assert comind("init", *AT)[0] == 0
    assert recall(home).listen == "tcp://*:7700"


def test_a_second_node_on_this_machine_gets_ports_of_its_own_that_are_remembered(
    comind: Comind, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(found, "_is_free", lambda port: port not in (7700, 7703))
    code, seen, _ = comind("init", "--listen", "127.0.0.1")
    assert code == 0
    assert "at tcp://127.0.0.1:7704\n" in seen
    assert recall(home).listen == "tcp://127.0.0.1:7704"


def test_where_no_other_machine_can_come_it_tells_how_a_second_node_here_joins(
    comind: Comind, home: Home
) -> None:
    code, seen, _ = comind("init", "--listen", "127.0.0.1:7900")
    assert code == 0
    assert "(only nodes on this machine can dial it)" in seen
    assert f"comind node --home OTHER --invite-file {home.invite_file}\n" in seen
    assert "scp" not in seen


def test_another_home_is_named_in_the_lines(comind: Comind, tmp_path: Path) -> None:
    other = tmp_path / "an other"
    code, seen, _ = comind("init", "--home", other, *AT)
    line = re.search("^  (comind node .*)$", seen, re.MULTILINE)
    assert code == 0
    assert line is not None
    assert shlex.split(line[1]) == ["comind", "node", "--home", str(other)]


def test_an_initial_model_can_be_exported_again(comind: Comind, tmp_path: Path) -> None:
    model = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([7, 8], np.float32)}
    save_file(model, tmp_path / "in.safetensors")
    assert comind("init", *AT, "--initial", tmp_path / "in.safetensors")[0] == 0
    assert comind("export", tmp_path / "out.safetensors")[0] == 0
    exported = load_file(tmp_path / "out.safetensors")
    assert exported.keys() == model.keys()
    for name, values in model.items():
        np.testing.assert_array_equal(exported[name], values, strict=True)


def test_an_initial_model_that_is_none_founds_nothing(comind: Comind, home: Home, tmp_path: Path) -> None:
    (tmp_path / "in.safetensors").write_text("a pickle, perhaps")
    code, _, said = comind("init", *AT, "--initial", tmp_path / "in.safetensors")
    assert (code, said.count("\n")) == (2, 1)
    assert "it is no safetensors file" in said
    assert not home.store_file.exists()
