"""Is the diagram in docs/rounds.md the one of the transition table? (`p2p/core/phases.py`)

    scripts/draw_rounds           writes diagram and table between the two markers of the page
    scripts/draw_rounds --check   changes nothing; exit code 1 if the page is not current

Knows nothing of what the phases mean.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from comind.p2p.core.phases import TRANSITIONS, Phase, Sign

PAGE = Path(__file__).resolve().parent.parent / "docs" / "rounds.md"
BEGIN = "<!-- drawn by scripts/draw_rounds: begin -->"
END = "<!-- drawn by scripts/draw_rounds: end -->"

Transitions = Mapping[Phase, Mapping[Sign, Phase]]


def drawn(transitions: Transitions) -> str:
    """Return what stands between the markers: the diagram, and the table that it leaves arrows out of."""
    return f"{BEGIN}\n\n{diagram(transitions)}\n\n{table(transitions)}\n\n{END}"


def diagram(transitions: Transitions) -> str:
    """Return the transitions as mermaid text; a sign that leads to one phase from everywhere is one arrow."""
    common = leads_from_everywhere(transitions)
    lines = ["```mermaid", "stateDiagram-v2", "    direction LR"]
    lines += [f'    state "{phase.value}" as {phase.name}' for phase in transitions]
    lines += ['    state "from any phase" as ANY', f"    [*] --> {next(iter(transitions)).name}"]
    for phase, signs in transitions.items():
        lines += [
            f"    {phase.name} --> {to.name}: {label(sign)}"
            for sign, to in signs.items()
            if sign not in common
        ]
    lines += [f"    ANY --> {to.name}: {label(sign)}" for sign, to in common.items()]
    return "\n".join([*lines, "```"])


def label(sign: Sign) -> str:
    """Return a sign as an arrow's label, in which mermaid takes no second colon."""
    return sign.value.replace(": ", " – ")


def table(transitions: Transitions) -> str:
    """Return every transition: a row for each phase, a column for each sign."""
    rows = [
        ["in phase", *(sign.value for sign in Sign)],
        ["---"] * (len(Sign) + 1),
        *(
            [phase.value, *(signs[sign].value if sign in signs else "–" for sign in Sign)]
            for phase, signs in transitions.items()
        ),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def leads_from_everywhere(transitions: Transitions) -> dict[Sign, Phase]:
    """Return the signs that lead to one and the same phase from all of them."""
    found: dict[Sign, Phase] = {}
    for sign in Sign:
        targets = {signs.get(sign) for signs in transitions.values()}
        if len(targets) == 1 and (target := targets.pop()) is not None:
            found[sign] = target
    return found


def redrawn(page: str, transitions: Transitions) -> str:
    """Return the page with the present drawing between its markers.

    Raises:
        ValueError: it has not exactly one pair of markers.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ValueError(f"docs/rounds.md needs one line {BEGIN} and, after it, one line {END}")
    return before + drawn(transitions) + after


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw the phases of a round into docs/rounds.md.")
    parser.add_argument("--check", action="store_true", help="only say whether the page is current")
    wants_check = parser.parse_args().check
    page = PAGE.read_text(encoding="utf-8")
    current = redrawn(page, TRANSITIONS)
    if page == current:
        return 0
    if wants_check:
        print(
            "docs/rounds.md does not show the transitions of p2p/core/phases.py: scripts/draw_rounds",
            file=sys.stderr,
        )
        return 1
    PAGE.write_text(current, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
