"""The writer's transactions, and finding out what became of them, without the rest of the engine."""

from __future__ import annotations

import asyncio
import random
import threading
import time
import uuid
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from data_emulator.errors import SinkError
from data_emulator.model import Checkpoint, Commit, Records
from data_emulator.settings import Settings
from data_emulator.sinks.kafka import probe as kafka_probe
from data_emulator.sinks.kafka import writer as kafka_writer
from data_emulator.sinks.kafka.probe import Place, end_transaction, was_committed
from data_emulator.sinks.kafka.sink import KafkaSink
from data_emulator.sinks.kafka.target import KafkaTarget
from data_emulator.sinks.kafka.writer import KafkaWriter
from tests.support.apache_kafka import ApacheKafka
from tests.support.reading import as_in_manifest, messages, until_marked
from tests.support.writers import serving_writer

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(apache_kafka: ApacheKafka) -> Settings:
    return Settings(kafka_bootstrap_servers=apache_kafka.bootstrap_servers, sink_timeout_s=5, commit_interval_s=0.2)


@pytest.fixture
def topic(settings: Settings) -> str:
    name = f"transactions-{uuid.uuid4()}"
    KafkaTarget(settings).prepare(name)
    return name


def records(marker: str, count: int) -> Records:
    values = pa.array([b"%s-%05d" % (marker.encode(), number) for number in range(count)], pa.binary())
    keys = pa.array([f"user-{number % 20}" for number in range(count)])
    return Records(pa.record_batch({"value": values}), values, keys)


def joined(first: Records, second: Records) -> Records:
    return Records(
        pa.concat_batches([first.batch, second.batch]),
        pa.concat_arrays([first.values, second.values]),
        pa.concat_arrays([first.keys, second.keys]),
    )


def sink(writer: KafkaWriter, topic: str) -> KafkaSink:
    return KafkaSink(writer, topic, str(uuid.uuid4()), Checkpoint())


def values(broker: ApacheKafka, topic: str, isolation_level: str = "read_committed") -> list[bytes]:
    return sorted(message.value() for message in messages(broker, topic, isolation_level))


async def write_until_taken(to: KafkaSink, what: Records) -> None:
    """Write as a run does: again, from what is acknowledged, until it is taken."""
    deadline = time.monotonic() + 90
    at = to.accepted_records
    while True:
        try:
            await to.write(what.slice(to.accepted_records, len(what)))
            return await to.finish()
        except SinkError:
            assert time.monotonic() < deadline
            assert await to.roll_back() in (at, len(what))
            await asyncio.sleep(0.2)


async def test_what_is_given_up_is_not_visible_and_not_in_the_manifest(
    apache_kafka: ApacheKafka, settings: Settings, topic: str
) -> None:
    prepared: list[Commit] = []

    async def prepare(commit: Commit) -> None:
        prepared.append(commit)

    slow = settings.model_copy(update={"commit_interval_s": 30.0})
    async with serving_writer(slow, str(uuid.uuid4()), prepare) as writer:
        opened = sink(writer, topic)
        first, second = records("first", 500), records("second", 300)
        await opened.write(first)
        assert opened.take_written().partitions == []  # not before it is committed
        await opened.finish()
        assert sum(each.records for each in opened.take_written().partitions) == 500
        await opened.write(second)
        assert opened.accepted_records == 800
        await asyncio.sleep(1)
        assert len(values(apache_kafka, topic, "read_uncommitted")) == 800  # it is the abort that hides them
        assert await opened.roll_back() == opened.accepted_records == 500
        assert opened.take_written().partitions == []  # nothing that has not been told
        assert values(apache_kafka, topic) == first.values.to_pylist()
        assert len(prepared) == 1

        third = records("third", 100)
        await write_until_taken(opened, joined(first, third))
        written = opened.take_written().partitions
    assert values(apache_kafka, topic) == [*first.values.to_pylist(), *third.values.to_pylist()]
    assert [vars(each) for each in written] == as_in_manifest(messages(apache_kafka, topic))
    # What was stored before the commit is what is final after it.
    assert prepared[-1].partitions[opened.emulation_id] == tuple(written)


def with_queue_of(monkeypatch: pytest.MonkeyPatch, messages: int) -> None:
    """Give producers a queue that is full after so many messages."""
    config = kafka_writer.producer_config
    small = {"queue.buffering.max.messages": messages}
    monkeypatch.setattr(kafka_writer, "producer_config", lambda *given: {**config(*given), **small})


