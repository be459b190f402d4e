"""Does a home go over to a network that goes on from its own, whatever interrupts it? (R18)"""

import os
from contextlib import closing
from pathlib import Path

import pytest

from comind.crypto.invite import Invite
from comind.node.daemon import recovering
from comind.node.daemon.founding import found, identity_of
from comind.node.daemon.moving import finish, move
from comind.node.daemon.recovering import found_anew, move_over
from comind.node.daemon.store import Store, network_in
from comind.node.home import (
    Home,
    lock,
    prepare,
    recall_invite,
    remember_next_invite,
    resolve_invite,
    take_next_invite,
)
from comind.p2p.core.chain import Chain, genesis_committed
from comind.p2p.core.effects import Memory
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.recovery import founded_anew
from comind.p2p.core.words import NetworkId, Settings

HERE = ("tcp://127.0.0.1:7700",)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    place = Home(tmp_path / "home")
    prepare(place)
    return place


def founded(home: Home) -> Invite:
    return found(home, "hospitals", "lima", Settings(rounds=7), HERE)


def memory(home: Home) -> Memory:
    network = network_in(home.store_file)
    assert network is not None
    with closing(Store(home.store_file, network)) as store:
        return store.load(frozenset())


def test_a_survivor_s_home_is_of_the_new_network_and_keeps_the_old_one_aside(home: Home) -> None:
    old, identity = founded(home), identity_of(home).node_id
    done = found_anew(home, "lima", HERE)
    assert network_in(home.store_file) == done.invite.network != old.network
    assert recall_invite(home) == done.invite
    assert done.invite.key != old.key
    assert (done.network, done.height) == ("hospitals", 0)
    assert identity_of(home).node_id == identity
    kept = Home(done.aside)
    assert recall_invite(kept) == old
    assert network_in(kept.store_file) == old.network
    assert [one.name for one in home.path.glob("moving*")] == []


def test_a_home_that_runs_or_has_no_network_is_refused(home: Home) -> None:
    with pytest.raises(ConfigError, match="of no network"):
        found_anew(home, "lima", HERE)
    founded(home)
    with lock(home), pytest.raises(ConfigError, match="a node runs in"):
        found_anew(home, "lima", HERE)


def successor(home: Home) -> tuple[Invite, bytes]:
    """Return invite and first block of a network that goes on from this home's; the home stays as it is."""
    committed = memory(home).chain
    chain = Chain(NetworkId(committed[0].certificate.block))
    for one in committed:
        chain.append(one, lambda *_: True)
    wire = founded_anew(chain, chain.roster.nodes()[0], "lima", HERE)
    return Invite(genesis_committed(wire).certificate.block, bytes(32), HERE), wire


@pytest.mark.parametrize("crash_at", range(8))
def test_a_crash_on_the_way_is_finished_at_the_next_start(
    home: Home, crash_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = founded(home)
    (home.snapshots / "a.f32").write_bytes(b"weights")
    invite, wire = successor(home)
    calls, rename = [0], os.rename

    def failing(one: object, other: object) -> None:
        calls[0] += 1
        if calls[0] > crash_at:
            raise OSError("the power went")
        rename(one, other)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "rename", failing)
    try:
        move(home, NetworkId(old.network), invite, [genesis_committed(wire)])
    except ConfigError:
        pass
    monkeypatch.setattr(os, "rename", rename)
    finish(home)
    finish(home)
    if crash_at == 0:  # nothing had begun
        assert network_in(home.store_file) == old.network
        assert recall_invite(home) == old
        return
    assert network_in(home.store_file) == invite.network
    assert recall_invite(home) == invite
    kept = Home(home.path / f"network-{old.network.hex()[:8]}")
    assert (recall_invite(kept), network_in(kept.store_file)) == (old, old.network)
    assert (kept.snapshots / "a.f32").read_bytes() == (home.snapshots / "a.f32").read_bytes() == b"weights"


def test_a_node_moves_over_with_an_incarnation_that_it_never_had(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    founded(home)
    invite, wire = successor(home)
    asked: list[int] = []

    def answer(identity: object, invite: object, incarnation: int, *_: object) -> bytes:
        asked.append(incarnation)
        return wire

    monkeypatch.setattr(recovering, "_ask_for_genesis", answer)
    said: list[str] = []
    move_over(home, invite, (), said.append)
    assert network_in(home.store_file) == invite.network
    with closing(Store(home.store_file, NetworkId(invite.network))) as store:
        assert store.next_incarnation() > asked[0]
    assert said[-1].startswith(f"moved over to network {invite.network.hex()[:8]}; ")


def test_a_network_that_does_not_go_on_from_the_home_s_is_refused_and_nothing_changes(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, elsewhere = founded(home), Home(tmp_path / "elsewhere")
    prepare(elsewhere)
    stranger = found(elsewhere, "strangers", "oslo", Settings(), HERE)
    wire = memory(elsewhere).chain[0].block
    monkeypatch.setattr(recovering, "_ask_for_genesis", lambda *_: wire)
    with pytest.raises(ConfigError, match="it does not go on from this home's network; take another folder"):
        move_over(home, stranger, (), lambda line: None)
    assert (network_in(home.store_file), recall_invite(home)) == (old.network, old)


def test_nobody_that_answers_is_said_and_nothing_changes(home: Home) -> None:
    old = founded(home)
    invite, _ = successor(home)
    nowhere = Invite(invite.network, invite.key, ("tcp://127.0.0.1:9",))
    with pytest.raises(ConfigError, match="of which nobody answered in 0 s to tell"):
        move_over(home, nowhere, (), lambda line: None, ask_ms=50)
    assert network_in(home.store_file) == old.network


def test_an_invite_of_another_network_may_move_only_a_home_that_has_a_chain(
    home: Home, tmp_path: Path
) -> None:
    old = founded(home)
    invite, _ = successor(home)
    remember_next_invite(home, invite)
    assert take_next_invite(home) == invite
    assert take_next_invite(home) is None
    given = tmp_path / "given"
    remember_next_invite(Home(tmp_path), invite)
    (tmp_path / "next-invite").rename(given)
    assert resolve_invite(home, str(given), {}, may_move=True) == invite
    with pytest.raises(ConfigError, match="belongs to network"):
        resolve_invite(home, str(given), {})
    home.store_file.unlink()
    with pytest.raises(ConfigError, match="belongs to network"):
        resolve_invite(home, str(given), {}, may_move=True)
    assert recall_invite(home) == old
