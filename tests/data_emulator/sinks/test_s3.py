"""The S3 sink and target, on a real store."""

import asyncio
import io
import itertools
import random
import threading
import tracemalloc
import uuid
from datetime import timedelta

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from obstore.exceptions import BaseError
from pydantic import SecretStr

from data_emulator.engine.objects import layout
from data_emulator.engine.plan import Checkpoint, Plan
from data_emulator.engine.source import RecordSource
from data_emulator.errors import SinkError, SinkUnavailable
from data_emulator.formats.catalog import FORMATS
from data_emulator.formats.lines import LineObjects
from data_emulator.formats.objects import Layout
from data_emulator.formats.parquet import ROW_GROUP_RECORDS
from data_emulator.settings import Settings
from data_emulator.sinks.base import ObjectWritten, Records
from data_emulator.sinks.s3 import S3Sink, S3Target, open_bucket
from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.wire import MAX_CHUNK_BYTES
from tests.data_emulator import readback
from tests.data_emulator.formats.making import content as object_content
from tests.data_emulator.formats.making import expected, plan

pytestmark = pytest.mark.integration

BUCKET = "sink-tests"
MIB = 2**20
NEW = Checkpoint()


def encoded(values: list[bytes]) -> Records:
    column = pa.array(values, pa.binary())
    return Records(pa.record_batch({"value": column}), column, pa.array(["user"] * len(values)))


def records(count: int, longest: int = 300) -> list[bytes]:
    rng = random.Random(count)
    return [b"%06d %s\n" % (number, b"x" * rng.randrange(longest)) for number in range(count)]


def sink(
    settings: Settings,
    *,
    max_bytes: int | None = None,
    max_records: int | None = None,
    header: bytes = b"",
    compression: str = "none",
    timeout_s: float = 20,
    checkpoint: Checkpoint = NEW,
) -> tuple[S3Sink, str]:
    prefix = str(uuid.uuid4())
    opened = S3Sink(
        open_bucket(settings, BUCKET, timedelta(seconds=timeout_s)),
        prefix=prefix,
        layout=Layout(LineObjects("json", compression, header), max_bytes, max_records),
        checkpoint=checkpoint,
    )
    return opened, prefix


async def write_all(to: S3Sink, values: list[bytes], *at_a_time: int) -> list[ObjectWritten]:
    """Write slices of one array, of the given sizes in turn, and return what the sink says it wrote."""
    whole = encoded(values)
    written: list[ObjectWritten] = []
    sizes = itertools.cycle(at_a_time or (len(values),))
    start = 0
    while start < len(values):
        size = next(sizes)
        await to.write(whole.slice(start, size))
        written += to.take_written().objects
        start += size
    await to.finish()
    written += to.take_written().objects
    assert to.take_written().objects == []
    return sorted(written, key=lambda each: each.key)


def assert_is_there(store: SeaweedFS, prefix: str, written: list[ObjectWritten]) -> dict[str, bytes]:
    """Check that the sink listed exactly the objects that are there, with their sizes and checksums."""
    there = readback.objects(store, BUCKET, prefix)
    assert [each.key for each in written] == [*there]
    assert [each.bytes for each in written] == [len(content) for content in there.values()]
    assert [each.checksum for each in written] == [readback.checksum(content) for content in there.values()]
    return there


@pytest.mark.parametrize("at_a_time", [(1,), (7, 300), (1000,)])
async def test_grouped_is_one_object(s3_store: SeaweedFS, s3_settings: Settings, at_a_time: tuple[int, ...]) -> None:
    opened, prefix = sink(s3_settings)
    values = records(1000)
    written = await write_all(opened, values, *at_a_time)
    there = assert_is_there(s3_store, prefix, written)
    assert [*there.values()] == [b"".join(values)]
    assert [each.records for each in written] == [1000]
    assert (opened.accepted_records, opened.accepted_bytes) == (1000, len(b"".join(values)))


@pytest.mark.parametrize("max_bytes", [1, 307, 1024, 10_000])
@pytest.mark.parametrize("at_a_time", [(1,), (7, 300)])
async def test_chunks_are_as_full_as_they_can_be(
    s3_store: SeaweedFS, s3_settings: Settings, max_bytes: int, at_a_time: tuple[int, ...]
) -> None:
    opened, prefix = sink(s3_settings, max_bytes=max_bytes)
    values = records(200)
    written = await write_all(opened, values, *at_a_time)
    there = [*assert_is_there(s3_store, prefix, written).values()]
    assert b"".join(there) == b"".join(values)
    assert [each.records for each in written] == [content.count(b"\n") for content in there]
    for content in there:
        assert len(content) <= max_bytes or content.count(b"\n") == 1
    for content, following in itertools.pairwise(there):
        assert len(content) + following.index(b"\n") + 1 > max_bytes
    assert opened.accepted_bytes == sum(map(len, values))


