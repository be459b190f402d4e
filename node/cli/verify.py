"""Is the chain in a home what it says it is, from genesis to the base's bytes?

Trusts nothing that lies there: every hash and signature is checked again. Reads the home alone, so it does
not matter whether a daemon runs. Knows nothing of what a round means to people.
"""

import json
import sys
import textwrap
from collections.abc import Sequence

import msgspec

from comind.crypto.identity import verify as verify_ed25519
from comind.node.cli.chain import ATTEMPTS, rows_of
from comind.node.cli.phrases import plain
from comind.node.daemon.store import Row
from comind.node.home import Home, recall_invite
from comind.p2p.core.chain import Chain
from comind.p2p.core.errors import PeerMisbehaved
from comind.p2p.core.messages import Certificate, Committed
from comind.p2p.core.snapshot import CHUNK_BYTES, VALUE_BYTES, chunk_hash, root_of
from comind.p2p.core.wire import block_hash
from comind.p2p.core.words import NO_ROOT, NetworkId, NodeId

WIDTH = 100


class Verdict(msgspec.Struct, frozen=True):
    """What was found."""

    sound: bool
    network: str
    network_id: str
    of_the_invite: bool | None
    """Whether that is the network of the invite in this home; None: there is no invite."""
    blocks: int
    """So many from genesis on are sound."""
    rounds: int
    signatures: int
    first_bad_block: int | None
    because: str
    base_height: int | None
    """The block that names the base; None: there is none yet."""
    base_digest: str
    base: str
    """whole, none, missing, damaged, or unchecked behind a bad block."""


def verify(home: Home, as_json: bool) -> bool:
    """Print what the chain of this home proves; False if something in it is not sound.

    Raises:
        ConfigError: no network is here, or the store cannot be read as a database.
    """
    verdict = verdict_of(home)
    if as_json:
        sys.stdout.write(json.dumps(msgspec.to_builtins(verdict), indent=2) + "\n")
    else:
        sys.stdout.write(_told(verdict, home))
    return verdict.sound


def verdict_of(home: Home) -> Verdict:
    """Check everything; where a running daemon moves on meanwhile, what is newer."""
    for _ in range(ATTEMPTS - 1):
        verdict = _verdict(home)
        if verdict.base != "missing":
            return verdict
    return _verdict(home)


def _verdict(home: Home) -> Verdict:
    network, rows = rows_of(home.store_file)
    invite = recall_invite(home)
    checked = _Checked(network)
    because = checked.take(rows)
    chain = checked.chain
    of_the_invite = None if invite is None else invite.network == network
    if not because and of_the_invite is False:
        because = f"the chain is of network {network.hex()[:8]}, the invite here of another"
    bad = None if not because or of_the_invite is False else int(chain.next)
    base = "unchecked" if because else _base(home, chain)
    return Verdict(
        sound=not because and base in ("whole", "none"),
        network=chain.name,
        network_id=network.hex(),
        of_the_invite=of_the_invite,
        blocks=chain.next,
        rounds=chain.round,
        signatures=checked.signatures,
        first_bad_block=bad,
        because=because,
        base_height=None if chain.root == NO_ROOT else chain.based_at,
        base_digest="" if chain.root == NO_ROOT else chain.root.hex(),
        base=base,
    )


class _Checked:
    """A chain that grows block by block, and how many signatures were checked for it."""

    def __init__(self, network: NetworkId) -> None:
        self.chain = Chain(network)
        self.signatures = 0

    def take(self, rows: Sequence[Row]) -> str:
        """Take the rows up to the first that is not sound, and say why that is not; empty if all are."""
        if not rows:
            return "there is no genesis"
        for height, block, packed in rows:
            if height != self.chain.next:
                return f"it is not there: block {height} follows block {self.chain.height}"
            try:
                certificate = msgspec.msgpack.decode(packed, type=Certificate)
                if certificate.block != block_hash(block):
                    return "its bytes are not those that were agreed to"
                self.chain.append(Committed(block=block, certificate=certificate), self._verify)
            except PeerMisbehaved as why:
                return str(why)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                return "its certificate cannot be read"
        return ""

    def _verify(self, node: NodeId, statement: bytes, signature: bytes) -> bool:
        self.signatures += 1
        return verify_ed25519(node, statement, signature)


def _base(home: Home, chain: Chain) -> str:
    if chain.root == NO_ROOT:
        return "none"
    hashes, length = [], 0
    try:
        with open(home.snapshots / f"{chain.root.hex()}.f32", "rb") as values:
            while length < chain.size * VALUE_BYTES:
                chunk = values.read(min(CHUNK_BYTES, chain.size * VALUE_BYTES - length))
                if not chunk:
                    return "damaged"
                hashes.append(chunk_hash(chunk))
                length += len(chunk)
    except OSError:
        return "missing"
    return "whole" if root_of(chain.size, hashes) == chain.root else "damaged"


# -- what is said -------------------------------------------------------------------------------------------

_PROVES = """\
Each block follows from the one before, back to the genesis whose hash is the network's id: nothing was \
changed, left out or put in afterwards.
Each block was agreed to by a quorum of those who could vote then.
Each contribution was signed by the member that it names: run, steps, weight, base. No step counts twice."""
_PROVES_BASE = "The model on this disk is the one that block {height:,} names, bit for bit."
_DOES_NOT = """\
That members trained on what they say, on as many examples as they say.
That the average was computed rightly: contributions are not kept, and who led may have averaged otherwise.
That these are the newest blocks, and when each was made: a chain holds no dates.
Who stands behind a member's id, or that a quorum did not make up a second chain together."""


def _told(verdict: Verdict, home: Home) -> str:
    name = f'network "{plain(verdict.network)}" ({verdict.network_id[:8]})'
    if verdict.first_bad_block is not None:
        before = f"Blocks 0 to {verdict.blocks - 1:,} are sound. " if verdict.blocks else ""
        return _wrapped(
            f"NOT SOUND: block {verdict.first_bad_block:,} of {name} is the first bad one:"
            f" {plain(verdict.because)}. {before}To take the chain from the others again, move"
            f" {home.store_file} away and start the node."
        )
    if verdict.because:
        return _wrapped(f"NOT SOUND: {plain(verdict.because)}")
    counted = f"{verdict.blocks:,} blocks, {verdict.rounds:,} rounds and {verdict.signatures:,} signatures"
    if not verdict.sound:
        return _wrapped(
            f"NOT SOUND: the {counted} of {name} are as they should be, but the base that block"
            f" {verdict.base_height:,} names (digest {verdict.base_digest[:12]}) is {verdict.base} in"
            f" {home.snapshots}: let the daemon fetch it from the others (comind node)."
        )
    anchor = {
        True: "The network's id is the one in this node's invite.",
        False: "",
        None: f"There is no invite here to compare the network's id with: it is {verdict.network_id}.",
    }[verdict.of_the_invite]
    proves = _PROVES.splitlines()
    if verdict.base_height is not None:
        proves.append(_PROVES_BASE.format(height=verdict.base_height))
    return (
        _wrapped(f"Sound: {counted} of {name}. {anchor}")
        + f"\nThis proves:\n{_listed(proves)}\nIt does not prove:\n{_listed(_DOES_NOT.splitlines())}"
    )


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, WIDTH, break_on_hyphens=False)) + "\n"


def _listed(lines: Sequence[str]) -> str:
    wrapped = (textwrap.wrap(line, WIDTH, initial_indent="- ", subsequent_indent="  ") for line in lines)
    return "".join(f"{line}\n" for several in wrapped for line in several)
