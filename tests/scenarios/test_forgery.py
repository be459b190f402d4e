"""What if somebody says what no honest member says? It is dropped, and nobody else notices. (§7, R4-R14)

Each is said by a member over its own link, signed with its own key where that helps it.
"""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from comind.p2p.core.messages import (
    Blocks,
    Committed,
    Heartbeat,
    Lock,
    Message,
    Open,
    Propose,
    Ready,
    Remove,
    ViewChanged,
    Voted,
)
from comind.p2p.core.signing import sign_header, sign_vote
from comind.p2p.core.wire import block_hash
from comind.p2p.core.words import BlockHash, NetworkId, Settings
from tests.scenarios.cluster import Cluster
from tests.scenarios.forging import altered, change, envelope, header, reopened, vote
from tests.scenarios.keys import FORGED
from tests.scenarios.moments import committed, opened, proposed, ready

SETTINGS = Settings(max_voters=3)
ALL = {"lima", "berlin", "hanoi", "quito", "accra"}


def outsider(cluster: Cluster) -> str:
    """A member without a vote that does not lead."""
    return next(city for city in cluster.running if city not in (*cluster.voters, cluster.chief))


def voter(cluster: Cluster) -> str:
    """A voter that does not lead."""
    return next(city for city in cluster.voters if city != cluster.chief)


def listener(cluster: Cluster) -> str:
    """Another voter that does not lead."""
    return next(city for city in reversed(cluster.voters) if city not in (cluster.chief, voter(cluster)))


def unsigned_vote(cluster: Cluster, liar: str) -> Message:
    said = vote(cluster, voter(cluster), some_hash())
    return Voted(replace(said.vote, signature=FORGED))


def vote_of_another(cluster: Cluster, liar: str) -> Message:
    said = vote(cluster, voter(cluster), some_hash())
    return Voted(sign_vote(cluster.keys.signer(liar), cluster.network_id, said.vote))


def vote_without_a_vote(cluster: Cluster, liar: str) -> Message:
    return vote(cluster, liar, some_hash())


def change_without_a_vote(cluster: Cluster, liar: str) -> Message:
    return ViewChanged(change(cluster, liar, view=1))


def change_to_view_0(cluster: Cluster, liar: str) -> Message:
    return ViewChanged(change(cluster, voter(cluster), view=0))


def change_unsigned(cluster: Cluster, liar: str) -> Message:
    return ViewChanged(replace(change(cluster, voter(cluster), view=1), signature=FORGED))


def change_with_a_made_up_lock(cluster: Cluster, liar: str) -> Message:
    block = cluster.history.proposals[-1].block
    prepare = vote(cluster, voter(cluster), block_hash(block), kind="prepare").vote
    lock = Lock(view=0, block=block, prepares=(prepare, prepare))
    return ViewChanged(change(cluster, voter(cluster), view=1, lock=lock))


def open_of_no_chief(cluster: Cluster, liar: str) -> Message:
    return reopened(cluster, by=liar, view=0)


def open_unsigned(cluster: Cluster, liar: str) -> Message:
    return replace(reopened(cluster, by=liar, view=0), signature=FORGED)


def proposal_of_no_chief(cluster: Cluster, liar: str) -> Message:
    return envelope(cluster, by=liar, view=0, block=altered(cluster, by=liar))


def header_of_another(cluster: Cluster, liar: str) -> Message:
    return header(cluster, like=voter(cluster), signed_by=liar, weight=1_000_000)


def header_that_weighs_nothing(cluster: Cluster, liar: str) -> Message:
    return header(cluster, like=liar, signed_by=liar, weight=0)


def header_of_counted_steps(cluster: Cluster, liar: str) -> Message:
    return header(cluster, like=liar, signed_by=liar, first_step=0)


def header_of_another_model(cluster: Cluster, liar: str) -> Message:
    return header(cluster, like=liar, signed_by=liar, schema=bytes(range(32)))


def header_of_another_base(cluster: Cluster, liar: str) -> Message:
    return header(cluster, like=liar, signed_by=liar, base=bytes(range(32)))


def header_of_another_network(cluster: Cluster, liar: str) -> Message:
    ready = header(cluster, like=liar, signed_by=liar)
    last = next(one for one in reversed(cluster.history.readies) if one.node == cluster.node(liar))
    other = NetworkId(BlockHash(bytes(range(32))))
    return Ready(sign_header(cluster.keys.signer(liar), other, last), ready.layout)