async def test_a_chunk_may_be_filled_to_the_last_byte(s3_store: SeaweedFS, s3_settings: Settings) -> None:
    opened, prefix = sink(s3_settings, max_bytes=20)
    await write_all(opened, [b"0123456789"] * 5)
    assert [len(content) for content in readback.objects(s3_store, BUCKET, prefix).values()] == [20, 20, 10]


@pytest.mark.parametrize("max_bytes", [2**31 - 1, 2**31, MAX_CHUNK_BYTES])
async def test_the_largest_chunk_sizes_are_taken(s3_store: SeaweedFS, s3_settings: Settings, max_bytes: int) -> None:
    opened, prefix = sink(s3_settings, max_bytes=max_bytes)
    values = records(100)
    written = await write_all(opened, values, 40)
    assert [*assert_is_there(s3_store, prefix, written).values()] == [b"".join(values)]


async def test_one_object_a_record(s3_store: SeaweedFS, s3_settings: Settings) -> None:
    opened, prefix = sink(s3_settings, max_records=1)
    values = records(300)
    written = await write_all(opened, values, 50, 1)
    assert [*assert_is_there(s3_store, prefix, written).values()] == values
    assert {each.records for each in written} == {1}


async def test_the_header_stands_in_every_object_and_counts(s3_store: SeaweedFS, s3_settings: Settings) -> None:
    header = b"number,text\n"
    opened, prefix = sink(s3_settings, max_bytes=500, header=header)
    values = records(50)
    written = await write_all(opened, values, 9)
    there = [*assert_is_there(s3_store, prefix, written).values()]
    assert len(there) > 10
    assert all(content.startswith(header) for content in there)
    assert b"".join(content.removeprefix(header) for content in there) == b"".join(values)
    assert all(len(content) <= 500 for content in there)
    assert opened.accepted_bytes == sum(map(len, there))
    assert [each.records for each in written] == [content.count(b"\n") - 1 for content in there]


async def test_nothing_written_makes_no_object(s3_store: SeaweedFS, s3_settings: Settings) -> None:
    opened, prefix = sink(s3_settings, header=b"a,b\n")
    assert await write_all(opened, []) == []
    assert readback.objects(s3_store, BUCKET, prefix) == {}


async def test_a_large_object_goes_in_parts_and_not_into_memory(s3_store: SeaweedFS, s3_settings: Settings) -> None:
    opened, _ = sink(s3_settings)
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
    client = s3_store.bucket(BUCKET)
    # The tag of an object made of parts ends in their number.
    assert str(obstore.head(client, written.key)["e_tag"]).strip('"').endswith("-10")
    assert readback.checksum(bytes(obstore.get(client, written.key).bytes())) == written.checksum
    assert readback.checksum(line * 1024 * 80) == written.checksum


async def test_objects_on_their_way_do_not_pile_up(s3_store: SeaweedFS, s3_settings: Settings) -> None:
    """A store that is slower than the generator holds it back, before it fills the memory."""
    opened, prefix = sink(s3_settings, max_bytes=4 * MIB)
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
    assert_is_there(s3_store, prefix, written)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
async def test_compressed_chunks_are_measured_uncompressed(
    s3_store: SeaweedFS, s3_settings: Settings, compression: str
) -> None:
    plain, _ = sink(s3_settings, max_bytes=5000, header=b"h\n")
    compressed, prefix = sink(s3_settings, max_bytes=5000, header=b"h\n", compression=compression)
    expected_records = [each.records for each in await write_all(plain, records(200))]
    written = await write_all(compressed, records(200), 7)
    there = assert_is_there(s3_store, prefix, written)
    assert [each.records for each in written] == expected_records
    assert compressed.accepted_bytes == sum(map(len, there.values())) < plain.accepted_bytes


def plan_sink(settings: Settings, the_plan: Plan, checkpoint: Checkpoint = NEW) -> tuple[S3Sink, RecordSource]:
    """Return a sink as a worker opens it for a plan, and the plan's source."""
    source = RecordSource(the_plan)
    client = open_bucket(settings, BUCKET, timedelta(seconds=20))
    return S3Sink(
        client,
        prefix=the_plan.emulation_id,
        layout=layout(the_plan, source),
        checkpoint=checkpoint,
    ), source


