"""Do both ends choose the same of several connections, whatever the order in which they learn of them?"""

from collections.abc import Sequence
from itertools import permutations

import pytest

from comind.crypto.greeting import Initiator, Responder
from comind.crypto.identity import Identity
from comind.p2p.shell.bulk import Buffer
from comind.p2p.shell.channel import Channel
from comind.p2p.shell.pair import Pair

NETWORK, KEY = b"n" * 32, b"k" * 32
SMALL, LARGE = sorted((Identity.generate(), Identity.generate()), key=lambda one: one.node_id)


class Wire:
    """A connection on which nothing goes."""

    def __init__(self) -> None:
        self.over = False

    def send(self, frames: Sequence[Buffer]) -> bool:
        return True

    def cut(self, linger_ms: int = 0) -> None:
        self.over = True


def connection(dialler: Identity, dialled: Identity) -> tuple[Channel, Channel]:
    """Both ends of a greeted connection, the dialler's first."""
    initiator, responder = Initiator(dialler, NETWORK, KEY, 1), Responder(dialled, NETWORK, KEY, 1)
    responder.receive_finish(initiator.receive(responder.receive_hello(initiator.hello())))
    return Channel(Wire(), initiator), Channel(Wire(), responder)


def pair_of(own: Identity, channels: Sequence[Channel]) -> Pair:
    pair = Pair(own.node_id, channels[0], now_ms=0)
    for channel in channels[1:]:
        pair.add(channel)
    return pair


def test_the_dial_of_the_smaller_survives_in_every_order() -> None:
    small_dials, large_dialled = connection(SMALL, LARGE)
    large_dials, small_dialled = connection(LARGE, SMALL)
    for order in permutations((small_dials, small_dialled)):
        assert pair_of(SMALL, order).current is small_dials
    for order in permutations((large_dials, large_dialled)):
        assert pair_of(LARGE, order).current is large_dialled


def test_only_who_dialled_the_loser_closes_it() -> None:
    small_dials, large_dialled = connection(SMALL, LARGE)
    large_dials, small_dialled = connection(LARGE, SMALL)
    assert pair_of(SMALL, (small_dials, small_dialled)).losers(most=4) == []
    assert pair_of(LARGE, (large_dialled, large_dials)).losers(most=4) == [large_dials]


@pytest.mark.parametrize("own", [SMALL, LARGE])
def test_of_two_own_dials_the_older_stays_and_the_peer_agrees_once_the_newer_is_closed(own: Identity) -> None:
    peer = LARGE if own is SMALL else SMALL
    (old, old_there), (new, new_there) = connection(own, peer), connection(own, peer)
    here, there = pair_of(own, (old, new)), pair_of(peer, (old_there, new_there))
    assert here.current is old
    assert here.losers(most=4) == [new]
    assert there.current is new_there
    assert there.remove(new_there)
    assert there.current is old_there


def test_what_is_left_takes_over_and_the_last_one_ends_it() -> None:
    small_dials, _ = connection(SMALL, LARGE)
    _, small_dialled = connection(LARGE, SMALL)
    pair = pair_of(SMALL, (small_dials, small_dialled))
    assert pair.remove(small_dials)
    assert pair.current is small_dialled
    assert not pair.remove(small_dialled)


def test_of_too_many_connections_of_a_peer_the_oldest_go() -> None:
    channels = [connection(LARGE, SMALL)[1] for _ in range(6)]
    assert pair_of(SMALL, channels).losers(most=4) == channels[:2]


def test_the_secret_of_the_link_comes_first_and_few_are_kept() -> None:
    channels = [connection(LARGE, SMALL)[1] for _ in range(6)]
    pair = pair_of(SMALL, channels)
    secrets = [channel.link.bulk_secret for channel in channels if channel.link is not None]
    assert pair.secrets == tuple(reversed(secrets[2:]))
    pair.remove(channels[-1])
    assert pair.secrets[0] == secrets[4]
    assert set(pair.secrets) == set(secrets[2:])
