"""What has been committed, and may this block come next?

Knows nothing of views, links or disks: a block is immutable and knows no view (R8).
"""

from dataclasses import dataclass, field
from functools import lru_cache

from comind.crypto.statement import digest
from comind.p2p.core.errors import PeerMisbehaved
from comind.p2p.core.messages import (
    MAX_CHUNKS,
    Admit,
    Block,
    Certificate,
    Change,
    Committed,
    Decision,
    GiveVote,
    Header,
    Recovers,
    SignedHeader,
    Vote,
)
from comind.p2p.core.roster import Roster
from comind.p2p.core.signing import Verify, decision_statement, header_statement, vote_statement
from comind.p2p.core.snapshot import CHUNK_VALUES
from comind.p2p.core.standing import Standing, told
from comind.p2p.core.wire import block_hash, pack, read
from comind.p2p.core.words import (
    GENESIS_PARENT,
    NO_ROOT,
    NO_SCHEMA,
    BlockHash,
    Height,
    Incarnation,
    NetworkId,
    NodeId,
    Root,
    Rule,
    RunId,
    SchemaHash,
    Settings,
    what_is_wrong_with,
)


def schema_hash(layout: bytes) -> SchemaHash:
    return SchemaHash(digest("schema", layout))


def genesis(
    founder: NodeId,
    name: str,
    addresses: tuple[str, ...],
    settings: Settings,
    node_name: str,
    can_lead: bool = True,
    base: tuple[Root, int, bytes] | None = None,
    recovers: Recovers | None = None,
    decided: tuple[Change, ...] = (),
) -> bytes:
    """Return the bytes of a network's first block; their hash is the network's id.

    `base`: root, size and layout of the first base, where there is one already (`--initial`); `recovers` and
    `decided`: the network that this one goes on from, and what it takes along of who is let in (R18).
    """
    root, size, layout = base or (NO_ROOT, 0, b"")
    block = Block(
        network=bytes(32),
        height=0,
        previous=GENESIS_PARENT,
        originator=founder,
        rule=Rule.GENESIS,
        codec=settings.codec,
        headers=(),
        root=root,
        size=size,
        changes=(
            Admit(node=founder, name=node_name, addresses=addresses, can_lead=can_lead),
            GiveVote(node=founder, incarnation=0),
            *decided,
        ),
        skipped=(),
        present=(founder,),
        metrics={},
        arrivals=(),
        duration_ms=0,
        absentees=(),
        layout=layout,
        settings=settings,
        name=name,
        recovers=recovers,
    )
    return pack(block)


def genesis_committed(block: bytes) -> Committed:
    """Return genesis as it stands in a chain: uncertified, since its hash is the network's id."""
    return Committed(
        block=block, certificate=Certificate(height=0, view=0, block=block_hash(block), commits=())
    )


GENESIS_HEIGHT = Height(0)
MAX_VALUES = MAX_CHUNKS * CHUNK_VALUES
DECISIONS_TOLD = 8
MAX_HEADERS_REMEMBERED = 256
MAX_WEIGHT = (1 << 53) - 1
"""So that weights, and the sums of few of them, are exact in float64."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What the chain counts last of a node or a run."""

    run: RunId
    last_step: int
    height: Height


