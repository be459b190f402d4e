"""The one file of chain and promises: what is found again, and what is told apart when it is not ours."""

import sqlite3
from pathlib import Path

import pytest

from comind.node.daemon.store import Entry, KnownAddresses, Store, network_in
from comind.p2p.core.effects import Promised, Seen
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.messages import Block, Certificate, Committed, Vote
from comind.p2p.core.wire import block_hash, pack
from comind.p2p.core.words import NO_ROOT, Incarnation, NetworkId, NodeId, Rule, Settings

NODE = NodeId(bytes([7]) * 32)


def committed(height: int, parent: bytes) -> Committed:
    block = pack(
        Block(
            network=bytes(32),
            height=height,
            previous=parent,
            originator=NODE,
            rule=Rule.ROSTER if height else Rule.GENESIS,
            codec="float32",
            headers=(),
            root=NO_ROOT,
            size=0,
            changes=(),
            skipped=(),
            present=(NODE,),
            metrics={},
            arrivals=(),
            duration_ms=0,
            absentees=(),
            settings=None if height else Settings(),
        )
    )
    return Committed(
        block=block, certificate=Certificate(height=height, view=0, block=block_hash(block), commits=())
    )


def chain_of(length: int) -> list[Committed]:
    chain: list[Committed] = []
    for height in range(length):
        chain.append(committed(height, chain[-1].certificate.block if chain else bytes(32)))
    return chain


CHAIN = chain_of(4)
NETWORK = NetworkId(CHAIN[0].certificate.block)


def promised(count: int) -> Promised:
    vote = Vote(
        kind="prepare",
        height=4,
        view=2,
        block=bytes(32),
        node=NODE,
        incarnation=9,
        promise=count,
        signature=bytes(64),
    )
    return Promised(
        height=4,
        view=2,
        count=count,
        prepared=vote,
        block=b"bytes",
        seen=(Seen(node=NODE, incarnation=3, promise=4),),
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def filled(file: Path, *entries: Entry) -> None:
    store = Store(file, NETWORK)
    store.write(entries)
    store.close()


def test_what_was_written_is_found_again(file: Path) -> None:
    empty = Store(file, NETWORK)
    assert empty.load(frozenset()).chain == ()
    assert empty.load(frozenset()).promised is None
    empty.write([*CHAIN, promised(1), promised(2)])
    empty.write([KnownAddresses(NODE, ("tcp://a:1",)), KnownAddresses(NODE, ("tcp://b:1",))])
    empty.checkpoint()
    empty.close()

    again = Store(file, NETWORK)
    memory = again.load(frozenset({NO_ROOT}))
    assert list(memory.chain) == CHAIN
    assert memory.promised == promised(2)
    assert memory.held == {NO_ROOT}
    assert again.addresses() == {NODE: ("tcp://b:1",)}
    assert file.stat().st_mode & 0o777 == 0o600
    assert network_in(file.parent / "none.db") is None


def test_what_was_written_survives_a_process_that_just_ends(file: Path) -> None:
    store = Store(file, NETWORK)
    store.write(CHAIN[:2])
    copied = file.parent / "copy.db"
    for suffix in ("", "-wal"):
        Path(f"{copied}{suffix}").write_bytes(Path(f"{file}{suffix}").read_bytes())
    assert list(Store(copied, NETWORK).load(frozenset()).chain) == CHAIN[:2]


def test_an_incarnation_only_grows_and_is_never_used_again(file: Path) -> None:
    seen = []
    for boot in range(1, 4):
        store = Store(file, NETWORK)
        seen.append(store.next_incarnation())
        store.close()
        assert seen[-1] >> 32 == boot
    assert seen == sorted(set(seen))
    store = Store(file, NETWORK)
    assert store.next_incarnation(above=Incarnation(77 << 32 | 5)) >> 32 == 78
    assert store.next_incarnation() >> 32 == 79
    store.close()


def test_the_same_block_twice_is_no_matter_but_another_at_its_height_is(file: Path) -> None:
    store = Store(file, NETWORK)
    store.write(CHAIN)
    store.write(CHAIN[-1:])
    with pytest.raises(AssertionError, match="second block at height 3"):
        store.write([promised(5), committed(3, bytes(32))])
    assert store.load(frozenset()).promised is None


def test_a_file_of_another_kind_is_left_untouched(file: Path) -> None:
    file.write_bytes(b"a letter to my mother" * 20)
    with pytest.raises(ConfigError, match=r"not a store of comind: mv .*store.db.aside"):
        Store(file, NETWORK)
    assert file.read_bytes() == b"a letter to my mother" * 20


def test_a_database_of_another_program_is_left_untouched(file: Path) -> None:
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
    other.close()
    before = file.read_bytes()
    with pytest.raises(ConfigError, match="another program"):
        Store(file, NETWORK)
    with pytest.raises(ConfigError, match="another program"):
        network_in(file)
    assert file.read_bytes() == before


def test_a_newer_store_asks_for_a_newer_comind(file: Path) -> None:
    filled(file)
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA user_version = 2")
    database.close()
    with pytest.raises(ConfigError, match="newer comind"):
        Store(file, NETWORK)


def test_a_store_of_another_network_says_which_and_how_to_go_on(file: Path) -> None:
    filled(file)
    assert network_in(file) == NETWORK
    with pytest.raises(ConfigError, match=r"belongs to network .* not to 00000000; .*--home OTHER"):
        Store(file, NetworkId(bytes(32)))


def test_a_creation_that_crashed_is_begun_anew(file: Path) -> None:
    file.touch()
    assert network_in(file) is None
    filled(file, *CHAIN)
    assert len(Store(file, NETWORK).load(frozenset()).chain) == 4


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_chain_with_a_hole_is_one_line(file: Path, missing: int) -> None:
    filled(file, *CHAIN)
    with sqlite3.connect(file) as database:
        database.execute("DELETE FROM chain WHERE height = ?", (missing,))
    database.close()
    with pytest.raises(ConfigError, match=rf"breaks at height {missing}: move it away .* mv "):
        Store(file, NETWORK).load(frozenset())


def test_a_block_that_was_changed_is_one_line(file: Path) -> None:
    filled(file, *CHAIN)
    with sqlite3.connect(file) as database:
        database.execute("UPDATE chain SET block = ? WHERE height = 2", (committed(2, bytes(32)).block,))
    database.close()
    with pytest.raises(ConfigError, match="breaks at height 2"):
        Store(file, NETWORK).load(frozenset())


def test_a_damaged_file_is_one_line(file: Path) -> None:
    filled(file, *CHAIN, promised(1))
    content = bytearray(file.read_bytes())
    content[200:] = b"\xff" * (len(content) - 200)
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="is damaged") as refused:
        Store(file, NETWORK).load(frozenset())
    assert "\n" not in str(refused.value)
    with pytest.raises(ConfigError, match="is damaged"):
        network_in(file)
