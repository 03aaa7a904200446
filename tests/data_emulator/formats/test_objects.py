"""Objects of every format: readers that users use find the records; how they were cut on their way leaves no trace."""

import csv
import gzip
import hashlib
import io
import json
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import duckdb
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_emulator.engine.layout import layout
from data_emulator.engine.source import RecordSource
from data_emulator.formats import lines
from data_emulator.formats.avro_file import BLOCK_RECORDS
from data_emulator.formats.catalog import FORMATS
from data_emulator.formats.parquet import ROW_GROUP_RECORDS
from tests.support.making import DOMAINS, content, expected, flat, plan, printed

CHOICES = [(each.name, compression) for each in FORMATS.values() for compression in each.compressions]
LINES = [(name, compression) for name, compression in CHOICES if name in ("json", "csv")]


def extension(name: str, compression: str) -> str:
    return FORMATS[name].extensions[compression]


def plain(compressed: bytes, compression: str) -> bytes:
    """Return what a tool of its own makes of a compressed object."""
    if compression == "gzip":
        return gzip.decompress(compressed)
    if compression == "zstd":
        with pa.CompressedInputStream(pa.BufferReader(compressed), "zstd") as stream:
            return bytes(stream.read())
    return compressed


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("compression", FORMATS["json"].compressions)
def test_json_module_and_duckdb_read_json(domain: str, compression: str, tmp_path: Path) -> None:
    the_plan = plan(domain=domain, format="json", compression=compression)
    made = content(the_plan, 5000)
    records = expected(the_plan, 5000)
    assert [json.loads(line) for line in plain(made, compression).splitlines()] == records
    path = tmp_path / f"part.{extension('json', compression)}"
    path.write_bytes(made)
    columns = ", ".join(f"{field.name}: '{_duckdb_type(field.type)}'" for field in RecordSource(the_plan).schema)
    assert rows_of_duckdb(f"read_json('{path}', columns={{{columns}}})") == records
    assert count_of_duckdb(path) == len(records)


def _duckdb_type(kind: Any) -> str:
    if pa.types.is_struct(kind):
        return "STRUCT(" + ", ".join(f'"{field.name}" {_duckdb_type(field.type)}' for field in kind) + ")"
    return {"string": "VARCHAR", "double": "DOUBLE", "int64": "BIGINT", "bool": "BOOLEAN"}[str(kind)]


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("compression", FORMATS["csv"].compressions)
def test_csv_module_and_duckdb_read_csv(domain: str, compression: str, tmp_path: Path) -> None:
    the_plan = plan(domain=domain, format="csv", compression=compression)
    made = content(the_plan, 5000)
    records = [flat(record) for record in expected(the_plan, 5000)]
    rows = list(csv.DictReader(io.StringIO(plain(made, compression).decode(), newline="")))
    assert [[*row] for row in rows[:1]] == [[*records[0]]]
    assert [[*row.values()] for row in rows] == [[printed(value) for value in record.values()] for record in records]
    path = tmp_path / f"part.{extension('csv', compression)}"
    path.write_bytes(made)
    assert rows_of_duckdb(f"read_csv('{path}', header=true, types={_csv_types(records[0])})") == records
    assert count_of_duckdb(path) == len(records)


def _csv_types(record: dict[str, Any]) -> dict[str, str]:
    names = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE"}
    return {key: names.get(type(value), "VARCHAR") for key, value in record.items()}


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("compression", FORMATS["parquet"].compressions)
def test_pyarrow_and_duckdb_read_parquet(domain: str, compression: str, tmp_path: Path) -> None:
    the_plan = plan(domain=domain, format="parquet", compression=compression)
    made = content(the_plan, 5000)
    records = expected(the_plan, 5000)
    table = pq.read_table(io.BytesIO(made))
    table.validate(full=True)
    assert table.to_pylist() == records
    codec = {"none": "UNCOMPRESSED"}.get(compression, compression.upper())
    assert pq.read_metadata(io.BytesIO(made)).row_group(0).column(1).compression == codec
    path = tmp_path / "part.parquet"
    path.write_bytes(made)
    assert rows_of_duckdb(f"read_parquet('{path}')") == records


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("compression", FORMATS["avro"].compressions)
def test_fastavro_reads_avro(domain: str, compression: str) -> None:
    the_plan = plan(domain=domain, format="avro", compression=compression)
    made = content(the_plan, 5000)
    reader = fastavro.reader(io.BytesIO(made))
    assert reader.codec == compression
    assert list(reader) == expected(the_plan, 5000)


def count_of_duckdb(path: Path) -> int:
    """Return how many rows a file has for somebody who asks without saying what it is."""
    with duckdb.connect() as connection:
        (row,) = connection.execute(f"SELECT count(emulation_id) FROM '{path}'").fetchall()
        return int(row[0])


