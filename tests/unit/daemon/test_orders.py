"""The order of effects: nothing that follows a promise leaves before it is on disk."""

from collections.abc import Sequence

from comind.node.daemon.orders import Orders
from comind.p2p.core.effects import Action, Commit, Note, Promise, Promised, Record
from comind.p2p.core.messages import Certificate, Committed
from comind.p2p.core.words import Height


class Disk:
    """Notes what was put; a test says when it is durable."""

    def __init__(self) -> None:
        self.put_together: list[list[Record]] = []

    def put(self, records: Sequence[Record]) -> int:
        self.put_together.append(list(records))
        return len(self.put_together)


def promised(count: int) -> Promised:
    return Promised(height=1, view=0, count=count)


def commit(height: int) -> Commit:
    certificate = Certificate(height=height, view=0, block=bytes(32), commits=())
    return Commit(Committed(block=b"block", certificate=certificate), Height(height))


A, B, C, D = (Note(letter) for letter in "abcd")


def due(orders: Orders, durable: int) -> list[Action]:
    return list(orders.due(durable))


def test_what_needs_no_record_goes_at_once() -> None:
    disk = Disk()
    orders = Orders(disk.put)
    orders.add([A, B])
    assert due(orders, 0) == [A, B]
    assert disk.put_together == []


def test_what_follows_a_promise_waits_for_it_and_what_came_before_does_not() -> None:
    disk = Disk()
    orders = Orders(disk.put)
    orders.add([A, Promise(promised(1), (B,)), C])
    assert due(orders, 0) == [A]
    assert len(orders) == 2
    assert due(orders, 1) == [B, C]
    assert disk.put_together == [[promised(1)]]


def test_the_records_of_a_batch_are_put_together() -> None:
    disk = Disk()
    orders = Orders(disk.put)
    orders.add(
        [Promise(promised(1), (A,)), commit(3), B, Promise(promised(2), (Promise(promised(3), (C,)),)), D]
    )
    assert disk.put_together == [[promised(1), commit(3).committed, promised(2), promised(3)]]
    assert due(orders, 0) == []
    assert due(orders, 1) == [A, commit(3), B, C, D]


def test_a_later_batch_waits_for_an_earlier_ones_record() -> None:
    disk = Disk()
    orders = Orders(disk.put)
    orders.add([Promise(promised(1), (A,))])
    orders.add([B])
    orders.add([Promise(promised(2), (C,))])
    orders.add([D])
    assert due(orders, 0) == []
    assert due(orders, 1) == [A, B]
    assert due(orders, 2) == [C, D]
    assert len(orders) == 0


def test_a_block_holds_nothing_back_but_goes_to_disk_before_any_later_promise() -> None:
    disk = Disk()
    orders = Orders(disk.put)
    orders.add([commit(1), A])
    orders.add([Promise(promised(1), (B,))])
    assert due(orders, 0) == [commit(1), A]
    assert disk.put_together == [[commit(1).committed], [promised(1)]]
    assert due(orders, 2) == [B]
