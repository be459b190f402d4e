"""Which settings can a network have?"""

import pytest
from msgspec.structs import fields, replace

from comind.p2p.core.words import CHOICES, RANGES, Settings, what_is_wrong_with


def test_a_network_can_be_founded_with_the_defaults() -> None:
    assert what_is_wrong_with(Settings()) is None


def test_every_setting_has_its_choices_or_its_range_and_nothing_else_has() -> None:
    assert sorted([*CHOICES, *RANGES]) == sorted(field.name for field in fields(Settings))


@pytest.mark.parametrize("name", RANGES)
def test_a_number_is_taken_up_to_its_bounds_and_not_beyond(name: str) -> None:
    least, most = RANGES[name]
    for allowed in (least, most):
        assert what_is_wrong_with(replace(Settings(), **{name: allowed})) is None
    for refused in (least - 1, most + 1, -(2**63), 2**64 - 1):
        assert (
            what_is_wrong_with(replace(Settings(), **{name: refused}))
            == f"{name} is {refused}; it can be {least} to {most}"
        )


@pytest.mark.parametrize("name", CHOICES)
def test_a_word_is_one_of_those_that_this_version_knows(name: str) -> None:
    for choice in CHOICES[name]:
        assert what_is_wrong_with(replace(Settings(), **{name: choice})) is None
    for word in ("", "nonsense", CHOICES[name][0].upper(), CHOICES[name][0] + "\n"):
        wrong = what_is_wrong_with(replace(Settings(), **{name: word}))
        assert wrong is not None
        assert wrong.startswith(f"{name} is {word!r}; it can be {CHOICES[name][0]}")


def test_the_first_wrong_setting_is_named_in_one_line() -> None:
    wrong = what_is_wrong_with(Settings(quorum="two\nlines", min_peers=0))
    assert wrong == "quorum is 'two\\nlines'; it can be majority"