@dataclass(slots=True)
class Chain:
    """The committed blocks, and all that follows from them. Empty until genesis is appended."""

    network: NetworkId
    committed: list[Committed] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    head: BlockHash = GENESIS_PARENT
    roster: Roster = field(default_factory=lambda: Roster(()))
    names: dict[NodeId, str] = field(default_factory=dict)
    """What each node that ever was a member was called last."""
    standing: Standing = field(default_factory=Standing)
    decisions: list[tuple[Height, str]] = field(default_factory=list)
    """The newest decisions of operators, in words, oldest first."""
    settings: Settings = field(default_factory=Settings)
    name: str = ""
    parent: Recovers | None = None
    """Which network this one goes on from (R18)."""
    round: int = 0
    """Averages so far."""
    root: Root = NO_ROOT
    size: int = 0
    schema: SchemaHash = NO_SCHEMA
    layout: bytes = b""
    runs: dict[RunId, int] = field(default_factory=dict)
    """The last step of each run that is counted (R16)."""
    counted: dict[NodeId, Counted] = field(default_factory=dict)
    based_at: Height = field(default=GENESIS_HEIGHT)
    """Height of the block that set the base."""

    @property
    def height(self) -> Height:
        """Height of the last block; -1 before genesis."""
        return Height(len(self.blocks) - 1)

    @property
    def next(self) -> Height:
        return Height(len(self.blocks))

    @property
    def finished(self) -> bool:
        return self.settings.rounds > 0 and self.round >= self.settings.rounds

    def hash_of(self, height: Height) -> BlockHash:
        return BlockHash(self.committed[height].certificate.block)

    def append(self, committed: Committed, verify: Verify) -> Block:
        """Add the next block; its certificate is checked with the roster before it (S2).

        Raises:
            PeerMisbehaved: it is not the next block, not valid, or not certified.
        """
        block = read(Block, committed.block)
        if block.height != self.next:
            raise PeerMisbehaved(f"block {block.height} where {self.next} is next")
        if self.blocks:
            self.check(block, verify)
            self.check_certificate(committed.block, committed.certificate, verify)
        else:
            self._check_genesis(committed.block, block)
        self._apply(committed, block)
        return block

    def check_certificate(self, block: bytes, certificate: Certificate, verify: Verify) -> None:
        """Check that a quorum of the present voters committed this block (S2).

        Raises:
            PeerMisbehaved: it did not.
        """
        name = block_hash(block)
        if certificate.height != self.next or certificate.block != name:
            raise PeerMisbehaved("a certificate of another block")
        for vote in certificate.commits:
            if (vote.kind, vote.height, vote.view, vote.block) != (
                "commit",
                certificate.height,
                certificate.view,
                name,
            ):
                raise PeerMisbehaved("a certificate with a vote for something else")
        self.check_quorum(certificate.commits, verify)

    def check_quorum(self, votes: tuple[Vote, ...], verify: Verify) -> None:
        """Check that these votes, alike in what they say, are signed by a quorum of the present voters.

        Raises:
            PeerMisbehaved: they are not.
        """
        if not self.roster.is_quorum(frozenset(NodeId(vote.node) for vote in votes)):
            raise PeerMisbehaved("votes that are no quorum")
        for vote in votes:
            if not verify(NodeId(vote.node), vote_statement(self.network, vote), vote.signature):
                raise PeerMisbehaved("a forged vote")

    def check(self, block: Block, verify: Verify) -> None:
        """Check what chain and bytes can show of a block that shall come next (R8, R9).

        Raises:
            PeerMisbehaved: with what is wrong.
        """
        self._demand(block.network == self.network, "is of another network")
        self._demand(block.height == self.next and block.previous == self.head, "does not follow the chain")
        self._demand(block.originator in self.roster, "has an originator off the roster")
        self._demand(
            block.settings is None and not block.name and block.recovers is None, "says what only genesis can"
        )
        self._demand(block.codec == self.settings.codec, "has another codec than the network")
        self._check_people(block, verify)
        match block.rule:
            case Rule.MEAN:
                self._check_mean(block, verify)
            case Rule.INITIAL:
                self._check_initial(block, verify)
            case Rule.ROSTER:
                keeps = (block.root, block.size, block.layout) == (self.root, self.size, b"")
                self._demand(keeps and not block.headers, "changes the base without an average")
                self._demand(bool(block.changes or block.skipped), "says nothing")
            case Rule.GENESIS:
                raise PeerMisbehaved("a second genesis")

    def check_header(self, signed: SignedHeader, verify: Verify) -> Header:
        """Check a header for the next height: signed by a member, of this base, not counted before (S4, R16).

        Raises:
            PeerMisbehaved: with what is wrong.
        """
        header = _header_of(signed)
        self._demand(header.height == self.next, "has a header of another height")
        self._demand(header.node in self.roster, "has a header of a node off the roster")
        self._demand(header.size <= MAX_VALUES, "has a header of a snapshot that is too large")
        if self.root == NO_ROOT:
            starts = (header.weight, header.first_step, header.last_step, header.base) == (0, 0, 0, NO_ROOT)
            self._demand(starts and header.size > 0, "has a header of no starting weights")
        else:
            self._demand(header.base == self.root, "has a header of a stale base")
            self._demand(
                header.size == self.size and header.schema == self.schema, "has another model's header"
            )
            self._demand(header.last_step > header.first_step, "has a header of no steps")
            self._demand(header.first_step >= self.runs.get(RunId(header.run), 0), "counts steps again")
            self._demand(0 < header.weight <= MAX_WEIGHT, "has a header without weight")
            self._demand(header.weight == 1 or self.settings.weight == "examples", "weighs what weighs equal")
        node = NodeId(header.node)
        self._demand(
            verify(node, header_statement(self.network, signed.header), signed.signature), "is forged"
        )
        return header

    def objection(self, change: Change) -> str | None:
        """Say why this change cannot be in the next block (R2, R15); None if it can."""
        return objection(change, self.roster, self.standing, self.settings, self.next)

    def is_counted(self, run: RunId, last_step: int) -> bool:
        return self.runs.get(run, 0) >= last_step > 0

    def roster_after(self, block: Block) -> Roster:
        """Return the roster that a valid next block leaves."""
        roster = self.roster
        skipped = frozenset(block.skipped)
        for entry in self.roster:
            if entry.node in skipped:
                roster = roster._with(entry.node, can_lead=False)
        for change in block.changes:
            roster = roster.with_change(change, Height(block.height))
        roster = roster.with_presence(frozenset(block.present))
        if block.rule == Rule.MEAN:
            nodes = frozenset(_header_of(signed).node for signed in block.headers)
            roster = roster.with_average(Height(block.height), block.originator, nodes)
        return roster

    def incarnation_of(self, signed: SignedHeader) -> Incarnation:
        return Incarnation(_header_of(signed).incarnation)

    def _check_genesis(self, wire: bytes, block: Block) -> None:
        self._demand(bytes(block_hash(wire)) == self.network, "is another network's genesis")
        self._demand(block.rule == Rule.GENESIS and block.settings is not None, "is no genesis")
        assert block.settings is not None
        self._demand(bool(self.roster_after(block).voters()), "founds a network without a voter")
        wrong = what_is_wrong_with(block.settings)
        self._demand(wrong is None, f"is of a network that this version cannot join: {wrong}")

    def _check_people(self, block: Block, verify: Verify) -> None:
        nodes = self.roster.nodes()
        present = self.roster.in_order(frozenset(NodeId(node) for node in block.present))
        self._demand(block.present == present, "lists the present wrongly")
        self._demand(block.originator in present, "has an absent originator")
        self._demand(set(block.skipped) <= set(nodes), "skips a stranger")
        votes, roster, standing = 0, self.roster, self.standing
        for change in block.changes:
            wrong = objection(change, roster, standing, self.settings, self.next)
            self._demand(wrong is None, f"has a change that cannot be: {wrong}")
            if isinstance(change, Decision):
                statement = decision_statement(self.network, change)
                self._demand(verify(NodeId(change.by), statement, change.signature), "has a forged decision")
            votes += roster.changes_vote(change)
            standing = standing.with_change(change, roster, Height(block.height))
            roster = roster.with_change(change, Height(block.height))
        self._demand(votes <= 1, "changes more than one vote")
        self._demand(len(set(map(_subject, block.changes))) == len(block.changes), "changes a member twice")

    def _check_mean(self, block: Block, verify: Verify) -> None:
        self._demand(self.root != NO_ROOT, "averages without a base")
        self._demand(not self.finished, "averages after the last round")
        self._demand(self.standing.paused is None, "averages while the network is paused")
        self._demand(block.size == self.size and not block.layout, "changes the model")
        headers = [self.check_header(signed, verify) for signed in block.headers]
        nodes = tuple(header.node for header in headers)
        ordered = self.roster.in_order(frozenset(NodeId(node) for node in nodes))
        self._demand(nodes == ordered, "has contributions out of order")
        self._demand(len(nodes) >= self.settings.min_peers, "averages fewer than min_peers")
        self._demand(len({header.run for header in headers}) == len(headers), "counts a run twice")

    def _check_initial(self, block: Block, verify: Verify) -> None:
        self._demand(self.root == NO_ROOT and len(block.headers) == 1, "sets a first base again")
        header = self.check_header(block.headers[0], verify)
        self._demand(header.size == block.size, "has another size than its header")
        self._demand(
            bool(block.layout) and schema_hash(block.layout) == header.schema,
            "has another schema than its header",
        )

    def _apply(self, committed: Committed, block: Block) -> None:
        if block.settings is not None:
            self.settings, self.name = block.settings, block.name
            self._go_on_from(block.recovers)
        self._decide(block)
        self.roster = self.roster_after(block)
        self.names.update((entry.node, entry.name) for entry in self.roster)
        if block.rule != Rule.ROSTER and block.root != NO_ROOT:
            self.root, self.size, self.based_at = Root(block.root), block.size, Height(block.height)
        if block.layout:
            self.layout, self.schema = block.layout, schema_hash(block.layout)
        if block.rule == Rule.MEAN:
            self.round += 1
            for signed in block.headers:
                header = _header_of(signed)
                self.runs[RunId(header.run)] = header.last_step
                self.counted[NodeId(header.node)] = Counted(
                    RunId(header.run), header.last_step, Height(block.height)
                )
        self.head = block_hash(committed.block)
        self.committed.append(committed)
        self.blocks.append(block)

    def _go_on_from(self, parent: Recovers | None) -> None:
        """R18: what the parent counted is counted, so no step is counted twice."""
        self.parent = parent
        if parent is None:
            return
        self.round = parent.round
        for past in reversed(parent.counted):
            self.runs[RunId(past.run)] = past.last_step
            self.counted[NodeId(past.node)] = Counted(RunId(past.run), past.last_step, GENESIS_HEIGHT)

    def _decide(self, block: Block) -> None:
        for change in block.changes:
            if isinstance(change, Decision) and block.height > GENESIS_HEIGHT:
                self.decisions.append((Height(block.height), told(change, self.roster)))
            self.standing = self.standing.with_change(change, self.roster, Height(block.height))
        del self.decisions[:-DECISIONS_TOLD]

    @staticmethod
    def _demand(holds: bool, otherwise: str) -> None:
        if not holds:
            raise PeerMisbehaved(f"a block {otherwise}")


def objection(
    change: Change, roster: Roster, standing: Standing, settings: Settings, height: Height
) -> str | None:
    """Say why this change cannot be in the block of this height, where these stand; None if it can."""
    return standing.objection(change, roster, settings, height) or roster.objection(change, settings)


@lru_cache(maxsize=MAX_HEADERS_REMEMBERED)
def _header_of(signed: SignedHeader) -> Header:
    """Read a header, whose bytes are looked into again and again until its block is appended."""
    return read(Header, signed.header)


def _subject(change: object) -> tuple[str, bytes]:
    return type(change).__name__, getattr(change, "node", b"")
