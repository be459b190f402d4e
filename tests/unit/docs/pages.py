"""What stands in a page of docs/, read as plainly as a person reads it: links, tables, words in code type."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
CODE = ("comind", "crypto", "p2p", "node")

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_IN_CODE_TYPE = re.compile(r"`([^`\n]+)`")
_RULE = re.compile(r"\bR(\d+)(?:-R?(\d+))?\b")

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """One page, without its fenced blocks."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        return self.path.relative_to(DOCS).as_posix()

    @property
    def links(self) -> list[str]:
        return _LINK.findall(self.text)

    @property
    def headings(self) -> set[str]:
        """As the anchors that GitHub makes of them."""
        return {
            re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
            for line in self.text.splitlines()
            if line.startswith("#")
        }

    def section(self, heading: str) -> "Page":
        """Return what stands below a heading of the second rank, up to the next."""
        _, found, rest = self.text.partition(f"\n## {heading}\n")
        assert found, f"{self.name} has no section {heading}"
        return Page(self.path, rest.partition("\n## ")[0])

    def rows(self) -> Iterator[Row]:
        """Yield the rows of all tables, without their headings."""
        lines = self.text.splitlines()
        for at, line in enumerate(lines):
            is_head = at + 1 < len(lines) and set(lines[at + 1]) <= set("|-: ") and "-" in lines[at + 1]
            if line.startswith("|") and not is_head and not set(line) <= set("|-: "):
                yield tuple(cell.strip() for cell in line.strip("|").split("|"))


def read_page(name: str) -> Page:
    path = DOCS / name
    return Page(path, _FENCE.sub("", path.read_text(encoding="utf-8")))


def all_pages() -> list[Page]:
    """Every page of docs/ but the measurements, which a benchmark writes."""
    names = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
    return [read_page(name) for name in names if name != "performance.md"]


def in_code_type(text: str) -> list[str]:
    return _IN_CODE_TYPE.findall(text)


def rules_in(text: str) -> set[int]:
    """Return the rules that a text names; R6-R8 names three."""
    return {rule for first, last in _RULE.findall(text) for rule in range(int(first), int(last or first) + 1)}


def modules() -> Iterator[Path]:
    """Yield every module of the package, each once."""
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if folder != "comind" or path.parent == ROOT / folder:
                yield path
