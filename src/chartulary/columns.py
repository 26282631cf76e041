"""Arrow's columns of whole numbers from and to Python's, by their memory: boxing each cell costs ten times as much."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def column_of(numbers: array[int]) -> pa.Array:
    """A column of 32-bit numbers (an array of typecode ``i``)."""
    import pyarrow as pa

    return pa.Array.from_buffers(pa.int32(), len(numbers), [None, pa.py_buffer(numbers)])


def numbers_of(column: pa.Array) -> list[int]:
    """The numbers of a column of 32 or 64 bits that has no empty cells."""
    numbers = array("i" if column.type.bit_width == 32 else "q")
    if len(column):
        width = numbers.itemsize
        numbers.frombytes(column.buffers()[1][column.offset * width : (column.offset + len(column)) * width])
    return numbers.tolist()
