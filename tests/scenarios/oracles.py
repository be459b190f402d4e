"""Is every promise kept? Asked of everything that any member says, writes and adopts.

S1 to S8, each as docs/protocol.md words it. Shares no code with what it judges: rosters, quorums, means and
statements are read in `readings` and here. Also the history that the moments of a scenario are read from.
"""

import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from comind.p2p.core.effects import Adopt, Promised
from comind.p2p.core.messages import (
    Block,
    Certificate,
    Committed,
    Header,
    Heartbeat,
    Lock,
    Message,
    Open,
    Propose,
    Ready,
    ViewChange,
    ViewChanged,
    Vote,
    Voted,
)
from comind.p2p.core.wire import block_hash, pack, read
from comind.p2p.core.words import BlockHash, Height, Incarnation, NodeId, Offer, Rule
from tests.scenarios.disk import Disk, Values
from tests.scenarios.keys import Statements
from tests.scenarios.plane import snapshot_root
from tests.scenarios.readings import Reading, fields_of


class Broken(AssertionError):
    """A member broke a promise."""


def demand(kept: bool, promise: str, otherwise: str) -> None:
    if not kept:
        raise Broken(f"{promise} is broken: {otherwise}")


@dataclass(slots=True)
class History:
    """What was committed, said and written, by anyone."""

    blocks: dict[int, Block] = field(default_factory=dict)
    hashes: dict[int, BlockHash] = field(default_factory=dict)
    readings: dict[int, Reading] = field(default_factory=dict)
    """Rosters after the block of each height."""
    heights: dict[NodeId, int] = field(default_factory=dict)
    """Of the newest block that each node committed."""
    opens: list[Open] = field(default_factory=list)
    proposals: list[Propose] = field(default_factory=list)
    readies: list[Header] = field(default_factory=list)
    votes: list[Vote] = field(default_factory=list)
    """Every vote that its voter said, in order."""
    drops: list[tuple[NodeId, NodeId, str]] = field(default_factory=list)
    """Who dropped whom, and why."""
    prepares: dict[int, dict[NodeId, Vote]] = field(default_factory=lambda: defaultdict(dict))
    """Newest PREPARE on each node's disk, by height."""
    locks: dict[int, dict[NodeId, tuple[int, Block]]] = field(default_factory=lambda: defaultdict(dict))
    """Highest lock on each node's disk, by height."""
    decided: dict[int, tuple[int, Block]] = field(default_factory=dict)
    """The first (view, block) on which a quorum was locked, by height."""
    changes: dict[int, dict[NodeId, int]] = field(default_factory=lambda: defaultdict(dict))
    """Highest view of each node's VIEWCHANGEs, by height."""

    def round_of(self, height: int) -> int:
        """Return the number that an average at this height has; the block before it is committed."""
        return self.readings[height - 1].averages + 1

    def height_of(self, round: int) -> int | None:
        """Return the height of an average, if it is committed."""
        for height, block in self.blocks.items():
            if block.rule is Rule.MEAN and self.readings[height].averages == round:
                return height
        return None

    def headers(self, height: int) -> list[Header]:
        return [read(Header, signed.header) for signed in self.blocks[height].headers]