async def carried_out(to: S3Sink, source: RecordSource, count: int, at_a_time: int) -> list[ObjectWritten]:
    while to.accepted_records < count:
        await to.write(source.take(min(at_a_time, count - to.accepted_records)))
    await to.finish()
    return to.take_written().objects


CHOICES = [(each.name, compression) for each in FORMATS.values() for compression in each.compressions]


@pytest.mark.parametrize(("name", "compression"), CHOICES)
@pytest.mark.parametrize("sync_type", ["grouped", "chunked", "single"])
async def test_every_format_in_every_way_agrees_with_its_manifest(
    s3_store: SeaweedFS, s3_settings: Settings, name: str, compression: str, sync_type: str
) -> None:
    the_plan = plan(
        emulation_id=str(uuid.uuid4()), format=name, compression=compression, sync_type=sync_type, max_chunk_size=20_000
    )
    count = 10 if sync_type == "single" else 1000
    opened, source = plan_sink(s3_settings, the_plan)
    written = await carried_out(opened, source, count, 300)
    there = assert_is_there(s3_store, the_plan.emulation_id, written)
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
async def test_who_goes_on_writes_the_same_objects(
    s3_store: SeaweedFS, s3_settings: Settings, name: str, compression: str
) -> None:
    the_plan = plan(
        emulation_id=str(uuid.uuid4()), format=name, compression=compression, sync_type="chunked", max_chunk_size=50_000
    )
    count = 3000
    opened, source = plan_sink(s3_settings, the_plan)
    await carried_out(opened, source, count, 1000)
    before = readback.objects(s3_store, BUCKET, the_plan.emulation_id)

    again, source = plan_sink(s3_settings, the_plan)
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
    )
    resumed, source = plan_sink(s3_settings, the_plan, checkpoint)
    source.seek(checkpoint.records)
    last = await carried_out(resumed, source, count, 513)
    assert readback.objects(s3_store, BUCKET, the_plan.emulation_id) == before
    assert {each.key: each.checksum for each in kept + last} == {
        key: readback.checksum(there) for key, there in before.items()
    }


async def test_parquet_chunks_are_about_as_large_as_asked_for(s3_store: SeaweedFS, s3_settings: Settings) -> None:
    for size in (100_000, 1_000_000):
        the_plan = plan(
            emulation_id=str(uuid.uuid4()),
            format="parquet",
            compression="snappy",
            sync_type="chunked",
            max_chunk_size=size,
        )
        opened, source = plan_sink(s3_settings, the_plan)
        written = await carried_out(opened, source, 60_000, 4096)
        assert len({each.records for each in written[:-1]}) == 1
        for each in written[:-1]:
            assert 0.5 * size < each.bytes < 1.5 * size
        tables = [
            pq.read_table(io.BytesIO(part))
            for part in readback.objects(s3_store, BUCKET, the_plan.emulation_id).values()
        ]
        assert pa.concat_tables(tables).to_pylist()[:2000] == expected(the_plan, 2000)


async def test_a_large_parquet_object_goes_in_parts(s3_store: SeaweedFS, s3_settings: Settings) -> None:
    the_plan = plan(emulation_id=str(uuid.uuid4()), format="parquet", compression="none")
    opened, source = plan_sink(s3_settings, the_plan)
    (written,) = await carried_out(opened, source, 4 * ROW_GROUP_RECORDS + 1, 4096)
    there = readback.objects(s3_store, BUCKET, the_plan.emulation_id)[written.key]
    assert written.bytes == len(there) > 12 * MIB
    assert str(obstore.head(s3_store.bucket(BUCKET), written.key)["e_tag"]).strip('"').endswith("-2")
    assert readback.checksum(there) == written.checksum
    metadata = pq.read_metadata(io.BytesIO(there))
    assert (metadata.num_rows, metadata.num_row_groups) == (4 * ROW_GROUP_RECORDS + 1, 5)


async def test_sinks_side_by_side_do_not_meet(s3_store: SeaweedFS, s3_settings: Settings) -> None:
    opened = [sink(s3_settings, max_bytes=1000) for _ in range(8)]
    written = await asyncio.gather(*(write_all(each, records(100), 10) for each, _ in opened))
    for (_, prefix), own in zip(opened, written, strict=True):
        assert b"".join(assert_is_there(s3_store, prefix, own).values()) == b"".join(records(100))


