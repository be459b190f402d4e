"""When is a lost link tried again, and at which address?"""

from comind.crypto.identity import NodeId
from comind.p2p.shell.limits import Limits
from comind.p2p.shell.wanted import Wanted

PEER = NodeId(b"p" * 32)
LIMITS = Limits(first_redial_ms=100, last_redial_ms=1_000, stable_ms=5_000)


def peer(*addresses: str) -> Wanted:
    return Wanted(PEER, addresses or ("a",))


def test_it_is_dialled_at_once() -> None:
    assert peer().is_due(0)


def test_it_is_not_dialled_twice_at_a_time() -> None:
    wanted = peer()
    wanted.trying = True
    assert not wanted.is_due(9_999)
    assert wanted.wake_at_ms is None


def test_its_addresses_take_turns_without_a_pause_between() -> None:
    wanted = peer("a", "b")
    assert wanted.next_address() == "a"
    assert not wanted.failed(0, LIMITS, jitter=0.5)
    assert (wanted.next_address(), wanted.due_ms) == ("b", 0)
    assert wanted.failed(0, LIMITS, jitter=0.5)
    assert (wanted.next_address(), wanted.due_ms) == ("a", 75)


def test_pauses_double_to_a_bound_and_jitter_takes_up_to_half() -> None:
    for jitter, share in ((0.0, 0.5), (1.0, 1.0)):
        wanted, pauses = peer(), []
        for _ in range(20):
            wanted.failed(0, LIMITS, jitter)
            pauses.append(wanted.due_ms)
        assert pauses[:5] == [share * pause for pause in (100, 200, 400, 800, 1_000)]
        assert set(pauses[5:]) == {share * 1_000}


def test_once_found_it_rests_until_the_link_is_lost() -> None:
    wanted = peer()
    wanted.reached(PEER, "a")
    assert not wanted.is_due(9_999)
    assert wanted.wake_at_ms is None
    wanted.lost(1_000, lived_ms=6_000, limits=LIMITS, jitter=1.0)
    assert wanted.wake_at_ms == 1_100


def test_a_link_that_breaks_at_once_gets_longer_pauses_until_one_holds() -> None:
    wanted, pauses = peer(), []
    for lived_ms in (10, 10, 10, 5_000, 10):
        wanted.reached(PEER, "a")
        wanted.lost(0, lived_ms, LIMITS, jitter=1.0)
        pauses.append(wanted.due_ms)
    assert pauses == [100, 200, 400, 100, 200]


def test_who_moved_away_from_where_it_was_reached_is_dialled_again() -> None:
    wanted = peer("a", "b")
    wanted.reached(PEER, "b")
    wanted.move(("b", "c"))
    assert not wanted.is_due(0)
    wanted.move(("c",))
    assert wanted.is_due(0)


def test_who_moved_during_a_dial_is_dialled_again() -> None:
    wanted = peer("a")
    wanted.trying = True
    wanted.move(("b",))
    wanted.reached(PEER, "a")
    assert wanted.is_due(0)


def test_without_an_address_there_is_only_the_pause() -> None:
    wanted = Wanted(PEER, ())
    assert wanted.next_address() is None
    assert wanted.failed(0, LIMITS, jitter=0.0)
    assert wanted.due_ms == 50
