"""JSON lines: what json.loads reads back is what went in, for any text, null, nesting and slice."""

import io
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json
import pytest

from data_emulator.domains import all_domains
from data_emulator.domains.base import EventClock
from data_emulator.domains.world import world
from data_emulator.formats import jsonl
from data_emulator.formats.envelope import enveloped

NASTY = [
    'quote " in it',
    "back\\slash",
    '\\"',
    "new\nline",
    "\r\n",
    "tab\t",
    "\x00\x01\x1f\x7f",
    "é ß 漢字",
    "emoji 👩‍👩‍👧 🎉",
    "\u2028\u2029",
    "",
    " ",
    "null",
    "{}",
    "'",
    "</script>",
]
PLAIN = [f"plain {number} é🎉" for number in range(len(NASTY))]


def decoded(batch: pa.RecordBatch, terminator: str = "\n") -> list[Any]:
    encoded = jsonl.encode(batch, terminator)
    assert encoded.type == pa.binary()
    assert encoded.null_count == 0
    return [json.loads(line) for line in encoded.to_pylist()]


@pytest.mark.parametrize("strings", [NASTY, PLAIN, [None, *NASTY[1:]], [None, *PLAIN[1:]], [None] * 3, [""] * 3])
def test_strings_come_back_as_they_were(strings: list[str | None]) -> None:
    batch = pa.RecordBatch.from_arrays([pa.array(strings, pa.string())], names=["text"])
    assert decoded(batch) == [{"text": text} for text in strings]


@pytest.mark.parametrize("text", NASTY)
def test_each_kind_of_string_comes_back_when_there_is_no_other(text: str) -> None:
    """Whether a column needs escaping is told for the column as a whole: one kind must not hide another."""
    batch = pa.RecordBatch.from_pydict({"text": ["plain", "plainer", text]})
    assert decoded(batch) == batch.to_pylist()
    assert decoded(batch.slice(2)) == [{"text": text}]


@pytest.mark.parametrize("strings", [NASTY, PLAIN])
def test_dictionary_encoded_strings_come_back_as_they_were(strings: list[str]) -> None:
    chosen = pa.array([3, None, 0, len(strings) - 1, 0], pa.int32())
    column = pa.DictionaryArray.from_arrays(chosen, pa.array(strings))
    batch = pa.RecordBatch.from_arrays([column], names=["text"])
    assert [row["text"] for row in decoded(batch)] == [strings[3], None, strings[0], strings[-1], strings[0]]


def test_lines_are_those_of_json_dumps_to_the_byte() -> None:
    batch = pa.RecordBatch.from_pydict(
        {"text": NASTY, "number": list(range(len(NASTY))), "yes": [True, False] * (len(NASTY) // 2)}
    )
    expected = [
        json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for row in batch.to_pylist()
    ]
    assert jsonl.encode(batch, "\n").to_pylist() == expected


def test_field_names_are_escaped() -> None:
    assert decoded(pa.RecordBatch.from_pydict({'a "b" \\ c\n': [1]})) == [{'a "b" \\ c\n': 1}]


def test_numbers_booleans_and_nulls_come_back_as_they_were() -> None:
    columns = {
        "int": [0, -1, 2**62, None],
        "float": [0.1, -1.5e-300, 1.7e308, None],
        "bool": [True, False, None, True],
        "precise": [1 / 3, 1795000000.123456, 2.0, 1e20],
    }
    batch = pa.RecordBatch.from_pydict(columns)
    assert decoded(batch) == batch.to_pylist()


def test_nested_objects_come_back_as_they_were() -> None:
    values = [{"a": {"b": [text][0], "c": None}, "d": number} for number, text in enumerate(NASTY)]
    kind = pa.struct([("a", pa.struct([("b", pa.string()), ("c", pa.int64())])), ("d", pa.int64())])
    column = pa.array(values, kind)
    assert decoded(pa.RecordBatch.from_arrays([column], names=["deep"])) == [{"deep": value} for value in values]
    picked = pa.DictionaryArray.from_arrays(pa.array([5, 0, 5], pa.int32()), column)
    rows = decoded(pa.RecordBatch.from_arrays([picked], names=["deep"]))
    assert rows == [{"deep": values[position]} for position in (5, 0, 5)]


@pytest.mark.parametrize(("start", "count"), [(0, 3), (1, 4), (7, 1), (9, 0), (5, len(NASTY) - 5)])
def test_slices_give_their_own_rows(start: int, count: int) -> None:
    whole = pa.RecordBatch.from_arrays(
        [
            pa.array(NASTY),
            pa.array(PLAIN),
            pa.array([None if number % 3 else text for number, text in enumerate(NASTY)], pa.string()),
            pa.DictionaryArray.from_arrays(pa.array(range(len(NASTY)), pa.int32()), pa.array(NASTY)),
            pa.array([{"x": text, "y": number} for number, text in enumerate(NASTY)]),
            pa.array([number / 7 for number in range(len(NASTY))]),
        ],
        names=["nasty", "plain", "nullable", "picked", "nested", "float"],
    )
    assert decoded(whole.slice(start, count)) == whole.to_pylist()[start : start + count]


def test_an_escape_outside_the_slice_does_not_matter() -> None:
    batch = pa.RecordBatch.from_pydict({"text": ['"', "a", "b", '"']}).slice(1, 2)
    assert decoded(batch) == [{"text": "a"}, {"text": "b"}]


def test_no_rows_give_no_lines() -> None:
    assert decoded(pa.RecordBatch.from_pydict({"text": pa.array([], pa.string()), "n": pa.array([], pa.int64())})) == []


def test_the_terminator_ends_each_record() -> None:
    batch = pa.RecordBatch.from_pydict({"n": [1, 2]})
    assert jsonl.encode(batch, "\n").to_pylist() == [b'{"n":1}\n', b'{"n":2}\n']
    assert jsonl.encode(batch, "").to_pylist() == [b'{"n":1}', b'{"n":2}']


def test_a_type_without_a_json_form_is_refused_by_column() -> None:
    with pytest.raises(TypeError, match="'when'"):
        jsonl.encode(pa.RecordBatch.from_pydict({"when": pa.array([0], pa.timestamp("ms"))}), "\n")
    with pytest.raises(TypeError, match="'nested'"):
        jsonl.encode(pa.RecordBatch.from_pydict({"nested": pa.array([{"a": 1}, None])}), "\n")


@pytest.mark.parametrize("name", ["user-profile", "device-log", "transaction"])
def test_pyarrow_reads_a_domains_lines(name: str) -> None:
    index = np.arange(2000)
    time_us = EventClock(1_795_000_000_000_000, 500).times(index)
    data = all_domains()[name](world(20, 10_000), 7).records(index, time_us)
    batch = enveloped("an id", time_us, data)
    content = b"".join(jsonl.encode(batch, "\n").to_pylist())
    assert [json.loads(line) for line in content.splitlines()] == batch.to_pylist()
    read = pa.json.read_json(
        io.BytesIO(content), parse_options=pa.json.ParseOptions(explicit_schema=_plain(batch.schema))
    )
    assert read.to_pylist() == batch.to_pylist()


def _plain(schema: pa.Schema) -> pa.Schema:
    """Return the schema with its dictionary-encoded types decoded."""

    def plain(kind: Any) -> Any:
        if pa.types.is_dictionary(kind):
            return plain(kind.value_type)
        if pa.types.is_struct(kind):
            return pa.struct([(field.name, plain(field.type)) for field in kind])
        return kind

    return pa.schema([(field.name, plain(field.type)) for field in schema])
