"""What can be seen of a cluster from outside?

Read from disks, processes' pictures and the oracles' history; changes nothing.
"""

from collections.abc import Iterator

from comind.p2p.core import rotation
from comind.p2p.core.chain import Chain
from comind.p2p.core.messages import Block, Header, Lock, Vote
from comind.p2p.core.words import NetworkId, NodeId, Root, Rule, Settings, View
from tests.scenarios.disk import Disk
from tests.scenarios.keys import Keys
from tests.scenarios.network import Network
from tests.scenarios.oracles import History, Oracles
from tests.scenarios.process import Process, World
from tests.scenarios.readings import Reading
from tests.scenarios.trainers import MARK, Trainer


class Watched:
    """A cluster, as a scenario looks at it."""

    def __init__(self, world: World, settings: Settings, names: dict[bytes, str]) -> None:
        self.settings = settings
        self.names = names
        self._world = world
        self._disks: dict[str, Disk] = {}
        self._processes: dict[str, Process] = {}
        self._trainers: dict[str, Trainer] = {}
        self._indexes: dict[str, int] = {}

    # -- looking ------------------------------------------------------------------------------------------

    @property
    def running(self) -> tuple[str, ...]:
        return tuple(city for city, process in self._processes.items() if process.alive)

    @property
    def history(self) -> History:
        return self._world.oracles.history

    @property
    def trainers(self) -> tuple[str, ...]:
        """Where a trainer was ever started."""
        return tuple(self._trainers)

    @property
    def oracles(self) -> Oracles:
        return self._world.oracles

    @property
    def network(self) -> Network:
        return self._world.network

    @property
    def network_id(self) -> NetworkId:
        return self._world.network_id

    @property
    def keys(self) -> Keys:
        return self._world.keys

    @property
    def now_ms(self) -> int:
        return self._world.clock.now_ms

    def node(self, city: str) -> NodeId:
        return self._world.keys.signer(city).node_id

    def process(self, city: str) -> Process:
        return self._processes[city]

    def disk(self, city: str) -> Disk:
        return self._disks[city]

    def trainer(self, city: str) -> Trainer:
        return self._trainers[city]

    def height(self, city: str) -> int:
        """Height of the last block on this node's disk; -1: none."""
        return len(self._disks[city].chain) - 1

    def reading(self, city: str) -> Reading:
        """The roster after the last block on this node's disk."""
        return self.history.readings.get(self.height(city), Reading())

    @property
    def last_reading(self) -> Reading:
        return self.history.readings[max(self.history.readings)]

    @property
    def rounds(self) -> int:
        """Averages committed so far, by anyone."""
        return self.last_reading.averages

    @property
    def most_advanced(self) -> str:
        """The running member that is furthest, by height and view."""
        members = [city for city in self.running if self.node(city) in self.last_reading.admitted]
        return max(members, key=self._progress)

    def _progress(self, city: str) -> tuple[int, int]:
        picture = self.process(city).picture()
        return picture.height, picture.view

    @property
    def chief(self) -> str:
        """Who leads the running view, as the member that is furthest has it."""
        chief = self.process(self.most_advanced).picture().chief
        assert chief is not None
        return self.names[chief]

    def leads(self, view: int) -> str:
        """Who leads this view of the height that the member that is furthest works on."""
        chain = Chain(self.network_id)
        for known in self.disk(self.most_advanced).chain:
            chain.append(known, self.keys.verify())
        return self.names[rotation.chief(chain.roster, self.network_id, chain.next, View(view))]

    @property
    def voters(self) -> tuple[str, ...]:
        """In roster order."""
        return tuple(self.names[node] for node in self.last_reading.voters())

    @property
    def members(self) -> tuple[str, ...]:
        """In roster order."""
        return tuple(self.names[node] for node in self.last_reading.members())

    @property
    def last_height(self) -> int:
        return max(self.history.blocks)

    @property
    def last_block(self) -> Block:
        return self.history.blocks[self.last_height]

    def block_of(self, round: int) -> Block:
        return self.history.blocks[self.height_of(round)]

    def first_base(self) -> tuple[float, ...]:
        """The values of the base whose rule is `initial`."""
        roots = [block.root for block in self.history.blocks.values() if block.rule is Rule.INITIAL]
        return tuple(self._world.oracles.values[roots[0]].tolist())

    def first_counted(self, city: str) -> int:
        """Height of the first block that counts a contribution of this member."""
        return next(
            height
            for height, block in sorted(self.history.blocks.items())
            if block.rule is Rule.MEAN
            and self.node(city) in [header.node for header in self.history.headers(height)]
        )

    def leader_of(self, round: int) -> str:
        """Who originated this average."""
        return self.names[self.history.blocks[self.height_of(round)].originator]

    def view_of(self, round: int) -> int:
        """The view in which this average was committed."""
        height = self.height_of(round)
        return next(
            disk.chain[height].certificate.view for disk in self._disks.values() if len(disk.chain) > height
        )

    def contributors(self, round: int) -> set[str]:
        """Who was counted, as the headers say, and as the sum of powers of two in the average does."""
        headers = self.history.headers(self.height_of(round))
        named = {self.names[header.node] for header in headers}
        total = sum(header.weight for header in headers)
        marks = int(self.average(round)[MARK] * total + 0.5)
        summed = {city for city, index in self._indexes.items() if marks >> index & 1}
        assert named == summed, f"the headers name {named}, the average has {summed}"
        return named

    def headers_of(self, round: int) -> dict[str, Header]:
        return {self.names[header.node]: header for header in self.history.headers(self.height_of(round))}

    def weights(self, round: int) -> dict[str, int]:
        return {city: header.weight for city, header in self.headers_of(round).items()}

    def disks_of(self, height: int) -> set[bytes]:
        """The blocks of this height on all disks: one, or S1 is broken."""
        return {disk.chain[height].block for disk in self._disks.values() if len(disk.chain) > height}

    def average(self, round: int) -> tuple[float, ...]:
        """The values of this average; whoever holds its bytes holds the same."""
        root = self.history.blocks[self.height_of(round)].root
        values = self._world.oracles.values[root]
        for city, disk in self._disks.items():
            held = disk.snapshots.get(root)  # type: ignore[call-overload]
            assert held is None or held.tobytes() == values.tobytes(), f"{city} holds another average {round}"
        return tuple(values.tolist())

    def locked_average(self, round: int) -> tuple[float, ...] | None:
        """The values on which a quorum was locked first; None if none ever was."""
        decided = self.history.decided.get(self.height_of(round))
        return None if decided is None else tuple(self._world.oracles.values[decided[1].root].tolist())

    @property
    def decided(self) -> Block:
        """The block on which a quorum is locked at the height that all work on."""
        return self.history.decided[self.last_height + 1][1]

    def locked_root(self) -> Root:
        """The average on which a quorum is locked at the height that all work on."""
        return Root(self.decided.root)

    def digests(self) -> set[bytes]:
        """The base of everyone that runs: one, when all agree."""
        return {self.process(city).picture().root for city in self.running}

    def lock(self, city: str) -> Lock | None:
        """What this node is locked on, at the height that all work on."""
        promised = self.disk(city).promised
        current = promised is not None and promised.height == self.last_height + 1
        return promised.lock if promised is not None and current else None

    def attempts(self, round: int) -> list[tuple[int, int]]:
        """The (view, attempt) of each OPEN that was said at an average's height, in order."""
        height = self.height_of(round)
        opens = [(one.view, one.attempt) for one in self.history.opens if one.height == height]
        return list(dict.fromkeys(opens))

    def why_absent(self, city: str, round: int) -> str:
        """What the block of an average says of a member that it does not count."""
        block = self.block_of(round)
        return next(one.because for one in block.absentees if one.node == self.node(city))

    def votes_of(self, city: str) -> list[Vote]:
        """All that this voter ever said."""
        return [vote for vote in self.history.votes if vote.node == self.node(city)]

    def promise_count(self, city: str) -> int:
        """How many promises this node has on disk."""
        promised = self.disk(city).promised
        return 0 if promised is None else promised.count

    def drops(self, by: str, of: str) -> list[str]:
        """Why this member dropped that one, each time."""
        wanted = self.node(by), self.node(of)
        return [because for node, peer, because in self.history.drops if (node, peer) == wanted]

    def nothing_is_lost(self, city: str) -> bool:
        """Whether all that its trainer did up to its newest counted step is counted, without a gap."""
        counted = self._world.oracles.steps_counted(self.trainer(city).run)
        ends = [0, *(last for _, last in counted)]
        return [first for first, _ in counted] == ends[:-1]

    def height_of(self, round: int) -> int:
        height = self.history.height_of(round)
        assert height is not None, f"round {round} is not committed"
        return height

    def immutable(self) -> Iterator[object]:
        """What a copy of this cluster may share with it."""
        history = self.history
        yield from history.blocks.values()
        yield from (*history.opens, *history.proposals, *history.readies, *history.votes)
        for city, disk in self._disks.items():
            yield from disk.chain
            yield from disk.snapshots.values()
            yield from self.process(city).member.here.chain.blocks

    def report(self) -> str:
        """Where everyone is, and what happened last."""
        lines = [f"at {self.now_ms} ms, seed in the test's arguments:"]
        for city in self.running:
            seen = self.process(city).picture()
            trainer = self._trainers[city].state if city in self._trainers else "no trainer"
            chief = self.names.get(seen.chief or b"", "nobody")
            where = f"height {seen.height} view {seen.view} of {chief}: {seen.phase}, {seen.because}"
            lines.append(f"{city:<9} {where} ({trainer})")
        return "\n".join([*lines, "", self._world.transcript.last()])
