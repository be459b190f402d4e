"""What does the daemon's process load? No torch, and nothing of the command line."""

import subprocess
import sys
from pathlib import Path

import pytest

from comind.p2p.core.words import Settings
from scripts.local.child import Child
from tests.e2e.command import MODULE
from tests.e2e.real_network import RealNetwork

HEAVY = ("torch", "typer", "rich", "click", "matplotlib", "sklearn", "scipy")
MODULES = "import comind.node.daemon.assembly, comind.node.daemon.loop, comind.node.daemon.__main__"


def test_the_daemons_modules_import_no_torch_and_no_library_of_the_command_line() -> None:
    code = f"import sys; {MODULES}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in ran.stdout.split()}
    assert "zmq" in loaded
    assert not loaded & set(HEAVY)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process has mapped")
def test_a_daemon_that_has_averaged_has_mapped_no_library_of_torch(tmp_path: Path) -> None:
    with RealNetwork(tmp_path, 2, Settings(start_at=2)) as network:
        network.start_all()
        network.wait_for_round(3)
        for node in network.nodes:
            assert node.daemon is not None
            mapped = maps(node.daemon.pid)
            assert any("zmq" in path for path in mapped)
            assert not [path for path in mapped if "torch" in path]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process has mapped")
def test_in_a_pipe_the_command_becomes_the_daemon_and_nothing_of_it_stays(tmp_path: Path) -> None:
    with RealNetwork(tmp_path, 1) as network:
        (node,) = network.nodes
        listens = ["--listen", node.address, "--advertise", node.address]
        node.daemon = Child(MODULE, ["node", "--home", str(node.home.path), *listens], node.home.log_file)
        network.wait(lambda: node.status() is not None, "it answers")
        status = node.status()
        assert status is not None
        assert status.pid == node.daemon.pid
        command = Path(f"/proc/{status.pid}/cmdline").read_text().split("\0")
        assert "comind.node.daemon" in command
        assert not [path for path in maps(status.pid) if "torch" in path]


def maps(pid: int) -> set[str]:
    """Return the files that a process has mapped."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {line.split(maxsplit=5)[5] for line in lines if line.count("/")}
