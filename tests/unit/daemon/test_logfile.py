"""Does a log stay bounded, and is a log that is not ours left alone?"""

import os
from pathlib import Path

from comind.node.logfile import before, rotate, shorten


def test_a_long_log_is_put_aside_at_the_start_and_a_short_one_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "daemon.log"
    rotate(log, 10)
    log.write_text("short")
    rotate(log, 10)
    assert log.read_text() == "short"
    log.write_text("longer than ten")
    rotate(log, 10)
    assert not log.exists()
    assert before(log).read_text() == "longer than ten"


def test_a_log_begins_anew_while_it_is_written_and_loses_nothing_that_is_new(tmp_path: Path) -> None:
    log = tmp_path / "daemon.log"
    with open(log, "ab", buffering=0) as file:
        for number in range(100):
            file.write(f"line {number}\n".encode())
            shorten(log, file.fileno(), 60)
            assert log.stat().st_size <= 60
    seen = before(log).read_text() + log.read_text()
    assert seen.endswith("line 98\nline 99\n")


def test_a_log_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "daemon.log"
    log.write_text("x" * 100)
    with open(tmp_path / "mine.log", "ab", buffering=0) as mine:
        mine.write(b"y" * 100)
        shorten(log, mine.fileno(), 60)
    reading, writing = os.pipe()
    shorten(log, writing, 60)
    os.close(reading)
    os.close(writing)
    with open(log, "r+b", buffering=0) as not_appended:
        shorten(log, not_appended.fileno(), 60)
    assert log.stat().st_size == (tmp_path / "mine.log").stat().st_size == 100
    shorten(tmp_path / "nowhere", 1, 0)
