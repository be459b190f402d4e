"""Is `import comind` light, complete, and the only way in?"""

import ast
import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import comind
from tests.unit.house.conftest import ROOMS

LAZY = {
    "AverageResult": "comind.node.trainer.peer",
    "ConfigError": "comind.p2p.core.errors",
    "FederatedAveraging": "comind.node.trainer.optimizer",
    "Peer": "comind.node.trainer.peer",
    "join": "comind.node.trainer.join",
}


def python(source: str) -> str:
    """Run `source` in a fresh interpreter and return what it printed."""
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True).stdout


def test_the_links_lead_to_the_rooms(root: Path) -> None:
    for room in ROOMS:
        link = root / "comind" / room
        assert link.is_symlink()
        assert link.readlink() == Path("..") / room


@pytest.mark.parametrize("room", ROOMS)
def test_a_bare_name_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch, room: str) -> None:
    monkeypatch.syspath_prepend(root)
    with pytest.raises(ImportError, match=f"import comind.{room}, never {room}"):
        importlib.import_module(room)


def test_importing_comind_loads_nothing_heavy() -> None:
    loaded = python("import sys, comind, comind.crypto, comind.p2p, comind.node; print(*sys.modules)").split()
    assert "comind.node" in loaded
    assert not {"torch", "numpy", "zmq", "typer", "rich", "comind.node.trainer"} & set(loaded)


def test_each_public_name_is_taken_from_its_module_when_first_used() -> None:
    said = python(
        f"""
import sys, types
import comind

for name, module in {LAZY}.items():
    fake = sys.modules.setdefault(module, types.ModuleType(module))
    setattr(fake, name, f"{{name}} of {{module}}")
    assert name not in vars(comind)
    print(getattr(comind, name))
    assert name in vars(comind)
"""
    )
    assert said.splitlines() == [f"{name} of {module}" for name, module in LAZY.items()]


def test_the_type_checker_sees_the_same_names() -> None:
    assert comind.__file__ is not None
    tree = ast.parse(Path(comind.__file__).read_text(encoding="utf-8"))
    typed = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == LAZY
    assert set(comind.__all__) == {*LAZY, "__version__"}
    assert set(comind.__all__) <= set(dir(comind))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'comind' has no attribute 'joni'"):
        getattr(comind, "joni")  # noqa: B009  # mypy refuses the plain spelling


def test_the_installed_version_is_the_package_s_own() -> None:
    assert importlib.metadata.version("comind") == comind.__version__
