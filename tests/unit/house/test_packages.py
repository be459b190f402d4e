"""Do the sdist and the wheel hold every source file of the house, nothing else, and does the wheel work?"""

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import comind
from tests.unit.house.conftest import ROOMS

NAME = f"comind-{comind.__version__}"


@dataclass(frozen=True, slots=True)
class Built:
    sources: frozenset[str]  # every module's path from the root, through the links
    sdist: Path
    wheel: Path


def copy_house(root: Path, tree: Path) -> None:
    junk = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("comind", *ROOMS, "scripts", "tests"):
        shutil.copytree(root / folder, tree / folder, symlinks=True, ignore=junk)
    for file in root.iterdir():
        if file.is_file():
            shutil.copy(file, tree)


@pytest.fixture(scope="module")
def built(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    tree = tmp_path_factory.mktemp("house")
    copy_house(root, tree)
    leftover = tree / "build" / "lib" / "comind" / "deleted.py"
    leftover.parent.mkdir(parents=True)
    leftover.write_text("")
    sources = {f"comind/{module.name}" for module in (tree / "comind").glob("*.py")}
    for room in ROOMS:
        sources |= {f"comind/{module.relative_to(tree)}" for module in (tree / room).rglob("*.py")}
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, tree],
        capture_output=True,
        check=True,
    )
    return Built(frozenset(sources), out / f"{NAME}.tar.gz", out / f"{NAME}-py3-none-any.whl")


def test_a_script_beside_a_clone_that_is_named_comind_gets_the_package(root: Path, tmp_path: Path) -> None:
    (tmp_path / "comind").symlink_to(root)
    look = "import comind; print(comind.__file__)"
    ran = subprocess.run(
        [sys.executable, "-c", look], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert Path(ran.stdout.strip()).resolve() == root / "comind" / "__init__.py"


def test_the_sdist_holds_the_sources_as_plain_files(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        members = archive.getmembers()
    assert all(member.isfile() or member.isdir() for member in members)
    held = {member.name.removeprefix(f"{NAME}/") for member in members if member.isfile()}
    assert {name for name in held if name.endswith(".py")} == built.sources
    others = {name for name in held if not name.endswith(".py") and "egg-info" not in name}
    assert others - {"README.md"} == {
        "LICENSE",
        "PKG-INFO",
        "comind/py.typed",
        "pyproject.toml",
        "setup.cfg",
    }


def test_the_wheel_holds_the_sources_and_no_more(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == built.sources | {"comind/py.typed"}


def test_the_wheel_works_where_there_is_no_checkout(built: Built, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path], check=True)
    python = tmp_path / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet")
    subprocess.run([*pip, "--no-deps", "--no-index", str(built.wheel)], check=True)
    site = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    )
    # What comind depends on comes from the tests' own environment; its editable comind does not come along.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    modules = "comind, comind.crypto, comind.p2p.core, comind.p2p.shell, comind.node"
    ran = subprocess.run(
        [python, "-I", "-c", f"import {modules}; print(comind.node.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(ran.stdout.strip()) == site / "comind" / "node" / "__init__.py"
    assert (tmp_path / "bin" / "comind").exists()
