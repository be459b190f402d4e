"""When is it far enough? The moments at which a scenario stops to do something.

    cluster.run_until(locked(round=3))

Read from what was committed, said and written; a round is the number of an average.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from comind.p2p.core.messages import Block
from comind.p2p.core.wire import read
from comind.p2p.core.words import NodeId, Rule
from tests.scenarios.plane import PIECES
from tests.scenarios.trainers import State
from tests.scenarios.watched import Watched


@dataclass(frozen=True, slots=True)
class Moment:
    says: str
    has_come: Callable[[Watched], bool]

    def __and__(self, other: "Moment") -> "Moment":
        both = f"{self.says} and {other.says}"
        return Moment(both, lambda cluster: self.has_come(cluster) and other.has_come(cluster))


Cities = str | Collection[str] | None


def _these(cluster: Watched, by: Cities) -> Collection[str]:
    if by is None:
        return cluster.running
    return (by,) if isinstance(by, str) else by


def committed(
    round: int | None = None, height: int | None = None, by: Cities = None, anyone: bool = False
) -> Moment:
    """Everyone that runs, or these, have committed this average, or this height."""
    assert (round is None) != (height is None)

    def has_come(cluster: Watched) -> bool:
        wanted = height if round is None else cluster.history.height_of(round)
        if wanted is None:
            return False
        those = [cluster.height(city) >= wanted for city in _these(cluster, by)]
        return any(those) if anyone else all(those)

    what = f"height {height}" if round is None else f"round {round}"
    return Moment(f"{what} is committed by {by or ('anyone' if anyone else 'all that run')}", has_come)


def holding(round: int, by: Cities = None) -> Moment:
    """Everyone that runs, or these, also hold the average's bytes."""

    def has_come(cluster: Watched) -> bool:
        height = cluster.history.height_of(round)
        if height is None:
            return False
        root = cluster.history.blocks[height].root
        return all(root in cluster.disk(city).snapshots for city in _these(cluster, by))

    return Moment(f"average {round} is held by {by or 'all that run'}", has_come)


def _heights_of(cluster: Watched, round: int) -> Iterator[int]:
    """The heights at which this average may be tried: after the one before it, up to its own."""
    for height in range(max(cluster.history.readings) + 1, 0, -1):
        number = cluster.history.readings[height - 1].averages + 1
        if number < round:
            return
        if number == round:
            yield height


def with_first_base() -> Moment:
    """Everyone that runs has committed the first base."""

    def has_come(cluster: Watched) -> bool:
        blocks = cluster.history.blocks.items()
        height = next((height for height, block in blocks if block.rule is Rule.INITIAL), None)
        return height is not None and all(cluster.height(city) >= height for city in cluster.running)

    return Moment("the first base is committed", has_come)


def linked(*cities: str) -> Moment:
    """Each of these has a link with each other."""

    def has_come(cluster: Watched) -> bool:
        return all(
            cluster.network.peer(cluster.process(one), cluster.node(other)) is not None
            for one in cities
            for other in cities
            if one != other
        )

    return Moment(f"{', '.join(cities)} are linked", has_come)


def ready(round: int, by: str) -> Moment:
    """This member has said READY for this average."""

    def has_come(cluster: Watched) -> bool:
        heights = set(_heights_of(cluster, round))
        node = cluster.node(by)
        return any(one.height in heights and one.node == node for one in cluster.history.readies)

    return Moment(f"{by} is READY for round {round}", has_come)


def opened(round: int, view: int | None = None, by: str | None = None, attempt: int | None = None) -> Moment:
    """A chief has said OPEN for this average."""

    def has_come(cluster: Watched) -> bool:
        heights = set(_heights_of(cluster, round))
        return any(
            one.height in heights
            and one.rule is Rule.MEAN
            and (view is None or one.view == view)
            and (attempt is None or one.attempt == attempt)
            and (by is None or one.node == cluster.node(by))
            for one in cluster.history.opens
        )

    what = "" if attempt is None else f" as attempt {attempt}"
    return Moment(f"round {round} is opened{what}", has_come)


def proposed(round: int, view: int | None = None, by: str | None = None) -> Moment:
    """A chief has said PROPOSE for this average."""

    def has_come(cluster: Watched) -> bool:
        heights = set(_heights_of(cluster, round))
        return any(
            one.height in heights
            and (view is None or one.view == view)
            and (by is None or one.node == cluster.node(by))
            and read(Block, one.block).rule is Rule.MEAN
            for one in cluster.history.proposals
        )

    return Moment(f"round {round} is proposed", has_come)


def prepared(round: int, by: str | None = None) -> Moment:
    """Somebody, or this voter, has a PREPARE for this average on disk."""

    def has_come(cluster: Watched) -> bool:
        for height in _heights_of(cluster, round):
            nodes = cluster.history.prepares.get(height, {})
            if nodes and (by is None or cluster.node(by) in nodes):
                return True
        return False

    return Moment(f"round {round} is PREPAREd by {by or 'someone'}", has_come)


