"""How does a view change, and what may its chief propose? (R11-R13)"""

from comind.p2p.core.messages import Block, Heartbeat, Message, Open, Propose, ViewChanged, Voted
from comind.p2p.core.wire import pack, read
from comind.p2p.core.words import Root
from tests.scenarios.cluster import Cluster
from tests.scenarios.forging import altered, change, envelope, reopened
from tests.scenarios.moments import (
    Moment,
    committed,
    gave_up,
    holding,
    locked,
    opened,
    proposed,
    ready,
    trained,
)
from tests.scenarios.network import Cut
from tests.scenarios.watched import Watched


def is_commit(said: Message) -> bool:
    return isinstance(said, Voted) and said.vote.kind == "commit"


def is_commit_of_view_0(said: Message) -> bool:
    return isinstance(said, Voted) and (said.vote.kind, said.vote.view) == ("commit", 0)


def is_commit_of_view_1(said: Message) -> bool:
    return isinstance(said, Voted) and (said.vote.kind, said.vote.view) == ("commit", 1)


def is_prepare_of_view_0(said: Message) -> bool:
    return isinstance(said, Voted) and (said.vote.kind, said.vote.view) == ("prepare", 0)


def is_change_to_view_1(said: Message) -> bool:
    return isinstance(said, ViewChanged) and said.change.view == 1


def is_prepare(said: Message) -> bool:
    return isinstance(said, Voted) and said.vote.kind == "prepare"


def test_a_chief_that_lacks_the_bytes_of_a_lock_fetches_them() -> None:
    """R13: it must re-propose the lock, and gets its average by root from who holds it."""
    cluster = Cluster.grown(trainers=5)
    round = cluster.rounds + 1
    first, second = cluster.leads(view=0), cluster.leads(view=1)
    cluster.lose(Voted, where=is_commit_of_view_0)
    cluster.slow_download(second, piece_ms=60_000)
    cluster.run_until(locked(round=round))
    root = cluster.locked_root()
    assert root not in cluster.disk(second).snapshots
    cluster.kill(first, losing=True)
    cluster.slow_download(second, piece_ms=2)
    cluster.run_until(committed(round=round))
    assert cluster.view_of(round) > 0
    assert cluster.leader_of(round) == first
    assert cluster.average(round) == cluster.locked_average(round)
    assert root in cluster.disk(second).snapshots


def without_the_bytes_of_its_lock(round_holder: str, cluster: Cluster) -> None:
    """All are locked on an average; all lost power but one, who is away with the only bytes of it."""
    cluster.lose(Voted, where=is_commit)
    cluster.run_until(locked(round=cluster.rounds + 1))
    root = cluster.locked_root()
    everyone = cluster.running
    for city in everyone:
        cluster.kill(city, losing=True)
    cluster.network.rules.clear()
    for city in everyone:
        if city != round_holder:
            cluster.forget_snapshot(city, root)
            cluster.restart(city)


def test_a_lock_whose_bytes_power_cuts_took_waits_for_one_that_has_them() -> None:
    """S6: the lock binds until its bytes return."""
    cluster = Cluster.grown(trainers=5)
    round, holder = cluster.rounds + 1, cluster.leads(view=0)
    without_the_bytes_of_its_lock(holder, cluster)
    cluster.run_for(20_000)
    assert cluster.rounds <= round
    cluster.restart(holder)
    cluster.run_until(committed(round=round) & holding(round))
    assert cluster.average(round) == cluster.locked_average(round)
    cluster.run_until(committed(round=round + 3))
    assert cluster.contributors(round + 3) == set(cluster.running)


def test_a_round_that_cannot_go_on_does_not_block_trainers() -> None:
    """R17: a quorum is alive, and its round fails for as long as the bytes of its lock are away."""
    cluster = Cluster.grown(trainers=5)
    without_the_bytes_of_its_lock(cluster.leads(view=0), cluster)
    steps = {city: cluster.trainer(city).step for city in cluster.running}
    cluster.run_for(20_000)
    for city in cluster.running:
        cluster.run_until(trained(city, steps[city] + 50), within_ms=0)