def certificate_of_nobody(cluster: Cluster, liar: str) -> Message:
    newest = cluster.disk(liar).chain[-1]
    block = cluster.history.proposals[-1].block
    certificate = replace(
        newest.certificate, height=cluster.last_height + 1, block=block_hash(block), commits=()
    )
    return Committed(block, certificate)


def certificate_of_one(cluster: Cluster, liar: str) -> Message:
    block = cluster.history.proposals[-1].block
    commit = vote(cluster, voter(cluster), block_hash(block)).vote
    newest = cluster.disk(liar).chain[-1].certificate
    certificate = replace(
        newest, view=0, height=cluster.last_height + 1, block=block_hash(block), commits=(commit,) * 3
    )
    return Committed(block, certificate)


def certificate_of_outsiders(cluster: Cluster, liar: str) -> Message:
    block = cluster.history.proposals[-1].block
    strangers = [city for city in cluster.running if city not in cluster.voters]
    commits = tuple(vote(cluster, city, block_hash(block)).vote for city in strangers)
    newest = cluster.disk(liar).chain[-1].certificate
    certificate = replace(
        newest, view=0, height=cluster.last_height + 1, block=block_hash(block), commits=commits
    )
    return Committed(block, certificate)


def some_hash() -> bytes:
    return bytes(range(32))


LIES: list[Callable[[Cluster, str], Message]] = [
    unsigned_vote,
    vote_of_another,
    vote_without_a_vote,
    change_without_a_vote,
    change_to_view_0,
    change_unsigned,
    change_with_a_made_up_lock,
    open_of_no_chief,
    open_unsigned,
    proposal_of_no_chief,
    header_of_another,
    header_that_weighs_nothing,
    header_of_counted_steps,
    header_of_another_model,
    header_of_another_base,
    header_of_another_network,
    certificate_of_nobody,
    certificate_of_one,
    certificate_of_outsiders,
]


@pytest.mark.parametrize("lie", LIES, ids=[lie.__name__ for lie in LIES])
def test_a_liar_is_dropped_and_the_round_goes_on(lie: Callable[[Cluster, str], Message]) -> None:
    """A peer's bad message drops that peer with a reason, and touches no other."""
    cluster = Cluster.grown(trainers=5, settings=SETTINGS)
    round = cluster.rounds + 1
    cluster.lose(Ready, by=outsider(cluster), to=listener(cluster))
    cluster.run_until(proposed(round=round))
    liar, victim = outsider(cluster), listener(cluster)
    cluster.say(liar, to=victim, message=lie(cluster, liar))
    assert cluster.drops(by=victim, of=liar)
    assert len(cluster.history.drops) == 1
    cluster.run_until(committed(round=round + 3))
    assert cluster.contributors(round) == ALL
    assert cluster.contributors(round + 3) == ALL


def test_of_two_headers_of_one_incarnation_the_first_stays() -> None:
    """R4, S7: its author is dropped for the second, and weighs what the first says if it is counted."""
    cluster = Cluster.grown(trainers=5)
    chief = cluster.chief
    liar, slow = [city for city in cluster.running if city != chief][:2]
    cluster.slow(slow, train_ms=2_000)
    cluster.run_until(committed(round=cluster.rounds + 1))
    round = cluster.rounds + 1
    cluster.run_until(ready(round=round, by=liar))
    cluster.run_for(50)
    for city in cluster.running:
        if city != liar:
            cluster.say(liar, to=city, message=header(cluster, like=liar, signed_by=liar, weight=77))
            assert cluster.drops(by=city, of=liar)
    cluster.run_until(committed(round=round))
    assert cluster.weights(round).get(liar) in (8, None)


def test_a_chief_that_opens_twice_is_dropped() -> None:
    """R6: one OPEN for each attempt."""
    cluster = Cluster.grown(trainers=5)
    cluster.run_until(opened(round=cluster.rounds + 1))
    chief = cluster.chief
    victim = next(city for city in cluster.running if city != chief)
    first = reopened(cluster, by=chief, view=0)
    cluster.say(chief, to=victim, message=first)
    assert cluster.drops(by=victim, of=chief) == []
    cluster.say(chief, to=victim, message=reopened(cluster, by=chief, view=0, headers=first.headers[:3]))
    assert cluster.drops(by=victim, of=chief)


def test_a_chief_that_proposes_twice_is_dropped() -> None:
    """R8, S7: one proposal for each (height, view, incarnation)."""
    cluster = Cluster.grown(trainers=5)
    cluster.run_until(proposed(round=cluster.rounds + 1))
    chief = cluster.chief
    victim = next(city for city in cluster.running if city != chief)
    cluster.say(chief, to=victim, message=cluster.history.proposals[-1])
    assert cluster.drops(by=victim, of=chief) == []
    other = envelope(cluster, by=chief, view=0, block=altered(cluster, by=chief, duration_ms=1))
    cluster.say(chief, to=victim, message=other)
    assert cluster.drops(by=victim, of=chief)


