"""Members of a scenario that keep journals, as daemons do."""

from pathlib import Path
from typing import Any

import pytest

from comind.node.daemon.journal import Journal, JournalFile, Piece
from comind.p2p.core.effects import Event, Memory, Step
from comind.p2p.core.here import Me
from comind.p2p.core.member import Member
from comind.p2p.core.picture import Picture
from comind.p2p.core.signing import Signer, Verify
from comind.p2p.core.words import NetworkId
from tests.scenarios import process

SEGMENT_BYTES = 30_000
"""Short, so that segments begin in the middle of everything."""


def keep_journals(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every member that starts from now on keep its journal in a folder of its name."""

    def member(me: Me, *given: Any) -> Noting:
        (folder / me.name).mkdir(exist_ok=True)
        return Noting(folder / me.name / "journal", me, *given)

    monkeypatch.setattr(process, "Member", member)


class Noting:
    """A member of a scenario that keeps a journal."""

    def __init__(
        self,
        folder: Path,
        me: Me,
        network: NetworkId,
        memory: Memory,
        signer: Signer,
        now_ms: int,
        verify: Verify,
    ) -> None:
        file = JournalFile(folder, me.incarnation, kept=10_000)
        self._journal = Journal(
            file, lambda piece: file.write([piece]), me, signer, _say_nothing, SEGMENT_BYTES
        )
        self._member = Member(me, network, memory, self._journal.signer, now_ms, verify)
        self._journal.begin(self._member)
        self._now_ms = 0

    def step(self, event: Event, now_ms: int) -> Step:
        self._now_ms = max(now_ms, self._now_ms)
        step = self._member.step(event, self._now_ms)
        self._journal.note(event, self._now_ms, step)
        self._journal.flush(self._member)
        return step

    def picture(self, now_ms: int) -> Picture:
        self._now_ms = max(now_ms, self._now_ms)
        return self._member.picture(now_ms)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._member, name)


def _write(file: JournalFile, piece: Piece) -> None:
    file.write([piece])


def _say_nothing(line: str) -> None:
    raise AssertionError(line)
