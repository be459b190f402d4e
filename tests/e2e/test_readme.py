"""Does README's quickstart work as it is written?"""

import os
import re
import subprocess
import sys
from pathlib import Path

from scripts.local.ports import free_pairs

ROOT = Path(__file__).resolve().parents[2]
CEILING_S = 240


def test_the_three_terminals_of_the_readme_train_together(tmp_path: Path) -> None:
    """As written, but for the port, which another program may have, and for fewer rounds."""
    blocks = _blocks((ROOT / "README.md").read_text("utf-8"))
    port = free_pairs(1, os.getpid())[0]
    environ = os.environ | {
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    (tmp_path / "comind").mkdir()
    invite = tmp_path / "comind" / "berlin" / "invite"
    terminals = []
    try:
        for number in (1, 2, 3):
            text = (
                blocks[f"terminal {number}"].replace("7700", str(port)).replace("--rounds 20", "--rounds 4")
            )
            terminals.append(_open(text, environ))
            if number == 1:
                _wait_for(invite, terminals[0])
        said = [terminal.communicate(timeout=CEILING_S)[0] for terminal in terminals]
    finally:
        for terminal in terminals:
            terminal.kill()
    assert [terminal.returncode for terminal in terminals] == [0, 0, 0], "\n\n".join(said)
    ends = [re.findall(r"accuracy ([0-9.]+)%", text)[-1] for text in said]
    assert len(set(ends)) == 1, ends
    assert float(ends[0]) > 50


def _blocks(page: str) -> dict[str, str]:
    return dict(re.findall(r"<!-- quickstart: ([a-z0-9 ]+) -->\n```sh\n(.*?)```", page, re.DOTALL))


def _open(text: str, environ: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        ["bash", "-e", "-c", text],
        cwd=ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _wait_for(file: Path, terminal: "subprocess.Popen[str]") -> None:
    while not file.exists():
        if terminal.poll() is not None:
            raise AssertionError(terminal.communicate()[0])
