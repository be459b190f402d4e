"""Is each frame its sender's, although descriptors are used again and two sockets tell of one connection?"""

from collections.abc import Sequence

from comind.p2p.shell.bulk import Buffer
from comind.p2p.shell.roll import Accepted, Roll

DESCRIPTOR = 7


class Nobody:
    def send(self, connection: Accepted, frames: Sequence[Buffer]) -> bool:
        return True

    def cut(self, connection: Accepted) -> None:
        connection.over = True


def routing_id(number: int) -> bytes:
    return b"\0" + (number % 2**32).to_bytes(4)


def accept(roll: Roll, descriptor: int = DESCRIPTOR) -> Accepted:
    connection = Accepted(Nobody(), descriptor, since_ms=0)
    roll.accepted(connection)
    return connection


def test_a_frame_is_of_who_was_accepted_on_its_descriptor() -> None:
    roll = Roll()
    one, other = accept(roll, 7), accept(roll, 8)
    assert roll.sender(routing_id(1), 8) is other
    assert roll.sender(routing_id(2), 7) is one
    assert roll.sender(routing_id(1), 8) is other
    assert roll.connections == [one, other]


def test_an_end_is_told_once() -> None:
    roll = Roll()
    connection = accept(roll)
    roll.disconnected(DESCRIPTOR)
    assert not roll.is_on(connection)
    assert roll.has_ended
    assert roll.take_ended() == [connection]
    assert roll.take_ended() == []


def test_what_came_before_the_end_is_still_heard_after_the_monitor_told_of_it() -> None:
    roll = Roll()
    connection = accept(roll)
    roll.sender(routing_id(1), DESCRIPTOR)
    roll.disconnected(DESCRIPTOR)
    assert roll.sender(routing_id(1), DESCRIPTOR) is connection


def test_the_end_of_one_is_not_the_end_of_the_next_on_its_descriptor() -> None:
    roll = Roll()
    first = accept(roll)
    roll.sender(routing_id(1), DESCRIPTOR)
    roll.disconnected(DESCRIPTOR)
    second = accept(roll)
    assert roll.sender(routing_id(2), DESCRIPTOR) is second
    assert roll.sender(routing_id(1), DESCRIPTOR) is first
    assert roll.take_ended() == [first]
    assert roll.is_on(second)


def test_a_stranger_that_never_spoke_ends_without_harm_to_the_next() -> None:
    roll = Roll()
    stranger = accept(roll)
    roll.disconnected(DESCRIPTOR)
    member = accept(roll)
    assert roll.sender(routing_id(1), DESCRIPTOR) is member
    assert roll.take_ended() == [stranger]
    assert roll.sender(routing_id(1), DESCRIPTOR) is member


def test_frames_of_who_ended_before_it_was_read_are_nobodys() -> None:
    roll = Roll()
    accept(roll)
    roll.disconnected(DESCRIPTOR)
    assert roll.sender(routing_id(1), DESCRIPTOR) is None
    member = accept(roll)
    assert roll.sender(routing_id(1), DESCRIPTOR) is None
    assert roll.sender(routing_id(2), DESCRIPTOR) is member


def test_who_was_taken_for_the_next_on_its_descriptor_makes_way_for_it() -> None:
    roll = Roll()
    accept(roll)
    roll.disconnected(DESCRIPTOR)
    accept(roll)
    mistaken = roll.sender(routing_id(2**32 - 1), DESCRIPTOR)
    member = roll.sender(routing_id(2**32), DESCRIPTOR)
    assert mistaken is not None
    assert member is not None
    assert mistaken.over
    assert not member.over
    assert roll.is_on(member)
    assert mistaken in roll.take_ended()
    roll.disconnected(DESCRIPTOR)
    assert roll.take_ended() == [member]


def test_who_comes_too_late_does_not_take_the_place_of_the_next() -> None:
    roll = Roll()
    accept(roll)
    roll.disconnected(DESCRIPTOR)
    member = accept(roll)
    assert roll.sender(routing_id(2), DESCRIPTOR) is member
    assert roll.sender(routing_id(1), DESCRIPTOR) is None
    assert roll.is_on(member)


def test_who_was_cut_is_not_taken_for_another() -> None:
    roll = Roll()
    accept(roll).cut()
    assert roll.sender(routing_id(1), DESCRIPTOR) is None


def test_nothing_is_kept_of_who_is_gone() -> None:
    roll = Roll()
    for number in range(100):
        accept(roll)
        roll.sender(routing_id(2 * number), DESCRIPTOR)
        roll.disconnected(DESCRIPTOR)
        roll.sender(routing_id(2 * number + 1), DESCRIPTOR)
        assert len(roll.take_ended()) == 1
    assert not roll.connections
    assert not any(roll.knows(routing_id(number)) for number in range(200))
