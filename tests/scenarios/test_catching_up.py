"""How does a member that lacks blocks or bytes get them, whoever of the others hangs or dies? (R10, R14)"""

import pytest

from comind.p2p.core import catchup, member
from comind.p2p.core.messages import AskBlocks, Message
from tests.scenarios.cluster import Cluster
from tests.scenarios.moments import caught_up, committed, holding, linked, on_roster, opened
from tests.scenarios.network import Cut

LATE = "davao"


@pytest.fixture
def _short_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain of dozens of blocks is a long one."""
    monkeypatch.setattr(catchup, "MAX_BLOCKS_A_MESSAGE", 3)
    monkeypatch.setattr(member, "BLOCKS_PER_EVENT", 2)


def asks_of(cluster: Cluster, city: str) -> list[int]:
    """Return a list that grows with the heights from which on this node asks for blocks."""
    asked: list[int] = []

    def note(message: Message) -> bool:
        assert isinstance(message, AskBlocks)
        asked.append(message.first)
        return False

    cluster.lose(AskBlocks, by=city, where=note)
    return asked


@pytest.mark.usefixtures("_short_messages")
def test_a_joiner_asks_several_for_ranges_of_the_chain_and_no_range_twice() -> None:
    """R14: of forty blocks nobody sends more than is missing."""
    cluster = Cluster.grown(trainers=4)
    cluster.run_until(committed(round=cluster.rounds + 30))
    others = cluster.running
    cluster.start(LATE, trains=False, through=others, advertises=False)  # so no link gives way to another
    asked = asks_of(cluster, LATE)
    cluster.run_until(caught_up(LATE), within_ms=3_000)
    told = asked[: asked.index(max(asked)) + 1]
    assert len(set(told)) == len(told) > 10
    cluster.run_until(on_roster(LATE))


@pytest.mark.usefixtures("_short_messages")
def test_who_does_not_answer_for_its_range_is_replaced() -> None:
    """R14: one of four hears no question, and one of the others dies over one."""
    cluster = Cluster.grown(trainers=5)
    cluster.run_until(committed(round=cluster.rounds + 30))
    deaf, dies, *others = [city for city in cluster.running if city != cluster.chief]
    cluster.lose(AskBlocks, to=deaf)
    cluster.start(LATE, trains=False, through=(deaf, dies, *others))
    asked = asks_of(cluster, LATE)
    while len(asked) < 4:
        cluster.run_for(1)
    cluster.kill(dies)
    cluster.run_until(caught_up(LATE), within_ms=20_000)


def without_its_base(cluster: Cluster) -> str:
    """Restart a member whose base a power cut took; half of a snapshot takes it half a second now."""
    back = next(city for city in cluster.running if city != cluster.chief)
    others = [city for city in cluster.running if city != back]
    cluster.kill(back)
    cluster.run_until(committed(round=cluster.rounds + 1))
    for city in others:
        cluster.slow(city, train_ms=60_000)
    cluster.run_until(committed(round=cluster.rounds + 1, by=others) & holding(cluster.rounds + 1, by=others))
    cluster.restart(back)
    cluster.slow_download(back, piece_ms=500)
    cluster.run_until(linked(back, *others) & committed(round=cluster.rounds, by=back))
    cluster.run_for(100)
    return back


@pytest.mark.parametrize("how", ["hang", "die"])
def test_the_base_comes_from_whoever_is_left_when_the_other_holders(how: str) -> None:
    """R10: nobody waits for a holder to be given up while another one gives."""
    cluster = Cluster.grown(trainers=4)
    back = without_its_base(cluster)
    assert cluster.history.blocks[cluster.height(back)].root not in cluster.disk(back).snapshots
    gone = [city for city in cluster.running if city != back][:2]
    for city in gone:
        if how == "hang":
            cluster.cut(back, city)
        else:
            cluster.kill(city)
    cluster.run_until(holding(cluster.rounds, by=back), within_ms=1_500)


def test_an_average_whose_stream_hangs_is_fetched_by_its_root() -> None:
    """R10: the link to its averager stands, nothing comes on it, and the next round is far."""
    cluster = Cluster.grown(trainers=4)
    round, chief = cluster.rounds + 1, cluster.chief
    stuck = next(city for city in cluster.running if city != chief)
    cluster.slow_download(stuck, piece_ms=100)
    cluster.run_until(opened(round=round))
    while cluster.process(stuck).member.round.opened is None:
        cluster.run_for(1)
    for city in cluster.running:
        cluster.slow(city, train_ms=60_000)
    while not cluster.process(stuck).plane._receives:
        cluster.run_for(1)
    cluster.run_for(5)
    cluster.cut(stuck, chief, Cut.LOSES)
    cluster.run_until(committed(round=round))
    assert cluster.history.blocks[cluster.last_height].root not in cluster.disk(stuck).snapshots
    cluster.run_until(holding(round, by=stuck), within_ms=8_000)
