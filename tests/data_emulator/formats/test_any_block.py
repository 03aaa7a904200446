"""A record is encoded the same in any block: alone, or beside values that make a column wider, null or escaped."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from data_emulator.formats import avro, csv, jsonl

SCHEMA = pa.schema(
    [
        pa.field("amount", pa.float64(), nullable=False),
        pa.field("time", pa.float64(), nullable=False),
        pa.field("any_number", pa.float64()),
        pa.field("count", pa.int64()),
        pa.field("text", pa.string()),
        pa.field("plain", pa.string(), nullable=False),
        pa.field("yes", pa.bool_()),
        pa.field("place", pa.struct([("city", pa.string()), ("latitude", pa.float64())]), nullable=False),
    ]
)
NUMBERS = [
    0.0, -0.0, 0.01, 0.1 + 0.2, 16.0, 29.0, 100.5, 2621.43, 2621.44, 1e6, -5.0, 1e-7, 1e15, 1e16, 1e300, -1e-300,
    1e9, 1795000000.0, 1795000000.0005, 9999999999.0, 1e10, None,
]  # fmt: skip
TEXTS = ["", "plain", "é 漢字", 'a "quote"', "back\\slash", "new\nline", "x" * 200, None]
CITIES = [("Köln", 50.94), ("Springfield", 39.0), ('The "City"', -0.5), ("x" * 100, 90.0)]


def rows(generator: np.random.Generator, count: int) -> list[dict[str, Any]]:
    """Return rows that are mostly of the frequent kinds, with a rare one here and there."""

    def rarely(usual: Any, rare: list[Any]) -> Any:
        return rare[generator.integers(len(rare))] if generator.random() < 0.05 else usual

    return [
        {
            "amount": rarely(int(generator.integers(0, 10_000)) / 100, [2621.44, 1e6, 29.0]),
            "time": rarely(int(generator.integers(1_700_000_000_000_000, 1_800_000_000_000_000)) / 1e6, [5.0, 1e10]),
            "any_number": rarely(16.0, NUMBERS),
            "count": rarely(int(generator.integers(0, 100)), [None, -1, 2**62]),
            "text": rarely("abc", TEXTS),
            "plain": rarely("abc", TEXTS[:-1]),
            "yes": rarely(True, [None, False]),
            "place": dict(zip(("city", "latitude"), rarely(CITIES[0], CITIES), strict=True)),
        }
        for _ in range(count)
    ]


def batch(of: list[dict[str, Any]], picked: bool) -> pa.RecordBatch:
    """Return rows as a batch of their own.

    :param picked: the columns `text`, `plain` and `place` are dictionary-encoded, the dictionary holding what is in
        these rows and no more.
    """
    made = pa.RecordBatch.from_pylist(of, schema=SCHEMA)
    if not picked:
        return made
    columns = dict(zip(made.schema.names, made.columns, strict=True))
    for name in ("text", "plain"):
        columns[name] = columns[name].dictionary_encode()
    places = [row["place"] for row in of]
    distinct = [place for number, place in enumerate(places) if place not in places[:number]]
    indices = pa.array([distinct.index(place) for place in places], pa.int32())
    columns["place"] = pa.DictionaryArray.from_arrays(indices, pa.array(distinct, SCHEMA.field("place").type))
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


ENCODERS: dict[str, Callable[[pa.RecordBatch], Any]] = {
    "json": lambda each: jsonl.encode(each, "\n"),
    "csv": lambda each: csv.encode(each, "\n"),
    "avro": lambda each: avro.encode(each, SCHEMA),
}


@pytest.mark.parametrize("picked", [False, True])
@pytest.mark.parametrize("format_type", ENCODERS)
def test_record_is_encoded_the_same_in_any_block(format_type: str, picked: bool) -> None:
    encode = ENCODERS[format_type]
    generator = np.random.default_rng(5)
    for count in (2, 10, 60, 200):
        for _ in range(2):
            whole = rows(generator, count)
            expected = encode(batch(whole, picked)).to_pylist()
            alone = [value for row in whole for value in encode(batch([row], picked)).to_pylist()]
            assert alone == expected
            cuts = sorted({0, *generator.integers(0, count, 4).tolist(), count})
            for start, stop in itertools.pairwise(cuts):
                assert encode(batch(whole[start:stop], picked)).to_pylist() == expected[start:stop]
                assert encode(batch(whole, picked).slice(start, stop - start)).to_pylist() == expected[start:stop]


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()])
def test_json_and_csv_write_a_number_the_same(kind: pa.DataType) -> None:
    numbers = [number for number in NUMBERS if number is not None and abs(number) < 3e38]
    for column in [pa.array(numbers, kind), *(pa.array([number], kind) for number in numbers)]:
        each = pa.RecordBatch.from_arrays([column], names=["n"])
        in_json = [value[len('{"n":') : -1] for value in jsonl.encode(each, "").to_pylist()]
        assert csv.encode(each, "").to_pylist() == in_json
        if kind == pa.float64():
            assert [float(text) for text in in_json] == column.to_pylist()
