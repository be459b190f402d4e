"""Do the disks of a network keep its promises? A second reading of docs/protocol.md.

Reads stores, snapshots and trainers' logs as a stranger would, with SQLite, MessagePack, BLAKE3 and Ed25519,
and shares no line with the core that wrote them. S3 is judged as far as disks can tell: the base's bytes are
the chain's. S6 and S8 are judged over several readings of one disk, as it is after each of its daemon's
deaths.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Disk:
    """What lies in one node's folder; its daemon does not run."""

    name: str
    blocks: tuple[bytes, ...]
    certificates: tuple[dict[str, Any], ...]
    promised: dict[str, Any]
    """Empty: none."""
    snapshots: dict[str, str]
    """Root in its name, and root of its bytes, in hex."""


def read_disk(home: Path) -> Disk:
    """Read a copy: opening a store's log would change it."""
    with tempfile.TemporaryDirectory() as folder:
        for file in home.glob("store.db*"):
            shutil.copy(file, folder)
        database = sqlite3.connect(Path(folder) / "store.db")
        try:
            rows = database.execute("SELECT height, block, certificate FROM chain ORDER BY height").fetchall()
            record = database.execute("SELECT record FROM promised").fetchone()
        finally:
            database.close()
    assert [height for height, _, _ in rows] == list(range(len(rows))), f"{home.name}'s chain has a gap"
    return Disk(
        name=home.name,
        blocks=tuple(block for _, block, _ in rows),
        certificates=tuple(msgpack.unpackb(packed) for _, _, packed in rows),
        promised=msgpack.unpackb(record[0]) if record else {},
        snapshots={file.stem: _root_of(file) for file in (home / "snapshots").glob("*.f32")},
    )


@dataclass(slots=True)
class Judge:
    """Remembers all that it read: what was once on a disk binds whoever wrote it."""

    network: bytes
    chain: list[bytes] = field(default_factory=list)
    """The longest that was read."""
    last_steps: dict[bytes, int] = field(default_factory=dict)
    """The last step of each run that the chain counts."""
    votes: dict[tuple[bytes, int, int, str], bytes] = field(default_factory=dict)
    """Of (node, height, view, kind), the block that was voted for."""
    seen: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Of each disk, as it was read last: blocks, promise count, and the promise's height * 10^6 + view."""

    def read(self, disk: Disk) -> list[str]:
        """Return what is wrong with this disk, by itself and beside what was read before."""
        return [f"{disk.name}: {line}" for line in self._wrong_with(disk)]

    def read_all(self, disks: Sequence[Disk]) -> list[str]:
        """Return what is wrong with the disks of daemons that agreed and were stopped."""
        lines = [line for disk in disks for line in self.read(disk)]
        if len({disk.blocks for disk in disks}) != 1:
            lines.append(f"S1: chains differ: {', '.join(f'{len(disk.blocks)} blocks' for disk in disks)}")
        root = _newest_root(self.chain)
        lines += [f"{disk.name}: S3: the base is not there" for disk in disks if root not in disk.snapshots]
        return lines

    def _wrong_with(self, disk: Disk) -> Iterator[str]:
        for height, (ours, theirs) in enumerate(zip(disk.blocks, self.chain, strict=False)):
            if ours != theirs:
                yield f"S1: another block at height {height}"
                return
        for wire in disk.blocks[len(self.chain) :]:
            yield from self._wrong_with_next(wire)
        first = self.seen.get(disk.name, (1, 0, 0))[0]
        yield from _wrong_with_certificates(self.network, disk, first)
        yield from self._two_votes(disk)
        yield from self._back(disk)
        for named, found in disk.snapshots.items():
            if named != found and named != "damaged":
                yield f"S3: snapshot {named[:8]} holds the bytes of {found[:8]}"

    def _wrong_with_next(self, wire: bytes) -> Iterator[str]:
        """Append this block to the chain, and say what is wrong with it."""
        height, block = len(self.chain), msgpack.unpackb(wire)
        previous = digest("block", self.chain[-1]) if self.chain else bytes(32)
        self.chain.append(wire)
        if (block["height"], block["previous"]) != (height, previous):
            yield f"S1: block {height} does not follow the one before"
        if height == 0 and digest("block", wire) != self.network:
            yield "S1: genesis is another network's"
        for signed in block["headers"] if block["rule"] == "mean" else ():
            header = msgpack.unpackb(signed["header"])
            if header["height"] != height:
                yield f"S4: a header of height {header['height']} in block {height}"
            if header["first_step"] < self.last_steps.get(header["run"], 0):
                yield f"S4: steps of a run count again in block {height}"
            self.last_steps[header["run"]] = header["last_step"]
            spoken = statement("header", self.network, signed["header"])
            if not _is_signed(header["node"], signed["signature"], spoken):
                yield f"S4: a header in block {height} is not signed"

    def _two_votes(self, disk: Disk) -> Iterator[str]:
        for vote in _votes_on(disk):
            key = vote["node"], vote["height"], vote["view"], vote["kind"]
            if self.votes.setdefault(key, vote["block"]) != vote["block"]:
                yield f"S7: two {vote['kind']} votes of one member, height {key[1]}, view {key[2]}"

    def _back(self, disk: Disk) -> Iterator[str]:
        promised = disk.promised
        place = promised.get("height", 0) * 1_000_000 + promised.get("view", 0)
        now = len(disk.blocks), promised.get("count", 0), place
        before = self.seen.get(disk.name, (1, 0, 0))
        for what, is_, was in zip(("height", "promise count", "promised view"), now, before, strict=True):
            if is_ < was:
                yield f"S8: its {what} went back from {was} to {is_}"
        self.seen[disk.name] = now