def test_a_lock_whose_bytes_are_gone_does_not_bind_where_a_quorum_has_none() -> None:
    """R13: one of five is locked, and nobody can give the bytes; the others' VIEWCHANGEs are a quorum."""
    cluster = Cluster.grown(trainers=5)
    round, first = cluster.rounds + 1, cluster.leads(view=0)
    locker = next(city for city in cluster.running if city not in (first, cluster.leads(view=1)))
    for city in cluster.running:
        if city != locker:
            cluster.lose(Voted, to=city, where=is_prepare)
    cluster.run_until(locked(round=round, by=locker))
    lock = cluster.lock(locker)
    assert lock is not None
    root = read(Block, lock.block).root
    everyone = cluster.running
    for city in everyone:
        cluster.kill(city, losing=True)
    cluster.network.rules.clear()
    for city in everyone:
        if city != first:
            cluster.forget_snapshot(city, Root(root))
            cluster.restart(city)
    cluster.run_until(committed(round=round + 1))
    assert cluster.block_of(round).root != root
    assert first not in cluster.contributors(round)
    cluster.restart(first)
    cluster.run_until(committed(round=round + 4))
    assert cluster.contributors(round + 4) == set(everyone)


def test_a_voter_that_gave_a_view_up_signs_nothing_in_it() -> None:
    """R12: the proposal that it waited for comes too late; the oracle sees every vote."""
    cluster = Cluster.grown(trainers=5)
    round, chief = cluster.rounds + 1, cluster.chief
    late = cluster.hold(Propose, by=chief)
    cluster.run_until(proposed(round=round))
    others = [city for city in cluster.running if city != chief]
    for city in others:
        cluster.run_until(gave_up(view=1, by=city, height=cluster.last_height + 1))
    cluster.release(late)
    cluster.run_until(committed(round=round))
    assert cluster.view_of(round) == 1
    votes = [vote for vote in cluster.history.votes if vote.height == cluster.height_of(round)]
    assert {vote.view for vote in votes if cluster.names[vote.node] in others} == {1}


def test_one_voter_that_gives_up_alone_moves_nobody() -> None:
    """R12: it is followed by a quorum only; the others commit in view 0, and it takes the certificate."""
    cluster = Cluster.grown(trainers=5)
    round, chief = cluster.rounds + 1, cluster.chief
    hasty = cluster.leads(view=4)  # who led last, so not at the next height either
    slow = next(city for city in cluster.running if city not in (chief, hasty))
    cluster.slow(slow, train_ms=8_000)
    cluster.run_until(committed(round=round))
    cluster.kill_trainer(hasty)  # what it could contribute would be missed in view 0
    deaf = cluster.lose(Heartbeat, to=hasty)
    for message in (Open, Propose):
        cluster.lose(message, to=hasty)
    cluster.run_until(gave_up(view=1, by=hasty))
    cluster.release(deaf)
    cluster.run_until(committed(round=round + 1))
    assert cluster.view_of(round + 1) == 0


def test_a_quorum_of_viewchanges_takes_the_rest_along() -> None:
    """R12: views never drift apart by more than one; whoever sees the quorum follows at once."""
    cluster = Cluster.grown(trainers=5)
    round, chief = cluster.rounds + 1, cluster.chief
    cluster.lose(Open, by=chief)
    cluster.lose(Propose, by=chief)
    cluster.run_until(committed(round=round))
    assert cluster.view_of(round) == 1


def test_lost_viewchanges_are_said_again() -> None:
    """R12: on each heartbeat and each new link."""
    cluster = Cluster.grown(trainers=5)
    round = cluster.rounds + 1
    cluster.kill(cluster.chief)
    lost = cluster.lose(ViewChanged)
    cluster.run_for(5_000)
    cluster.release(lost)
    cluster.run_until(committed(round=round), within_ms=10_000)
    assert cluster.view_of(round) <= 2


