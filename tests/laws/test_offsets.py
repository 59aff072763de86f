"""Law 3: no offset is committed above the watermark."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.offsets import Commits, Watermarks

# Runs of records of one partition: how many asked for an outcome, and how many offsets the run covers (gaps).
RUNS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), max_size=20)


@given(runs=RUNS, data=st.data())
def test_the_watermark_is_the_end_of_the_longest_finished_prefix(runs, data):
    watermarks = Watermarks()
    spans, end = [], 100
    for rows, gap in runs:
        end += rows + gap
        spans.append(watermarks.open("p", end, rows))
    pending = [index for index, (rows, _) in enumerate(runs) for _ in range(rows)]
    for index in data.draw(st.permutations(pending)):
        spans[index].pending_rows -= 1
        finished = 0
        while finished < len(spans) and spans[finished].pending_rows == 0:
            finished += 1
        assert watermarks.watermark("p") == (spans[finished - 1].next_offset if finished else None)
    assert watermarks.watermark("p") == (end if runs else None)
    assert watermarks.unfinished_rows("p") == 0


def test_a_run_that_goes_backwards_is_refused():
    watermarks = Watermarks()
    watermarks.open("p", 10, 1)
    with pytest.raises(ValueError, match="9"):
        watermarks.open("p", 9, 1)


def test_commits_offers_each_watermark_once_and_again_after_a_failure():
    watermarks, commits = Watermarks(), Commits(interval_ns=100)
    span = watermarks.open("p", 10, 1)
    assert commits.take(watermarks, 0) == {}
    span.pending_rows = 0
    assert commits.take(watermarks, 50) == {}
    assert commits.take(watermarks, 100) == {"p": 10}
    assert commits.take(watermarks, 300) == {}
    commits.failed("p")
    assert commits.take(watermarks, 500) == {"p": 10}
    assert commits.take(watermarks, 501, force=True) == {}


def test_a_forgotten_partition_is_never_committed():
    watermarks, commits = Watermarks(), Commits(interval_ns=0)
    watermarks.open("p", 10, 0)
    watermarks.forget("p")
    commits.forget("p")
    assert commits.take(watermarks, 1, force=True) == {}
