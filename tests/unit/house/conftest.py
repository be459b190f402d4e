"""The house as the tests see it: its root, and a skeleton of it in which anything may be planted."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOMS = ("crypto", "p2p", "node")


class Skeleton:
    """The house's rules, links and packages without its code, in a folder of its own."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder
        shutil.copy(root / "pyproject.toml", folder)
        (folder / "comind").mkdir()
        shutil.copy(root / "comind" / "__init__.py", folder / "comind")
        for room in ROOMS:
            for package in (root / room).rglob("__init__.py"):
                copied = folder / package.relative_to(root)
                copied.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(package, copied)
            (folder / "comind" / room).symlink_to(f"../{room}")

    def plant(self, modules: Mapping[str, str]) -> None:
        for path, source in modules.items():
            module = self.folder / path
            module.parent.mkdir(parents=True, exist_ok=True)
            module.write_text(source)


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).parents[3]


@pytest.fixture
def skeleton(root: Path, tmp_path: Path) -> Skeleton:
    return Skeleton(root, tmp_path)
