"""How are durations, sizes and other people's words said to a person?

Knows nothing of terminals: colours and tables are `picture`'s.
"""

from collections.abc import Sequence

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def duration(ms: float) -> str:
    """A duration in the unit that a person would choose: 40 ms, 2.1 s, 42 s, 12 min, 5 h, 3 days."""
    seconds = ms / 1000
    if seconds < 0.1:
        return f"{ms:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 99.5 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 47.5 * 3600:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86400:.0f} days"


def size(count: float) -> str:
    """A number of bytes, in powers of 1000: 812 B, 1.2 MB, 340 GB."""
    unit = 0
    while count >= 999.5 and unit < len(_UNITS) - 1:
        count /= 1000
        unit += 1
    digits = 1 if unit and count < 9.95 else 0
    return f"{count:.{digits}f} {_UNITS[unit]}"


def plain(words: str) -> str:
    """Words that came from elsewhere, as one line that cannot steer a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in words)


def several(words: Sequence[str], at_most: int) -> str:
    """A list for people: all words, or the first ones and how many more there are."""
    if len(words) <= at_most + 1:  # "and 1 more" is no shorter than the word
        return ", ".join(words)
    return f"{', '.join(words[:at_most])} and {len(words) - at_most} more"