def with_a_too_large_one(what: Records, position: int) -> Records:
    lines = what.values.to_pylist()
    lines[position] = b"x" * 2_000_000  # librdkafka's message.max.bytes is 1,000,000
    return Records(what.batch, pa.array(lines, pa.binary()), what.keys)


@pytest.mark.parametrize("queue", [100_000, 150])
async def test_of_a_batch_with_a_message_that_is_refused_nothing_becomes_final_and_the_others_lose_nothing(
    apache_kafka: ApacheKafka, settings: Settings, topic: str, monkeypatch: pytest.MonkeyPatch, queue: int
) -> None:
    with_queue_of(monkeypatch, queue)
    slow = settings.model_copy(update={"commit_interval_s": 30.0})
    async with serving_writer(slow, str(uuid.uuid4())) as writer:
        refused, other = sink(writer, topic), sink(writer, topic)
        kept = records("kept", 400)
        await other.write(kept)
        first = records("first", 100)
        await refused.write(first)
        with pytest.raises(SinkError, match="Message size too large") as caught:
            await refused.write(with_a_too_large_one(records("second", 900), 300))
        assert caught.value.permanent
        # What the writer would do next, whatever its emulation does: commit.
        writer.commit_soon()
        with pytest.raises(SinkError) as told:
            await other.finish()
        assert not told.value.permanent
        assert await refused.roll_back() == 0
        assert await other.roll_back() == 0
        await write_until_taken(other, kept)
        assert refused.take_written().partitions == []
        written = other.take_written().partitions
    assert values(apache_kafka, topic) == kept.values.to_pylist()
    assert [vars(each) for each in written] == as_in_manifest(messages(apache_kafka, topic))


async def test_a_message_that_the_broker_alone_refuses_fails_the_commit(
    apache_kafka: ApacheKafka, settings: Settings
) -> None:
    topic = f"small-{uuid.uuid4()}"
    admin = AdminClient({"bootstrap.servers": apache_kafka.bootstrap_servers})
    limit = {"max.message.bytes": "20000"}
    admin.create_topics([NewTopic(topic, 1, 1, config=limit)])[topic].result(30)
    async with serving_writer(settings, str(uuid.uuid4())) as writer:
        opened = sink(writer, topic)
        what = records("n", 900)
        lines = what.values.to_pylist()
        lines[450] = bytes(random.Random(1).randbytes(50_000))
        await opened.write(Records(what.batch, pa.array(lines, pa.binary()), what.keys))
        with pytest.raises(SinkError, match="size too large") as caught:
            await opened.finish()
        assert not caught.value.permanent  # what the broker refuses is a batch, in which others' messages may be
        assert await opened.roll_back() == 0
    assert values(apache_kafka, topic) == []