def test_a_newview_without_a_quorum_is_refused() -> None:
    """R13: a chief of view 1 that opens with two VIEWCHANGEs of five voters is dropped, and not followed."""
    cluster = Cluster.grown(trainers=5)
    second = cluster.leads(view=1)
    cluster.run_until(opened(round=cluster.rounds + 1))
    listener = next(city for city in cluster.running if city not in (cluster.chief, second))
    few = [change(cluster, city, view=1) for city in (second, listener)]
    cluster.say(second, to=listener, message=reopened(cluster, by=second, view=1, new_view=few))
    assert "quorum" in cluster.drops(by=listener, of=second)[0]
    assert cluster.process(listener).picture().view == 0


def test_a_newview_with_a_quorum_is_joined_at_once() -> None:
    """R13: the same OPEN with three is followed, by who gave up nothing itself."""
    cluster = Cluster.grown(trainers=5)
    second = cluster.leads(view=1)
    cluster.run_until(opened(round=cluster.rounds + 1))
    listener = next(city for city in cluster.running if city not in (cluster.chief, second))
    three = [city for city in cluster.running if city != listener][:3]
    enough = [change(cluster, city, view=1) for city in three]
    cluster.say(second, to=listener, message=reopened(cluster, by=second, view=1, new_view=enough))
    assert cluster.drops(by=listener, of=second) == []
    assert cluster.process(listener).picture().view == 1


def test_a_newview_that_counts_a_voter_twice_is_refused() -> None:
    """R1, R13: signatures are counted as a set."""
    cluster = Cluster.grown(trainers=5)
    second = cluster.leads(view=1)
    cluster.run_until(opened(round=cluster.rounds + 1))
    listener = next(city for city in cluster.running if city not in (cluster.chief, second))
    twice = [change(cluster, second, view=1, promise=promise) for promise in (900, 901, 902)]
    cluster.say(second, to=listener, message=reopened(cluster, by=second, view=1, new_view=twice))
    assert cluster.drops(by=listener, of=second)


def test_an_open_of_a_later_view_without_a_newview_is_refused() -> None:
    """R13."""
    cluster = Cluster.grown(trainers=5)
    second = cluster.leads(view=1)
    cluster.run_until(opened(round=cluster.rounds + 1))
    listener = next(city for city in cluster.running if city not in (cluster.chief, second))
    cluster.say(second, to=listener, message=reopened(cluster, by=second, view=1, new_view=[]))
    assert cluster.drops(by=listener, of=second)


def test_a_proposal_that_passes_a_lock_over_is_refused() -> None:
    """R13: of the locks in a NEWVIEW the highest binds its chief."""
    cluster = Cluster.grown(trainers=5)
    round, second = cluster.rounds + 1, cluster.leads(view=1)
    cluster.lose(Voted, where=is_commit)
    cluster.run_until(locked(round=round))
    locker = next(city for city in cluster.running if city != second and cluster.lock(city) is not None)
    listener = next(city for city in cluster.running if city not in (locker, second, cluster.chief))
    three = [locker, *[city for city in cluster.running if city not in (locker, listener)][:2]]
    binding = [change(cluster, city, view=1, lock=cluster.lock(city)) for city in three]
    cluster.say(second, to=listener, message=reopened(cluster, by=second, view=1, new_view=binding))
    assert cluster.drops(by=listener, of=second)


def test_a_new_block_where_a_lock_binds_is_refused() -> None:
    """R13: the same NEWVIEW, and a proposal of another block than its lock's."""
    cluster = Cluster.grown(trainers=5)
    round, second = cluster.rounds + 1, cluster.leads(view=1)
    cluster.lose(Voted, where=is_commit)
    cluster.run_until(locked(round=round))
    locker = next(city for city in cluster.running if city != second and cluster.lock(city) is not None)
    listener = next(city for city in cluster.running if city not in (locker, second, cluster.chief))
    three = [locker, *[city for city in cluster.running if city not in (locker, listener)][:2]]
    binding = [change(cluster, city, view=1, lock=cluster.lock(city)) for city in three]
    other = envelope(cluster, by=second, view=1, block=altered(cluster, by=second), new_view=binding)
    cluster.say(second, to=listener, message=other)
    assert cluster.drops(by=listener, of=second)


