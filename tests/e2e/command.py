"""The `comind` command as a person types it: a process, what it says, and its exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comind.node.home import Home
from scripts.local.child import ROOT

MODULE = "comind.node.cli.main"
CEILING_S = 120.0


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    out: str
    err: str


def comind(
    *arguments: str | Path,
    environ: Mapping[str, str] | None = None,
    stdin: str = "",
    start: tuple[str, ...] = ("-m", MODULE),
) -> Ran:
    """Run it to its end, as a user who is in no network but those of the test."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("COMIND_")}
    ran = subprocess.run(
        [sys.executable, *start, *map(str, arguments)],
        cwd=ROOT,
        env=ours | dict(environ or {}),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=CEILING_S,
        check=False,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def status_json(home: Home) -> dict[str, Any]:
    """Return what `comind status --json` prints."""
    ran = comind("status", "--json", "--home", home.path)
    assert (ran.code, ran.err) == (0, "")
    told: dict[str, Any] = json.loads(ran.out)
    return told
