"""Who votes? (R1, R2)"""

from comind.p2p.core.messages import Expel, GiveVote, Pause, Remove, Resume, TakeVote
from comind.p2p.core.words import Settings
from tests.scenarios.cluster import Cluster
from tests.scenarios.moments import committed, on_roster, voting


def vote_changes(cluster: Cluster) -> dict[int, list[tuple[str, type]]]:
    """Which votes each block gives and takes."""
    found: dict[int, list[tuple[str, type]]] = {}
    for height, block in cluster.history.blocks.items():
        for change in block.changes:
            if isinstance(change, Pause | Resume):
                continue
            known = height > 0 and change.node in cluster.history.readings[height - 1].voting
            if isinstance(change, GiveVote | TakeVote) or (isinstance(change, Remove | Expel) and known):
                found.setdefault(height, []).append((cluster.names[change.node], type(change)))
    return found


def test_the_founder_votes_and_others_get_their_vote_after_three_blocks_of_presence() -> None:
    """R2."""
    cluster = Cluster.grown(trainers=5)
    for height, changes in vote_changes(cluster).items():
        for city, _ in changes:
            node = cluster.node(city)
            present = [before for before in range(height) if node in cluster.history.blocks[before].present]
            assert len(present) >= 3 or city == "lima", f"{city} votes after {present}"


def test_a_block_changes_at_most_one_vote() -> None:
    """R2."""
    cluster = Cluster.grown(trainers=6)
    assert all(len(changes) == 1 for changes in vote_changes(cluster).values())
    assert len(vote_changes(cluster)) == 6


def test_at_most_max_voters_vote() -> None:
    """R2: and those without a vote are counted all the same."""
    cluster = Cluster.grown(trainers=6, settings=Settings(max_voters=3))
    cluster.run_until(committed(round=cluster.rounds + 8))
    assert len(cluster.voters) == 3
    assert cluster.contributors(cluster.rounds) == set(cluster.running)


def test_votes_are_given_while_nobody_trains() -> None:
    """R2, R15: a vote is worth a block of its own."""
    cluster = Cluster.founded(trainers=0, witnesses=3)
    cluster.attach("lima")
    cluster.attach("berlin")
    cluster.run_until(committed(round=1))
    cluster.kill_trainer("lima")
    cluster.kill_trainer("berlin")
    cluster.run_until(voting("lima", "berlin", "hanoi"))


def test_a_silent_voter_loses_its_vote_while_more_than_three_vote() -> None:
    """R2: after `passive_after` rounds of silence."""
    cluster = Cluster.grown(trainers=5, settings=Settings(passive_after=4))
    cluster.kill("berlin")
    silent_since = cluster.height("lima")
    cluster.run_until(committed(round=cluster.rounds + 12))
    assert "berlin" not in cluster.voters
    assert "berlin" in cluster.members
    taken = [h for h, changes in vote_changes(cluster).items() if ("berlin", TakeVote) in changes]
    assert len(taken) == 1
    assert taken[0] > silent_since + 4


def test_none_of_three_loses_its_vote_by_silence() -> None:
    """R2: so a visitor freezes nobody, and a pair of survivors stays a quorum of three."""
    cluster = Cluster.grown(trainers=3, settings=Settings(passive_after=2))
    cluster.kill("berlin")
    cluster.run_until(committed(round=cluster.rounds + 8))
    assert set(cluster.voters) == {"lima", "berlin", "hanoi"}


def test_who_lost_its_vote_gets_it_again_after_three_blocks_of_presence() -> None:
    """R2."""
    cluster = Cluster.grown(trainers=4, settings=Settings(passive_after=3))
    cluster.kill("quito")
    cluster.run_until(committed(round=cluster.rounds + 10))
    assert "quito" not in cluster.voters
    cluster.restart("quito")
    cluster.run_until(voting("quito"))
    cluster.run_until(committed(round=cluster.rounds + 2))
    assert "quito" in cluster.contributors(cluster.rounds)


def test_visitors_freeze_nobody() -> None:
    """R2: members that join, train and vanish have no vote to miss."""
    cluster = Cluster.founded(trainers=2, settings=Settings(max_voters=2))
    cluster.run_until(voting("lima", "berlin"))
    for city in ("oslo", "perth", "cairo"):
        cluster.join(city, through="lima")
        cluster.run_until(on_roster(city))
    for city in ("oslo", "perth", "cairo"):
        cluster.kill(city)
    cluster.run_until(committed(round=cluster.rounds + 3))
    assert cluster.contributors(cluster.rounds) == {"lima", "berlin"}


def test_the_roster_is_ordered_by_admission() -> None:
    """R1: who rejoins goes last."""
    cluster = Cluster.grown(trainers=3)
    assert cluster.members[0] == "lima"
    cluster.join("oslo", through="lima")
    cluster.run_until(on_roster("oslo"))
    assert cluster.members[-1] == "oslo"