@pytest.mark.parametrize(
    "changed",
    [
        {"network": bytes(32)},
        {"previous": bytes(32)},
        {"headers": ()},
        {"codec": "int8"},
        {"size": 5},
        {"present": ()},
        {"layout": b"another model"},
        {"name": "another network"},
        {"settings": Settings()},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_block_that_cannot_be_is_refused(changed: dict[str, object]) -> None:
    """R8, R9: voters check what the chain and the bytes can show."""
    cluster = Cluster.grown(trainers=5)
    cluster.lose(Propose)
    cluster.run_until(proposed(round=cluster.rounds + 1))
    chief = cluster.chief
    victim = next(city for city in cluster.running if city != chief)
    bad = envelope(cluster, by=chief, view=0, block=altered(cluster, by=chief, **changed))
    cluster.say(chief, to=victim, message=bad)
    assert cluster.drops(by=victim, of=chief)


@pytest.mark.parametrize("removed", [1, 2])
def test_a_block_that_changes_two_votes_is_refused(removed: int) -> None:
    """R2: quorums of one roster and the next must meet; one vote at a time is a change that they survive."""
    cluster = Cluster.grown(trainers=5)
    cluster.lose(Propose)
    cluster.run_until(proposed(round=cluster.rounds + 1))
    chief = cluster.chief
    victim, *others = [city for city in cluster.running if city != chief]
    removals = tuple(Remove(cluster.node(city), "a coup") for city in others[:removed])
    coup = envelope(cluster, by=chief, view=0, block=altered(cluster, by=chief, changes=removals))
    cluster.say(chief, to=victim, message=coup)
    assert bool(cluster.drops(by=victim, of=chief)) == (removed == 2)


def test_a_block_of_another_average_gets_no_vote() -> None:
    """R9: a voter that holds the average checks that its root is the block's; nobody holds this one."""
    cluster = Cluster.grown(trainers=5)
    cluster.lose(Propose)
    round = cluster.rounds + 1
    cluster.run_until(proposed(round=round))
    chief = cluster.chief
    bad = envelope(cluster, by=chief, view=0, block=altered(cluster, by=chief, root=bytes(range(32))))
    others = [city for city in cluster.running if city != chief]
    for city in others:
        cluster.say(chief, to=city, message=bad)
    cluster.network.rules.clear()
    cluster.run_until(committed(round=round, by=others))
    votes = [vote for vote in cluster.history.votes if vote.block == block_hash(bad.block)]
    assert votes == []
    assert cluster.view_of(round) > 0


def test_words_of_other_heights_are_no_lies() -> None:
    """Ordinary lateness is no error: old words are answered with the certificate, early ones wait (R10)."""
    cluster = Cluster.grown(trainers=4)
    cluster.run_until(committed(round=cluster.rounds + 3))
    late: list[Message] = [cluster.history.proposals[-3], cluster.history.opens[-3]]
    late += [Voted(vote) for vote in cluster.history.votes[:4]]
    for message in late:
        speaker = message.vote.node if isinstance(message, Voted) else _node_of(message)
        city = cluster.names[speaker]
        for other in cluster.running:
            if other != city:
                cluster.say(city, to=other, message=message)
    assert cluster.history.drops == []
    cluster.run_until(committed(round=cluster.rounds + 2))


def test_a_word_of_a_committed_height_is_answered_with_its_certificate() -> None:
    """R10: to whom every other way to learn of it is barred."""
    cluster = Cluster.grown(trainers=4)
    round, chief = cluster.rounds + 1, cluster.chief
    behind = next(city for city in cluster.running if city != chief)
    for kind in (Voted, Committed, Blocks, Heartbeat):
        cluster.lose(kind, to=behind)
    others = [city for city in cluster.running if city != behind]
    cluster.run_until(committed(round=round, by=others))
    cluster.network.rules.clear()
    cluster.lose(Blocks, to=behind)
    old = next(one for one in reversed(cluster.history.readies) if one.node == cluster.node(behind))
    again = Ready(sign_header(cluster.keys.signer(behind), cluster.network_id, old))
    cluster.say(behind, to=others[0], message=again)
    cluster.run_until(committed(round=round, by=behind), within_ms=20)


def _node_of(message: Message) -> bytes:
    assert isinstance(message, Open | Propose)
    return message.node
