"""What does a member look like from outside?"""

from typing import Any

import pytest

from comind.p2p.core.chain import Chain
from comind.p2p.core.desk import Desk
from comind.p2p.core.discovery import Discovery
from comind.p2p.core.messages import Absentee, Admit, CanLead
from comind.p2p.core.phases import Phase
from comind.p2p.core.picture import ROUNDS_SHOWN, MemberPicture, Picture, draw
from comind.p2p.core.pledges import Pledges
from comind.p2p.core.rotation import chief
from comind.p2p.core.round import Round
from comind.p2p.core.words import NO_ROOT, Height, NetworkId, Settings, View
from tests.unit.core.build import (
    BASE,
    LAYOUT,
    address,
    append,
    founded,
    ground,
    heartbeat,
    me,
    mean_block,
    name,
    node,
    nodes,
    offer,
    people_of,
    roster_block,
)
from tests.unit.core.test_discovery import join


def drawn(
    chain: Chain, *linked: int, known: Discovery | None = None, desk: Desk | None = None, **own: Any
) -> Picture:
    known = known or people_of(ground(chain, **own), *linked)
    desk = desk or Desk(known.here, known)
    round = Round(known.here, known, desk, Pledges(known.here, None))
    return draw(known.here, known, round, desk, "the door", known.here.now_ms - 250)


def member(picture: Picture, number: int) -> MemberPicture:
    [found] = [one for one in picture.members if one.node == node(number)]
    return found


def test_a_member_without_a_chain_has_a_picture() -> None:
    picture = drawn(Chain(NetworkId(bytes(32))), 1)
    assert (picture.height, picture.round, picture.chief, picture.members) == (-1, 0, None, ())
    assert (picture.phase, picture.because, picture.since_ms) == (Phase.IDLE, "the door", 250)
    assert (picture.root, picture.trainer, picture.last_rounds) == (NO_ROOT, "none", ())


def test_the_network_is_shown_as_the_chain_has_it() -> None:
    chain = founded(settings=Settings(rounds=9))
    append(chain, mean_block(chain, nodes(0, 1)))
    picture = drawn(chain, 1, 2)
    assert (picture.network, picture.height, picture.round, picture.rounds) == ("net", 1, 1, 9)
    assert (picture.root, picture.layout, picture.settings) == (chain.root, LAYOUT, Settings(rounds=9))
    assert picture.chief == chief(chain.roster, chain.network, chain.next, View(0))
    assert picture.chief_name == f"node-{chain.roster.nodes().index(picture.chief)}"
    assert picture.next_chief not in (None, picture.chief)


def test_the_next_chief_is_who_leads_when_the_present_one_has_led() -> None:
    chain = founded(voters=3)
    for _ in range(5):
        picture = drawn(chain, 1, 2)
        assert picture.chief is not None
        append(chain, mean_block(chain, nodes(0, 1), by=picture.chief))
        assert chief(chain.roster, chain.network, chain.next, View(0)) == picture.next_chief


STATES: list[tuple[str, str]] = [
    ("", "training"),
    ("ready", "ready"),
    ("ready for another height", "training"),
    ("no trainer", "witness"),
    ("no heartbeat", "witness"),
    ("away", "away"),
    ("silent", "silent"),
    ("no link", "silent"),
]


@pytest.mark.parametrize(("but", "state"), STATES)
def test_a_members_state_is_one_word(but: str, state: str) -> None:
    known = people_of(ground(founded(voters=3)), 1)
    beats = {
        "ready": heartbeat(ready=True),
        "ready for another height": heartbeat(ready=True, height=9),
        "no trainer": heartbeat(training=False),
        "away": heartbeat(away=True),
    }
    match but:
        case "no heartbeat":
            known.links[node(1)].heartbeat = None
        case "silent":
            known.here.now_ms += 3_001
        case "no link":
            known.link_down(node(1))
        case _ if but:
            known.beat(node(1), beats[but])
    assert member(drawn(known.here.chain, known=known), 1).state == state


