"""How does a network begin? With a key, a founder, and a block that says what it fixes for good.

Knows nothing of what happens next.
"""

from pathlib import Path

from comind.crypto.errors import InvalidInvite, UnusableKeyFile
from comind.crypto.identity import Identity
from comind.crypto.invite import Invite
from comind.crypto.keyfile import load_or_create_identity, new_network_key
from comind.node.daemon.initial import take_in
from comind.node.daemon.snapshots import Snapshots
from comind.node.daemon.store import Store, network_in
from comind.node.home import Home, lock, prepare, remember_invite
from comind.p2p.core.chain import genesis, genesis_committed
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.words import NetworkId, Settings, what_is_wrong_with

MAX_NAME_LENGTH = 64
MAX_ADDRESSES = 8


def found(
    home: Home,
    network_name: str,
    node_name: str,
    settings: Settings,
    addresses: tuple[str, ...],
    initial: Path | None = None,
) -> Invite:
    """Found a network whose first member is the node of this home, remember its invite, and return it.

    `addresses` are what the founder advertises; `initial` is a safetensors file with the first base.

    Raises:
        ConfigError: the home is of a network already or cannot be one, or something given cannot be.
    """
    _check(network_name, node_name, settings, addresses)
    prepare(home)
    with lock(home):
        if network_in(home.store_file) is not None:
            raise ConfigError(
                f"{home.path} is of a network already; found another one in its own folder:"
                " comind init --home OTHER"
            )
        return _found(home, network_name, node_name, settings, addresses, initial)


def identity_of(home: Home) -> Identity:
    """Return the identity of this home's node; a new one where it has none.

    Raises:
        ConfigError: its file cannot be used.
    """
    try:
        return load_or_create_identity(home.identity_file)
    except UnusableKeyFile as why:
        raise ConfigError(str(why)) from None
    except OSError as why:
        raise ConfigError(f"{home.identity_file} cannot be written: {why.strerror}") from None


def _found(
    home: Home,
    network_name: str,
    node_name: str,
    settings: Settings,
    addresses: tuple[str, ...],
    initial: Path | None,
) -> Invite:
    """The store comes last: a home without one is of no network, whatever else was left in it by a crash."""
    identity = identity_of(home)
    base = None
    if initial is not None:
        snapshots = Snapshots(home.snapshots)
        base = take_in(initial.expanduser(), snapshots)
        for _ in snapshots.settle(base[0]):
            pass
    block = genesis(
        identity.node_id,
        network_name,
        addresses,
        settings,
        node_name,
        can_lead=bool(addresses),
        base=base,
    )
    committed = genesis_committed(block)
    network = NetworkId(committed.certificate.block)
    invite = _invite(network, addresses)
    remember_invite(home, invite)
    store = Store(home.store_file, network)
    store.write([committed])
    store.close()
    return invite


def _invite(network: NetworkId, addresses: tuple[str, ...]) -> Invite:
    try:
        return Invite(network, new_network_key(), addresses)
    except InvalidInvite as why:
        raise ConfigError(str(why)) from None


def _check(network_name: str, node_name: str, settings: Settings, addresses: tuple[str, ...]) -> None:
    for what, name in (("network", network_name), ("node", node_name)):
        if not 0 < len(name) <= MAX_NAME_LENGTH or not name.isprintable():
            raise ConfigError(f"the {what}'s name must have 1 to {MAX_NAME_LENGTH} printable letters")
    if (wrong := what_is_wrong_with(settings)) is not None:
        raise ConfigError(wrong)
    if len(addresses) > MAX_ADDRESSES:
        raise ConfigError(f"a node advertises at most {MAX_ADDRESSES} addresses, not {len(addresses)}")
    _invite(NetworkId(bytes(32)), addresses)
