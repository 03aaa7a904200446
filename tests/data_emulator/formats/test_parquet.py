"""Parquet: the domain's types and row groups, whatever the columns were encoded as on their way."""

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_emulator.engine.layout import layout
from data_emulator.engine.source import RecordSource
from data_emulator.formats.parquet import ROW_GROUP_RECORDS, ParquetObjects
from data_emulator.model import Records
from tests.support.making import DOMAINS, content, plan


def encoded(schema: pa.Schema, *batches: pa.RecordBatch) -> pq.ParquetFile:
    encoder = ParquetObjects("parquet", "snappy", schema, batches[0]).encoder("key")
    parts = [encoder.add(Records(batch, None, batch.column(0))) for batch in batches]
    return pq.ParquetFile(io.BytesIO(b"".join([*parts, encoder.close()])))


@pytest.mark.parametrize("domain", DOMAINS)
def test_readers_see_the_declared_types(domain: str) -> None:
    the_plan = plan(domain=domain, format="parquet", compression="snappy")
    schema = pq.read_schema(io.BytesIO(content(the_plan, 100)))
    assert schema.metadata is None  # Arrow's readers are told nothing that others are not
    assert schema.equals(RecordSource(the_plan).schema)
    assert "dictionary" not in str(schema)


def test_row_groups_are_counted_from_the_objects_first_record() -> None:
    made = content(plan(format="parquet", compression="snappy"), 2 * ROW_GROUP_RECORDS + 10, 4000)
    metadata = pq.read_metadata(io.BytesIO(made))
    counts = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    assert counts == [ROW_GROUP_RECORDS, ROW_GROUP_RECORDS, 10]


def test_a_row_group_leaves_as_soon_as_it_is_complete() -> None:
    the_plan = plan(format="parquet", compression="snappy")
    source = RecordSource(the_plan)
    encoder = layout(the_plan, source).format.encoder("key")
    sizes = [len(encoder.add(source.take(4096))) for _ in range(ROW_GROUP_RECORDS // 4096 + 1)]
    assert sizes[-2] > 1_000_000
    assert sum(sizes[1:-2]) == sizes[-1] == 0


def test_columns_that_repeat_themselves_have_dictionaries_and_ids_do_not() -> None:
    group = pq.read_metadata(io.BytesIO(content(plan(format="parquet", compression="snappy"), 5000))).row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    by_path = {column.path_in_schema: "RLE_DICTIONARY" in column.encodings for column in columns}
    assert by_path["emulation_id"]
    assert by_path["data.currency"]
    assert by_path["data.location.city"]
    assert not by_path["data.transaction_id"]


def test_nulls_and_dictionaries_of_any_kind_come_back() -> None:
    place = pa.struct([pa.field("city", pa.string(), nullable=False), pa.field("zip", pa.int64())])
    schema = pa.schema([pa.field("text", pa.string()), pa.field("place", place), pa.field("yes", pa.bool_())])
    rows: list[dict[str, Any]] = [
        {"text": "a", "place": {"city": "x", "zip": None}, "yes": True},
        {"text": None, "place": None, "yes": None},
        {"text": "é🎉", "place": {"city": "y", "zip": 3}, "yes": False},
    ]
    plain = pa.RecordBatch.from_pylist(rows, schema=schema)
    places = pa.array([{"city": "y", "zip": 3}, {"city": "x", "zip": None}], place)
    picked = pa.RecordBatch.from_arrays(
        [
            pa.DictionaryArray.from_arrays(pa.array([1, None, 0], pa.int32()), pa.array(["é🎉", "a"])),
            pa.DictionaryArray.from_arrays(pa.array([1, None, 0], pa.int32()), places),
            plain.column(2),
        ],
        names=schema.names,
    )
    assert encoded(schema, plain, picked, plain.slice(1, 2)).read().to_pylist() == [*rows, *rows, *rows[1:]]


@pytest.mark.parametrize(
    "column", [pa.array([1, 2]), pa.array([{"a": 1}, {"a": 2}]), pa.array([{"b": "x"}, {"b": "y"}])]
)
def test_a_column_that_is_not_as_declared_is_named(column: Any) -> None:
    schema = pa.schema([pa.field("place", pa.struct([pa.field("a", pa.string())]))])
    with pytest.raises(TypeError, match=r"column '(place|a)' is"):
        encoded(schema, pa.RecordBatch.from_arrays([column], names=["place"]))
