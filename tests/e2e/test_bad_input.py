"""Is a person's mistake one line that says how to mend it, with the documented exit code?

And does a network that runs beside all of it go on untouched: its rounds are counted, its members the same?
"""

import os
import re
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pytest
import torch

import comind as package
from comind.crypto.invite import Invite, encode
from comind.node.attach import Status
from comind.node.cli.errors import Exit
from comind.node.daemon.founding import found
from comind.node.home import Home, prepare, remember_invite
from comind.node.trainer.peer import Peer
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.words import Settings
from scripts.local.child import Child, end
from scripts.local.ports import free_pairs
from tests.e2e.command import MODULE, Ran, comind
from tests.e2e.numpy_trainer import VALUES
from tests.e2e.real_network import Node, RealNetwork

STEP_S = "0.15"
MOUNTED = (
    "import sys; from pathlib import Path; import comind.node.home as home;"
    " home.MOUNT_TABLE = Path(sys.argv.pop(1)); from comind.node.cli.main import main; main()"
)
"""The command, in whose eyes a mount table is what the file in its first argument says."""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealNetwork]:
    """Two nodes that train, and a witness."""
    with RealNetwork(tmp_path_factory.mktemp("network"), 3, Settings(start_at=2)) as network:
        network.start_daemons()
        for node in network.nodes[:2]:
            network.train(node, STEP_S)
        network.wait(lambda: len(status_of(network.nodes[0]).members) == 3, "all three are members")
        network.wait_for_round(1)
        yield network


@pytest.fixture(autouse=True)
def untouched(network: RealNetwork) -> Iterator[None]:
    """After each test the network has gone on, with the same members."""
    trainers = network.nodes[:2]
    before = [one.id for one in status_of(trainers[0]).members]
    yield
    network.wait_for_round(max(map(network.round_of, trainers)) + 1, *trainers)
    assert [one.id for one in status_of(trainers[0]).members] == before
    assert {one.state for one in status_of(trainers[0]).members} <= {"training", "ready", "witness"}


@pytest.fixture
def witness(network: RealNetwork) -> Node:
    """A node without a trainer, for those that go wrong."""
    node = network.nodes[2]
    network.wait(lambda: status_of(node).trainer == "none", "no trainer is at the witness")
    return node


@pytest.fixture
def port(tmp_path: Path) -> int:
    """One that is free."""
    return free_pairs(1, 6_000 + hash(str(tmp_path)) % 5_000)[0]


def status_of(node: Node) -> Status:
    status = node.status()
    assert status is not None
    return status


def refused(ran: Ran, *says: str, code: Exit = Exit.USAGE) -> None:
    """It ended with the code, and with one line that says this; nothing else was said."""
    assert ran.code == code, ran
    assert ran.out == ""
    line(ran.err, *says)


def line(text: str, *says: str) -> None:
    assert text.removesuffix("\n").count("\n") == 0, text
    assert "Traceback" not in text
    for words in says:
        assert words in text


# -- the invite ---------------------------------------------------------------------------------------------

GOOD = encode(Invite(bytes(range(32)), bytes(range(32, 64)), ("tcp://127.0.0.1:1",)))
MISTYPED = "was mistyped or cut off: copy the whole line again"
NO_INVITE = "this is not a comind invite: one is a single line that starts with comind1-"
INVITES = {
    "another letter": (GOOD[:40] + ("a" if GOOD[40] != "a" else "b") + GOOD[41:], MISTYPED),
    "two letters swapped": (re.sub(r"(?<=-.{9})(.)(?!\1)(.)", r"\2\1", GOOD, count=1), MISTYPED),
    "cut off": (GOOD[:-5], MISTYPED),
    "in capitals": ("comind1-" + GOOD[8:].upper(), MISTYPED),
    "of a later version": (GOOD.replace("comind1-", "comind2-"), "is of version 2, and this comind reads 1"),
    "some other text": ("hunter2", NO_INVITE),
    "two invites": (f"{GOOD}\n{GOOD}", MISTYPED),
    "nothing": ("", NO_INVITE),
    "noise": (os.urandom(200).decode("latin-1"), NO_INVITE),
}


