"""Which small worlds are explored when nobody says otherwise?"""

from tests.exploration.beginning import Bounds

WORLDS: dict[str, Bounds] = {
    "two": Bounds(members=2, begins="training", fires=2, faults=1),
    "two, two heights": Bounds(members=2, heights=2, begins="offered"),
    "two, the first crashes": Bounds(members=2, crashes=1, who=0),
    "two, the second crashes": Bounds(members=2, crashes=1, who=1),
    "three, no timers": Bounds(members=3, begins="offered", patience=0),
    "three, one timer": Bounds(members=3, eager=True, patience=1),
    "three, two timers": Bounds(members=3, eager=True, patience=2),
    "three, a crash": Bounds(members=3, eager=True, patience=1, crashes=1),
    "three": Bounds(members=3, begins="training", faults=1),
}
"""Each by its name; the small ones first."""
