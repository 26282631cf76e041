"""Arrow's columns made of Python's values by their memory are those that pyarrow makes itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartulary.columns import amounts_column, days_column, numbers_column, numbers_of, texts_column

pa = pytest.importorskip("pyarrow")
LONG = st.integers(-(2**63), 2**63 - 1)
SHORT = st.integers(-(2**31), 2**31 - 1)
AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, places=15, min_value=-(10**22), max_value=10**22)


@pytest.mark.parametrize(
    ("make", "values", "kind"),
    [
        (lambda cells: numbers_column(cells, "q"), LONG, "int64"),
        (lambda cells: numbers_column(cells, "i"), SHORT, "int32"),
        (lambda cells: numbers_column(cells, "b"), st.integers(0, 1), "int8"),
        (days_column, st.dates(), "date32"),
        (texts_column, st.text(st.characters(exclude_categories=["Cs"])), "string"),
        (amounts_column, AMOUNTS | st.integers(-(10**22), 10**22), None),
    ],
    ids=["q", "i", "b", "days", "texts", "amounts"],
)
@given(data=st.data())
def test_columns_are_those_of_pyarrow(
    make: Callable[[Any], Any], values: st.SearchStrategy[Any], kind: str | None, data: st.DataObject
) -> None:
    cells = data.draw(st.lists(values))
    expected = pa.array(cells, getattr(pa, kind)() if kind else pa.decimal128(38, 15))
    made = make(cells)
    made.validate(full=True)
    assert made.equals(expected)


@pytest.mark.parametrize("amount", ["0.0000000000000001", "1E+30"])
def test_an_amount_that_does_not_fit_is_refused(amount: str) -> None:
    with pytest.raises(ArithmeticError):
        amounts_column([Decimal(amount)])


@given(st.lists(SHORT), st.sampled_from(["int32", "int64"]), st.data())
def test_numbers_are_given_back(numbers: list[int], kind: str, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(numbers)))
    assert numbers_of(pa.array(numbers, getattr(pa, kind)())[first:]) == numbers[first:]


def test_a_day_is_counted_from_1970() -> None:
    assert days_column([date(1970, 1, 2)]).cast(pa.int32()).to_pylist() == [1]
