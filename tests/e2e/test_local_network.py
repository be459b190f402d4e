"""scripts/local_network.py, as a person runs it: real processes on the loopback, real data, faults."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = (sys.executable, str(ROOT / "scripts/local_network.py"), "--trainer", "numpy")
CEILING_S = 240
pytest.importorskip("matplotlib", reason="the runner draws its picture")


def test_three_nodes_lose_their_chief_and_gain_a_fourth(tmp_path: Path) -> None:
    asked = "--nodes 4 --rounds 36 --late Lima:4 --kill-chief-at 12 --split dirichlet:0.5 --pace 0.1"
    files = ["--json", str(tmp_path / "run.json"), "--picture", str(tmp_path / "run.png")]
    done = subprocess.run(
        [*SCRIPT, *asked.split(), *files], cwd=tmp_path, capture_output=True, text=True, timeout=CEILING_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = json.loads((tmp_path / "run.json").read_text())

    names = [node["name"] for node in run["nodes"]]
    assert names == ["Lisbon", "Oslo", "Nairobi", "Lima"]
    assert len({node["final_digest"] for node in run["nodes"]}) == 1
    assert len({node["network_accuracy"] for node in run["nodes"]}) == 1
    assert [one["round"] for one in run["rounds"]] == list(range(1, 37))
    assert sum(node["rounds_led"] for node in run["nodes"]) == 36
    assert all(node["rounds_led"] for node in run["nodes"])
    assert all(node["bytes_sent"] and node["bytes_received"] for node in run["nodes"])
    assert any("Lima" in one["contributors"] for one in run["rounds"])
    assert run["rounds"][-1]["contributors"]
    assert all(len(one["weights"]) == len(one["contributors"]) for one in run["rounds"])

    faults = {fault["kind"]: fault for fault in run["faults"]}
    assert faults.keys() == {"kill-chief", "late"}
    assert faults["kill-chief"]["recovery_seconds"] > 0
    assert faults["late"]["node"] == "Lima"
    assert (tmp_path / "run.png").stat().st_size > 10_000

    assert f"SIGKILL to the daemon of the chief, {faults['kill-chief']['node']}" in done.stdout
    assert "all 4 nodes hold the same model, bit for bit" in done.stdout


def test_everyone_leads_three_times_in_nine_averages(tmp_path: Path) -> None:
    done = subprocess.run(
        [*SCRIPT, "--nodes", "3", "--rounds", "9", "--json", "run.json", "--picture", "run.png"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=CEILING_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = json.loads((tmp_path / "run.json").read_text())
    assert [node["rounds_led"] for node in run["nodes"]] == [3, 3, 3]
    assert all(len(one["contributors"]) == 3 for one in run["rounds"])
    rows = run["setup"]["rows"]
    for one in run["rounds"]:
        assert [rows[name] for name in one["contributors"]] == one["weights"]


def test_a_trainer_dies_a_node_stands_still_and_links_are_cut(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("--partition needs Linux")
    asked = "--nodes 4 --rounds 48 --pace 0.1 --no-baselines --kill-trainer 2:4 --pause 3:10:1"
    links = ["--partition", "Lisbon,Oslo,Lima|Nairobi@20-24"]
    done = subprocess.run(
        [*SCRIPT, *asked.split(), *links, "--json", "run.json", "--picture", "run.png"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=CEILING_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = json.loads((tmp_path / "run.json").read_text())
    assert len({node["final_digest"] for node in run["nodes"]}) == 1
    faults = {fault["kind"]: fault for fault in run["faults"]}
    assert faults.keys() == {"kill-trainer", "pause", "partition"}
    assert all(fault["recovery_seconds"] > 0 for fault in run["faults"])
    cut = faults["partition"]
    assert (cut["node"], cut["last_round"]) == ("Lisbon,Oslo,Lima|Nairobi", 24)
    apart = [one for one in run["rounds"] if cut["round"] < one["round"] <= 24]
    assert apart
    assert not any("Nairobi" in one["contributors"] for one in apart)
    assert "no link between Lisbon, Oslo, Lima and Nairobi" in done.stdout
    assert (tmp_path / "run.png").stat().st_size > 10_000


def test_ctrl_c_ends_every_process_and_removes_the_folder(tmp_path: Path) -> None:
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [*SCRIPT, "--nodes", "3", "--rounds", "100000", "--pace", "0.1", "--no-baselines"],
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert any("round 2:" in line for line in running.stdout)
        (folder,) = tmp_path.glob("comind-local-*")
        children = _commands_that_name(str(folder))
        assert len(children) == 6
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=60) == 130
    assert _commands_that_name(str(folder)) == []
    assert not folder.exists()


def test_a_runner_that_is_killed_takes_its_children_along(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux ends children with their parent")
    with subprocess.Popen(
        [*SCRIPT, "--nodes", "2", "--rounds", "100000", "--pace", "0.1", "--no-baselines"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert any("round 2:" in line for line in running.stdout)
        (folder,) = tmp_path.glob("comind-local-*")
        running.kill()
    ends_s = time.monotonic() + 10
    while (left := _commands_that_name(str(folder))) and time.monotonic() < ends_s:
        time.sleep(0.05)
    assert left == []


def test_no_secret_is_in_any_command_line(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*SCRIPT, "--nodes", "2", "--rounds", "100000", "--pace", "0.1", "--no-baselines"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert any("round 1:" in line for line in running.stdout)
        (folder,) = tmp_path.glob("comind-local-*")
        commands = _commands_that_name(str(folder))
        running.send_signal(signal.SIGINT)
    assert len(commands) == 4
    assert not any(re.search("comind1-", command) for command in commands)


def _commands_that_name(folder: str) -> list[str]:
    """The command lines of running processes in which this folder is named."""
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "args="], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if folder in line]
