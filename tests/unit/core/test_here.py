"""What do all parts of a member share?"""

import pytest

from comind.p2p.core.effects import Note, Send
from comind.p2p.core.messages import AskBlocks, Remove
from comind.p2p.core.words import short_id
from tests.unit.core.build import append, founded, ground, node, nodes, roster_block


def test_a_message_goes_to_each_once_never_to_oneself_and_never_to_nobody() -> None:
    here = ground(founded(voters=3))
    here.send(nodes(1, 0, 2, 1), AskBlocks(1))
    here.send(nodes(0), AskBlocks(1))
    here.send((), AskBlocks(1))
    assert here.actions == [Send(nodes(1, 2), AskBlocks(1))]


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((), "nobody"),
        ((0,), "node-0"),
        ((0, 1), "node-0 and node-1"),
        ((0, 1, 2, 3), "node-0, node-1, node-2 and node-3"),
        ((0, 1, 2, 3, 4), "node-0, node-1, node-2 and 2 others"),
        (tuple(range(30)), "node-0, node-1, node-2 and 27 others"),
    ],
)
def test_names_are_listed_for_people(numbers: tuple[int, ...], words: str) -> None:
    here = ground(founded(voters=30))
    assert here.list_names(nodes(*numbers)) == words


def test_a_node_is_called_by_the_chain_then_by_itself_then_by_its_id() -> None:
    here = ground(founded(voters=1))
    here.names[node(0)] = "what it says"
    here.names[node(1)] = "what it says"
    assert here.name(node(0)) == "node-0"
    assert here.name(node(1)) == "what it says"
    assert here.name(node(2)) == short_id(node(2))


def test_who_left_keeps_the_name_that_the_chain_knew_it_by() -> None:
    chain = founded(voters=3)
    append(chain, roster_block(chain, [Remove(node=node(2), because="it left")]))
    assert ground(chain).name(node(2)) == "node-2"


def test_who_is_a_member_and_votes_is_read_from_the_chain() -> None:
    chain = founded(voters=1, witnesses=1)
    assert [ground(chain, number).is_member for number in range(3)] == [True, True, False]
    assert [ground(chain, number).is_voter for number in range(3)] == [True, False, False]


def test_a_note_is_a_line_for_the_log() -> None:
    here = ground(founded())
    here.note("something happened")
    assert here.actions == [Note("something happened")]
