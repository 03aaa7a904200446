"""Decoding: what is damaged is told as such, whatever the damage; and no object is held whole."""

from __future__ import annotations

import contextlib
import io
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_emulator.formats.avro import long
from data_emulator.verify import decoding
from data_emulator.verify.decoding import DamagedError, object_ids
from data_emulator.verify.readback import ReadBackError
from tests.support.making import content, plan
from tests.support.receipts import CHOICES, object_of, records

every_choice = pytest.mark.parametrize(("name", "compression"), CHOICES)
TRIALS = 150


@every_choice
def test_any_damage_is_told_and_nothing_else_is_raised(name: str, compression: str) -> None:
    chance = random.Random(20)
    whole = object_of(records("e", 200), name, compression)
    told: list[str] = []
    for trial in range(TRIALS):
        damaged = bytearray(whole)
        if trial % 2:
            del damaged[chance.randrange(len(damaged)) :]
        else:
            for _ in range(4):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            list(object_ids(io.BytesIO(damaged), name, compression))
        except DamagedError as error:
            told.append(str(error))
    assert all(each and "\n" not in each for each in told)
    # A part of a plain JSON or CSV object is one, and in a Parquet file most lies outside the one column that is read.
    assert len(told) > TRIALS // 4 or compression == "none"


@every_choice
def test_a_store_that_fails_is_no_damage(name: str, compression: str) -> None:
    whole = object_of(records("e", 200), name, compression)

    class Failing(io.RawIOBase):
        sent = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            if self.sent > len(whole) // 2:
                raise ReadBackError("the store is away")
            part = whole[self.sent : self.sent + min(50, len(buffer))]
            buffer[: len(part)] = part
            self.sent += len(part)
            return len(part)

    with pytest.raises(ReadBackError, match=r"^the store is away$"):
        list(object_ids(io.BufferedReader(Failing(), 50), name, compression))


@pytest.mark.parametrize(("name", "compression"), [each for each in CHOICES if each[0] != "parquet"])
def test_records_come_while_the_object_is_read(name: str, compression: str) -> None:
    the_plan = plan(format=name, compression=compression)
    stream = io.BytesIO(whole := content(the_plan, 50_000))
    ids = object_ids(stream, name, compression)
    assert next(ids) == the_plan.emulation_id
    assert stream.tell() < len(whole) / 2
    assert list(ids) == [the_plan.emulation_id] * 49_999


def test_a_parquet_file_of_several_row_groups_is_read_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_BATCH_RECORDS", 1000)
    the_plan = plan(format="parquet", compression="snappy", domain="user-profile")
    whole = content(the_plan, 70_000)
    assert pq.ParquetFile(io.BytesIO(whole)).num_row_groups == 2
    assert list(object_ids(io.BytesIO(whole), "parquet", "snappy")) == [the_plan.emulation_id] * 70_000


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_a_line_without_an_end_is_not_held(monkeypatch: pytest.MonkeyPatch, compression: str) -> None:
    monkeypatch.setattr(decoding, "_MAX_HELD_BYTES", 100_000)
    endless = bytes(10_000_000)
    packed = endless if compression == "none" else pa.compress(endless, compression, asbytes=True)
    for name in ("json", "csv"):
        with pytest.raises(DamagedError, match="a line has no end within 100,000 bytes"):
            list(object_ids(io.BytesIO(packed), name, compression))


@pytest.mark.parametrize("size", [2**40, -1])
def test_a_block_of_a_size_that_cannot_be_is_not_held(size: int) -> None:
    whole = object_of(records("e", 1), "avro", "null")
    sync = whole[-16:]
    header = whole[: whole.index(sync) + 16]
    with pytest.raises(DamagedError, match=f"a block of {size:,} bytes"):
        list(object_ids(io.BytesIO(header + long(1) + long(size) + bytes(1000)), "avro", "null"))


def test_a_long_field_is_no_damage() -> None:
    (record,) = records("e", 1)
    record["data"]["text"] = "x" * 1_000_000
    for name in ("json", "csv"):
        assert list(object_ids(io.BytesIO(object_of([record], name, "none")), name, "none")) == ["e"]


@pytest.mark.parametrize(
    ("name", "whole", "ids"),
    [
        ("json", b"", []),
        ("json", b'{"emulation_id": "e"}\n[]\n"e"\n{}\n\nno json\n\xff\n', ["e", None, None, None, None, None, None]),
        ("csv", b"", []),
        ("csv", b"emulation_id,n\n", []),
        ("csv", b'n,emulation_id\n1,"e"\n1\n1,e,3\n', ["e", None, None]),
        ("csv", b"n,m\n1,e\n", [None]),
    ],
)
def test_a_row_that_names_no_emulation_is_one(name: str, whole: bytes, ids: list[str | None]) -> None:
    assert list(object_ids(io.BytesIO(whole), name, "none")) == ids


def test_a_parquet_file_is_read_by_the_column_wherever_it_stands() -> None:
    stream = io.BytesIO()
    pq.write_table(pa.table({"n": [1, 2], "emulation_id": ["e", None]}), stream)
    assert list(object_ids(io.BytesIO(stream.getvalue()), "parquet", "none")) == ["e", None]


def test_a_parquet_file_of_other_columns_is_damage() -> None:
    stream = io.BytesIO()
    pq.write_table(pa.table({"n": [1, 2]}), stream)
    with pytest.raises(DamagedError, match="ValueError: there is no column emulation_id"):
        list(object_ids(io.BytesIO(stream.getvalue()), "parquet", "none"))


def test_a_disk_without_room_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(decoding.tempfile, "TemporaryFile", lambda: contextlib.nullcontext(Full()))
    whole = object_of(records("e", 1), "parquet", "none")
    with pytest.raises(ReadBackError, match=r"no room for a Parquet file .*No space left"):
        list(object_ids(io.BytesIO(whole), "parquet", "none"))
