"""Floating-point numbers as text, for every format of lines: ``29.0``, ``12.5``, ``1795000000.000500``.

How a number is written depends on nothing but the number: neither on the format, nor on the numbers beside it, which
differ when records are made again from another record on. What is written reads back as the very same number. A whole
number keeps its ``.0``, so that whoever infers types from the first rows takes the column for what it is.

There is one way for any number, and fast ones for columns of one frequent kind, which return `None` when a number is
not of it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_emulator.domains.columns import fixed_width_strings
from data_emulator.domains.randomness import Floats

_CENTS_END: Final = 1 << 18
"""Amounts up to 2,621.43 are looked up; of amounts as `transaction` has them, one in five million is above."""
_MICROS_START, _MICROS_END = 10**15, 10**16
"""Times from 2001 to 2286: all of them have ten digits before the point."""
_UNIX_TIME: Final = np.dtype(
    {
        "names": ["first", "second", "third", "point", "fourth", "fifth"],
        "formats": ["S4", "S4", "S2", "S1", "S4", "S2"],
        "itemsize": 17,
        "offsets": [0, 4, 8, 10, 11, 15],
    }
)
_FOUR: Final = np.array([f"{number:04}" for number in range(10_000)], dtype=bytes)
_TWO: Final = np.array([f"{number:02}" for number in range(100)], dtype=bytes)


def numbers_as_text(column: Any) -> Any:
    """Return a column of floating-point numbers as a string column; null stays null."""
    if not column.null_count and pa.types.is_float64(column.type):
        numbers: Floats = column.to_numpy()
        for write in (micros, cents):
            if (written := write(numbers)) is not None:
                return written
    return decimals(column)


def decimals(column: Any) -> Any:
    """Write a column of floating-point numbers as `cents` and `micros` would write each of them; null stays null."""
    texts = pc.add(column, pa.scalar(0.0, column.type)).cast(pa.string())  # which makes 0.0 of -0.0
    is_whole = pc.invert(pc.match_substring_regex(texts, "[.en]"))  # neither a fraction, an exponent, inf nor nan
    texts = pc.if_else(is_whole, pc.binary_join_element_wise(texts, ".0", ""), texts)
    numbers = column.fill_null(0.0).cast(pa.float64()).to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(numbers * 1e6)
    times = (scaled >= _MICROS_START) & (scaled < _MICROS_END) & (scaled / 1e6 == numbers)
    if not times.any():
        return texts
    return pc.replace_with_mask(texts, pa.array(times), micros(numbers[times]))


def cents(numbers: Floats) -> Any | None:
    """Write multiples of 0.01 from 0 to 2,621.43, such as ``12.5``, or return `None`."""
    whole = np.rint(numbers * 100)
    if not len(whole) or not (whole.min() >= 0 and whole.max() < _CENTS_END) or (whole / 100 != numbers).any():
        return None
    return _cents_texts().take(pa.array(whole.astype(np.int32)))


@lru_cache(maxsize=1)
def _cents_texts() -> Any:
    return pa.array([repr(number / 100) for number in range(_CENTS_END)])


def micros(numbers: Floats) -> Any | None:
    """Write Unix times that are whole microseconds, such as ``1795000000.000500``, or return `None`."""
    if not len(numbers) or not _MICROS_START / 1e6 <= numbers[0] < _MICROS_END / 1e6:
        return None
    scaled = np.rint(numbers * 1e6)
    if not (scaled.min() >= _MICROS_START and scaled.max() < _MICROS_END):
        return None
    if (scaled / 1e6 != numbers).any():
        return None
    rest = scaled.astype(np.int64)
    text = np.empty((len(rest), _UNIX_TIME.itemsize), dtype=np.uint8)
    groups = text.view(_UNIX_TIME)[:, 0]
    groups["point"] = b"."
    for name, unit, digits in (
        ("first", 10**12, _FOUR),
        ("second", 10**8, _FOUR),
        ("third", 10**6, _TWO),
        ("fourth", 10**2, _FOUR),
        ("fifth", 1, _TWO),
    ):
        rest = _split(groups, name, rest, unit, digits)
    return fixed_width_strings(text)


def _split(
    groups: NDArray[np.void], name: str, number: NDArray[np.int64], unit: int, digits: NDArray[np.bytes_]
) -> NDArray[np.int64]:
    """Write how often `unit` goes into each number, and return what is left."""
    count = number // unit
    groups[name] = digits.take(count)
    return number - count * unit
