import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pages import decoded

from ssdsim.page.columns import ALIGNED, TICK, Columns, ticks

SECONDS = st.floats(0, 1e5)
WHOLE = st.integers(-(2**31), 2**32 - 1)


def packed(values, kind):
    columns = Columns()
    table = columns.table(pa.table({"x": pa.array(values, kind)}), {"x": ["a", "b"]})
    return table["columns"]["x"], columns.data()


def unpacked(values, kind):
    return decoded(*packed(values, kind))


def of_integers(values):
    columns = Columns()
    return columns.integers(np.array(values, dtype=np.int64)), columns.data()


@given(st.lists(WHOLE))
def test_whole_numbers_come_back(values):
    assert decoded(*of_integers(values)).tolist() == values


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([], "u8"),
        ([0, 255], "u8"),
        ([-1, 255], "i16"),
        ([256, 40_000], "u16"),
        ([-1, 40_000], "i32"),
        ([2**32 - 1], "u32"),
        ([-1, 2**32], "f64"),
    ],
)
def test_the_smallest_type_that_holds_them_is_taken(values, kind):
    assert of_integers(values)[0]["type"] == kind


@given(st.lists(SECONDS))
def test_times_come_back_to_half_a_tick(values):
    for pack in (Columns.times, Columns.durations):
        columns = Columns()
        column = pack(columns, ticks(np.array(values)))
        found = decoded(column, columns.data())
        assert np.abs(found - values).max(initial=0.0) <= TICK / 2


@given(st.lists(st.one_of(st.none(), st.booleans())))
def test_truth_values_come_back_with_their_nulls(values):
    assert unpacked(values, pa.bool_()).tolist() == [255 if v is None else v for v in values]


@given(st.lists(st.one_of(st.none(), st.lists(st.integers(0, 70_000)))))
def test_lists_come_back_and_a_null_is_an_empty_one(values):
    found = unpacked(values, pa.list_(pa.int64()))
    assert [each.tolist() for each in found] == [value or [] for value in values]


@given(st.lists(st.one_of(st.none(), st.floats(width=32, allow_nan=False))))
def test_floats_come_back_and_a_null_is_none(values):
    found = unpacked(values, pa.float64()).tolist()
    assert [None if np.isnan(value) else value for value in found] == values


def test_texts_are_places_in_a_list():
    assert unpacked(["b", "a", None], pa.string()).tolist() == [1, 0, -1]


def test_the_same_columns_make_the_same_text():
    assert len({json.dumps(packed([1, 2, None], pa.int64())) for _ in range(3)}) == 1


@given(st.lists(st.lists(st.integers(0, 300)), max_size=6))
def test_columns_of_any_types_lie_where_a_browser_can_read_them_in_place(many):
    columns = Columns()
    packed = [columns.integers(np.array(values, dtype=np.int64)) for values in many]
    assert all(column["at"] % ALIGNED == 0 for column in packed)
    assert [decoded(column, columns.data()).tolist() for column in packed] == many
