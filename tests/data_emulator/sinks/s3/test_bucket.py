"""The S3 sink where its store is away or refuses it, and the target; what its objects are is in `test_objects`."""

import asyncio
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta

import obstore
import pytest
from obstore.exceptions import BaseError
from pydantic import SecretStr
from structlog.testing import capture_logs

from data_emulator.errors import SinkError, SinkUnavailable
from data_emulator.model import Checkpoint
from data_emulator.settings import Settings
from data_emulator.sinks import parts
from data_emulator.sinks.objects import ObjectSink
from data_emulator.sinks.s3.bucket import S3Bucket, S3Target
from data_emulator.stack.seaweedfs import SeaweedFS
from tests.support import readback
from tests.support.faulty_store import FaultyStore, Refusal, Request
from tests.support.writing import BUCKET, encoded, records, sink, write_all

pytestmark = pytest.mark.integration


def opened(settings: Settings, timeout_s: float) -> S3Bucket:
    return S3Bucket(settings, BUCKET, timedelta(seconds=timeout_s))


async def test_an_unreachable_store_is_an_error(s3_settings: Settings, closed_port: int) -> None:
    lost = s3_settings.model_copy(update={"s3_endpoint": f"http://127.0.0.1:{closed_port}"})
    to, prefix = sink(opened(lost, 1))
    with pytest.raises(SinkError, match=f"{prefix}/part-000000000.json") as caught:
        await write_all(to, records(10))
    assert_hides(caught.value, s3_settings)
    assert to.take_written().objects == []


async def test_an_unreachable_store_stops_a_stream_of_chunks(s3_settings: Settings, closed_port: int) -> None:
    lost = s3_settings.model_copy(update={"s3_endpoint": f"http://127.0.0.1:{closed_port}"})
    to, _ = sink(opened(lost, 0.5), max_records=1)
    with pytest.raises(SinkError):
        await write_all(to, records(1000), 10)
    with pytest.raises(SinkError):
        await to.finish()
    assert to.take_written().objects == []


@pytest.mark.parametrize("field", ["s3_secret_access_key", "s3_access_key_id"])
async def test_wrong_credentials_are_an_error_that_shows_none(s3_settings: Settings, field: str) -> None:
    wrong = s3_settings.model_copy(update={field: SecretStr("wrong-and-secret")})
    to, _ = sink(opened(wrong, 2))
    with pytest.raises(SinkError) as caught:
        await write_all(to, records(10))
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
    to, prefix = sink(opened(s3_settings, 5), max_bytes=1000)
    values = records(400)
    await to.write(encoded(values[:200]))
    while to._puts:
        await asyncio.wait(to._puts)
    before = to.take_written().objects
    assert before
    s3_store.kill()
    try:
        with pytest.raises(SinkError):
            await write_all(to, values[200:])
        assert to.take_written().objects == []
    finally:
        s3_store.start()
    there = readback.objects(s3_store, BUCKET, prefix)
    assert {each.key: each.checksum for each in before}.items() <= {
        key: readback.checksum(content) for key, content in there.items()
    }.items()


def put_of(number: int, refusal: Refusal) -> Callable[[Request], Refusal | None]:
    """Refuse the put of an object, whenever it is tried."""
    name = f"part-{number:09d}.json"
    return lambda request: refusal if request.method == "PUT" and request.key.endswith(name) else None


@pytest.mark.parametrize(
    ("refusal", "permanent"),
    [
        (Refusal(400, "InvalidArgument"), True),
        (Refusal(403, "AccessDenied"), True),
        (Refusal(413, ""), True),
        (Refusal(403, "RequestTimeTooSkewed"), False),
        (Refusal(400, "ExpiredToken"), False),
        (Refusal(429, "SlowDown"), False),
        (Refusal(503, "SlowDown"), False),
    ],
)
async def test_a_store_that_refuses_is_told_apart_from_one_that_is_away(
    s3_store: SeaweedFS, s3_settings: Settings, refusal: Refusal, permanent: bool
) -> None:
    with FaultyStore(s3_store.endpoint, put_of(3, refusal)) as proxy:
        to, _ = sink(opened(s3_settings.model_copy(update={"s3_endpoint": proxy.url}), 1), max_records=1)
        with pytest.raises(SinkError, match=f"part-000000003.json: {proxy.url} answers {refusal.status}") as caught:
            await write_all(to, records(10), 1)
    assert refusal.code in str(caught.value)
    assert caught.value.permanent is permanent


def more_parts_than(most: int) -> Callable[[Request], Refusal | None]:
    """Refuse what S3 refuses, with a lower limit."""
    return lambda request: Refusal(400, "InvalidArgument") if int(request.query.get("partNumber", 0)) > most else None


