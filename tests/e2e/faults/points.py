"""At which points of a round does a daemon die, and in which role? All of them, before and after.

A chief says OPEN and PROPOSE, a contributor READY; both vote and write. The chief averages: it asks the
contributors for chunks, and hands out the key, the list and the chunks of the average.
"""

BOTH = ("chief", "contributor")
_SENDS = {
    "ready": ("contributor",),
    "open": ("chief",),
    "contribution-ask": ("chief",),
    "contribution-chunk": ("contributor",),
    "average-ask": ("contributor",),
    "average-grant": ("chief",),
    "average-chunk-list": ("chief",),
    "average-chunk": ("chief",),
    "propose": ("chief",),
    "prepare": BOTH,
    "commit": BOTH,
    "committed": BOTH,
    "viewchange": ("contributor",),
}
_WRITES = {"snapshot": BOTH, "promise": BOTH, "block": BOTH}

POINTS = tuple(
    f"{role}/{when}-{deed}:{what}"
    for deed, kinds in (("send", _SENDS), ("write", _WRITES))
    for what, roles in kinds.items()
    for role in roles
    for when in ("before", "after")
)

SHORT = (
    "chief/after-send:open",
    "chief/before-send:propose",
    "chief/after-send:propose",
    "chief/after-write:promise",
    "contributor/before-send:ready",
    "contributor/after-send:prepare",
    "contributor/before-write:block",
    "contributor/after-write:snapshot",
)
"""Those that every change is tried with."""


def needs_a_dead_chief(point: str) -> bool:
    """Whether a round comes to this point only if another chief fails."""
    return point.endswith(":viewchange")
