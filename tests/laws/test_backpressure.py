"""Reading stops when there is no room, and begins again only when there is room for many."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.backpressure import Backpressure


@given(st.lists(st.integers(0, 20), max_size=50))
def test_after_a_stop_nothing_is_read_until_there_is_room_for_many(rooms):
    pressure, full, stops = Backpressure(8), False, 0
    for room in rooms:
        allowed = pressure.rows_allowed(room)
        full = room < 8 if full else False
        assert allowed == (0 if full else room)
        stops += room == 0 and not full
        full = full or room == 0
    assert pressure.held == stops
