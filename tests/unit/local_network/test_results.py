"""What does a run leave behind? The JSON file's shape, the summary, and the picture."""

import json
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from scripts.local.faults import Fault, Kind
from scripts.local.flags import Plan
from scripts.local.results import Measured, Results, results_of, show
from tests.unit.local_network.ledgers import NAMES, finished_ledger

FAULTS = (
    Fault(Kind.KILL_CHIEF, "Oslo", 3, "voting", 2.5, 0.41, down=False),
    Fault(Kind.LATE, "Nairobi", 2, "", 1.5, 1.2, down=False),
    Fault(Kind.KILL, "Oslo", 6, "gathering", 5.5, None),
)


@pytest.fixture
def results() -> Results:
    ledger = finished_ledger(dead={3: "Oslo"})
    measured = Measured(dict.fromkeys(NAMES, 50_000_000), dict.fromkeys(NAMES, 200_000_000), 12.5)
    return results_of(Plan(nodes=3, rounds=6), [500, 500, 437], ledger, FAULTS, measured)


def test_the_json_has_the_promised_shape(results: Results) -> None:
    written = json.loads(msgspec.json.encode(results))
    assert written.keys() == {"nodes", "pooled_accuracy", "rounds", "faults", "setup"}
    assert written["nodes"][0].keys() == {
        "name",
        "alone_accuracy",
        "network_accuracy",
        "final_digest",
        "rounds_led",
        "bytes_sent",
        "bytes_received",
        "peak_rss_bytes",
    }
    assert written["rounds"][0].keys() == {
        "round",
        "view",
        "chief",
        "contributors",
        "weights",
        "seconds",
        "bytes",
    }
    assert written["faults"][0].keys() == {
        "kind",
        "node",
        "round",
        "recovery_seconds",
        "last_round",
    }
    assert isinstance(written["setup"], dict)


def test_the_json_tells_what_happened(results: Results) -> None:
    assert [node.name for node in results.nodes] == list(NAMES)
    assert {node.network_accuracy for node in results.nodes} == {0.9}
    assert results.pooled_accuracy == pytest.approx(0.95)
    assert sum(node.rounds_led for node in results.nodes) == 6
    assert results.rounds[2].contributors == ("Lisbon", "Nairobi")
    assert results.rounds[2].weights == (100, 100)
    assert [one.bytes for one in results.rounds] == [3000] * 6
    assert results.faults[0].recovery_seconds == 0.41
    assert len(results.setup["accuracy_by_round"]["together"]) == 7


def test_the_summary_tells_gains_recoveries_and_the_common_model(results: Results) -> None:
    console = Console(file=StringIO(), width=100)
    show(console, results)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "60.0%     90.0%" in said
    assert "all data in one place, with as many epochs: 95.0%; the network is 5.0 points below it" in said
    assert "Oslo led round 3 and was killed: the next average came 0.41 s later" in said
    assert "Nairobi came late, in round 2: counted 1.20 s later" in said
    assert "all 3 nodes hold the same model, bit for bit" in said


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_picture_is_drawn_from_the_results_alone(results: Results, ending: str, tmp_path: Path) -> None:
    picture = pytest.importorskip("scripts.local.picture", reason="needs matplotlib", exc_type=ImportError)
    again = msgspec.json.decode(msgspec.json.encode(results), type=Results)
    picture.draw(again, tmp_path / f"picture.{ending}")
    drawn = (tmp_path / f"picture.{ending}").read_bytes()
    assert len(drawn) > 10_000
    assert drawn.startswith(b"\x89PNG" if ending == "png" else b"<?xml")


def test_a_picture_of_a_run_that_broke_off_is_drawn_too(tmp_path: Path) -> None:
    picture = pytest.importorskip("scripts.local.picture", reason="needs matplotlib", exc_type=ImportError)
    ledger = finished_ledger(rounds=2)
    ledger.accuracies.clear()
    ledger.pooled.clear()
    measured = Measured(dict.fromkeys(NAMES, 0), dict.fromkeys(NAMES, 0), 1.0)
    results = results_of(Plan(nodes=3, rounds=2), [1, 2, 3], ledger, (), measured)
    picture.draw(results, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").exists()