async def test_a_queue_that_is_full_in_the_middle_of_a_batch_neither_loses_nor_doubles_a_message(
    apache_kafka: ApacheKafka, settings: Settings, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_queue_of(monkeypatch, 70)
    async with serving_writer(settings, str(uuid.uuid4())) as writer:
        opened = sink(writer, topic)
        what = records("n", 3000)
        await write_until_taken(opened, what)
        written = opened.take_written().partitions
    found = messages(apache_kafka, topic)
    assert sorted(message.value() for message in found) == what.values.to_pylist()
    for partition in {message.partition() for message in found}:
        own = [message.value() for message in found if message.partition() == partition]
        assert own == sorted(own)
    assert [vars(each) for each in written] == as_in_manifest(found)


async def test_a_write_that_is_cancelled_halfway_never_becomes_final(
    apache_kafka: ApacheKafka, settings: Settings, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_queue_of(monkeypatch, 50)
    monkeypatch.setattr(kafka_writer, "_FULL_PAUSE_S", 0.2)
    slow = settings.model_copy(update={"commit_interval_s": 30.0})
    async with serving_writer(slow, str(uuid.uuid4())) as writer:
        opened = sink(writer, topic)
        first = records("first", 20)
        await opened.write(first)
        await opened.finish()
        writing = asyncio.create_task(opened.write(records("n", 5000)))
        await asyncio.sleep(0.1)  # the queue is full, so it waits in the middle of a batch
        assert not writing.done()
        writing.cancel()
        await asyncio.wait({writing})
        assert writing.cancelled()
        writer.commit_soon()
        with pytest.raises(SinkError, match="interrupted"):
            await opened.finish()
        assert await opened.roll_back() == 20
        assert sum(each.records for each in opened.take_written().partitions) == 20
    assert values(apache_kafka, topic) == first.values.to_pylist()


async def test_one_that_gives_up_takes_no_record_of_the_others_with_it(
    apache_kafka: ApacheKafka, settings: Settings, topic: str
) -> None:
    slow = settings.model_copy(update={"commit_interval_s": 30.0})
    async with serving_writer(slow, str(uuid.uuid4())) as writer:
        stays, leaves = sink(writer, topic), sink(writer, topic)
        kept = records("stays", 400)
        await stays.write(kept)
        await leaves.write(records("leaves", 400))
        assert await leaves.roll_back() == 0
        with pytest.raises(SinkError):  # it is told, and writes again
            await stays.finish()
        assert await stays.roll_back() == 0
        await write_until_taken(stays, kept)
        written = stays.take_written().partitions
    assert leaves.take_written().partitions == []
    assert values(apache_kafka, topic) == kept.values.to_pylist()
    assert [vars(each) for each in written] == as_in_manifest(messages(apache_kafka, topic))


async def test_a_commit_whose_answer_is_lost_is_found_to_be_one(
    apache_kafka: ApacheKafka, settings: Settings, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = KafkaWriter._call
    lost = 0

    async def call(self: KafkaWriter, name: str) -> None:
        nonlocal lost
        await original(self, name)
        if name == "commit_transaction" and not lost:
            lost += 1
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the answer is lost"))

    monkeypatch.setattr(KafkaWriter, "_call", call)
    async with serving_writer(settings, str(uuid.uuid4())) as writer:
        opened = sink(writer, topic)
        first, second = records("first", 500), records("second", 300)
        await opened.write(first)
        with pytest.raises(SinkError, match="the answer is lost"):
            await opened.finish()  # until it is found out, nobody knows
        assert await opened.roll_back() == 500
        await write_until_taken(opened, joined(first, second))
        written = opened.take_written().partitions
    assert lost == 1
    assert values(apache_kafka, topic) == [*first.values.to_pylist(), *second.values.to_pylist()]
    assert [vars(each) for each in written] == as_in_manifest(messages(apache_kafka, topic))


@pytest.mark.parametrize("asked_for", [False, True])
async def test_a_broker_that_dies_around_the_commit(
    apache_kafka: ApacheKafka, settings: Settings, topic: str, asked_for: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies once the transaction is prepared: before the commit is asked for, or before its answer has come."""
    restarting: list[threading.Thread] = []
    original = KafkaWriter._call

    async def call(self: KafkaWriter, name: str) -> None:
        if name == "commit_transaction" and not restarting:
            restarting.append(threading.Thread(target=restart, daemon=True))
            if asked_for:
                await original(self, name)
                await asyncio.to_thread(until_marked, apache_kafka, topic)
            apache_kafka.kill()
            restarting[0].start()
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer"))
        await original(self, name)

    def restart() -> None:
        time.sleep(7)  # longer than the commit may take
        apache_kafka.start()

    monkeypatch.setattr(KafkaWriter, "_call", call)
    async with serving_writer(settings, str(uuid.uuid4())) as writer:
        opened = sink(writer, topic)
        what = records("n", 500)
        try:
            await write_until_taken(opened, what)
        finally:
            await asyncio.to_thread(restarting[0].join)
        written = opened.take_written().partitions
    assert values(apache_kafka, topic) == what.values.to_pylist()
    assert [vars(each) for each in written] == as_in_manifest(messages(apache_kafka, topic))


class Left:
    """Transactions as a worker leaves them."""

    def __init__(self, broker: ApacheKafka, topic: str) -> None:
        self.topic = topic
        self._config = {"bootstrap.servers": broker.bootstrap_servers, "log_level": 0, "linger.ms": 0}

    def producer(self, transactional_id: str) -> Producer:
        producer = Producer({**self._config, "transactional.id": transactional_id})
        producer.init_transactions(30)
        return producer

    def begun(self, producer: Producer) -> Place:
        """Write a record, and return where it lies. The transaction stays open."""
        places: list[Place] = []

        def delivered(error: Any, message: Any) -> None:
            assert error is None
            places.append(Place(self.topic, message.partition(), message.offset()))

        producer.begin_transaction()
        producer.produce(self.topic, b"x", partition=0, on_delivery=delivered)
        assert producer.flush(30) == 0
        return places[0]


@pytest.fixture
def left(apache_kafka: ApacheKafka, topic: str) -> Left:
    return Left(apache_kafka, topic)


@pytest.mark.parametrize("followed", [False, True])
@pytest.mark.parametrize("committed", [False, True])
def test_the_fate_of_a_transaction_is_found_out(
    settings: Settings, left: Left, committed: bool, followed: bool
) -> None:
    before, own = left.producer("before"), left.producer("own")
    left.begun(before)
    before.commit_transaction(30)
    place = left.begun(own)
    own.commit_transaction(30) if committed else own.abort_transaction(30)
    if followed:
        for commit in (True, False):
            left.begun(before)
            before.commit_transaction(30) if commit else before.abort_transaction(30)
    assert was_committed(settings, place) == committed


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_another_transaction_that_is_open_is_waited_for(
    settings: Settings, left: Left, committed: bool, first: bool
) -> None:
    """Readers of committed records do not get past it, and so cannot tell."""
    other, own = left.producer(f"other-{uuid.uuid4()}"), left.producer(f"own-{uuid.uuid4()}")
    if first:
        left.begun(other)
    place = left.begun(own)
    if not first:
        left.begun(other)
    own.commit_transaction(30) if committed else own.abort_transaction(30)
    answers: list[bool] = []
    asking = threading.Thread(target=lambda: answers.append(was_committed(settings, place)))
    asking.start()
    asking.join(3)
    if first:
        assert answers == []
    other.commit_transaction(30)
    asking.join(60)
    assert answers == [committed]


def test_a_broker_that_is_away_does_not_tell(
    settings: Settings, apache_kafka: ApacheKafka, left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_probe, "_LONGEST_S", 3.0)
    own = left.producer("own")
    place = left.begun(own)
    own.commit_transaction(30)
    until_marked(apache_kafka, left.topic)
    apache_kafka.kill()
    try:
        with pytest.raises(KafkaException):
            was_committed(settings, place)
        with pytest.raises(KafkaException):
            end_transaction(settings, "own", 2.0)
    finally:
        apache_kafka.start()
    monkeypatch.undo()
    # A broker that has just started may not know its partitions yet. Who asks, asks again.
    answers: list[bool] = []
    deadline = time.monotonic() + 60
    while not answers:
        try:
            answers.append(was_committed(settings, place))
        except KafkaException:
            assert time.monotonic() < deadline
            time.sleep(0.5)
    assert answers == [True]


async def test_a_broker_that_never_tells_ends_the_worker(
    settings: Settings, left: Left, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service then fails what was in it; here nobody could be told anything true."""
    monkeypatch.setattr(kafka_probe, "_LONGEST_S", 1.0)
    settings = settings.model_copy(update={"sink_outage_s": 2.0})
    left.begun(left.producer(f"never-ended-{uuid.uuid4()}"))
    original = KafkaWriter._call

    async def call(self: KafkaWriter, name: str) -> None:
        await original(self, name)
        if name == "commit_transaction":
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the answer is lost"))

    monkeypatch.setattr(KafkaWriter, "_call", call)
    writer = KafkaWriter(settings, str(uuid.uuid4()), lambda _: asyncio.sleep(0), lambda: None)
    serving = asyncio.create_task(writer.serve())
    await sink(writer, topic).write(records("n", 100))
    with pytest.raises(RuntimeError, match=f"does not tell what became of .*{topic}"):
        await asyncio.wait_for(serving, 60)


def test_a_place_that_the_broker_does_not_have_is_no_answer(settings: Settings, left: Left) -> None:
    own = left.producer("own")
    place = left.begun(own)
    own.commit_transaction(30)
    with pytest.raises(KafkaException):
        was_committed(settings, Place(place.topic, place.partition, place.offset + 1000))


def test_an_open_transaction_is_ended_and_its_producer_fenced(
    settings: Settings, apache_kafka: ApacheKafka, left: Left
) -> None:
    own = left.producer("own")
    place = left.begun(own)
    end_transaction(settings, "own", 30.0)
    assert not was_committed(settings, place)
    with pytest.raises(KafkaException) as raised:
        own.commit_transaction(30)
    assert raised.value.args[0].fatal()
    assert values(apache_kafka, left.topic) == []


def test_ending_where_nothing_is_open_changes_nothing(
    settings: Settings, apache_kafka: ApacheKafka, left: Left
) -> None:
    own = left.producer("own")
    place = left.begun(own)
    own.commit_transaction(30)
    for transactional_id in ("own", f"never-used-{uuid.uuid4()}"):
        end_transaction(settings, transactional_id, 30.0)
    assert was_committed(settings, place)
    assert values(apache_kafka, left.topic) == [b"x"]
