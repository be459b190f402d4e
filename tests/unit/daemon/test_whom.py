"""Is it clear whom an operator means, and is it said when it is not?"""

import pytest

from comind.node.daemon.whom import who_is_meant
from comind.p2p.core.messages import Admit
from comind.p2p.core.picture import Picture
from comind.p2p.core.words import NodeId, full_id, short_id
from tests.unit.core.build import append, founded, node, roster_block
from tests.unit.core.stage import Stage


def picture(*knocking: NodeId) -> Picture:
    """Return how a member of three sees its network, with a second one of a name, and who knocks."""
    chain = founded(voters=3)
    append(chain, roster_block(chain, [Admit(node(7), "node-1", (), can_lead=False)]))
    stage = Stage(chain)
    stage.member.people.here.chain.standing = chain.standing
    for one in knocking:
        stage.member.people.knocked(one)
    return stage.member.picture(stage.now_ms)


@pytest.mark.parametrize("what", ["pause", "resume"])
def test_what_is_about_nobody_means_nobody(what: str) -> None:
    assert who_is_meant(what, "", picture()) is None


@pytest.mark.parametrize("what", ["remove", "allow", "deny"])
def test_a_full_id_means_that_node_whether_it_is_known_or_not(what: str) -> None:
    assert who_is_meant(what, full_id(node(99)), picture()) == node(99)


@pytest.mark.parametrize("what", ["remove", "allow", "deny"])
@pytest.mark.parametrize("about", ["node-2", short_id(node(2))])
def test_a_name_or_a_short_id_means_the_member_that_has_it(what: str, about: str) -> None:
    assert who_is_meant(what, about, picture()) == node(2)


def test_a_name_that_two_have_is_told_with_both_ids() -> None:
    line = who_is_meant("remove", "node-1", picture())
    assert line == (
        f"2 nodes are called 'node-1': say which one by its id, {full_id(node(1))} or {full_id(node(7))}"
    )


def test_an_unknown_name_is_told() -> None:
    line = "no member is called 'oslo' or has this id: comind status lists them"
    assert who_is_meant("remove", "oslo", picture()) == line
    assert str(who_is_meant("allow", "oslo", picture())).startswith(
        "'oslo' is no node's id: take the 52 letters"
    )