def rows_of_duckdb(source: str) -> list[dict[str, Any]]:
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT * FROM {source}")
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@pytest.mark.parametrize(("name", "compression"), CHOICES)
def test_how_records_are_cut_does_not_matter(name: str, compression: str) -> None:
    the_plan = plan(format=name, compression=compression)
    count = (ROW_GROUP_RECORDS if name == "parquet" else 3 * BLOCK_RECORDS) + 3000
    made = content(the_plan, count)
    for at_a_time in ((3000,), (1, 4096, 7, 500)):
        assert content(the_plan, count, *at_a_time) == made


@pytest.mark.parametrize("at_a_time", [(1,), (2, 1, 3)])
@pytest.mark.parametrize(("name", "compression"), CHOICES)
def test_records_one_by_one_give_the_same_object(name: str, compression: str, at_a_time: tuple[int, ...]) -> None:
    the_plan = plan(format=name, compression=compression, domain="device-log")
    assert content(the_plan, 700, *at_a_time) == content(the_plan, 700)


@pytest.mark.parametrize(("name", "compression"), CHOICES)
def test_an_object_made_later_by_another_worker_is_the_same(
    name: str, compression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = content(plan(format=name, compression=compression), 500)
    monkeypatch.setattr("time.time", lambda: 4e9)
    monkeypatch.setattr("os.urandom", lambda count: b"x" * count)
    assert content(plan(format=name, compression=compression), 500) == made


def test_a_compressor_that_tells_its_pieces_apart_gives_the_same_object(monkeypatch: pytest.MonkeyPatch) -> None:
    class Telling:
        def compress(self, piece: bytes) -> bytes:
            return b"%d," % len(piece)

        def end(self) -> bytes:
            return b""

    monkeypatch.setitem(lines._COMPRESSORS, "gzip", Telling)
    made = content(plan(compression="gzip"), 5000)
    assert made.count(b",") > 2
    for at_a_time in ((1,), (100, 4096)):
        assert content(plan(compression="gzip"), 5000, *at_a_time) == made


def test_only_avros_marker_tells_keys_apart() -> None:
    for name, compression in CHOICES:
        the_plan = plan(format=name, compression=compression)
        one, other = (content(the_plan, 100, key=key) for key in ("id/part-000000000", "id/part-000000001"))
        assert (one != other) == (name == "avro")
        if name == "avro":
            marks = [hashlib.sha256(key.encode()).digest()[:16] for key in ("id/part-000000000", "id/part-000000001")]
            assert one == other.replace(marks[1], marks[0])


def test_gzip_says_no_time_and_no_name() -> None:
    made = content(plan(compression="gzip"), 10)
    assert made[:4] == b"\x1f\x8b\x08\x00"  # deflate, no optional fields
    assert made[4:8] == b"\0\0\0\0"  # no time


@pytest.mark.parametrize(("name", "compression"), LINES)
def test_a_compressed_object_is_one_stream(name: str, compression: str) -> None:
    made = content(plan(format=name, compression=compression), 10_000)
    if compression == "gzip":
        stream = zlib.decompressobj(31)
        stream.decompress(made)
        assert stream.eof
        assert stream.unused_data == b""
    assert plain(made, compression) == content(plan(format=name), 10_000)
    assert (len(made) < len(plain(made, compression)) / 2) == (compression != "none")


@pytest.mark.parametrize(("name", "compression"), CHOICES)
def test_memory_does_not_grow_with_the_object(name: str, compression: str) -> None:
    the_plan = plan(format=name, compression=compression)
    source = RecordSource(the_plan)
    encoder = layout(the_plan, source).format.encoder("key")
    block = source.take(4096)
    blocks = (2 * ROW_GROUP_RECORDS if name == "parquet" else 8 * BLOCK_RECORDS) // len(block)
    peaks = []
    for _ in range(2):
        tracemalloc.start()
        before = pa.total_allocated_bytes()
        most = 0
        for _ in range(blocks):
            encoder.add(block)
            most = max(most, pa.total_allocated_bytes() - before)
        peaks.append(most + tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 2**20
    assert peaks[1] < 40 * 2**20


@pytest.mark.parametrize(("name", "compression"), CHOICES)
def test_one_record_is_an_object_too(name: str, compression: str) -> None:
    the_plan = plan(format=name, compression=compression, sync_type="single")
    assert layout(the_plan, RecordSource(the_plan)).max_records == 1
    made = content(the_plan, 1)
    if name == "parquet":
        assert pq.read_table(io.BytesIO(made)).to_pylist() == expected(the_plan, 1)
    elif name == "avro":
        assert list(fastavro.reader(io.BytesIO(made))) == expected(the_plan, 1)
    else:
        assert plain(made, compression).count(b"\n") == (1 if name == "json" else 2)
