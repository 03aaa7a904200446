"""Rows joined from fragments: whatever is kept from batch to batch, each row is made of its own parts."""

from __future__ import annotations

import itertools
import json
from collections import OrderedDict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from data_emulator.formats import fragments, jsonl
from data_emulator.formats.fragments import Choice, joined, texts_of


def choice(indices: list[int | None], values: list[str]) -> Choice:
    return Choice.of(pa.array(indices, pa.int32()), texts_of(pa.array(values), lambda array: array))


def test_parts_are_joined_row_by_row() -> None:
    parts = [
        "<", choice([0, 1, 0], ["a", "bb"]), "|", pa.array(["x", "", "zzz"]), "|", choice([None, 0, 1], ["é", "ß"]),
        choice([1, 1, 0], ["0", "1"]), pa.array(["12", "34", "56"]), "-", pa.array(["é", "ü", "ä"]), ">",
    ]  # fmt: skip
    assert joined(parts, 3).to_pylist() == ["<a|x|null112-é>", "<bb||é134-ü>", "<a|zzz|ß056-ä>"]


def test_constants_alone_are_repeated() -> None:
    assert joined(["a", "b"], 3).to_pylist() == ["ab"] * 3
    assert joined(["a"], 0).to_pylist() == []


def test_one_column_alone_is_itself() -> None:
    assert joined([pa.array(["x", "yy"])], 2).to_pylist() == ["x", "yy"]


@pytest.mark.parametrize("sizes", [(3, 4, 5), (100, 100), (9000, 2), (2, 9000, 3), (90, 91, 92), (70_000, 2)])
def test_combinations_beyond_any_bound_are_right(sizes: tuple[int, ...]) -> None:
    generator = np.random.default_rng(1)
    drawn = [generator.integers(0, size, 1000) for size in sizes]
    parts: list[Any] = []
    for size, indices in zip(sizes, drawn, strict=True):
        parts += [f"{size}:", choice(indices.tolist(), [f"v{number}" for number in range(size)])]
    expected = ["".join(f"{size}:v{i}" for size, i in zip(sizes, row, strict=True)) for row in zip(*drawn, strict=True)]
    assert joined(parts, 1000).to_pylist() == expected
    assert max(len(texts) for texts, _ in fragments._kept.values()) <= fragments._KEPT_LENGTH + 1


def test_columns_of_one_width_may_be_slices() -> None:
    one, other = pa.array(["ab", "cd", "ef", "gh"]).slice(1, 2), pa.array(["123", "456", "789"]).slice(1)
    assert joined([one, "=", other, ";"], 2).to_pylist() == ["cd=456;", "ef=789;"]
    empty = pa.array(["", ""])
    assert joined([empty, one, empty, "x", other], 2).to_pylist() == ["cdx456", "efx789"]


def encoded(column: Any) -> list[Any]:
    batch = pa.RecordBatch.from_arrays([column, column], names=["a", "b"])
    return [json.loads(line)["a"] for line in jsonl.encode(batch, "\n").to_pylist()]


def picked(values: Any) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(range(len(values)), pa.int32()), values)


def test_slices_of_one_memory_are_not_taken_for_each_other() -> None:
    values = pa.array(["a", "b", "c", "d", "e"])
    for start, count in itertools.product(range(4), range(2, 4)):
        part = values.slice(start, count)
        assert encoded(picked(part)) == part.to_pylist()


def test_structs_of_slices_of_one_memory_are_not_taken_for_each_other() -> None:
    values = pa.array(["a", "b", "c", "d", "e"])
    for start in range(4):
        struct = pa.StructArray.from_arrays([values.slice(start, 2)], names=["x"]) if start < 4 else None
        assert encoded(picked(struct)) == struct.to_pylist()  # type: ignore[union-attr]
    renamed = pa.StructArray.from_arrays([values.slice(0, 2)], names=["y"])
    assert encoded(picked(renamed)) == [{"y": "a"}, {"y": "b"}]


def test_one_memory_read_as_another_type_is_not_taken_for_it() -> None:
    whole = pa.array([1, 2, 3], pa.int64())
    assert encoded(picked(whole)) == [1, 2, 3]
    assert encoded(picked(whole.view(pa.float64()))) == whole.view(pa.float64()).to_pylist()


@pytest.mark.parametrize("kept", [fragments._KEPT, 100_000])
def test_memory_used_again_is_not_taken_for_what_lay_there_before(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fragments, "_KEPT", kept)
    monkeypatch.setattr(fragments, "_kept", OrderedDict())
    for number in range(1000):
        values = [f"{number:04}-{place}" for place in range(3)]
        assert encoded(picked(pa.array(values))) == values


def test_what_is_kept_is_bounded() -> None:
    for number in range(200):
        encoded(picked(pa.array([f"{number}-{place}" for place in range(3)])))
    assert len(fragments._kept) <= fragments._KEPT


@pytest.mark.parametrize(("kind", "size"), [("int8", 100), ("uint8", 200), ("int16", 2000), ("uint64", 20)])
def test_narrow_indices_number_all_combinations(kind: str, size: int) -> None:
    wide = pa.DictionaryArray.from_arrays(pa.array(range(size), kind), pa.array([f"v{each}" for each in range(size)]))
    narrow = pa.DictionaryArray.from_arrays(pa.array([2] * size, kind), pa.array(["x", "y", "z"]))
    yes = pa.array([True] * size)
    batch = pa.RecordBatch.from_arrays([yes, wide, narrow], names=["yes", "wide", "narrow"])
    rows = [json.loads(line) for line in jsonl.encode(batch, "").to_pylist()]
    assert rows == [{"yes": True, "wide": f"v{each}", "narrow": "z"} for each in range(size)]


def test_nulls_in_choices_and_in_their_values_are_null() -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, None, 1, 2], pa.int8()), pa.array(["a", None, "c"]))
    assert encoded(column) == ["a", None, None, "c"]
