"""Is what people type understood, and what is advertised the address that others reach?"""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comind.p2p.core.errors import ConfigError
from comind.p2p.shell.addresses import (
    DEFAULT_PORTS,
    Listen,
    advertise,
    is_dialable,
    is_named,
    parse_address,
    parse_listen,
    source_address,
)
from tests.unit.shell.conftest import Nodes

LISTENS = {
    "tcp://192.168.1.7:7800": Listen("192.168.1.7", (7800,)),
    "192.168.1.7:7800": Listen("192.168.1.7", (7800,)),
    "192.168.1.7": Listen("192.168.1.7", DEFAULT_PORTS),
    "tcp://*:7800": Listen("*", (7800,)),
    "*": Listen("*", DEFAULT_PORTS),
    "localhost:0": Listen("127.0.0.1", (0,)),
    "tcp://[::1]:7800": Listen("[::1]", (7800,)),
    " *:7700 ": Listen("*", (7700,)),
}


@pytest.mark.parametrize("text", LISTENS)
def test_what_can_be_listened_on(text: str) -> None:
    assert parse_listen(text) == LISTENS[text]


@pytest.mark.parametrize(
    "text",
    ["", ":", "eth0", "a.example:7700", "::1", "tcp://*:65535", "*:99999", "udp://*:1", "*:-1", "*:1\n*:2"],
)
def test_what_cannot_be_listened_on_is_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--listen .+") as refused:
        parse_listen(text)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tcp://a.example:7700", "tcp://a.example:7700"),
        ("a.example", "tcp://a.example:7700"),
        ("[2001:db8::7]:80", "tcp://[2001:db8::7]:80"),
    ],
)
def test_what_can_be_dialled(text: str, address: str) -> None:
    assert parse_address(text, "--seed") == address


@pytest.mark.parametrize("text", ["*:7700", "a.example:0", "ipc:///tmp/x", "a b", "[zz]:1", "[127.0.0.1]:1"])
def test_what_cannot_be_dialled_is_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--seed .+"):
        parse_address(text, "--seed")


@given(st.text())
def test_every_text_is_dialable_or_not(text: str) -> None:
    assert is_dialable(text) in (True, False)
    assert is_named(text) in (True, False)


def test_names_are_told_from_numbers() -> None:
    assert is_named("tcp://a.example:1")
    assert not is_named("tcp://127.0.0.1:1")
    assert not is_named("tcp://[::1]:1")


@pytest.mark.parametrize(
    ("listening", "found", "address", "because"),
    [
        ("tcp://0.0.0.0:7702", "203.0.113.9", "tcp://203.0.113.9:7702", "private"),
        ("tcp://0.0.0.0:7702", "8.8.8.8", "tcp://8.8.8.8:7702", "a public address"),
        ("tcp://0.0.0.0:7702", "192.168.1.7", "tcp://192.168.1.7:7702", "private"),
        ("tcp://0.0.0.0:7702", None, "tcp://127.0.0.1:7702", "only nodes on this machine"),
        ("tcp://127.0.0.1:7702", "192.168.1.7", "tcp://127.0.0.1:7702", "only nodes on this machine"),
        ("tcp://10.0.0.3:7702", None, "tcp://10.0.0.3:7702", "private"),
        ("tcp://[::1]:7702", None, "tcp://[::1]:7702", "only nodes on this machine"),
        ("tcp://[::]:7702", "2606:4700::1", "tcp://[2606:4700::1]:7702", "a public address"),
    ],
)
def test_what_is_advertised(listening: str, found: str | None, address: str, because: str) -> None:
    def find(family: socket.AddressFamily) -> str | None:
        fits = found is not None and (":" in found) == (family == socket.AF_INET6)
        return found if fits else None

    advertised = advertise(listening, find)
    assert advertised.addresses == (address,)
    assert because in advertised.because


def test_the_source_address_is_this_machines_or_none() -> None:
    found = source_address(socket.AF_INET)
    if found is not None:
        with socket.create_server((found, 0)):
            pass


def test_a_port_in_use_is_one_line_with_its_mend(nodes: Nodes) -> None:
    port = int(nodes().address.rpartition(":")[2])
    with pytest.raises(ConfigError, match=rf"^port {port} is in use: .*--listen tcp://127.0.0.1:{port + 2}$"):
        nodes(port=port)


def test_an_address_of_another_machine_is_one_line_with_its_mend(nodes: Nodes) -> None:
    with pytest.raises(ConfigError, match=r"^cannot listen on tcp://192.0.2.1:7700 .*--listen$"):
        nodes(listen=Listen("192.0.2.1", (7700,)))


def test_a_second_node_takes_the_next_pair_of_ports(nodes: Nodes) -> None:
    first = int(nodes().address.rpartition(":")[2])
    second = nodes(listen=Listen("127.0.0.1", (first, first + 2, first + 4)))
    assert int(second.address.rpartition(":")[2]) in (first + 2, first + 4)


def test_no_free_pair_is_one_line(nodes: Nodes) -> None:
    taken = int(nodes().address.rpartition(":")[2])
    with pytest.raises(ConfigError, match="all in use"):
        nodes(listen=Listen("127.0.0.1", (taken, taken)))


def test_the_default_ports_come_in_pairs() -> None:
    assert DEFAULT_PORTS[:3] == (7700, 7702, 7704)
    assert Listen().endpoints[0] == "tcp://*:7700"
