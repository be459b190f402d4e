"""Does each import contract of pyproject.toml break when it is violated, and only then?

import-linter accepts a misspelt module without a word, so every name that a contract forbids is planted.
"""

import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.house.conftest import Skeleton

HONEST = {
    "crypto/honest.py": "import hashlib\n",
    "p2p/core/honest.py": "import math\n\nimport comind.crypto.honest\n",
    "p2p/shell/honest.py": "import time\n\nimport zmq\n\nimport comind.p2p.core.honest\n",
    "node/honest.py": "import os\n",
    "node/daemon/honest.py": "import time\n\nimport comind.node.honest\nimport comind.p2p.shell.honest\n",
    "node/trainer/honest.py": "import torch\n\nimport comind.node.honest\nimport comind.p2p.core.honest\n",
    "node/cli/honest.py": "import rich\nimport typer\n\nimport comind.node.daemon.honest\n",
}


def forbids(source: str, *modules: str) -> tuple[str, ...]:
    return tuple(f"{source} is not allowed to import {module}" for module in modules)


def importing(*modules: str) -> str:
    return "".join(f"import {module}\n" for module in modules)


@dataclass(frozen=True, slots=True)
class Violation:
    contract: str
    planted: dict[str, str]
    shown: tuple[str, ...]  # what lint-imports must say of it
    breaks_too: frozenset[str] = frozenset()


ONE_WAY = "data flows one way: node, p2p, crypto"
SHELL_AND_CORE = "the shell carries for the core, which does not know it"
CORE = "the core does no IO"
PROCESSES = "the daemon, the trainer and the command line are three processes"
DAEMON = "the daemon starts without torch and command-line libraries"
TRAINER = "the trainer opens no ZeroMQ socket"
COMMAND_LINE = "typer and rich live in the command line only"

IMPURE = (
    "asyncio",
    "datetime",
    "os",
    "random",
    "secrets",
    "socket",
    "threading",
    "time",
    "torch",
    "zmq",
)

VIOLATIONS = {
    "crypto imports p2p": Violation(
        ONE_WAY,
        {"crypto/planted.py": importing("comind.p2p.core.honest")},
        ("comind.crypto.planted -> comind.p2p.core.honest",),
    ),
    "p2p imports node": Violation(
        ONE_WAY,
        {"p2p/shell/planted.py": importing("comind.node.honest")},
        ("comind.p2p.shell.planted -> comind.node.honest",),
    ),
    "crypto imports the public face": Violation(
        ONE_WAY,
        {
            "crypto/planted.py": importing("comind"),
            "node/trainer/join.py": "",  # which the public face names
        },
        ("comind.crypto.planted -> comind",),
    ),
    "a fourth room": Violation(ONE_WAY, {"comind/planted.py": ""}, ("planted",)),
    "core imports shell": Violation(
        SHELL_AND_CORE,
        {"p2p/core/planted.py": importing("comind.p2p.shell")},
        ("comind.p2p.core.planted -> comind.p2p.shell",),
    ),
    "a module between core and shell": Violation(SHELL_AND_CORE, {"p2p/planted.py": ""}, ("planted",)),
    "core does IO": Violation(
        CORE,
        {"p2p/core/planted.py": importing(*IMPURE)},
        forbids("comind.p2p.core", *IMPURE),
    ),
    "core does IO through crypto": Violation(
        CORE,
        {
            "crypto/planted.py": importing(*IMPURE),
            "p2p/core/planted.py": importing("comind.crypto.planted"),
        },
        ("comind.p2p.core.planted -> comind.crypto.planted", *forbids("comind.p2p.core", *IMPURE)),
    ),
    "core does IO inside a function": Violation(
        CORE,
        {"p2p/core/planted.py": "def now() -> float:\n    from time import time\n\n    return time()\n"},
        ("comind.p2p.core.planted -> time",),
    ),
    "the trainer imports the daemon": Violation(
        PROCESSES,
        {
            "node/daemon/planted.py": "",
            "node/trainer/planted.py": importing("comind.node.daemon.planted"),
        },
        ("comind.node.trainer.planted -> comind.node.daemon.planted",),
    ),
    "the daemon imports the trainer": Violation(
        PROCESSES,
        {
            "node/daemon/planted.py": importing("comind.node.trainer.planted"),
            "node/trainer/planted.py": "",
        },
        ("comind.node.daemon.planted -> comind.node.trainer.planted",),
    ),
    "the trainer imports the command line": Violation(
        PROCESSES,
        {
            "node/cli/planted.py": "",
            "node/trainer/planted.py": importing("comind.node.cli.planted"),
        },
        ("comind.node.trainer.planted -> comind.node.cli.planted",),
    ),
    "the daemon imports torch": Violation(
        DAEMON,
        {"node/daemon/planted.py": importing("torch")},
        forbids("comind.node.daemon", "torch"),
    ),
    "the daemon imports torch through p2p": Violation(
        DAEMON,
        {
            "node/daemon/planted.py": importing("comind.p2p.shell.planted"),
            "p2p/shell/planted.py": importing("torch"),
        },
        ("comind.p2p.shell.planted -> torch", *forbids("comind.node.daemon", "torch")),
    ),
    "the daemon imports typer and rich": Violation(
        DAEMON,
        {"node/daemon/planted.py": importing("rich", "typer")},
        forbids("comind.node.daemon", "rich", "typer"),
        breaks_too=frozenset({COMMAND_LINE}),
    ),
    "the trainer imports zmq": Violation(
        TRAINER,
        {"node/trainer/planted.py": importing("zmq")},
        forbids("comind.node.trainer", "zmq"),
    ),
    "the trainer imports zmq through the shell": Violation(
        TRAINER,
        {"node/trainer/planted.py": importing("comind.p2p.shell.honest")},
        ("comind.node.trainer.planted -> comind.p2p.shell.honest", *forbids("comind.node.trainer", "zmq")),
    ),
    "typer and rich outside the command line": Violation(
        COMMAND_LINE,
        {
            "crypto/planted.py": importing("rich"),
            "node/planted.py": importing("rich", "typer"),
            "node/trainer/planted.py": importing("typer"),
        },
        (
            "comind.crypto.planted -> rich",
            "comind.node.planted -> rich",
            "comind.node.planted -> typer",
            "comind.node.trainer.planted -> typer",
        ),
    ),
}


def contracts(root: Path) -> set[str]:
    rules = tomllib.loads((root / "pyproject.toml").read_text())
    return {contract["name"] for contract in rules["tool"]["importlinter"]["contracts"]}


def lint_imports(folder: Path) -> tuple[int, str]:
    ran = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, " ".join(ran.stdout.split()) + ran.stderr


def test_an_honest_house_keeps_every_contract(root: Path, skeleton: Skeleton) -> None:
    skeleton.plant(HONEST)
    status, said = lint_imports(skeleton.folder)
    assert status == 0, said
    for contract in contracts(root):
        assert f"{contract} KEPT" in said


@pytest.mark.parametrize("violation", VIOLATIONS.values(), ids=VIOLATIONS.keys())
def test_a_violation_breaks_its_contract(root: Path, skeleton: Skeleton, violation: Violation) -> None:
    skeleton.plant(HONEST | violation.planted)
    status, said = lint_imports(skeleton.folder)
    assert status == 1
    broken = {contract for contract in contracts(root) if f"{contract} BROKEN" in said}
    assert broken == {violation.contract} | violation.breaks_too
    for line in violation.shown:
        assert line in said


def test_every_contract_has_a_violation(root: Path) -> None:
    assert contracts(root) == {violation.contract for violation in VIOLATIONS.values()}
