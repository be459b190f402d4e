"""Does what was said on a connection that gives way to another arrive?"""

import time

from comind.p2p.core.messages import AskBlocks
from tests.unit.shell.conftest import Loop, Node, Nodes, now_ms


def collect(node: Node) -> None:
    node.news += node.links.collect(now_ms())


def test_what_was_said_on_a_link_that_gives_way_arrives(nodes: Nodes, loop: Loop) -> None:
    small, large = nodes.pair()
    large.dial(small)  # the connection that will give way
    loop.until(lambda: small.ups(large) and large.ups(small))
    small.dial(large)  # the one that survives
    collect(small)  # dials, says hello
    end = time.monotonic() + 5
    while time.monotonic() < end:
        collect(large)
        if any(not c.dialled and c.link is None and c._replied for c in large.links._channels.values()):
            break
        large.poller.poll(10)
    small.poller.poll(1_000)  # the reply is at small now
    small.say(7, large)  # on the only link there is
    collect(small)  # reads the reply, says finish
    large.poller.poll(1_000)  # both are at large now, and it reads the finish first
    small.say(8, large)
    loop.until(lambda: AskBlocks(8) in large.heard(small))
    loop.settle(300)
    assert AskBlocks(7) in large.heard(small)
