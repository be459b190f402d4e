"""Does ruff refuse what no file of this house may do?"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.house.conftest import ROOMS, Skeleton

BANNED = {
    "import crypto": "TID251",
    "from crypto import identity": "TID251",
    "import p2p.core": "TID251",
    "from node.daemon import loop": "TID251",
    "from . import words": "TID252",
    "from ..crypto import identity": "TID252",
    "import pickle": "TID251",
    "from pickle import loads": "TID251",
    "import cloudpickle": "TID251",
    "import dill": "TID251",
    "import joblib": "TID251",
    "import marshal": "TID251",
    "import shelve": "TID251",
    "import torch\n\ntorch.load('weights')": "TID251",
    "from torch import load": "TID251",
    "import numpy as np\n\nnp.load('weights')": "TID251",
    "eval('1 + 1')": "S307",
    "exec('x = 1')": "S102",
    "import subprocess\n\nsubprocess.run('ls', shell=True)": "S602",
    "try:\n    pass\nexcept Exception:\n    raise SystemExit from None": "BLE001",
}


def judge(folder: Path) -> dict[str, set[str]]:
    """Return the codes that ruff finds in each file, by its path from `folder`."""
    ran = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "json", "."],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, set[str]] = {}
    for finding in json.loads(ran.stdout):
        path = Path(finding["filename"]).relative_to(folder.resolve()).as_posix()
        found.setdefault(path, set()).add(finding["code"])
    return found


def test_each_banned_line_is_found(skeleton: Skeleton) -> None:
    planted = {f"p2p/core/planted_{number}.py": f"{line}\n" for number, line in enumerate(BANNED)}
    skeleton.plant(planted)
    found = judge(skeleton.folder)
    missed = {
        line: code
        for (line, code), path in zip(BANNED.items(), planted, strict=True)
        if code not in found.get(path, set())
    }
    assert not missed


def test_the_full_names_are_welcome(skeleton: Skeleton) -> None:
    skeleton.plant(
        {
            "p2p/core/planted.py": "from comind import crypto\nfrom comind.p2p import core\n\n"
            '__all__ = ["core", "crypto"]\n'
        }
    )
    assert judge(skeleton.folder) == {}


def test_a_folder_that_is_no_package_is_found(skeleton: Skeleton) -> None:
    skeleton.plant({"p2p/core/hidden/planted.py": ""})
    assert judge(skeleton.folder) == {"p2p/core/hidden/planted.py": {"INP001"}}


@pytest.mark.parametrize("word", ["recv_pyobj", "send_pyobj", "allow_pickle", "weights_only"])
def test_what_ruff_cannot_see_is_not_there(root: Path, word: str) -> None:
    for room in ("comind", *ROOMS):
        for module in (root / room).rglob("*.py"):
            assert word not in module.read_text(encoding="utf-8"), module