def test_of_two_locks_the_higher_is_proposed_again() -> None:
    """R13: one voter is locked on view 0's block, a quorum on view 1's; view 2 is bound by view 1's."""
    cluster = Cluster.grown(trainers=5)
    round, first, second = cluster.rounds + 1, cluster.leads(view=0), cluster.leads(view=1)
    locker = next(city for city in cluster.voters if city not in (first, second, cluster.leads(view=2)))
    others = [city for city in cluster.running if city != locker]
    cluster.lose(Voted, where=is_commit_of_view_0)
    for city in others:
        cluster.lose(Voted, to=city, where=is_prepare_of_view_0)
    cluster.run_until(locked(round=round, by=locker))
    low = cluster.lock(locker)
    cluster.lose(ViewChanged, by=locker, where=is_change_to_view_1)
    cluster.lose(Propose, to=locker)
    cluster.lose(Voted, where=is_commit)
    cluster.run_until(Moment("view 1 is locked", lambda now: _is_locked(now, view=1)))
    assert cluster.lock(locker) == low
    assert low is not None
    assert low.block != pack(cluster.decided)
    cluster.network.rules.clear()
    cluster.lose(Voted, where=is_commit_of_view_1)
    unheard = next(city for city in others if city not in (second, cluster.leads(view=2)))
    cluster.lose(ViewChanged, by=unheard)
    cluster.kill(second, losing=True)
    cluster.run_until(committed(round=round))
    assert cluster.view_of(round) >= 2
    assert cluster.average(round) == cluster.locked_average(round)
    assert cluster.leader_of(round) == second


def _is_locked(cluster: Watched, view: int) -> bool:
    decided = cluster.history.decided.get(cluster.last_height + 1)
    return decided is not None and decided[0] == view


def test_the_proposal_of_the_highest_lock_is_followed_by_who_is_locked_on_nothing() -> None:
    """R13: the envelope is the new chief's, the block the old one's."""
    cluster = Cluster.grown(trainers=5)
    round, second = cluster.rounds + 1, cluster.leads(view=1)
    cluster.lose(Voted, where=is_commit)
    cluster.run_until(locked(round=round))
    locker = next(city for city in cluster.running if city != second and cluster.lock(city) is not None)
    listener = next(city for city in cluster.running if city not in (locker, second, cluster.chief))
    lock = cluster.lock(locker)
    assert lock is not None
    three = [locker, *[city for city in cluster.running if city not in (locker, listener)][:2]]
    binding = [change(cluster, city, view=1, lock=cluster.lock(city)) for city in three]
    again = envelope(cluster, by=second, view=1, block=lock.block, new_view=binding)
    cluster.say(second, to=listener, message=again)
    assert cluster.drops(by=listener, of=second) == []
    assert cluster.process(listener).picture().view == 1


def test_patience_doubles_with_each_view() -> None:
    """R11: so a slow network is not outrun; nobody hears a proposal for a while."""
    cluster = Cluster.grown(trainers=3)
    cluster.lose(Open)
    cluster.lose(Propose)
    cluster.run_for(20_000)
    views = [cluster.process(city).picture().view for city in cluster.running]
    assert 3 <= max(views) <= 5
    cluster.network.rules.clear()
    cluster.run_until(committed(round=cluster.rounds + 2))
    assert cluster.contributors(cluster.rounds) == set(cluster.running)


def test_a_chief_that_stops_says_so_and_is_not_waited_for() -> None:
    """R11: a heartbeat of a chief that abstains does not feed patience."""
    cluster = Cluster.grown(trainers=5)
    round, chief = cluster.rounds + 1, cluster.chief
    others = [city for city in cluster.running if city != chief]
    cluster.run_until(ready(round=round, by=others[0]))
    cluster.partition([chief], others[:3], how=Cut.LOSES)
    cluster.run_until(committed(round=round, by=others))
    assert chief not in cluster.contributors(round)