def locked(round: int, by: str | None = None) -> Moment:
    """A quorum of the voters, or this one, has locked this average: on disk."""

    def has_come(cluster: Watched) -> bool:
        for height in _heights_of(cluster, round):
            locks = cluster.history.locks.get(height, {})
            found = cluster.history.decided.get(height) if by is None else locks.get(cluster.node(by))
            if found is not None and found[1].rule is Rule.MEAN:
                return True
        return False

    return Moment(f"round {round} is locked by {by or 'a quorum'}", has_come)


def uploading(round: int, by: str) -> Moment:
    """This contributor has sent some of its snapshot, and not all."""

    def has_come(cluster: Watched) -> bool:
        return opened(round).has_come(cluster) and any(
            0 < pieces < PIECES for pieces in cluster.process(by).plane.uploading.values()
        )

    return Moment(f"{by} uploads for round {round}", has_come)


def gave_up(view: int, by: str, height: int | None = None) -> Moment:
    """This voter has promised this view, or a higher one, for the height that it is at."""

    def has_come(cluster: Watched) -> bool:
        at = cluster.height(by) + 1 if height is None else height
        return cluster.history.changes.get(at, {}).get(cluster.node(by), 0) >= view

    return Moment(f"{by} promises view {view}", has_come)


def on_roster(*cities: str) -> Moment:
    """These are members, and know it."""

    def has_come(cluster: Watched) -> bool:
        nodes = {cluster.node(city) for city in cities}
        return all(nodes <= cluster.reading(city).admitted.keys() for city in cities)

    return Moment(f"{', '.join(cities)} are on the roster", has_come)


def off_roster(*cities: str) -> Moment:
    def has_come(cluster: Watched) -> bool:
        nodes = {cluster.node(city) for city in cities}
        return all(not nodes & cluster.reading(city).admitted.keys() for city in cluster.running)

    return Moment(f"{', '.join(cities)} are off the roster", has_come)


def voting(*cities: str) -> Moment:
    """These have a vote, as all that run know."""

    def has_come(cluster: Watched) -> bool:
        nodes: set[bytes] = {cluster.node(city) for city in cities}
        return all(nodes <= cluster.reading(city).voting.keys() for city in cluster.running)

    return Moment(f"{', '.join(cities)} vote", has_come)


def able_to_lead(*cities: str, able: bool = True) -> Moment:
    def has_come(cluster: Watched) -> bool:
        return all(cluster.last_reading.able.get(cluster.node(city)) is able for city in cities)

    return Moment(f"{', '.join(cities)} {'can' if able else 'cannot'} lead", has_come)


def answered(ticket: int, by: str) -> Moment:
    """An operator at this node has the answer to what it asked for."""

    def has_come(cluster: Watched) -> bool:
        return any(one.ticket == ticket for one in cluster.process(by).answers)

    return Moment(f"{by} answers {ticket}", has_come)


def paused(because: str = "", by: Cities = None) -> Moment:
    """Everyone that runs, or these, know that the network is paused."""

    def has_come(cluster: Watched) -> bool:
        standings = [cluster.process(city).member.here.chain.standing for city in _these(cluster, by)]
        return all(one.paused is not None and because in one.paused.because for one in standings)

    return Moment("the network is paused", has_come)


def resumed(by: Cities = None) -> Moment:
    def has_come(cluster: Watched) -> bool:
        chains = [cluster.process(city).member.here.chain for city in _these(cluster, by)]
        return all(one.standing.paused is None and one.standing.switched > 0 for one in chains)

    return Moment("the network goes on", has_come)


def stopped(city: str) -> Moment:
    """This process has ended by itself."""
    return Moment(f"{city} has ended", lambda cluster: city not in cluster.running)


def trainer_is(state: State, *cities: str) -> Moment:
    return Moment(
        f"the trainers of {', '.join(cities)} are {state.name}",
        lambda cluster: all(cluster.trainer(city).state is state for city in cities),
    )


def trained(city: str, steps: int) -> Moment:
    """This trainer has done so many steps of its run."""
    return Moment(f"{city} trained {steps} steps", lambda cluster: cluster.trainer(city).step >= steps)


def writing(city: str) -> Moment:
    """This process waits for its disk."""
    return Moment(f"{city} waits for its disk", lambda cluster: cluster.process(city).is_writing)


def caught_up(*cities: str) -> Moment:
    """These have the newest block that anyone has, and its bytes."""

    def has_come(cluster: Watched) -> bool:
        top = max(cluster.history.blocks)
        root = cluster.history.blocks[top].root
        return all(
            cluster.height(city) == top and root in cluster.disk(city).snapshots
            for city in cities or cluster.running
        )

    return Moment(f"{', '.join(cities) or 'all'} caught up", has_come)


def nodes_of(cluster: Watched, cities: Collection[str]) -> set[NodeId]:
    return {cluster.node(city) for city in cities}
