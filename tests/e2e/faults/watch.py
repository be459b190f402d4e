"""What did the nodes of a network tell, and when was it heard?

Follows the status of every daemon that runs, over all its lives, and keeps what recovery and goodput are
reckoned from. A daemon tells at most every 100 ms, so times are true to about that. Knows nothing of faults.
"""

import selectors
import time
from collections.abc import Callable

from comind.node.attach import Ask, Channel, Closed, Status, StatusOf
from comind.node.cli.ask import connect
from tests.e2e.real_network import Node, RealNetwork

CEILING_S = 60.0
_TURN_S = 0.02


class Watch:
    """Turned by `until` and `for_`; between two turns nothing is heard."""

    def __init__(self, network: RealNetwork) -> None:
        self.statuses: dict[str, Status] = {}
        """The newest of each daemon that lives, by its node's name."""
        self.committed_s: dict[int, float] = {}
        """When each average was heard of first (monotonic)."""
        self.counted: dict[int, dict[str, int]] = {}
        """By average: who was counted, and with how many examples."""
        self.ready_s: dict[str, float] = {}
        """Since when a node's trainer waits at the door; not there: it trains, or is not there."""
        self._network = network
        self._channels: dict[str, Channel] = {}
        self._selector = selectors.DefaultSelector()

    @property
    def newest(self) -> int:
        return max(self.committed_s, default=0)

    @property
    def chief(self) -> str:
        """Who leads now, as whoever is furthest tells."""
        told = max(self.statuses.values(), key=lambda one: (one.height, one.view), default=None)
        return told.chief_name if told is not None else ""

    def voters(self) -> int:
        return max((sum(one.voter for one in told.members) for told in self.statuses.values()), default=0)

    def until(self, holds: Callable[[], bool], what: str, ceiling_s: float = CEILING_S) -> None:
        """Listen until it holds.

        Raises:
            AssertionError: it did not in time; with everybody's last words.
        """
        until_s = time.monotonic() + ceiling_s
        while not holds():
            if time.monotonic() > until_s:
                raise AssertionError(f"it never came that {what}\n{self._network.last_words()}")
            self.turn()

    def for_(self, seconds: float) -> None:
        """Listen for so long."""
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            self.turn()

    def turn(self) -> None:
        for node in self._network.nodes:
            self._attend(node)
        if not self._channels:
            time.sleep(_TURN_S)
            return
        for key, _ in self._selector.select(_TURN_S):
            self._hear(key.data)

    def close(self) -> None:
        for node in self._network.nodes:
            self._hang_up(node)

    def examples(self, begin_s: float, end_s: float) -> int:
        """Return how many examples were counted in averages that were heard of in this time."""
        rounds = [round for round, at_s in self.committed_s.items() if begin_s <= at_s < end_s]
        return sum(sum(self.counted[round].values()) for round in rounds)

    def _attend(self, node: Node) -> None:
        alive = node.daemon is not None and node.daemon.exit_code() is None
        if not alive and node.name in self._channels:
            self._hang_up(node)
        if alive and node.name not in self._channels and (channel := connect(node.home)) is not None:
            try:
                channel.send(Ask("watch"))
            except Closed:
                channel.close()
                return
            self._channels[node.name] = channel
            self._selector.register(channel.fileno(), selectors.EVENT_READ, node)

    def _hear(self, node: Node) -> None:
        try:
            for word, _ in self._channels[node.name].arrived():
                if isinstance(word, StatusOf):
                    self._take(node.name, word.status)
        except Closed:
            self._hang_up(node)

    def _take(self, name: str, status: Status) -> None:
        now_s = time.monotonic()
        self.statuses[name] = status
        if status.trainer != "ready":
            self.ready_s.pop(name, None)
        else:
            self.ready_s.setdefault(name, now_s)
        for line in status.last_rounds:
            if line.rule == "mean":
                self.committed_s.setdefault(line.round, now_s)
                self.counted.setdefault(line.round, {who: weight for _, who, weight in line.contributors})

    def _hang_up(self, node: Node) -> None:
        self.statuses.pop(node.name, None)
        self.ready_s.pop(node.name, None)
        if (channel := self._channels.pop(node.name, None)) is not None:
            self._selector.unregister(channel.fileno())
            channel.close()
