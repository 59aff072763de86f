"""The ring of slots: a claimed slot belongs to one run until that run is freed."""

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.rows import Rows


@settings(max_examples=300)
@given(st.lists(st.one_of(st.integers(1, 7), st.just(0)), max_size=60))
def test_runs_never_overlap_and_all_room_comes_back(steps):
    rows = Rows(16, features=1)
    runs: deque[tuple[int, int, int]] = deque()
    for wanted in steps:
        if wanted == 0 or rows.room() < wanted:
            if runs:
                rows.free(runs.popleft()[2])
            continue
        first, used = rows.claim(wanted)
        taken = {slot for start, n, _ in runs for slot in range(start, start + n)}
        assert first >= 0
        assert first + wanted <= 16
        assert not taken & set(range(first, first + wanted))
        runs.append((first, wanted, used))
    while runs:
        rows.free(runs.popleft()[2])
    assert rows.used_rows == 0
    assert rows.room() == 16
