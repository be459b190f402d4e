"""What do children tell, however the pipe cuts it?"""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.local.reports import MAX_LINE_BYTES, Finished, Interval, Learned, Lines

REPORTS = [Interval(3, True, "counted", 0.5, 0.9, 100), Learned(-1, 2, 0.8), Finished(0.95, "ab", 300)]
WRITTEN = b"".join(msgspec.json.encode(report) + b"\n" for report in REPORTS)


@given(st.lists(st.integers(0, len(WRITTEN)), max_size=10))
def test_reports_arrive_whole_wherever_they_are_cut(cuts: list[int]) -> None:
    lines, heard = Lines(), []
    ends = [0, *sorted(cuts), len(WRITTEN)]
    for start, end in pairwise(ends):
        heard += lines.read(WRITTEN[start:end])
    assert heard == REPORTS


@pytest.mark.parametrize("data", [b"hello\n", b'{"type":"interval"}\n', b"x" * (MAX_LINE_BYTES + 1)])
def test_what_is_no_report_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        Lines().read(data)
