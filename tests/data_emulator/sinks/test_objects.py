"""Records in objects: what holds for a bucket in a real S3 store and for a folder alike."""

import asyncio
import io
import itertools
import random
import tracemalloc
import uuid
from pathlib import Path

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_emulator.engine.layout import layout
from data_emulator.engine.plan import Plan
from data_emulator.engine.source import RecordSource
from data_emulator.formats.catalog import FORMATS
from data_emulator.formats.parquet import ROW_GROUP_RECORDS
from data_emulator.model import Checkpoint, ObjectWritten
from data_emulator.sinks.objects import ObjectSink
from data_emulator.wire import MAX_CHUNK_BYTES
from tests.support import readback
from tests.support.making import content as object_content
from tests.support.making import expected, plan
from tests.support.writing import BUCKET, NEW, FilePlace, Place, S3Place, encoded, records, sink, write_all

MIB = 2**20


@pytest.fixture(params=[pytest.param("s3", marks=pytest.mark.integration), "file"])
def at(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A bucket, and a folder."""
    if request.param == "file":
        return FilePlace(tmp_path)
    return S3Place(request.getfixturevalue("s3_store"), request.getfixturevalue("s3_settings"))


def assert_is_there(at: Place, prefix: str, written: list[ObjectWritten]) -> dict[str, bytes]:
    """Check that the sink listed exactly the objects that are there, with their sizes and checksums."""
    there = at.objects(prefix)
    assert [each.key for each in written] == [*there]
    assert [each.bytes for each in written] == [len(content) for content in there.values()]
    assert [each.checksum for each in written] == [readback.checksum(content) for content in there.values()]
    return there


@pytest.mark.parametrize("at_a_time", [(1,), (7, 300), (1000,)])
async def test_grouped_is_one_object(at: Place, at_a_time: tuple[int, ...]) -> None:
    opened, prefix = sink(at.open())
    values = records(1000)
    written = await write_all(opened, values, *at_a_time)
    there = assert_is_there(at, prefix, written)
    assert [*there.values()] == [b"".join(values)]
    assert [each.records for each in written] == [1000]
    assert (opened.accepted_records, opened.accepted_bytes) == (1000, len(b"".join(values)))


@pytest.mark.parametrize("max_bytes", [1, 307, 1024, 10_000])
@pytest.mark.parametrize("at_a_time", [(1,), (7, 300)])
async def test_chunks_are_as_full_as_they_can_be(at: Place, max_bytes: int, at_a_time: tuple[int, ...]) -> None:
    opened, prefix = sink(at.open(), max_bytes=max_bytes)
    values = records(200)
    written = await write_all(opened, values, *at_a_time)
    there = [*assert_is_there(at, prefix, written).values()]
    assert b"".join(there) == b"".join(values)
    assert [each.records for each in written] == [content.count(b"\n") for content in there]
    for content in there:
        assert len(content) <= max_bytes or content.count(b"\n") == 1
    for content, following in itertools.pairwise(there):
        assert len(content) + following.index(b"\n") + 1 > max_bytes
    assert opened.accepted_bytes == sum(map(len, values))


async def test_a_chunk_may_be_filled_to_the_last_byte(at: Place) -> None:
    opened, prefix = sink(at.open(), max_bytes=20)
    await write_all(opened, [b"0123456789"] * 5)
    assert [len(content) for content in at.objects(prefix).values()] == [20, 20, 10]


@pytest.mark.parametrize("max_bytes", [2**31 - 1, 2**31, MAX_CHUNK_BYTES])
async def test_the_largest_chunk_sizes_are_taken(at: Place, max_bytes: int) -> None:
    opened, prefix = sink(at.open(), max_bytes=max_bytes)
    values = records(100)
    written = await write_all(opened, values, 40)
    assert [*assert_is_there(at, prefix, written).values()] == [b"".join(values)]


async def test_one_object_a_record(at: Place) -> None:
    opened, prefix = sink(at.open(), max_records=1)
    values = records(300)
    written = await write_all(opened, values, 50, 1)
    assert [*assert_is_there(at, prefix, written).values()] == values
    assert {each.records for each in written} == {1}


async def test_the_header_stands_in_every_object_and_counts(at: Place) -> None:
    header = b"number,text\n"
    opened, prefix = sink(at.open(), max_bytes=500, header=header)
    values = records(50)
    written = await write_all(opened, values, 9)
    there = [*assert_is_there(at, prefix, written).values()]
    assert len(there) > 10
    assert all(content.startswith(header) for content in there)
    assert b"".join(content.removeprefix(header) for content in there) == b"".join(values)
    assert all(len(content) <= 500 for content in there)
    assert opened.accepted_bytes == sum(map(len, there))
    assert [each.records for each in written] == [content.count(b"\n") - 1 for content in there]


async def test_nothing_written_makes_no_object(at: Place) -> None:
    opened, prefix = sink(at.open(), header=b"a,b\n")
    assert await write_all(opened, []) == []
    assert at.objects(prefix) == {}


def assert_parts(at: Place, written: ObjectWritten, number: int) -> None:
    """Check that an object went up in so many parts; a folder does not tell."""
    if isinstance(at, S3Place):
        # The tag of an object made of parts ends in their number.
        tag = str(obstore.head(at.server.bucket(BUCKET), written.key)["e_tag"])
        assert tag.strip('"').endswith(f"-{number}")


async def test_a_large_object_goes_in_parts_and_not_into_memory(at: Place) -> None:
    opened, _ = sink(at.open())
    line = random.Random(1).randbytes(1023).replace(b"\n", b" ") + b"\n"
    block = encoded([line] * 1024)
    tracemalloc.start()
    try:
        for _ in range(80):
            await opened.write(block)
        await opened.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    (written,) = opened.take_written().objects
    assert (written.records, written.bytes) == (80 * 1024, 80 * MIB)
    assert peak < 40 * MIB
    there = at.objects(written.key.partition("/")[0])[written.key]
    assert_parts(at, written, 10)
    assert readback.checksum(there) == written.checksum
    assert readback.checksum(line * 1024 * 80) == written.checksum


async def test_objects_on_their_way_do_not_pile_up(at: Place) -> None:
    """A store that is slower than the generator holds it back, before it fills the memory."""
    opened, prefix = sink(at.open(), max_bytes=4 * MIB)
    slots, opened._slots = opened._slots, asyncio.Semaphore(0)  # as if no put ever came to its end
    block = encoded([b"x" * 1023 + b"\n"] * 1024)

    async def write_100_mib() -> None:
        for _ in range(100):
            await opened.write(block)

    writing = asyncio.create_task(write_100_mib())
    await asyncio.wait({writing}, timeout=1)
    assert opened.accepted_bytes <= 32 * MIB
    for _ in range(100):
        opened._slots.release()
    opened._slots = slots
    await writing
    await opened.finish()
    written = opened.take_written().objects
    assert sum(each.bytes for each in written) == 100 * MIB
    assert_is_there(at, prefix, written)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
async def test_compressed_chunks_are_measured_uncompressed(at: Place, compression: str) -> None:
    plain, _ = sink(at.open(), max_bytes=5000, header=b"h\n")
    compressed, prefix = sink(at.open(), max_bytes=5000, header=b"h\n", compression=compression)
    expected_records = [each.records for each in await write_all(plain, records(200))]
    written = await write_all(compressed, records(200), 7)
    there = assert_is_there(at, prefix, written)
    assert [each.records for each in written] == expected_records
    assert compressed.accepted_bytes == sum(map(len, there.values())) < plain.accepted_bytes


def plan_sink(at: Place, the_plan: Plan, checkpoint: Checkpoint = NEW) -> tuple[ObjectSink, RecordSource]:
    """Return a sink as a worker opens it for a plan, and the plan's source."""
    source = RecordSource(the_plan)
    return ObjectSink(
        at.open(),
        prefix=the_plan.emulation_id,
        layout=layout(the_plan, source),
        checkpoint=checkpoint,
    ), source


async def carried_out(to: ObjectSink, source: RecordSource, count: int, at_a_time: int) -> list[ObjectWritten]:
    while to.accepted_records < count:
        await to.write(source.take(min(at_a_time, count - to.accepted_records)))
    await to.finish()
    return to.take_written().objects


CHOICES = [(each.name, compression) for each in FORMATS.values() for compression in each.compressions]


@pytest.mark.parametrize(("name", "compression"), CHOICES)
@pytest.mark.parametrize("sync_type", ["grouped", "chunked", "single"])
async def test_every_format_in_every_way_agrees_with_its_manifest(
    at: Place, name: str, compression: str, sync_type: str
) -> None:
    the_plan = plan(
        emulation_id=str(uuid.uuid4()), format=name, compression=compression, sync_type=sync_type, max_chunk_size=20_000
    )
    count = 10 if sync_type == "single" else 1000
    opened, source = plan_sink(at, the_plan)
    written = await carried_out(opened, source, count, 300)
    there = assert_is_there(at, the_plan.emulation_id, written)
    assert {key.partition(".")[2] for key in there} == {FORMATS[name].extensions[compression]}
    assert sum(each.records for each in written) == opened.accepted_records == count
    assert sum(each.bytes for each in written) == opened.accepted_bytes
    if sync_type == "grouped":
        (key,) = there
        assert there[key] == object_content(the_plan, count, key=key)
    elif sync_type == "single":
        assert len(there) == count
    else:
        assert len(there) > 2


@pytest.mark.parametrize(("name", "compression"), CHOICES)
async def test_who_goes_on_writes_the_same_objects(at: Place, name: str, compression: str) -> None:
    the_plan = plan(
        emulation_id=str(uuid.uuid4()), format=name, compression=compression, sync_type="chunked", max_chunk_size=50_000
    )
    count = 3000
    opened, source = plan_sink(at, the_plan)
    await carried_out(opened, source, count, 1000)
    before = at.objects(the_plan.emulation_id)

    again, source = plan_sink(at, the_plan)
    await again.write(source.take(700))
    records_there = await again.roll_back()
    source.seek(records_there)
    first = await carried_out(again, source, 1500, 77)
    kept = first[:-1]  # the last one ended early: whoever goes on behind the one before writes it again
    checkpoint = Checkpoint(
        elapsed_s=1.0,
        records=sum(each.records for each in kept),
        bytes=sum(each.bytes for each in kept),
        objects=len(kept),
        is_resumed=True,
    )
    resumed, source = plan_sink(at, the_plan, checkpoint)
    source.seek(checkpoint.records)
    last = await carried_out(resumed, source, count, 513)
    assert at.objects(the_plan.emulation_id) == before
    assert {each.key: each.checksum for each in kept + last} == {
        key: readback.checksum(there) for key, there in before.items()
    }


async def test_parquet_chunks_are_about_as_large_as_asked_for(at: Place) -> None:
    for size in (100_000, 1_000_000):
        the_plan = plan(
            emulation_id=str(uuid.uuid4()),
            format="parquet",
            compression="snappy",
            sync_type="chunked",
            max_chunk_size=size,
        )
        opened, source = plan_sink(at, the_plan)
        written = await carried_out(opened, source, 60_000, 4096)
        assert len({each.records for each in written[:-1]}) == 1
        for each in written[:-1]:
            assert 0.5 * size < each.bytes < 1.5 * size
        tables = [pq.read_table(io.BytesIO(part)) for part in at.objects(the_plan.emulation_id).values()]
        assert pa.concat_tables(tables).to_pylist()[:2000] == expected(the_plan, 2000)


async def test_a_large_parquet_object_goes_in_parts(at: Place) -> None:
    the_plan = plan(emulation_id=str(uuid.uuid4()), format="parquet", compression="none")
    opened, source = plan_sink(at, the_plan)
    (written,) = await carried_out(opened, source, 4 * ROW_GROUP_RECORDS + 1, 4096)
    there = at.objects(the_plan.emulation_id)[written.key]
    assert written.bytes == len(there) > 12 * MIB
    assert_parts(at, written, 2)
    assert readback.checksum(there) == written.checksum
    metadata = pq.read_metadata(io.BytesIO(there))
    assert (metadata.num_rows, metadata.num_row_groups) == (4 * ROW_GROUP_RECORDS + 1, 5)


async def test_sinks_side_by_side_do_not_meet(at: Place) -> None:
    opened = [sink(at.open(), max_bytes=1000) for _ in range(8)]
    written = await asyncio.gather(*(write_all(each, records(100), 10) for each, _ in opened))
    for (_, prefix), own in zip(opened, written, strict=True):
        assert b"".join(assert_is_there(at, prefix, own).values()) == b"".join(records(100))
