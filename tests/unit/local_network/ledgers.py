"""Runs that never ran: what daemons and trainers would have told, for tests to look at."""

from comind.node.attach import MemberLine, RoundLine, Status
from scripts.local.ledger import Ledger
from scripts.local.reports import Finished, Interval, Learned

NAMES = ("Lisbon", "Oslo", "Nairobi")


def root_of(round: int) -> str:
    return f"{round:064x}"


def average(
    round: int, chief: str, contributors: tuple[str, ...] = NAMES, root: str | None = None
) -> RoundLine:
    return RoundLine(
        height=round + 1,
        round=round,
        rule="mean",
        view=0,
        chief=chief.lower(),
        chief_name=chief,
        contributors=tuple((name.lower(), name, 100) for name in contributors),
        absent=(),
        seconds=0.02,
        metrics={},
        root=root_of(round) if root is None else root,
    )


def status(
    name: str,
    round: int,
    lines: tuple[RoundLine, ...] = (),
    *,
    phase: str = "idle",
    chief: str = "Oslo",
    sent: int = 0,
) -> Status:
    me = MemberLine(name.lower(), name, (), "training", True, True, True, 0, 0, 0)
    return Status(
        network="local",
        network_id="00",
        name=name,
        id=name.lower(),
        addresses=(),
        pid=1,
        height=round + 1,
        round=round,
        rounds=6,
        view=0,
        digest=root_of(round),
        chief=chief.lower(),
        chief_name=chief,
        next_chief="",
        next_chief_name="",
        phase=phase,
        because="",
        since_ms=0,
        members=(me,),
        trainer="training",
        settings={},
        bytes_sent=sent,
        bytes_received=2 * sent,
        dropped={},
        last_rounds=lines,
    )


def finished_ledger(rounds: int = 6, dead: dict[int, str] | None = None) -> Ledger:
    """A run in which all went well; `dead` was not counted in these rounds."""
    ledger = Ledger(NAMES, rounds)
    for node in (0, 1, 2, -1):
        for round in range(rounds + 1):
            ledger.hear_baseline(Learned(node, round, (0.95 if node < 0 else 0.6) * round / rounds))
    lines: list[RoundLine] = []
    for round in range(1, rounds + 1):
        there = tuple(name for name in NAMES if (dead or {}).get(round) != name)
        lines.append(average(round, there[round % len(there)], there))
        for name in NAMES:
            ledger.hear_status(name, status(name, round, tuple(lines), sent=1000 * round), float(round))
            counted = name in there
            report = Interval(round, counted, "", 1 / round, 0.9 * round / rounds, 100 * round)
            ledger.hear_report(name, report)
    for name in NAMES:
        ledger.hear_report(name, Finished(0.9, root_of(rounds), 100 * rounds))
    return ledger