@pytest.mark.parametrize("planned_mib", [100, 0])
async def test_an_object_of_the_planned_size_fits_into_the_parts_that_the_store_allows(
    s3_store: SeaweedFS, s3_settings: Settings, monkeypatch: pytest.MonkeyPatch, planned_mib: int
) -> None:
    monkeypatch.setattr(parts, "MAX_PARTS", 4)
    block = encoded([b"x" * 1023 + b"\n"] * 1024)
    with FaultyStore(s3_store.endpoint, more_parts_than(parts.MAX_PARTS)) as proxy:
        bucket = opened(s3_settings.model_copy(update={"s3_endpoint": proxy.url}), 30)
        to, _ = sink(bucket, part_bytes=parts.part_bytes_for(planned_mib * 2**20))

        async def write() -> None:
            for _ in range(100):
                await to.write(block)
            await to.finish()

        if planned_mib:
            await write()
            (written,) = to.take_written().objects
            assert written.bytes == 100 * 2**20
            sent = {int(each.query["partNumber"]) for each in proxy.requests if "partNumber" in each.query}
            assert sent == {1, 2, 3, 4}
            there = obstore.get(s3_store.bucket(BUCKET), written.key).bytes()
            assert readback.checksum(bytes(there)) == written.checksum
        else:  # larger than was planned: it is not tried again from the start
            with pytest.raises(SinkError, match="400 InvalidArgument") as caught:
                await write()
            assert caught.value.permanent


BLOCK = encoded([b"x" * 1023 + b"\n"] * 1024)
"""A MiB of records."""


async def write_mib(to: ObjectSink, count: int) -> None:
    for _ in range(count):
        await to.write(BLOCK)


async def test_an_upload_that_is_given_up_is_aborted_before_the_next_one(
    s3_store: SeaweedFS, s3_settings: Settings
) -> None:
    to, prefix = sink(opened(s3_settings, 10))
    await write_mib(to, 40)
    assert len(readback.uploads(s3_store, BUCKET, prefix)) == 1
    assert await to.roll_back() == 0
    await write_mib(to, 40)
    assert len(readback.uploads(s3_store, BUCKET, prefix)) == 1
    await to.finish()
    assert readback.uploads(s3_store, BUCKET, prefix) == []
    (written,) = to.take_written().objects
    assert written.bytes == 40 * 2**20
    assert [*readback.objects(s3_store, BUCKET, prefix)] == [written.key]


async def test_an_upload_whose_worker_was_killed_is_aborted_by_the_next_one(
    s3_store: SeaweedFS, s3_settings: Settings
) -> None:
    killed, prefix = sink(opened(s3_settings, 10))
    other, others_prefix = sink(opened(s3_settings, 10))
    for each in (killed, other):
        await write_mib(each, 40)
    later = ObjectSink(
        opened(s3_settings, 10), prefix=prefix, layout=killed._layout, checkpoint=Checkpoint(is_resumed=True)
    )
    await write_mib(later, 1)
    assert readback.uploads(s3_store, BUCKET, prefix) == []
    assert len(readback.uploads(s3_store, BUCKET, others_prefix)) == 1
    await later.finish()
    await other.finish()
    assert len(other.take_written().objects) == 1


@pytest.mark.parametrize("refusal", [Refusal(403, "AccessDenied"), Refusal(501, "NotImplemented")])
async def test_a_store_that_lists_no_uploads_is_no_reason_to_fail(
    s3_store: SeaweedFS, s3_settings: Settings, refusal: Refusal
) -> None:
    with FaultyStore(s3_store.endpoint, lambda each: refusal if "uploads" in each.query else None) as proxy:
        bucket = opened(s3_settings.model_copy(update={"s3_endpoint": proxy.url}), 10)
        with capture_logs() as logs:
            to, _ = sink(bucket, checkpoint=Checkpoint(is_resumed=True))
            assert len(await write_all(to, records(10))) == 1
    assert {each["event"] for each in logs} == {"uploads cannot be aborted: let a lifecycle rule do it"}
    assert "Signature" not in str(logs)


async def test_a_store_that_is_away_while_uploads_are_aborted_is_an_error_that_shows_no_secret(
    s3_settings: Settings, closed_port: int
) -> None:
    lost = s3_settings.model_copy(update={"s3_endpoint": f"http://127.0.0.1:{closed_port}"})
    to, _ = sink(opened(lost, 1), checkpoint=Checkpoint(is_resumed=True))
    with pytest.raises(SinkError, match=f"left-over objects .*127.0.0.1:{closed_port}: ConnectError") as caught:
        await to.write(encoded(records(10)))
    assert not caught.value.permanent
    assert_hides(caught.value, s3_settings)


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