def test_oneself_is_a_witness_until_a_trainer_attaches_and_ready_when_it_has_offered() -> None:
    known = people_of(ground(founded()), 1)
    desk = Desk(known.here, known)
    states = [drawn(known.here.chain, known=known, desk=desk)]
    desk.attached()
    states.append(drawn(known.here.chain, known=known, desk=desk))
    desk.offered(offer(known.here.chain))
    states.append(drawn(known.here.chain, known=known, desk=desk))
    assert [member(one, 0).state for one in states] == ["witness", "training", "ready"]
    assert [one.trainer for one in states] == ["none", "training", "ready"]


def test_members_are_shown_in_roster_order_and_joiners_after_them() -> None:
    known = people_of(ground(founded(voters=2, witnesses=1)), 1, 9)
    known.here.now_ms += 400
    known.heard(node(1))
    known.here.now_ms += 100
    known.on_join(join(known, 9))
    known.on_join(join(known, 8))
    picture = drawn(known.here.chain, known=known)
    assert [one.node for one in picture.members] == list(nodes(0, 1, 2, 8, 9))
    assert [one.heard_ms_ago for one in picture.members] == [0, 100, None, None, 500]
    assert [one.voter for one in picture.members] == [True, True, False, False, False]
    assert [one.me for one in picture.members] == [True, False, False, False, False]
    nine = member(picture, 9)
    assert (nine.state, nine.name, nine.addresses) == ("joining", name(9), address(9))


def test_a_joiner_sees_itself_join() -> None:
    chain = founded(voters=2)
    picture = drawn(chain, 0, number=7)
    assert [one.me for one in picture.members] == [False, False]
    append(chain, roster_block(chain, [Admit(node(7), "seven", (), can_lead=False)]))
    assert member(drawn(chain, 0, number=7), 7).me


def test_the_last_rounds_are_shown_with_the_number_of_their_average() -> None:
    chain = founded(voters=3)
    append(chain, mean_block(chain, nodes(0, 1), absentees=(Absentee(node(2), "no trainer"),)))
    append(chain, roster_block(chain, [CanLead(node(1), can_lead=False)], by=node(1)))
    append(chain, mean_block(chain, nodes(1, 2), by=node(2), metrics={"loss": 0.5}))
    rounds = drawn(chain, 1, 2).last_rounds
    assert [(one.height, one.round, one.rule) for one in rounds] == [
        (0, 0, "genesis"),
        (1, 1, "mean"),
        (2, 1, "roster"),
        (3, 2, "mean"),
    ]
    assert rounds[1].contributors == ((node(0), name(0), 1), (node(1), name(1), 1))
    assert rounds[1].absent == ((node(2), name(2), "no trainer"),)
    assert (rounds[3].chief, rounds[3].chief_name, rounds[3].view) == (node(2), name(2), 0)
    assert (rounds[3].metrics, rounds[3].root, rounds[3].duration_ms) == ({"loss": 0.5}, chain.root, 5)
    assert (member(drawn(chain), 2).rounds_led, member(drawn(chain), 1).counted) == (1, 2)


def test_only_so_many_rounds_are_shown() -> None:
    chain = founded(voters=2)
    for _ in range(ROUNDS_SHOWN + 5):
        append(chain, mean_block(chain, nodes(0, 1)))
    rounds = drawn(chain).last_rounds
    assert len(rounds) == ROUNDS_SHOWN
    assert [one.height for one in rounds] == [Height(6 + one) for one in range(ROUNDS_SHOWN)]
    assert [one.round for one in rounds] == [6 + one for one in range(ROUNDS_SHOWN)]


def test_a_picture_of_a_network_without_a_base_shows_none() -> None:
    picture = drawn(founded(base=None), 1)
    assert (picture.root, picture.layout) == (NO_ROOT, b"")
    assert drawn(founded(), 1).root == BASE
    assert me().name == "node-0"
