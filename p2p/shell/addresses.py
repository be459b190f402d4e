"""Where does a node listen, and at which addresses do others reach it?

Knows nothing of ZeroMQ. Looks at the machine's routes, and sends nothing to find them.
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from comind.p2p.core.errors import ConfigError

DEFAULT_PORT = 7700
PORT_STEP = 2
"""Ports come in pairs, control and bulk: the second is not bound yet, but no other node takes it either."""

DEFAULT_PORTS = tuple(range(DEFAULT_PORT, DEFAULT_PORT + 200, PORT_STEP))
MAX_ADDRESS_LENGTH = 256

_HIGHEST_CONTROL_PORT = 65_534
_HOST_AND_PORT = re.compile(
    r"(?:tcp://)?(\*|[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?"
)
_DIALABLE = re.compile(r"tcp://([A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\]):([1-9][0-9]{0,4})")

# Addresses of documentation (RFC 5737, RFC 3849): routed like any other, and nobody's. A connected UDP
# socket sends nothing; it only tells which source address the system would choose.
_ELSEWHERE = {socket.AF_INET: ("192.0.2.1", 9), socket.AF_INET6: ("2001:db8::1", 9)}


@dataclass(frozen=True, slots=True)
class Listen:
    """What to bind: `*` or an address of this machine (IPv6 in brackets), and the ports to try, in order."""

    host: str = "*"
    ports: tuple[int, ...] = DEFAULT_PORTS
    """Port 0 is any that is free."""

    @property
    def endpoints(self) -> tuple[str, ...]:
        return tuple(f"tcp://{self.host}:{port}" for port in self.ports)


@dataclass(frozen=True, slots=True)
class Advertised:
    """What a node tells others, and one line on how far that reaches."""

    addresses: tuple[str, ...]
    because: str


def parse_listen(text: str) -> Listen:
    """Read what `--listen` was given: `tcp://host:port`, or without `tcp://` or `:port`.

    Raises:
        ConfigError: it names no address of a machine, or a port that cannot be.
    """
    host, port = _split(text, "--listen")
    if host == "localhost":
        host = "127.0.0.1"
    if host != "*" and not _is_literal(host):
        raise ConfigError(
            f"--listen binds * or an address such as 192.168.1.7, not the name {host!r}: give its address"
        )
    if port is None:
        return Listen(host)
    if port > _HIGHEST_CONTROL_PORT:
        raise ConfigError(
            f"--listen has port {port}, but needs the one after it too: give at most {_HIGHEST_CONTROL_PORT}"
        )
    return Listen(host, (port,))


def listen_as_advertised(advertised: Sequence[str]) -> str | None:
    """Return the `--listen` of a node that was told only what to advertise: that port; None if it is not one.

    Raises:
        ConfigError: something else than addresses was given.
    """
    ports = {parse_address(address, "--advertise").rpartition(":")[2] for address in advertised}
    return f"*:{ports.pop()}" if len(ports) == 1 else None


def parse_address(text: str, option: str) -> str:
    """Read what `--seed` or `--advertise` was given and return it as `tcp://host:port`.

    Raises:
        ConfigError: it is no address that can be dialled; `option` is named in the message.
    """
    host, port = _split(text, option)
    address = f"tcp://{host}:{DEFAULT_PORT if port is None else port}"
    if not is_dialable(address):
        raise ConfigError(
            f"{option} takes an address that others can dial, as in tcp://192.168.1.7:7700, not {text!r}"
        )
    return address


def is_dialable(address: str) -> bool:
    """Whether this is plainly `tcp://host:port`. Total: asked before a stranger's word for one is used."""
    match = _DIALABLE.fullmatch(address)
    if match is None or len(address) > MAX_ADDRESS_LENGTH or int(match[2]) >= 2**16:
        return False
    return not match[1].startswith("[") or _is_literal(match[1])


def is_named(address: str) -> bool:
    """Whether a dialable address gives a name that must be looked up, rather than a number."""
    match = _DIALABLE.fullmatch(address)
    return match is not None and not _is_literal(match[1])


def source_address(family: socket.AddressFamily) -> str | None:
    """Return the address from which this machine would speak to others; None if it has no way out."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(_ELSEWHERE[family])
            found = str(probe.getsockname()[0])
    except OSError:
        return None
    address = ipaddress.ip_address(found)
    return None if address.is_loopback or address.is_unspecified else found


def advertise(
    listening: str, find: Callable[[socket.AddressFamily], str | None] = source_address
) -> Advertised:
    """Choose what to advertise for a bound endpoint (`tcp://host:port`), and say how far it reaches."""
    host, _, port = listening.removeprefix("tcp://").rpartition(":")
    address = ipaddress.ip_address(host.strip("[]"))
    if not address.is_unspecified:
        return _advertised(address, port)
    families = [socket.AF_INET] if address.version == 4 else [socket.AF_INET, socket.AF_INET6]
    for family in families:
        found = find(family)
        if found is not None:
            return _advertised(ipaddress.ip_address(found), port)
    return Advertised(
        (f"tcp://127.0.0.1:{port}",),
        "this machine has no address that others can reach: only nodes on this machine can dial it",
    )


def _advertised(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: str) -> Advertised:
    text = f"[{address}]" if address.version == 6 else str(address)
    if address.is_loopback:
        because = "only nodes on this machine can dial it"
    elif address.is_private or address.is_link_local:
        because = "only nodes in the same private network can dial it: others need --advertise"
    else:
        because = "a public address"
    return Advertised((f"tcp://{text}:{port}",), because)


def _split(text: str, option: str) -> tuple[str, int | None]:
    match = _HOST_AND_PORT.fullmatch(text.strip())
    if match is None or len(text) > MAX_ADDRESS_LENGTH:
        raise ConfigError(f"{option} takes tcp://host:port, unlike {text[:MAX_ADDRESS_LENGTH]!r}")
    host, port = match.groups()
    if port is not None and int(port) >= 2**16:
        raise ConfigError(f"{option} has port {port}, but ports end at 65535")
    return host, None if port is None else int(port)


def _is_literal(host: str) -> bool:
    bracketed = host.startswith("[")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return bracketed == (address.version == 6)
