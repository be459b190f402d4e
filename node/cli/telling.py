"""How are rounds told to a person who was not there?

Plain text that reads alike in a terminal and on paper. Knows nothing of blocks: `rounds` has read them. Every
word that another node chose goes through `plain`.
"""

import textwrap
from collections.abc import Iterator, Sequence

from comind.node.attach import RoundLine
from comind.node.cli.phrases import duration, plain
from comind.node.cli.rounds import Absence, Contribution, History, Later, Round, Who

WIDTH = 100
_DIGEST_LETTERS = 12
_CARRIED = (
    "Who was not counted keeps its work, and brings it to a later round. Examples are kept of the last ten"
    " intervals only: after more, older steps are in what it brings, and add no weight."
)
"""See `MAX_CARRY` in `comind.node.trainer.rebase`, which a command does not import: it would load numpy."""


def told(history: History, round: Round) -> str:
    """Return all that is known of one round, in sentences."""
    parts = [
        [f'Round {round.round:,} of network "{plain(history.network)}" ({history.network_id[:8]})'],
        _paragraph(_led(round), *_skipped(round)),
        _paragraph(_what_it_is(history, round)),
        _contributions(history, round),
        *_absences(history, round),
        _paragraph(*_agreed(round)),
        *([_paragraph(_metrics(round))] if round.metrics else []),
        *([_paragraph(f"With it: {'; '.join(map(plain, round.changes))}.")] if round.changes else []),
        _paragraph(
            f"It is block {round.height:,} of the chain, {round.block[:_DIGEST_LETTERS]}; the digest of the"
            f" average is {round.digest[:_DIGEST_LETTERS]}. Steps and weights are what each member signed;"
            f" times are by the clock of {_name(round.led_by)}."
        ),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def line_of(round: Round) -> RoundLine:
    """Return a round as a row of the table that `comind status` shows, too."""
    return RoundLine(
        height=round.height,
        round=round.round,
        rule=round.rule,
        view=round.view,
        chief=round.led_by.id,
        chief_name=round.led_by.name,
        contributors=tuple((one.who.id, one.who.name, one.weight) for one in round.counted),
        absent=tuple((one.who.id, one.who.name, one.because) for one in round.absent),
        seconds=round.duration_ms / 1000,
        metrics=round.metrics,
        root=round.digest,
    )


# -- one round ----------------------------------------------------------------------------------------------


def _led(round: Round) -> str:
    took = f"{_name(round.led_by)} led it: {duration(round.duration_ms)} from its first sign to its proposal."
    if round.made_final_by != round.led_by:
        took += (
            f" {_name(round.led_by)} did not finish it; {_name(round.made_final_by)} proposed the same"
            f" average again, and it became final in view {round.view}."
        )
    elif round.view:
        took += f" It became final in view {round.view}, after {_tries(round.view)} before it."
    return took


def _tries(views: int) -> str:
    return "one try" if views == 1 else f"{views} tries"


def _skipped(round: Round) -> Iterator[str]:
    if round.skipped:
        them = "they lead" if len(round.skipped) > 1 else "it leads"
        yield f"{_and(round.skipped)} would have led before, and did not: {them} again once heard from."


def _what_it_is(history: History, round: Round) -> str:
    many = len(round.counted)
    if history.weighted:
        return f"It averages {many} contributions, weighed by their {round.weight:,} examples:"
    return f"It averages {many} contributions, all with the same weight:"


def _contributions(history: History, round: Round) -> list[str]:
    rows = [_contribution(history, one, round) for one in round.counted]
    return _columns(rows, right=(2, 3) if history.weighted else (2,))


def _contribution(history: History, one: Contribution, round: Round) -> list[str]:
    weight = [f"{one.weight:,} {_examples(one.weight)}"] if history.weighted else []
    steps = f"{_steps(one.first_step, one.last_step)} of run {one.run[:8]}"
    return [plain(one.who.name), one.who.id, *weight, f"{one.share:.1%}", steps, _ready(one, round)]


def _ready(one: Contribution, round: Round) -> str:
    if one.arrived_ms is None:
        return ""
    first = min(other.arrived_ms for other in round.counted if other.arrived_ms is not None)
    return "ready first" if one.arrived_ms == first else f"ready {duration(one.arrived_ms - first)} later"


def _absences(history: History, round: Round) -> list[list[str]]:
    if not round.absent:
        return [_paragraph("Every member was counted.")]
    lines: list[str] = []
    for one in round.absent:
        head = f"{plain(one.who.name)} ({one.who.id}): {plain(one.because)}. {_became(history, one)}"
        lines += textwrap.wrap(head, WIDTH, initial_indent="    ", subsequent_indent="        ")
    paragraphs = [_paragraph(f"Not counted, and why, as {_name(round.led_by)} saw it:"), lines]
    if history.weighted and any(one.later for one in round.absent):
        paragraphs.append(_paragraph(_CARRIED))
    return paragraphs


def _became(history: History, absence: Absence) -> str:
    later = absence.later
    if later is None:
        return "Nothing of it was counted since."
    with_weight = f", with {later.weight:,} {_examples(later.weight)}" if history.weighted else ""
    steps = f"{_steps(later.first_step, later.last_step)}{with_weight}"
    return f"Counted next in round {later.round:,}: {steps}. {_whole(later)}"


def _whole(later: Later) -> str:
    """What the chain proves of the steps between: once later ones are counted, they never are any more."""
    if later.began_anew:
        return "That is a new run: what the one before had trained and not contributed is not in it."
    if later.since_step is None:
        if later.first_step == 0:
            return "That is from its first step on."
        return f"Its steps up to {later.first_step:,} are in no round."
    if later.first_step == later.since_step:
        return "No step since it was last counted is missing."
    steps = _steps(later.since_step, later.first_step).capitalize()
    return f"{steps} {'is' if later.first_step == later.since_step + 1 else 'are'} in no round."


def _agreed(round: Round) -> Iterator[str]:
    voters, signed = round.voters, [one.who for one in round.voters if one.signed]
    if len(voters) == 1:
        yield f"{_and(signed)} agreed to it, the only one who could vote."
        return
    half = f", since {_name(voters[0].who)} is the first of them" if 2 * len(signed) == len(voters) else ""
    of = f"{len(signed)} of the {len(voters)} who could vote"
    yield f"{_and(signed)} agreed to it: {of}, which is a quorum{half}."
    if others := [one.who for one in voters if not one.signed]:
        votes = "votes" if len(others) > 1 else "vote"
        yield f"The {votes} of {_and(others)} came later or not at all: a quorum is enough."


def _metrics(round: Round) -> str:
    means = ", ".join(f"{plain(name)} {value:.4g}" for name, value in sorted(round.metrics.items()))
    return f"What members measured, as the weighted mean: {means}."


# -- words --------------------------------------------------------------------------------------------------


def _name(who: Who) -> str:
    return plain(who.name) or who.id


def _and(several: Sequence[Who]) -> str:
    names = [_name(one) for one in several]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "nobody"


def _steps(after: int, last: int) -> str:
    return f"step {last:,}" if last == after + 1 else f"steps {after + 1:,} to {last:,}"


def _examples(count: int) -> str:
    return "example" if count == 1 else "examples"


def _paragraph(*sentences: str) -> list[str]:
    return textwrap.wrap(" ".join(sentences), WIDTH, initial_indent="  ", subsequent_indent="  ")


def _columns(rows: Sequence[Sequence[str]], right: Sequence[int]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "    "
        + "   ".join(
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
