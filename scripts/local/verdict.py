"""Did the promises hold?

Reads the ledger once a run is over. A broken promise is a line, and makes the exit code 1; what is only worth
knowing is a note.
"""

from scripts.local.faults import Faults, Kind
from scripts.local.ledger import Ledger

_TOO_SOON = ": all averages were made before all were counted again; give it time with --pace or --rounds"


def broken_promises(ledger: Ledger, faults: Faults) -> list[str]:
    """Return one line for each promise that did not hold."""
    return [
        *ledger.contradictions,
        *_missing(ledger),
        *_differing(ledger),
        *_counted_twice(ledger, faults),
        *_never_counted(ledger, faults),
        *(f"what was asked for did not come about: {line}" for line in faults.open),
        *(
            f"the network did not get over {fault.kind} of {fault.node} in round {fault.round}"
            + (_TOO_SOON if fault.kind == Kind.PARTITION else "")
            for fault in faults.told
            if fault.recovery_s is None and fault.kind != Kind.LATE and fault.round <= ledger.rounds
        ),
    ]


def notes(ledger: Ledger, faults: Faults) -> list[str]:
    """Return what is worth knowing and breaks no promise."""
    led = {name: ledger.led(name) for name in ledger.names}
    if faults.told or max(led.values()) - min(led.values()) <= 1:
        return []
    return [
        "nodes led unequal times, without a fault: "
        + ", ".join(f"{name} {count}" for name, count in led.items())
        + " (who cannot be dialled, or joined later, does not lead)"
    ]


def _missing(ledger: Ledger) -> list[str]:
    missing = [str(round) for round in range(1, ledger.rounds + 1) if round not in ledger.averages]
    lines = [f"averages are missing: {', '.join(missing)}"] if missing else []
    for name, told in ledger.nodes.items():
        if told.round != ledger.rounds:
            lines.append(f"{name} ended with average {told.round} of {ledger.rounds}")
    return lines


def _differing(ledger: Ledger) -> list[str]:
    """Every daemon's base and every trainer's own weights are the last average, bit for bit (S3)."""
    last = ledger.averages.get(ledger.rounds)
    if last is None:
        return []
    lines = []
    for name, told in ledger.nodes.items():
        digest = told.status.digest if told.status is not None else ""
        if digest != last.line.root:
            lines.append(f"{name}'s node holds {digest[:12] or 'nothing'}, not the last average"
                         f" {last.line.root[:12]}")  # fmt: skip
        if told.finished is None:
            lines.append(f"{name}'s trainer did not finish")
        elif told.finished.digest != last.line.root:
            lines.append(f"{name}'s trainer holds {told.finished.digest[:12]}, not the last average"
                         f" {last.line.root[:12]}")  # fmt: skip
    return lines


def _counted_twice(ledger: Ledger, faults: Faults) -> list[str]:
    """No example counts in two averages (S4): so there are not more counted than trained on."""
    killed = {fault.node for fault in faults.told if fault.kind == Kind.KILL_TRAINER}
    return [
        f"{ledger.weight(name)} examples of {name} were counted, but it trained on {told.trained}"
        for name, told in ledger.nodes.items()
        if name not in killed
        and ledger.weight(name) > told.trained  # the dead do not tell their last examples
    ]


def _never_counted(ledger: Ledger, faults: Faults) -> list[str]:
    late = {fault.node for fault in faults.told if fault.kind == Kind.LATE}
    too_late = ": all averages were made before it was there; give it time with --pace or more --rounds"
    return [
        f"{name} was counted in no average" + (too_late if name in late else "")
        for name in ledger.names
        if not ledger.counted(name)
    ]
