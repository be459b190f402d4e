"""Are the bounds set, is the loop woken, and do closed links leave nothing open?"""

import os
import resource
from pathlib import Path

import pytest
import zmq

from comind.crypto.gate import gate_of
from comind.p2p.core.effects import LinkDown
from comind.p2p.shell.reasons import MAX_REASON_LENGTH, MAX_REASONS, Reasons
from comind.p2p.shell.sockets import (
    MAX_FRAME_BYTES,
    ZmqContext,
    ZmqSocket,
    dial_socket,
    file_limit,
    gate_socket,
    open_context,
    raise_file_limit,
    received_by_kernel,
)
from tests.unit.shell.conftest import KEY, NETWORK, Loop, Nodes, now_ms

GATE = gate_of(NETWORK, KEY)
UNBOUNDED = (-1, 0)


@pytest.mark.parametrize("kind", ["gate", "dial"])
def test_nothing_is_left_at_an_unbounded_default(kind: str, context: ZmqContext) -> None:
    one: ZmqSocket = (
        gate_socket(context, GATE, "*") if kind == "gate" else dial_socket(context, GATE, "tcp://127.0.0.1:1")
    )
    assert one.get(zmq.MAXMSGSIZE) == MAX_FRAME_BYTES
    assert one.get(zmq.LINGER) == 0
    assert one.get(zmq.MECHANISM) == zmq.CURVE
    for option in (zmq.SNDHWM, zmq.RCVHWM, zmq.HANDSHAKE_IVL, zmq.TCP_MAXRT, zmq.TCP_KEEPALIVE_IDLE):
        assert one.get(option) not in UNBOUNDED
    one.close()


def test_the_limit_of_open_files_is_raised_as_far_as_it_may() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert raise_file_limit() == file_limit() >= min(hard, 10_240)


def test_closed_links_leave_no_descriptor_open(nodes: Nodes, loop: Loop) -> None:
    nodes.linked_pair()  # what the process makes once is there from here on
    before = len(os.listdir("/dev/fd"))
    a, b = nodes.linked_pair()
    nodes.stop(a)
    loop.until(lambda: b.downs(a))
    nodes.stop(b)
    loop.until(lambda: len(os.listdir("/dev/fd")) <= before)


def test_a_terminated_context_does_not_wait_for_closed_links() -> None:
    context, loop = open_context(), Loop()
    nodes = Nodes(context, loop)
    for node in nodes.linked_pair():
        nodes.stop(node)
    context.term()


def test_nothing_to_do_means_no_wake_up(nodes: Nodes) -> None:
    node = nodes()
    assert node.links.collect(0) == []
    assert node.links.wake_at_ms() is None


def test_what_happens_between_two_calls_wakes_the_loop(nodes: Nodes) -> None:
    a, b = nodes.linked_pair()
    a.links.undial(b.id)
    a.links.drop(b.id, "test")
    wake_ms = a.links.wake_at_ms()
    assert wake_ms is not None
    assert wake_ms <= now_ms()
    assert LinkDown(b.id) in a.links.collect(now_ms())


def test_a_descriptor_that_is_closed_or_no_connection_tells_nothing(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        assert received_by_kernel(file.fileno()) is None
        closed = os.dup(file.fileno())
    os.close(closed)
    assert received_by_kernel(closed) is None


def test_reasons_are_bounded_and_one_line() -> None:
    reasons = Reasons()
    for number in range(1_000):
        reasons.count(f"{number}\n\x1b" + "x" * 1_000)
    assert len(reasons.counts) == MAX_REASONS + 1
    assert sum(reasons.counts.values()) == 1_000
    assert all(one.isprintable() and len(one) <= MAX_REASON_LENGTH for one in reasons.counts)