@pytest.mark.parametrize("what", INVITES)
def test_a_wrong_or_mistyped_invite_is_told_apart(tmp_path: Path, what: str) -> None:
    text, says = INVITES[what]
    file = tmp_path / "invite"
    file.write_text(text)
    file.chmod(0o600)
    home = tmp_path / "home"
    refused(comind("node", "--home", home, "--invite-file", file), says, str(file))
    assert not (home / "invite").exists()


def test_an_invite_may_come_in_three_ways_and_each_names_itself(tmp_path: Path) -> None:
    home = tmp_path / "home"
    mistyped, _ = INVITES["cut off"]
    refused(comind("node", "--home", home, environ={"COMIND_INVITE": mistyped}), "COMIND_INVITE: ", MISTYPED)
    refused(
        comind("node", "--home", home, "--invite-file", "-", stdin=mistyped), "standard input: ", MISTYPED
    )
    refused(comind("node", "--home", home), "no invite: give the file", "--invite-file PATH")
    refused(comind("node", "--home", home, "--invite-file", tmp_path / "gone"), "there is no file")
    refused(comind("node", "--home", home, "--invite-file", tmp_path), "is a folder: give the invite's file")


@pytest.mark.parametrize(
    "arguments",
    [
        ("node", GOOD),
        ("node", "--invite", GOOD),
        ("node", f"--invite-file={GOOD}"),
        ("init", "--network-key", "ab" * 32),
        (GOOD.upper(),),
    ],
    ids=lambda arguments: " ".join(arguments)[:22],
)
def test_a_secret_on_argv_is_refused_and_not_repeated(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ran = comind(*arguments, environ={"COMIND_HOME": str(tmp_path / "home")})
    refused(ran, "an invite is a secret", "--invite-file PATH", "COMIND_INVITE")
    assert GOOD[8:20] not in ran.err.lower()
    assert not (tmp_path / "home").exists()


def test_a_secret_on_the_daemons_own_argv_is_refused(tmp_path: Path) -> None:
    ran = comind("--home", tmp_path, "--invite-file", GOOD, start=("-m", "comind.node.daemon"))
    refused(ran, "a secret on the command line is read by others", "--invite-file PATH")
    assert GOOD[8:20] not in ran.err


# -- the network --------------------------------------------------------------------------------------------


@dataclass
class Waiting:
    """A `comind node` that goes on running, and says why it is not there yet."""

    home: Path
    child: Child = field(init=False)
    given: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        self.home.mkdir(0o700)
        log = self.home.parent / f"{self.home.name}.log"
        self.child = Child(MODULE, ["node", "--home", str(self.home), *self.given], log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        end([self.child], patience_s=10)

    @property
    def says(self) -> str:
        return self.child.log.read_text("utf-8")

    @property
    def status(self) -> Status:
        ran = Node(self.home.name, self.home.parent, 0).status()
        assert ran is not None
        return ran

    def is_member(self) -> bool:
        status = Node(self.home.name, self.home.parent, 0).status()
        return status is not None and any(one.me and one.state != "joining" for one in status.members)

    def stop(self) -> int:
        self.child.terminate()
        return self.child.wait()


def test_another_networks_invite_is_refused_where_a_home_has_one(
    network: RealNetwork, tmp_path: Path
) -> None:
    file = write_invite(tmp_path, Invite(bytes(32), bytes(32), ("tcp://127.0.0.1:1",)))
    for home in (network.nodes[0].home.path, stopped(tmp_path / "home").path):
        if home == network.nodes[0].home.path:
            refused(comind("node", "--home", home, "--invite-file", file), "a node runs in")
        else:
            ran = comind("node", "--home", home, "--invite-file", file)
            assert ran.code == Exit.USAGE
            assert ran.out.startswith("asks network 00000000 whether it goes on from ")
            line(ran.err, "belongs to network", "take another folder for it: comind node --home OTHER")


@pytest.mark.parametrize("whose", ["another network's", "this network's, with another key"])
def test_a_wrong_network_key_waits_with_the_reason(
    network: RealNetwork, tmp_path: Path, port: int, whose: str
) -> None:
    id = network.invite.network if "this" in whose else os.urandom(32)
    file = write_invite(tmp_path, Invite(id, os.urandom(32), (network.nodes[0].address,)))
    given = ("--invite-file", str(file), "--listen", f"tcp://127.0.0.1:{port}")
    with Waiting(tmp_path / "home", given=given) as node:
        network.wait(
            lambda: (
                f"seed {network.nodes[0].address}: another network answers there, or the invite's network key"
                " is not this network's; it is tried again" in node.says
            ),
            "the reason is said",
        )
        assert not node.is_member()
        assert node.stop() == 0
        assert "Traceback" not in node.says


def test_a_newcomer_whose_seed_is_not_there_waits_and_comes_in_when_it_is(
    network: RealNetwork, tmp_path: Path, port: int
) -> None:
    """Nodes start in any order."""
    founder = Home(tmp_path / "founder")
    seed = f"tcp://127.0.0.1:{port}"
    invite = found(founder, "late", "founder", Settings(), (seed,))
    file = write_invite(tmp_path, Invite(invite.network, invite.key, ()))
    ports = free_pairs(2, port - 20_000 + 2)
    given = ("--invite-file", str(file), "--seed", seed, "--listen", f"tcp://127.0.0.1:{ports[1]}")
    with Waiting(tmp_path / "newcomer", given=given) as newcomer:
        network.wait(
            lambda: f"seed {seed}: nobody answers there; it is tried again" in newcomer.says,
            "the reason is said",
        )
        network.wait(lambda: Node("newcomer", tmp_path, 0).status() is not None, "it answers")
        assert newcomer.status.because
        assert newcomer.status.height == 0
        listens = ["node", "--home", str(founder.path), "--listen", seed, "--advertise", seed]
        first = Child(MODULE, listens, tmp_path / "founder.log")
        try:
            network.wait(newcomer.is_member, "the newcomer is a member")
        finally:
            end([first], patience_s=10)
        assert newcomer.stop() == 0


def test_a_seed_that_is_no_node_is_told(network: RealNetwork, tmp_path: Path, port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        seed = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        file = write_invite(tmp_path, Invite(os.urandom(32), os.urandom(32), ()))
        given = ("--invite-file", str(file), "--seed", seed, "--listen", f"tcp://127.0.0.1:{port}")
        with Waiting(tmp_path / "home", given=given) as node:
            visitor, _ = server.accept()
            with visitor:
                visitor.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(100))
                network.wait(lambda: f"seed {seed}: what answers there is no comind node" in node.says, "why")


def test_a_newcomer_that_knows_nobody_is_asked_for_a_seed(tmp_path: Path) -> None:
    file = write_invite(tmp_path, Invite(bytes(32), bytes(32), ()))
    refused(
        comind("node", "--home", tmp_path / "home", "--invite-file", file),
        "the invite carries no address: add --seed tcp://host:port, of any member",
    )


def test_a_listen_port_in_use_is_refused_whoever_has_it(
    network: RealNetwork, tmp_path: Path, port: int
) -> None:
    home = stopped(tmp_path / "home").path
    nodes = int(network.nodes[0].address.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        for taken in (nodes, port):
            refused(
                comind("node", "--home", home, "--listen", f"tcp://127.0.0.1:{taken}"),
                f"port {taken} is in use: stop what listens there, or name another as in --listen",
                f"tcp://127.0.0.1:{taken + 2}",
            )


def test_an_address_that_is_not_this_machines_is_refused(tmp_path: Path) -> None:
    refused(
        comind("node", "--home", stopped(tmp_path / "home").path, "--listen", "tcp://192.0.2.1:7700"),
        "cannot listen on tcp://192.0.2.1:7700",
        "name another address with --listen",
    )


# -- the folder ---------------------------------------------------------------------------------------------


def stopped(place: Path) -> Home:
    """A home of a network of its own, in which no daemon runs."""
    home = Home(place)
    prepare(home)
    found(home, "another", "node", Settings(), ("tcp://127.0.0.1:1",))
    return home


def write_invite(place: Path, invite: Invite) -> Path:
    file = place / "given"
    file.write_text(encode(invite))
    file.chmod(0o600)
    return file


def test_a_second_daemon_on_one_folder_is_refused(network: RealNetwork, port: int) -> None:
    home = network.nodes[0].home.path
    mend = "start a second one in its own folder: comind node --home OTHER"
    refused(comind("node", "--home", home, "--listen", f"127.0.0.1:{port}"), "a node runs in", mend)
    refused(
        comind("--home", home, "--listen", f"127.0.0.1:{port}", start=("-m", "comind.node.daemon")),
        "a node runs in",
        mend,
    )


def test_founding_in_a_folder_that_has_a_network_is_refused(network: RealNetwork, tmp_path: Path) -> None:
    refused(comind("init", "--home", network.nodes[0].home.path), "a node runs in")
    refused(
        comind("init", "--home", stopped(tmp_path / "home").path),
        "is of a network already; found another one in its own folder: comind init --home OTHER",
    )


def spoil(at: int, length: int) -> Callable[[Path], None]:
    """Overwrite so many bytes of a file from there on."""

    def write(file: Path) -> None:
        content = bytearray(file.read_bytes())
        content[at : at + length] = b"\xa5" * length
        file.write_bytes(content)

    return write


def another_database(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE cookies (host, value)")
        database.commit()


def newer(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA user_version = 99")


def another_block(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        (block,) = database.execute("SELECT block FROM chain").fetchone()
        database.execute("UPDATE chain SET block = ?", (block.replace(b"another", b"changed"),))
        database.commit()


ASIDE = "mv {file} {file}.aside"
STORES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "another program's database": (another_database, "is a database of another program", ASIDE),
    "a text": (lambda file: file.write_text("dear diary\n" * 40), "is damaged or not a store", ASIDE),
    "a short text": (lambda file: file.write_text("hm"), "is damaged or not a store", ASIDE),
    "noise": (lambda file: file.write_bytes(os.urandom(9_000)), "is damaged or not a store", ASIDE),
    "without its start": (spoil(0, 16), "is damaged or not a store", ASIDE),
    "a spoilt schema": (spoil(100, 3_900), "is damaged", ASIDE),
    "a spoilt rest": (spoil(4_096, 100_000), "is damaged", ASIDE),
    "another block": (another_block, "breaks at height 0", ASIDE),
    "a newer comind's": (newer, "was written by a newer comind", "pip install --upgrade comind"),
}


@pytest.mark.parametrize("what", STORES)
def test_a_corrupt_or_foreign_state_file_is_refused(tmp_path: Path, port: int, what: str) -> None:
    change, says, mend = STORES[what]
    home = stopped(tmp_path / "home")
    change(home.store_file)
    before = home.store_file.read_bytes()
    ran = comind("node", "--home", home.path, "--listen", f"tcp://127.0.0.1:{port}")
    refused(ran, f"{home.store_file} ", says, mend.format(file=home.store_file))
    if "another" in says or "not a store" in says:
        assert home.store_file.read_bytes() == before


def test_a_state_file_of_another_network_is_refused(tmp_path: Path) -> None:
    home, other = stopped(tmp_path / "home"), stopped(tmp_path / "other")
    home.store_file.write_bytes(other.store_file.read_bytes())
    refused(
        comind("node", "--home", home.path),
        "belongs to network",
        "take another folder: comind node --home OTHER",
    )


def test_a_key_file_that_others_can_read_is_refused_with_its_mend(tmp_path: Path) -> None:
    home = stopped(tmp_path / "home")
    for file in (home.identity_file, home.invite_file):
        file.chmod(0o640)
        refused(comind("node", "--home", home.path), f"chmod 600 {file}")
        file.chmod(0o600)


def test_a_damaged_identity_is_refused(tmp_path: Path) -> None:
    home = stopped(tmp_path / "home")
    home.identity_file.write_text(home.identity_file.read_text()[:-3])
    mend = f"mv {home.identity_file} {home.identity_file}.unusable"
    refused(comind("node", "--home", home.path), "is damaged or not comind's", mend)


def test_a_folder_that_others_can_reach_is_refused_with_its_mend(tmp_path: Path) -> None:
    home = stopped(tmp_path / "home")
    home.path.chmod(0o755)
    refused(comind("node", "--home", home.path), f"chmod 700 {home.path}")


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    for command in ("node", "init"):
        refused(comind(command, "--home", tmp_path / "home"), "no folder can be made at", "--home OTHER")


@pytest.mark.parametrize(("command", "kind"), [("node", "nfs4"), ("init", "nfs4"), ("node", "fuse.sshfs")])
def test_a_network_file_system_is_refused(tmp_path: Path, command: str, kind: str) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
        f"97 22 0:51 / {tmp_path}/share rw,relatime - {kind} server:/export rw,vers=4.2\n"
    )
    home = tmp_path / "share" / "home"
    refused(
        comind(table, command, "--home", home, start=("-c", MOUNTED)),
        f"{home} lies on a network file system ({kind})",
        "take a local folder: comind node --home",
    )
    assert not home.exists()


# -- flags and commands -------------------------------------------------------------------------------------

FLAGS = {
    ("node", "--seed", "tcp://a:99999"): "--seed has port 99999, but ports end at 65535",
    ("node", "--seed", "http://a:80"): "--seed takes tcp://host:port",
    ("node", "--listen", "tcp://localhost:65535"): "needs the one after it too: give at most 65534",
    ("node", "--listen", "tcp://my-laptop:7700"): "not the name 'my-laptop': give its address",
    ("node", "--advertise", "tcp://*:7700"): "--advertise takes an address that others can dial",
    ("node", "--sed", "tcp://a:1"): "`comind node --help` tells what there is",
    ("init", "--rounds", "-1"): "--rounds is -1; it can be 0 to 10000000",
    ("init", "--start-at", "many"): "--start-at",
    ("init", "--heartbeat-ms", "5"): "--heartbeat-ms is 5; it can be 20 to 10000",
    ("init", "--weight", "heavy"): "--weight is 'heavy'; it can be examples or equal",
    ("init", "--initial", "/nowhere/model.safetensors"): "/nowhere/model.safetensors",
    ("leave", "--yes", "--wait", "0"): "--wait",
    ("frobnicate",): "No such command",
}


@pytest.mark.parametrize("arguments", FLAGS, ids=lambda arguments: " ".join(arguments)[:30])
def test_a_flag_out_of_range_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ran = comind(*arguments, environ={"COMIND_HOME": str(tmp_path / "home")})
    refused(ran, FLAGS[arguments])
    assert not (tmp_path / "home" / "store.db").exists()


@pytest.mark.parametrize("command", ["status", "stop", "leave --yes"])
def test_where_no_daemon_runs_the_line_says_how_to_start_one(tmp_path: Path, command: str) -> None:
    home = stopped(tmp_path / "home").path
    ran = comind(*command.split(), "--home", home)
    refused(ran, f"no daemon runs in {home}; start it with: comind node --home {home}", code=Exit.NO_DAEMON)


# -- trainers -----------------------------------------------------------------------------------------------


def model(values: int = VALUES) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]]:
    return {"weights": np.zeros(values, np.float32)}


class Weights(torch.nn.Module):
    """A model of one tensor, called as the network's is."""

    def __init__(self, *shape: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.weights = torch.nn.Parameter(torch.zeros(shape, dtype=dtype))


def wrapped(peer: Peer, model: torch.nn.Module, interval_steps: int = 1) -> package.FederatedAveraging:
    inner = torch.optim.SGD(model.parameters(), lr=0.1)
    return package.FederatedAveraging(inner, model, peer, interval_steps=interval_steps)


@pytest.fixture
def peer(witness: Node) -> Iterator[Peer]:
    joined = package.join(home=witness.home.path)
    yield joined
    joined.finish()


def test_a_second_trainer_is_refused(network: RealNetwork) -> None:
    node = network.nodes[0]
    assert node.trainer is not None
    for attach in (lambda one: one.start(model()), lambda one: wrapped(one, Weights(VALUES))):
        with pytest.raises(ConfigError) as why:
            attach(package.join(home=node.home.path))
        line(str(why.value), f"a trainer (process {node.trainer.pid}) is attached to this node", "join(home=")


def test_a_model_that_differs_is_refused_with_its_first_tensor_and_both_shapes(peer: Peer) -> None:
    said = f"weights is float32 [7, 3], in the network weights is float32 [{VALUES}]"
    with pytest.raises(ConfigError) as why:
        wrapped(peer, Weights(7, 3))
    line(str(why.value), "this model is not the network's", said)
    with pytest.raises(ConfigError) as why:
        peer.average({"weights": np.zeros((7, 3), np.float32)}, weight=1)
    line(str(why.value), "this model is not the network's", said)
    with pytest.raises(ConfigError) as why:
        peer.average([np.zeros(VALUES, np.float32)], weight=1)
    line(str(why.value), f"here 0 is float32 [{VALUES}], in the network weights is float32 [{VALUES}]")
    with pytest.raises(ConfigError) as why:
        peer.average(model() | {"zeal": np.zeros(2, np.float32)}, weight=1)
    line(str(why.value), "here zeal is float32 [2], in the network no further tensor")


def test_a_model_that_changes_on_the_way_is_refused(peer: Peer) -> None:
    peer.start(model())
    with pytest.raises(ConfigError) as why:
        peer.average({"weights": np.zeros((7, 3), np.float32)}, weight=1)
    line(str(why.value), f"weights [7, 3] is given where weights [{VALUES}] was before")


@pytest.mark.parametrize("dtype", ["float64", "complex64"])
def test_a_dtype_that_cannot_travel_is_refused_by_name(peer: Peer, dtype: str) -> None:
    said = f"weights is {dtype}, and what is averaged travels as float32: convert it to float32"
    with pytest.raises(ConfigError) as why:
        peer.average({"weights": np.zeros(VALUES, dtype)}, weight=1)
    line(str(why.value), said)
    with pytest.raises(ConfigError) as why:
        wrapped(peer, Weights(VALUES, dtype=getattr(torch, dtype)))
    line(str(why.value), said)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "3e38"])
def test_a_snapshot_with_a_value_that_is_none_is_not_offered(peer: Peer, value: str) -> None:
    weights = peer.start(model())
    weights["weights"] = weights["weights"].copy()
    weights["weights"][VALUES // 2] = float(value)
    with pytest.raises(ConfigError) as why:
        peer.average(weights, weight=1)
    line(str(why.value), "weights holds", "it was not offered; go back to a checkpoint from before")


def test_a_step_to_nan_is_not_offered(peer: Peer) -> None:
    trained = Weights(VALUES)
    optimizer = wrapped(peer, trained)
    (trained.weights.sum() * float("nan")).backward()  # type: ignore[no-untyped-call]
    with pytest.raises(ConfigError) as why:
        optimizer.step(examples=1)
    line(str(why.value), "weights holds NaN: it was not offered")


def test_examples_that_are_missing_zero_or_negative_are_refused(peer: Peer) -> None:
    weights = peer.start(model())
    missing = "this network weighs contributions by examples: tell how many, with peer.average"
    with pytest.raises(ConfigError) as why:
        peer.average(weights)
    line(str(why.value), missing)
    for number in (0, -1, 2.5):
        with pytest.raises(ConfigError) as why:
            peer.average(weights, weight=number)  # type: ignore[arg-type]
        line(str(why.value), f"a step takes a whole number of examples, at least 1, not {number}")


def test_examples_that_are_missing_zero_or_negative_are_refused_at_the_first_step(peer: Peer) -> None:
    trained = Weights(VALUES)
    optimizer = wrapped(peer, trained, interval_steps=100)
    trained.weights.sum().backward()  # type: ignore[no-untyped-call]
    with pytest.raises(ConfigError) as why:
        optimizer.step()
    line(str(why.value), "this network weighs contributions by examples", "step(examples=len(batch))")
    for number in (0, -1, 2.5):
        with pytest.raises(ConfigError) as why:
            optimizer.step(examples=number)  # type: ignore[arg-type]
        line(str(why.value), f"a step takes a whole number of examples, at least 1, not {number}")


def test_joining_without_an_invite_or_with_a_port_in_use_says_so(
    network: RealNetwork, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as why:
        package.join(home=tmp_path / "home")
    line(str(why.value), "no invite: give the file that `comind init` wrote")
    remember_invite(Home(tmp_path / "home"), network.invite)
    with pytest.raises(ConfigError) as why:
        package.join(home=tmp_path / "home", listen=network.nodes[0].address, on_line=lambda said: None)
    line(str(why.value), "is in use: stop what listens there, or name another")


def test_a_training_script_that_dies_of_its_mistake_leaves_the_network_as_it_was(
    witness: Node, tmp_path: Path
) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import sys, comind, numpy as np\n"
        "from comind.p2p.core.errors import ConfigError\n"
        "try:\n"
        f"    peer = comind.join(home={str(witness.home.path)!r})\n"
        "    peer.average([np.zeros(3, np.float32)], weight=1)\n"
        "except ConfigError as why:\n"
        "    sys.exit(f'mistake: {why}')\n"
    )
    ran = comind(start=(str(script),))
    refused(ran, "mistake: this model is not the network's: here 0 is float32 [3]", code=Exit.DECLINED)
