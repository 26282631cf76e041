"""Arrow's columns from and to Python's values, by their memory: boxing each cell costs ten times as much.

``pyarrow.array`` would also load pandas into the process, where that is installed.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_EPOCH = date(1970, 1, 1).toordinal()
_EXACT = Context(prec=38, traps=[Inexact, InvalidOperation])


def numbers_column(numbers: Iterable[int], code: str) -> pa.Array:
    """A column of whole numbers; ``code`` as the array module has it: ``b`` 8 bits, ``i`` 32, ``q`` 64."""
    import pyarrow as pa

    kind = {"b": pa.int8, "i": pa.int32, "q": pa.int64}[code]
    cells = array(code, numbers)
    return pa.Array.from_buffers(kind(), len(cells), [None, pa.py_buffer(cells)])


def days_column(days: Sequence[date]) -> pa.Array:
    """A column of days."""
    import pyarrow as pa

    cells = array("i", [day.toordinal() - _EPOCH for day in days])
    return pa.Array.from_buffers(pa.date32(), len(cells), [None, pa.py_buffer(cells)])


def texts_column(texts: Sequence[str]) -> pa.Array:
    """A column of text."""
    import pyarrow as pa

    cells = [text.encode("utf-8", "replace") for text in texts]
    ends = array("i", itertools.accumulate(map(len, cells), initial=0))
    return pa.Array.from_buffers(pa.string(), len(cells), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(cells))])


def amounts_column(amounts: Sequence[Decimal | int]) -> pa.Array:
    """A column of decimals with 15 places, 38 digits in all.

    Raises:
        ArithmeticError: one has more.
    """
    import pyarrow as pa

    whole = (int(_EXACT.to_integral_exact(_EXACT.scaleb(Decimal(amount), 15))) for amount in amounts)
    cells = b"".join(number.to_bytes(16, "little", signed=True) for number in whole)
    return pa.Array.from_buffers(pa.decimal128(38, 15), len(amounts), [None, pa.py_buffer(cells)])


def numbers_of(column: pa.Array) -> list[int]:
    """The numbers of a column of 32 or 64 bits that has no empty cells."""
    numbers = array("i" if column.type.bit_width == 32 else "q")
    if len(column):
        width = numbers.itemsize
        numbers.frombytes(column.buffers()[1][column.offset * width : (column.offset + len(column)) * width])
    return numbers.tolist()
