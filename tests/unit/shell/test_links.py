"""Do two nodes come to exactly one link, and does each message arrive as its sender's?"""

from comind.p2p.core.effects import LinkUp
from comind.p2p.core.messages import AskBlocks
from comind.p2p.shell.news import Reached
from tests.unit.shell.conftest import Loop, Nodes, up


def test_two_nodes_talk_both_ways(nodes: Nodes, loop: Loop) -> None:
    a, b = nodes.linked_pair()
    a.say(1, to=b)
    b.say(2, to=a)
    a.say(3, to=b)
    loop.until(lambda: len(b.heard(a)) == 2 and a.heard(b))
    assert b.heard(a) == [AskBlocks(1), AskBlocks(3)]
    assert a.heard(b) == [AskBlocks(2)]
    assert a.links.dropped == b.links.dropped == {}


def test_who_dialled_knows_that_the_other_can_be_reached(nodes: Nodes) -> None:
    a, b = nodes.linked_pair()
    assert [type(one) for one in a.news] == [Reached, LinkUp]
    assert a.ups(b) == [up(b.id, dialled=True)]
    assert b.news == [up(a.id, dialled=False)]


def test_both_dial_at_once_and_the_dial_of_the_smaller_id_survives(nodes: Nodes, loop: Loop) -> None:
    small, large = nodes.pair()
    small.dial(large)
    large.dial(small)
    loop.until(lambda: Reached(large.id) in small.news and Reached(small.id) in large.news)
    loop.settle()
    assert small.ups(large)[-1].dialled
    assert not large.ups(small)[-1].dialled
    assert not small.downs(large)
    assert not large.downs(small)
    small.say(1, to=large)
    large.say(2, to=small)
    loop.until(lambda: large.heard(small) and small.heard(large))