def wrong_with_trainers(homes: Sequence[Path]) -> list[str]:
    return [line for home in homes for line in wrong_with_trainer(home / "trainer.log")]


READERS: tuple[Callable[[Sequence[Path]], list[str]], ...] = (wrong_with_trainers,)
"""Who else reads the folders of nodes after a run, and says what is wrong there."""


def wrong_with_trainer(log: Path) -> list[str]:
    """S5: in one trainer's life no average counts it twice, and none is taken after a newer one.

    The log holds a line `ROUND COUNTED because` for each average that it was given; lives begin with
    `begins`.
    """
    lines: list[str] = []
    newest, counted = 0, -1
    for line in log.read_text("utf-8", "replace").splitlines() if log.exists() else ():
        words = line.split(maxsplit=2)
        if words == ["begins"]:
            newest, counted = 0, -1
        elif len(words) > 1 and words[0].isdecimal() and words[1] in ("True", "False"):
            round = int(words[0])
            if round < newest:
                lines.append(f"S5: {log.parent.name}'s trainer went back from average {newest} to {round}")
            if words[1] == "True" and round == counted:
                lines.append(f"S5: {log.parent.name}'s trainer was counted twice in average {round}")
            newest, counted = max(newest, round), round if words[1] == "True" else counted
    return lines


# -- certificates -------------------------------------------------------------------------------------------


def _wrong_with_certificates(network: bytes, disk: Disk, first: int) -> Iterator[str]:
    """Judge the certificates from height `first` on: a disk's are never written again."""
    voters: list[tuple[int, bytes]] = []
    """(height of admission, node) of those who vote, in the roster's order."""
    admitted: dict[bytes, int] = {}
    for height, (wire, certificate) in enumerate(zip(disk.blocks, disk.certificates, strict=True)):
        if height >= first:
            yield from _wrong_with_certificate(network, height, wire, certificate, voters)
        for change in msgpack.unpackb(wire)["changes"]:
            node = change["node"]
            match change["type"]:
                case "admit":
                    admitted[node] = height
                case "give-vote":
                    voters = sorted([*voters, (admitted[node], node)])
                case "take-vote" | "remove":
                    voters = [one for one in voters if one[1] != node]


def _wrong_with_certificate(
    network: bytes, height: int, wire: bytes, certificate: dict[str, Any], voters: list[tuple[int, bytes]]
) -> Iterator[str]:
    signers = set()
    for vote in certificate["commits"]:
        about = vote["kind"], vote["height"], vote["view"], vote["block"]
        if about != ("commit", height, certificate["view"], digest("block", wire)):
            yield f"S2: the certificate of height {height} holds a vote for something else"
        fields = vote["node"], vote["incarnation"], vote["promise"]
        if not _is_signed(vote["node"], vote["signature"], statement(about[0], network, *about[1:], *fields)):
            yield f"S2: the certificate of height {height} holds a vote that is not signed"
        signers.add(vote["node"])
    for_it = [node for _, node in voters if node in signers]
    tie = 2 * len(for_it) == len(voters) and voters[0][1] in signers
    if not (2 * len(for_it) > len(voters) or tie):
        yield f"S2: {len(for_it)} of {len(voters)} voters committed height {height}: no quorum"


def _votes_on(disk: Disk) -> Iterator[dict[str, Any]]:
    for certificate in disk.certificates:
        yield from certificate["commits"]
    for name in ("prepared", "committed"):
        if vote := disk.promised.get(name):
            yield vote
    lock = disk.promised.get("lock")
    yield from lock["prepares"] if lock else ()


def _newest_root(blocks: Sequence[bytes]) -> str:
    for wire in reversed(blocks):
        block = msgpack.unpackb(wire)
        if block["rule"] != "roster":
            return str(block["root"].hex())
    return ""


# -- bytes --------------------------------------------------------------------------------------------------


def statement(domain: str, *fields: bytes | int | str) -> bytes:
    def encoded(one: bytes | int | str) -> bytes:
        if isinstance(one, bytes):
            tag, content = b"b", one
        elif isinstance(one, str):
            tag, content = b"s", one.encode()
        else:
            tag, content = b"i", one.to_bytes(8, "big")
        return tag + len(content).to_bytes(8, "big") + content

    return b"comind/1" + b"".join(map(encoded, (domain, *fields)))


def digest(domain: str, *fields: bytes | int | str) -> bytes:
    return blake3(statement(domain, *fields)).digest()


def _root_of(file: Path) -> str:
    content = file.read_bytes()
    chunks = [content[at : at + CHUNK_BYTES] for at in range(0, len(content), CHUNK_BYTES)]
    hashes = b"".join(blake3(chunk).digest() for chunk in chunks)
    return digest("snapshot", len(content) // 4, hashes).hex()


def _is_signed(node: bytes, signature: bytes, spoken: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(node).verify(signature, spoken)
    except InvalidSignature:
        return False
    return True