class Oracles:
    """Judges of one cluster."""

    def __init__(self, network_id: bytes, statements: Statements) -> None:
        self.history = History()
        self.values: dict[bytes, Values] = {}
        """Every average and first base, by its root."""
        self.impostors: set[bytes] = set()
        """Nodes that the scenario lets say what no honest node says: they may be dropped."""
        self._network_id = network_id
        self._statements = statements
        self._offers: dict[tuple[bytes, int], Values] = {}
        self._judged: set[bytes] = set()
        self._counted: dict[bytes, list[tuple[int, int, int]]] = defaultdict(list)
        self._promised: dict[NodeId, Promised] = {}
        self._votes: dict[tuple[NodeId, str, int, int], Vote] = {}
        self._said: dict[tuple[object, ...], bytes] = {}
        self._disk_height: dict[NodeId, int] = {}

    def go_on_from(self, parent: "Oracles") -> None:
        """R18: this network was founded anew from one that these judges watched: no step counts in both."""
        for run, counted in parent._counted.items():
            self._counted[run] = list(counted)
        self._offers |= parent._offers
        self.values |= parent.values

    # -- trainers -----------------------------------------------------------------------------------------

    def saw_offer(self, node: NodeId, offer: Offer, values: Values) -> None:
        self._offers[offer.run, offer.last_step] = values

    def saw_adopt(self, height: int, block: BlockHash | None, news: Adopt) -> None:
        """S5: along the chain, never backwards, and what is adopted is what was committed."""
        demand(news.height >= height, "S5", f"adopts block {news.height} after block {height}")
        demand(news.height > height or news.block == block, "S5", f"adopts a second block {news.height}")
        demand(self.history.hashes.get(news.height) == news.block, "S5", "adopts what is not in the chain")
        root = self.history.blocks[news.height].root
        demand(news.root == root, "S5", "adopts other weights than the block's")

    # -- starts --------------------------------------------------------------------------------------------

    def saw_start(self, node: NodeId, disk: Disk) -> None:
        """A process starts on what its disk holds: a block that was said may not be there yet (0010)."""
        height = len(disk.chain) - 1
        demand(height >= self._disk_height.get(node, -1), "S8", "a disk forgot a block")
        self._disk_height[node] = self.history.heights[node] = height

    # -- blocks -------------------------------------------------------------------------------------------

    def saw_commit(self, node: NodeId, committed: Committed, height: Height) -> None:
        self._judge(committed)
        block = read(Block, committed.block)
        demand(block.height == height, "S8", f"writes block {block.height} as block {height}")
        demand(height == self.history.heights.get(node, -1) + 1, "S8", f"commits {height} out of turn")
        self.history.heights[node] = height

    def _judge(self, committed: Committed) -> None:
        """S1 to S4 of one block and one certificate; each once."""
        name = block_hash(committed.block)
        key = pack(committed.certificate) + name
        if key in self._judged:
            return
        self._judged.add(key)
        block = read(Block, committed.block)
        known = self.history.hashes.setdefault(block.height, name)
        demand(known == name, "S1", f"two blocks {block.height}: {known.hex()[:6]} and {name.hex()[:6]}")
        if block.height > 0:
            demand(block.height - 1 in self.history.readings, "S1", f"no block comes before {block.height}")
            before = self.history.readings[block.height - 1]
            self._certified(before, committed.certificate, name, block.height)
        else:
            before = Reading()
            demand(not committed.certificate.commits, "S2", "genesis has votes")
        if block.height not in self.history.blocks:
            self.history.blocks[block.height] = block
            self.history.readings[block.height] = before.after(block)
            self._average(block, before)
            decided = self.history.decided.get(block.height, (0, block))[1]
            demand(block == decided, "R13", f"a quorum was locked on another block {block.height}")

    def _certified(self, before: Reading, certificate: Certificate, name: BlockHash, height: int) -> None:
        """S2: valid signatures of a quorum of the voters, of one height, view and hash."""
        signers = {vote.node for vote in certificate.commits}
        demand(len(signers) == len(certificate.commits), "S2", "a certificate counts a signer twice")
        demand(before.decides(signers), "S2", f"the certificate of block {height} has no quorum")
        demand(signers <= set(before.voters()), "S2", f"block {height} is certified by nodes without a vote")
        for vote in certificate.commits:
            says = (vote.kind, vote.height, vote.view, vote.block)
            wanted = ("commit", height, certificate.view, name)
            demand(says == wanted, "S2", f"the certificate of block {height} has a vote for {says}")
            statement = self._statements.find(vote.node, vote.signature)
            demand(statement is not None, "S2", "a COMMIT with a signature that its node never made")
            signed = fields_of(statement or b"")
            facts = (vote.kind, self._network_id, height, vote.view, name, vote.incarnation, vote.promise)
            for fact in facts:
                demand(fact in signed, "S2", f"a COMMIT's signature does not cover {fact!r}")

    def _average(self, block: Block, before: Reading) -> None:
        headers = [read(Header, signed.header) for signed in block.headers]
        for header in headers:
            demand(header.height == block.height, "S4", "a header crossed heights")
            demand(header.node in before.admitted, "S4", "a contributor is not on the roster")
        match block.rule:
            case Rule.MEAN:
                demand(not before.paused, "R5", f"block {block.height} averages while the network is paused")
                self._counts_once(block, headers)
                shares = [(self._offers[header.run, header.last_step], header.weight) for header in headers]
                mean = exact_mean(shares)
                exact = block.root == snapshot_root(mean)
                demand(exact, "S3", f"block {block.height} is not the mean of its S")
                self.values[block.root] = mean
            case Rule.INITIAL:
                values = self._offers[headers[0].run, 0]
                demand(block.root == snapshot_root(values), "S3", "the first base is not what was offered")
                self.values[block.root] = values
            case Rule.ROSTER:
                root = self.history.blocks[block.height - 1].root
                demand(block.root == root, "S3", "a block without an average changes the base")

    def _counts_once(self, block: Block, headers: list[Header]) -> None:
        """S4: each step of a run counts in at most one block."""
        for header in headers:
            for height, first, last in self._counted[header.run]:
                apart = header.last_step <= first or header.first_step >= last
                steps = f"({header.first_step}, {header.last_step}]"
                demand(apart, "S4", f"block {block.height} counts {steps}, block {height} ({first}, {last}]")
            self._counted[header.run].append((block.height, header.first_step, header.last_step))

    def steps_counted(self, run: bytes) -> list[tuple[int, int]]:
        """Return the step ranges (first, last] of a run that blocks count, in the chain's order."""
        return [(first, last) for _, first, last in self._counted[run]]

    # -- promises -----------------------------------------------------------------------------------------

    def saw_promise(self, node: NodeId, record: Promised, disk: Disk) -> None:
        """S8: what binds a voter only grows; S7: it votes once in a view; R9, R12: and only as it may."""
        before = self._promised.get(node)
        if before is not None:
            demand(record.count > before.count, "S8", f"promise {record.count} after promise {before.count}")
            demand(record.height >= before.height, "S8", f"height {record.height} after {before.height}")
            if record.height == before.height:
                self._grew(before, record)
        next_height = len(disk.chain)
        demand(record.height == next_height, "S8", f"promises at {record.height}, not {next_height}")
        self._promised[node] = record
        for vote in (record.prepared, record.committed):
            if vote is not None:
                self._bound(node, vote, record)
        if record.prepared is not None and (before is None or record.prepared != before.prepared):
            self._holds(node, record, disk)
        if record.lock is not None:
            self._locked(node, record.height, record.lock)
        if record.change is not None and record.change.height == record.height:
            views = self.history.changes[record.height]
            views[node] = max(record.change.view, views.get(node, 0))

    def _locked(self, node: NodeId, height: int, lock: Lock) -> None:
        block = read(Block, lock.block)
        locks = self.history.locks[height]
        locks[node] = (lock.view, block)
        signers: set[bytes] = {one for one, locked in locks.items() if locked == locks[node]}
        if self.history.readings[height - 1].decides(signers):
            self.history.decided.setdefault(height, (lock.view, block))

    def _grew(self, before: Promised, record: Promised) -> None:
        demand(record.view >= before.view, "S8", f"view {record.view} after view {before.view}")
        lock_view = -1 if record.lock is None else record.lock.view
        old_lock_view = -1 if before.lock is None else before.lock.view
        demand(lock_view >= old_lock_view, "S8", f"a lock at view {lock_view} after view {old_lock_view}")

    def _bound(self, node: NodeId, vote: Vote, record: Promised) -> None:
        """One vote of each kind in each view, also across restarts; none below a promised view."""
        demand(vote.node == node, "S6", "a node promises with another's vote")
        key = (node, vote.kind, vote.height, vote.view)
        if key not in self._votes:
            change = self.history.changes.get(vote.height, {}).get(node, 0)
            demand(vote.view >= change, "R12", f"{vote.kind} in view {vote.view} after VIEWCHANGE {change}")
        first = self._votes.setdefault(key, vote)
        demand(first.block == vote.block, "S7", f"two {vote.kind}s in {vote.height}.{vote.view}")

    def _holds(self, node: NodeId, record: Promised, disk: Disk) -> None:
        """R9: whoever PREPAREs has the block and the whole average."""
        assert record.prepared is not None
        kept = block_hash(record.block) == record.prepared.block
        demand(kept, "R9", "PREPAREs a block that it does not keep")
        block = read(Block, record.block)
        if block.rule is not Rule.ROSTER:
            demand(block.root in disk.snapshots, "R9", "PREPAREs what it does not hold")
        self.history.prepares[record.height][node] = record.prepared

    # -- words --------------------------------------------------------------------------------------------

    def saw_send(self, node: NodeId, incarnation: Incarnation, message: Message, disk: Disk) -> None:
        match message:
            case Voted(vote) if vote.node == node:
                demand(vote in self._on_disk(disk), "S6", f"says a {vote.kind} that is not on disk")
                self.history.votes.append(vote)
            case ViewChanged(change) if change.node == node:
                demand(change in self._on_disk(disk), "S6", "says a VIEWCHANGE that is not on disk")
            case Propose() if message.node == node:
                what = ("propose", node, message.height, message.view, incarnation)
                self._once(what, block_hash(message.block))
                self.history.proposals.append(message)
            case Open() if message.node == node:
                self.history.opens.append(message)
            case Ready(signed):
                header = read(Header, signed.header)
                if header.node == node:
                    self._once(("header", node, header.height, header.incarnation), signed.header)
                    self.history.readies.append(header)
            case Committed():
                self._judge(message)
            case Heartbeat():
                works_on = self.history.heights.get(node, -1) + 1
                demand(message.height == works_on, "S8", f"says that it works on {message.height}")

    def saw_drop(self, node: NodeId, peer: NodeId, because: str) -> None:
        """Honest members find no fault with each other; who is off the roster may be cut."""
        self.history.drops.append((node, peer, because))
        height = self.history.heights.get(node, 0)
        on_roster = peer in self.history.readings[height].admitted
        demand(peer in self.impostors or not on_roster, "honesty", f"an honest peer is dropped: {because}")

    def _once(self, key: tuple[object, ...], said: bytes) -> None:
        demand(self._said.setdefault(key, said) == said, "S7", f"two different {key[0]}s of one {key[2:]}")

    @staticmethod
    def _on_disk(disk: Disk) -> Iterator[Vote | ViewChange | None]:
        if disk.promised is not None:
            yield from (disk.promised.prepared, disk.promised.committed, disk.promised.change)


def exact_mean(shares: list[tuple[Values, int]]) -> Values:
    """The mean of S3 in plain Python: each operation in float64, rounded to float32.

    A product or sum of two float32 values, rounded to float64 and then to float32, is the float32 operation.
    """
    total = sum(weight for _, weight in shares)
    mean = shares[0][0].copy()
    for at in range(mean.size):
        sum_so_far = 0.0
        for values, weight in shares:
            scaled = _float32(float(values[at]) * _float32(weight / total))
            sum_so_far = _float32(sum_so_far + scaled)
        mean[at] = sum_so_far
    return mean


def _float32(value: float) -> float:
    rounded: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return rounded
