"""Rows of text from columns of fragments: those that repeat are joined once, for all rows that have them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_emulator.domains.columns import fixed_width_strings

_MAX_COMBINATIONS: Final = 8192
_KEPT: Final = 64
"""Columns of texts kept, of those used last."""
_KEPT_LENGTH: Final = 65_536
"""Longer ones are not kept."""


@dataclass(frozen=True)
class Texts:
    """All texts that a column of choices can show.

    :param array: the texts, and behind them ``null``.
    :param key: what tells these texts from others; `None`: nothing does, they are not to be kept.
    :param of: the values that they show. As long as these are kept, nothing else lies at their address.
    """

    array: Any
    key: object
    of: Any = None


@dataclass(frozen=True)
class Choice:
    """A column of texts, each one of `texts`. `index` is the text's position in each row."""

    index: NDArray[np.integer[Any]]
    texts: Texts

    @classmethod
    def of(cls, indices: Any, texts: Texts) -> Choice:
        """Return the column that shows the texts at `indices`, an Arrow array of integers, and ``null`` for null."""
        if indices.null_count:
            indices = pc.fill_null(indices.cast(pa.int64()), len(texts.array) - 1)
        return cls(indices.to_numpy(), texts)


Part = Any
"""A constant `str`, an Arrow string column without nulls, or a `Choice`."""

_kept: OrderedDict[object, tuple[Any, Any]] = OrderedDict()


def texts_of(values: Any, write: Callable[[Any], Any]) -> Texts:
    """Return the text of each of the values, and of null.

    :param values: an Arrow array. If it has been seen before, buffer for buffer, its texts are known.
    :param write: makes a string column of it.
    """
    key = _identity(values) if len(values) <= _KEPT_LENGTH else None
    return Texts(_keep(key, values, lambda: pa.concat_arrays([write(values), pa.array(["null"])])), key, values)


def _identity(values: Any) -> object:
    """Return where an array lies, and what of it is meant: equal for two arrays only if they are the same."""
    kind = values.type
    if pa.types.is_struct(kind):
        validity = values.buffers()[0]
        fields = [(field.name, _identity(values.field(position))) for position, field in enumerate(kind)]
        return (kind.id, values.offset, len(values), validity.address if validity else 0, *fields)
    if pa.types.is_dictionary(kind):
        return (kind.id, _identity(values.indices), _identity(values.dictionary))
    addresses = [buffer.address if buffer else 0 for buffer in values.buffers()]
    return (kind.id, values.offset, len(values), *addresses)


def joined(parts: list[Part], rows: int) -> Any:
    """Return the parts joined row by row: a string column of so many rows."""
    columns: list[Any] = []
    run: list[str | Choice] = []
    combinations = 1
    for part in parts:
        if isinstance(part, pa.Array):
            columns += [_combined(run), part] if run else [part]
            run, combinations = [], 1
            continue
        if isinstance(part, Choice):
            combinations *= len(part.texts.array)
            if combinations > _MAX_COMBINATIONS and run:
                columns.append(_combined(run))
                run, combinations = [], len(part.texts.array)
        run.append(part)
    if run:
        columns.append(_combined(run))
    columns = _side_by_side(columns, rows)
    if all(isinstance(column, str) for column in columns):
        return pa.array(["".join(columns)] * rows, pa.string())
    return columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, "")


def _side_by_side(columns: list[Any], rows: int) -> list[Any]:
    """Return the columns with neighbours whose texts are all of one length, constants among them, made one column."""
    merged: list[Any] = []
    run: list[Any] = []
    for column in [*columns, None]:
        width = None if column is None else _width(column)
        if width is not None:
            run.append((column, width))
            continue
        if sum(not isinstance(each, str) for each, _ in run) > 1:
            merged.append(_rectangle(run, rows))
        else:
            merged += [each for each, _ in run]
        run = []
        if column is not None:
            merged.append(column)
    return merged


def _width(column: Any) -> int | None:
    """Return how many bytes each text of a constant or a column has; `None` if that differs."""
    if isinstance(column, str):
        return len(column) if column.isascii() else len(column.encode())
    if not len(column):
        return None
    bounds = _bounds(column)
    width = int(bounds[1] - bounds[0])
    return width if (bounds[1:] - bounds[:-1] == width).all() else None


def _bounds(column: Any) -> NDArray[np.int32]:
    return np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]


def _rectangle(run: list[tuple[Any, int]], rows: int) -> Any:
    template = b"".join(column.encode() if isinstance(column, str) else bytes(width) for column, width in run)
    text = np.empty((rows, len(template)), dtype=np.uint8)
    text[:] = np.frombuffer(template, np.uint8)
    position = 0
    for column, width in run:
        if not isinstance(column, str) and width:
            start = int(_bounds(column)[0])
            octets = np.frombuffer(column.buffers()[2], np.uint8)[start : start + rows * width]
            text[:, position : position + width].view(f"V{width}")[:, 0] = octets.view(f"V{width}")
        position += width
    return fixed_width_strings(text)


def _combined(run: list[str | Choice]) -> Any:
    """Return one column, or one constant, for neighbouring constants and choices."""
    choices = [part for part in run if isinstance(part, Choice)]
    if not choices:
        return "".join(part for part in run if isinstance(part, str))
    key: object = None
    if all(choice.texts.key is not None for choice in choices):
        key = tuple(part if isinstance(part, str) else part.texts.key for part in run)
    texts = _keep(key, [choice.texts for choice in choices], lambda: _all_combinations(run))
    index = choices[0].index
    if len(choices) > 1:  # then as wide as the numbers of all combinations need
        index, *others = (choice.index.astype(np.int32, copy=False) for choice in choices)
        for choice, other in zip(choices[1:], others, strict=True):
            index = index * len(choice.texts.array) + other
    return texts.take(pa.array(index))


def _all_combinations(run: list[str | Choice]) -> Any:
    if len(run) - sum(isinstance(part, str) for part in run) == 1:
        return pc.binary_join_element_wise(*(part if isinstance(part, str) else part.texts.array for part in run), "")
    each = [[part] if isinstance(part, str) else part.texts.array.to_pylist() for part in run]
    return pa.array(["".join(combination) for combination in product(*each)], pa.string())


def _keep(key: object, of: Any, make: Callable[[], Any]) -> Any:
    """Return what is kept under this key, made if it is not there. What it is made of is kept with it."""
    if key is None:
        return make()
    if key in _kept:
        _kept.move_to_end(key)
    else:
        _kept[key] = (make(), of)
        if len(_kept) > _KEPT:
            _kept.popitem(last=False)
    return _kept[key][0]
