"""What does a run leave behind: the JSON file, and the summary that a person reads?

Knows nothing of how it came about.
"""

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from scripts.local.faults import Fault, Kind, sides
from scripts.local.flags import Partition, Plan
from scripts.local.ledger import Ledger
from scripts.local.view import size


class NodeResult(msgspec.Struct, frozen=True):
    name: str
    alone_accuracy: float | None
    network_accuracy: float | None
    final_digest: str
    rounds_led: int
    bytes_sent: int
    bytes_received: int
    peak_rss_bytes: int
    """Of the daemon; of the trainer it is in `setup`."""


class RoundResult(msgspec.Struct, frozen=True):
    round: int
    view: int
    chief: str
    contributors: tuple[str, ...]
    weights: tuple[int, ...]
    """Examples, in the order of `contributors`."""
    seconds: float
    bytes: int
    """Sent by all nodes together, since the round before."""


class FaultResult(msgspec.Struct, frozen=True):
    kind: str
    node: str
    """Of a partition, the sides: `Oslo,Lima|Kyoto`."""
    round: int
    recovery_seconds: float | None
    last_round: int | None = None
    """Of a partition: the last average that was made apart."""


class Results(msgspec.Struct, frozen=True):
    """All of a run; this is the shape of the JSON file."""

    nodes: tuple[NodeResult, ...]
    pooled_accuracy: float | None
    rounds: tuple[RoundResult, ...]
    faults: tuple[FaultResult, ...]
    setup: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Measured:
    """What processes took, by node."""

    daemon_peak_bytes: Mapping[str, int]
    trainer_peak_bytes: Mapping[str, int]
    seconds: float
    """From the founding to the end."""


def results_of(
    plan: Plan, rows: Sequence[int], ledger: Ledger, faults: Sequence[Fault], measured: Measured
) -> Results:
    """Gather all that was measured; `rows` are each node's."""
    return Results(
        nodes=tuple(_node(ledger, measured, name) for name in ledger.names),
        pooled_accuracy=ledger.pooled[-1] if ledger.pooled else None,
        rounds=tuple(_round(ledger, round) for round in sorted(ledger.averages)),
        faults=tuple(
            FaultResult(fault.kind.value, fault.node, fault.round, fault.recovery_s, fault.last_round)
            for fault in faults
        ),
        setup=_setup(plan, rows, ledger, measured),
    )


def _node(ledger: Ledger, measured: Measured, name: str) -> NodeResult:
    told, alone = ledger.nodes[name], ledger.alone[name]
    return NodeResult(
        name=name,
        alone_accuracy=alone[-1] if alone else None,
        network_accuracy=told.finished.accuracy if told.finished is not None else None,
        final_digest=told.finished.digest if told.finished is not None else "",
        rounds_led=ledger.led(name),
        bytes_sent=told.sent.total,
        bytes_received=told.received.total,
        peak_rss_bytes=measured.daemon_peak_bytes[name],
    )


def _round(ledger: Ledger, round: int) -> RoundResult:
    average = ledger.averages[round]
    return RoundResult(
        round=round,
        view=average.line.view,
        chief=average.line.chief_name,
        contributors=tuple(average.contributors),
        weights=tuple(average.contributors.values()),
        seconds=average.line.seconds,
        bytes=ledger.bytes_of(round),
    )


def _setup(plan: Plan, rows: Sequence[int], ledger: Ledger, measured: Measured) -> dict[str, Any]:
    return {
        "nodes": plan.nodes,
        "rounds": plan.rounds,
        "interval_steps": plan.interval_steps,
        "split": str(plan.split),
        "random_seed": plan.random_seed,
        "fold": plan.fold,
        "trainer": plan.trainer,
        "pace_seconds": plan.pace_s,
        "late": [f"{plan.names[at.node]}:{at.round}" for at in plan.late],
        "kill": [f"{plan.names[at.node]}:{at.round}" for at in plan.kills],
        "kill_chief_at": list(plan.kill_chief_at),
        "kill_trainer": [f"{plan.names[at.node]}:{at.round}" for at in plan.trainer_kills],
        "pause": [f"{plan.names[one.node]}:{one.round}:{one.seconds:g}" for one in plan.pauses],
        "partition": [_partition(plan, one) for one in plan.partitions],
        "random_kills": plan.random_kills,
        "rows": dict(zip(ledger.names, rows, strict=True)),
        "seconds": measured.seconds,
        "trainer_peak_rss_bytes": dict(measured.trainer_peak_bytes),
        "accuracy_by_round": {
            "alone": ledger.alone,
            "pooled": ledger.pooled,
            "together": ledger.together(),
        },
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
        "versions": {name: version(name) for name in ("comind", "numpy", "scikit-learn", "torch")},
    }


def _partition(plan: Plan, one: Partition) -> str:
    named = "|".join(",".join(plan.names[node] for node in side) for side in one.sides)
    return f"{named}@{one.first}-{one.last}"


# -- for a person -------------------------------------------------------------------------------------------


def show(console: Console, results: Results) -> None:
    """Print the summary: who gained what, what it took, and what befell."""
    rows = results.setup["rows"]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("node", no_wrap=True)
    for heading in ("rows", "alone", "together", "led", "sent", "received", "memory"):
        table.add_column(heading, justify="right", no_wrap=True)
    for node in results.nodes:
        table.add_row(
            Text(node.name),
            str(rows[node.name]),
            percent(node.alone_accuracy),
            percent(node.network_accuracy),
            str(node.rounds_led),
            size(node.bytes_sent),
            size(node.bytes_received),
            size(node.peak_rss_bytes) if node.peak_rss_bytes else "",
        )
    console.print(table)
    if results.pooled_accuracy is not None:
        console.print(_pooled_line(results), soft_wrap=True)
    for fault in results.faults:
        console.print(_fault_line(fault), soft_wrap=True)
    digests = {node.final_digest for node in results.nodes}
    if len(digests) == 1 and "" not in digests:
        console.print(
            f"all {len(results.nodes)} nodes hold the same model, bit for bit: {digests.pop()[:12]}",
            soft_wrap=True,
            highlight=False,
        )


def _pooled_line(results: Results) -> Text:
    text = f"all data in one place, with as many epochs: {percent(results.pooled_accuracy)}"
    together = [node.network_accuracy for node in results.nodes if node.network_accuracy is not None]
    if together and results.pooled_accuracy is not None:
        gap = 100 * (sum(together) / len(together) - results.pooled_accuracy)
        text += f"; the network is {abs(gap):.1f} points {'below' if gap < 0 else 'above'} it"
    return Text(text)


def _fault_line(fault: FaultResult) -> Text:
    took = "never" if fault.recovery_seconds is None else f"{fault.recovery_seconds:.2f} s later"
    match fault.kind:
        case Kind.LATE:
            return Text(f"{fault.node} came late, in round {fault.round}: counted {took}")
        case Kind.KILL_CHIEF:
            return Text(f"{fault.node} led round {fault.round} and was killed: the next average came {took}")
        case Kind.KILL_TRAINER:
            return Text(f"{fault.node}'s trainer was killed in round {fault.round}: next average {took}")
        case Kind.PAUSE:
            return Text(f"{fault.node} stood still in round {fault.round}: the next average came {took}")
        case Kind.PARTITION:
            made = 1 + (fault.last_round or 0) - fault.round
            apart = (
                f"{sides(fault.node)} had no link from round {fault.round} on, and {made} averages were made"
            )
            return Text(f"{apart}; once it was back, all were counted {took}")
        case _:
            return Text(f"{fault.node} was killed in round {fault.round}: the next average came {took}")


def percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"
