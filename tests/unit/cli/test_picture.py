"""What does a person see of a status? The pictures themselves."""

import io
from typing import Any

import pytest
from rich.console import Console

from comind.node.attach import Status
from comind.node.cli.phrases import duration, plain, several, size
from comind.node.cli.picture import fitting, picture
from tests.unit.cli.fake_daemon import a_member, a_round, a_status


def drawn(status: Status, width: int = 80, **how: Any) -> str:
    console = Console(file=io.StringIO(), width=width, no_color=True)
    console.print(picture(status, **how))
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def test_how_long_a_door_waits_at_most_is_said_in_its_own_words() -> None:
    """R5: a status says how much time is left when it is drawn."""
    because = "opens at its deadline, or when lima is ready"
    assert "opens in 1.2 s, or when lima is ready, since" in drawn(
        a_status(because=because, opens_in_ms=1_200)
    )
    assert because in drawn(a_status(because=because))


def test_a_status_fits_80_columns_and_needs_no_colours() -> None:
    status = a_status(
        members=(
            a_member("berlin", me=True, state="ready"),
            a_member("lima"),
            a_member("oslo", state="silent", heard_ms_ago=12_300, voter=False, can_lead=False),
            a_member(
                "a-name-that-is-too-long", state="joining", heard_ms_ago=None, voter=False, can_lead=False
            ),
        ),
        dropped={"a forged vote": 2},
        last_rounds=(
            a_round(0, rule="initial", contributors=(("limaxxxx", "lima", 0),), seconds=0.02),
            a_round(11, view=1, metrics={"loss": 0.31234}),
            a_round(12, absent=(("osloxxxx", "oslo", "silent for 12 s"),)),
        ),
    )
    assert drawn(status) == (
        """\
berlin   network "hospitals" (7f3a7f3a)   round 12 of 30   height 17
  digest 5f2c5f2c5f2c
leads now  berlin   next  lima
waiting for oslo to reach the interval, since 2.1 s

  name              id        state     vote  leads  led  counted  heard
  berlin            berlinxx  ready     yes   now      3       12  here
  lima              limaxxxx  training  yes   yes      3       12  0.1 s ago
  oslo              osloxxxx  silent    -     -        3       12  12 s ago
  a-name-that-is-…  a-name-t  joining   -     -        3       12  no link

  round  led by           took  counted            not counted       metrics
  -      berlin          20 ms  starting weights   -
                                of lima
  11     berlin, view 1  0.3 s  berlin 512, lima   -                 loss 0.3123
                                480
  12     berlin          0.3 s  berlin 512, lima   oslo: silent for
                                480                12 s

sent 1.2 GB   received 42 B   trainer ready   turned away: a forged vote 2"""
    )


def test_a_network_without_a_base_says_so() -> None:
    empty = a_status(
        round=0,
        rounds=0,
        height=0,
        digest="",
        last_rounds=(),
        next_chief="",
        chief="",
        because="",
        phase="idle",
    )
    first = drawn(empty).splitlines()
    assert first[0] == 'berlin   network "hospitals" (7f3a7f3a)   round 0   height 0   no base yet'
    assert first[1] == "nobody leads yet"
    assert first[2] == "idle, since 2.1 s"


def test_a_wide_terminal_shows_where_members_are() -> None:
    assert "tcp://lima.example:7700" in drawn(a_status(), width=120)
    assert "tcp://lima.example:7700" not in drawn(a_status(), width=80)


def test_equal_weights_are_not_repeated_as_numbers() -> None:
    assert "berlin, lima" in drawn(a_status(settings={"weight": "equal"}))


def test_blocks_that_only_change_the_roster_are_no_rounds() -> None:
    status = a_status(last_rounds=(a_round(0, rule="genesis"), a_round(12, rule="roster", contributors=())))
    assert "led by" not in drawn(status)


def test_a_large_round_tells_its_first_contributors_and_how_many_more() -> None:
    many = tuple((f"id{n}", f"n{n}", 1) for n in range(128))
    assert "and 122 more" in drawn(a_status(last_rounds=(a_round(12, contributors=many),)), width=120)


def test_what_other_nodes_chose_cannot_steer_the_terminal() -> None:
    hostile = "\x1b[2J[bold]x\u202e\x9b"
    status = a_status(
        because=hostile,
        network=hostile,
        chief_name=hostile,
        members=(a_member(hostile, state=hostile, addresses=(hostile,)),),
        dropped={hostile: 1},
        last_rounds=(
            a_round(
                12,
                chief_name=hostile,
                contributors=(("a", hostile, 1),),
                absent=(("b", hostile, hostile),),
                metrics={hostile: 1.0},
            ),
        ),
    )
    seen = drawn(status, width=400)
    assert all(letter.isprintable() or letter == "\n" for letter in seen)
    assert seen.count("?[2J[bold]x??") == 12


@pytest.mark.parametrize("height", [10, 24, 50])
def test_the_live_view_never_grows_taller_than_its_terminal(height: int) -> None:
    members = tuple(a_member(f"n{n}") for n in range(100))
    status = a_status(
        members=(*members, a_member("berlin", me=True)), last_rounds=tuple(map(a_round, range(16)))
    )
    console = Console(file=io.StringIO(), width=80, height=height)
    lines = [
        "".join(piece.text for piece in line)
        for line in console.render_lines(fitting(status, console, height))
    ]
    assert len(lines) <= max(height, 12)
    assert any("berlin" in line and "here" in line for line in lines)
    assert any("more: comind status shows all" in line for line in lines)


def test_durations_are_said_in_the_unit_that_a_person_would_choose() -> None:
    told = [
        duration(ms) for ms in (0, 40, 100, 2_100, 9_940, 9_960, 42_000, 720_000, 18_000_000, 260_000_000)
    ]
    assert told == ["0 ms", "40 ms", "0.1 s", "2.1 s", "9.9 s", "10 s", "42 s", "12 min", "5 h", "3 days"]


def test_sizes_are_said_in_powers_of_a_thousand() -> None:
    assert [size(n) for n in (0, 999, 1_000, 12_345, 999_600, 3.4e11)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "12 kB",
        "1.0 MB",
        "340 GB",
    ]


def test_a_list_is_cut_only_where_that_makes_it_shorter() -> None:
    assert several(["a", "b", "c"], 2) == "a, b, c"
    assert several(["a", "b", "c", "d"], 2) == "a, b and 2 more"


def test_only_printable_letters_are_shown() -> None:
    assert plain("é 東京\t\x1b\n") == "é 東京???"
