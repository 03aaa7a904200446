"""Avro: what fastavro reads back is what went in, for any number, text, null, nesting and slice."""

import io
import json
from typing import Any

import fastavro
import pyarrow as pa
import pytest

from data_emulator.engine.source import RecordSource
from data_emulator.formats import avro
from data_emulator.formats.avro_file import BLOCK_RECORDS
from tests.support.making import content, expected, plan

NUMBERS = [0, -1, 1, 63, 64, -64, -65, 8191, 8192, -8193, 2**31, -(2**31), 2**62, 2**63 - 1, -(2**63), 1_048_576]
TEXTS = ["", "a", "é 漢字 🎉", "x" * 63, "x" * 64, "x" * 20_000, "\x00", '"\\', " "]


def decoded(batch: pa.RecordBatch, schema: pa.Schema, prefix: bytes = b"") -> list[Any]:
    values = avro.encode(batch, schema, prefix)
    assert values.type == pa.binary()
    assert values.null_count == 0
    parsed = fastavro.parse_schema(json.loads(avro.avro_schema("some-records", schema)))
    rows = []
    for value in values.to_pylist():
        assert value.startswith(prefix)
        stream = io.BytesIO(value[len(prefix) :])
        rows.append(fastavro.schemaless_reader(stream, parsed, None))
        assert stream.read() == b""
    return rows


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.int64(), NUMBERS),
        (pa.int32(), [0, -1, 2**31 - 1, -(2**31)]),
        (pa.uint32(), [0, 2**32 - 1]),
        (pa.int64(), [7] * 5),
        (pa.float64(), [0.0, -0.0, 0.1, 1.7e308, 5e-324, float("inf")]),
        (pa.bool_(), [True, False, True]),
        (pa.string(), TEXTS),
        (pa.string(), ["same", "long", "text"]),
    ],
)
@pytest.mark.parametrize("nullable", [False, True])
def test_values_come_back_as_they_were(kind: Any, values: list[Any], nullable: bool) -> None:
    schema = pa.schema([pa.field("v", kind, nullable=nullable), pa.field("w", pa.int64(), nullable=False)])
    for column in (values, [None, *values, None], [None] * 3) if nullable else (values,):
        rows = [{"v": value, "w": number} for number, value in enumerate(column)]
        batch = pa.RecordBatch.from_pylist(rows, schema=schema)
        assert decoded(batch, schema) == rows
        assert decoded(batch.slice(1, 2), schema) == rows[1:3]
        assert decoded(batch.slice(1, 0), schema) == []


def test_nested_dictionary_encoded_and_null_structs_come_back_as_they_were() -> None:
    place = pa.struct(
        [
            pa.field("city", pa.string(), nullable=False),
            pa.field("at", pa.struct([pa.field("lat", pa.float64()), pa.field("code", pa.int64(), nullable=False)])),
        ]
    )
    schema = pa.schema([pa.field("place", place), pa.field("picked", place), pa.field("text", pa.string())])
    places: list[Any] = [
        {"city": "Köln", "at": {"lat": 50.9, "code": 1}},
        {"city": "Ulm", "at": None},
        {"city": "", "at": {"lat": None, "code": 3}},
        None,
    ]
    chosen = [1, None, 0, 2]
    texts = ["b", None, "a", None]
    columns = [
        pa.array(places, place),
        pa.DictionaryArray.from_arrays(pa.array(chosen, pa.int32()), pa.array(places[:3], place)),
        pa.DictionaryArray.from_arrays(pa.array([1, 2, 0, None], pa.int32()), pa.array(["a", "b", None])),
    ]
    rows = [
        {"place": places[number], "picked": None if pick is None else places[pick], "text": text}
        for number, (pick, text) in enumerate(zip(chosen, texts, strict=True))
    ]
    batch = pa.RecordBatch.from_arrays(columns, names=schema.names)
    assert decoded(batch, schema) == rows
    assert decoded(batch.slice(1, 2), schema) == rows[1:3]


def test_a_prefix_stands_before_each_record() -> None:
    schema = pa.schema([pa.field("n", pa.int64(), nullable=False)])
    batch = pa.RecordBatch.from_pydict({"n": [1, 2]})
    assert decoded(batch, schema, b"\0\0\0\0\7") == [{"n": 1}, {"n": 2}]
    assert avro.encode(batch, schema, b"!").to_pylist() == [b"!\x02", b"!\x04"]
    constant = pa.RecordBatch.from_pydict({"n": [1, 1]})
    assert avro.encode(constant, schema, b"!").to_pylist() == [b"!\x02", b"!\x02"]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_is_written_as_in_a_column(number: int) -> None:
    schema = pa.schema([pa.field("n", pa.int64(), nullable=False)])
    batch = pa.RecordBatch.from_pydict({"n": [number, 0]})
    assert avro.encode(batch, schema)[0].as_py() == avro.long(number)


def test_the_schema_is_the_envelopes() -> None:
    schema = json.loads(avro.avro_schema("device-log", RecordSource(plan(domain="device-log")).schema))
    assert (schema["namespace"], schema["name"]) == ("data_emulator", "DeviceLog")
    fields = {field["name"]: field["type"] for field in schema["fields"]}
    assert {name: fields[name] for name in ("emulation_id", "timestamp")} == {
        "emulation_id": "string",
        "timestamp": "double",
    }
    data = {field["name"]: field for field in fields["data"]["fields"]}
    assert data["log_id"]["type"] == "string"
    assert data["logout_timestamp"] == {"name": "logout_timestamp", "type": ["null", "string"], "default": None}
    assert data["location"]["type"]["name"] == "DeviceLogDataLocation"


@pytest.mark.parametrize(
    ("name", "field", "named"),
    [
        ("d", pa.field("with space", pa.string()), "'with space'"),
        ("d", pa.field("a", pa.struct([pa.field("ü", pa.string())])), "'a.ü'"),
        ("d", pa.field("when", pa.timestamp("ms")), "'when'"),
        ("d", pa.field("big", pa.uint64()), "'big'"),
        ("42", pa.field("a", pa.string()), "'42'"),
    ],
)
def test_what_avro_cannot_have_is_refused_by_name(name: str, field: pa.Field, named: str) -> None:
    with pytest.raises(avro.NoAvroForm, match=named):
        avro.avro_schema(name, pa.schema([field]))


def test_columns_that_are_not_as_declared_are_refused_by_name() -> None:
    schema = pa.schema([pa.field("n", pa.int64(), nullable=False)])
    with pytest.raises(avro.NoAvroForm, match=r"'n'.*null"):
        avro.encode(pa.RecordBatch.from_pydict({"n": [1, None]}), schema)
    with pytest.raises(avro.NoAvroForm, match="'n' is string"):
        avro.encode(pa.RecordBatch.from_pydict({"n": ["1"]}), schema)


@pytest.mark.parametrize("compression", ["null", "deflate"])
def test_blocks_are_counted_from_the_objects_first_record(compression: str) -> None:
    made = content(plan(format="avro", compression=compression), 2 * BLOCK_RECORDS + 10, 1000)
    blocks = list(fastavro.block_reader(io.BytesIO(made)))
    assert [block.num_records for block in blocks] == [BLOCK_RECORDS, BLOCK_RECORDS, 10]


def test_the_file_says_with_what_it_was_written() -> None:
    made = content(plan(format="avro", compression="null"), 10)
    reader = fastavro.reader(io.BytesIO(made))
    assert fastavro.parse_schema(reader.writer_schema) == fastavro.parse_schema(
        json.loads(avro.avro_schema("transaction", RecordSource(plan()).schema))
    )
    assert list(reader) == expected(plan(), 10)