async def test_an_unreachable_store_is_an_error(s3_settings: Settings, closed_port: int) -> None:
    lost = s3_settings.model_copy(update={"s3_endpoint": f"http://127.0.0.1:{closed_port}"})
    opened, prefix = sink(lost, timeout_s=1)
    with pytest.raises(SinkError, match=f"{prefix}/part-000000000.json") as caught:
        await write_all(opened, records(10))
    assert_hides(caught.value, s3_settings)
    assert opened.take_written().objects == []


async def test_an_unreachable_store_stops_a_stream_of_chunks(s3_settings: Settings, closed_port: int) -> None:
    lost = s3_settings.model_copy(update={"s3_endpoint": f"http://127.0.0.1:{closed_port}"})
    opened, _ = sink(lost, max_records=1, timeout_s=0.5)
    with pytest.raises(SinkError):
        await write_all(opened, records(1000), 10)
    with pytest.raises(SinkError):
        await opened.finish()
    assert opened.take_written().objects == []


@pytest.mark.parametrize("field", ["s3_secret_access_key", "s3_access_key_id"])
async def test_wrong_credentials_are_an_error_that_shows_none(s3_settings: Settings, field: str) -> None:
    wrong = s3_settings.model_copy(update={field: SecretStr("wrong-and-secret")})
    opened, _ = sink(wrong, timeout_s=2)
    with pytest.raises(SinkError) as caught:
        await write_all(opened, records(10))
    assert_hides(caught.value, wrong)
    with pytest.raises(
        SinkUnavailable, match=f"(?s){wrong.s3_endpoint}.*(SignatureDoesNotMatch|InvalidAccessKeyId)"
    ) as at:
        S3Target(wrong).check()
    assert_hides(at.value, wrong)
    with pytest.raises(SinkUnavailable, match="bucket transactions") as at:
        S3Target(wrong).prepare("transactions")
    assert_hides(at.value, wrong)


async def test_a_store_that_dies_midway_is_an_error_and_what_it_had_taken_is_there(
    s3_store: SeaweedFS, s3_settings: Settings
) -> None:
    opened, prefix = sink(s3_settings, max_bytes=1000, timeout_s=1)
    values = records(400)
    await opened.write(encoded(values[:200]))
    while opened._puts:
        await asyncio.wait(opened._puts)
    before = opened.take_written().objects
    assert before
    s3_store.kill()
    try:
        with pytest.raises(SinkError):
            await write_all(opened, values[200:])
        assert opened.take_written().objects == []
    finally:
        s3_store.start()
    there = readback.objects(s3_store, BUCKET, prefix)
    assert {each.key: each.checksum for each in before}.items() <= {
        key: readback.checksum(content) for key, content in there.items()
    }.items()


def test_the_target_makes_a_missing_bucket_once(s3_store: SeaweedFS, s3_settings: Settings) -> None:
    bucket = f"made-{uuid.uuid4()}"
    with pytest.raises(BaseError, match="NoSuchBucket"):
        obstore.list_with_delimiter(s3_store.bucket(bucket, max_retries=0))
    errors: list[Exception] = []

    def prepare() -> None:
        try:
            S3Target(s3_settings).prepare(bucket)
        except Exception as error:  # for the assertion below
            errors.append(error)

    threads = [threading.Thread(target=prepare) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert obstore.list_with_delimiter(s3_store.bucket(bucket))["objects"] == []
    obstore.put(s3_store.bucket(bucket), "kept", b"x")
    S3Target(s3_settings).prepare(bucket)
    assert readback.objects(s3_store, bucket, "") == {"kept": b"x"}


def test_the_target_checks_that_the_store_answers(s3_settings: Settings, closed_port: int) -> None:
    S3Target(s3_settings).check()
    endpoint = f"http://127.0.0.1:{closed_port}"
    target = S3Target(s3_settings.model_copy(update={"s3_endpoint": endpoint}))
    with pytest.raises(SinkUnavailable, match=endpoint) as caught:
        target.check()
    assert "Debug source" not in str(caught.value)
    with pytest.raises(SinkUnavailable, match=f"{endpoint}, bucket transactions"):
        target.prepare("transactions")


def assert_hides(error: Exception, settings: Settings) -> None:
    assert settings.s3_secret_access_key
    for shown in (str(error), repr(error)):
        assert settings.s3_secret_access_key.get_secret_value() not in shown
        assert "wrong-and-secret" not in shown
        assert "Signature=" not in shown
