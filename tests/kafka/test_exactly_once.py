"""Exactly-once on Apache Kafka: readers of committed records find each record once, where the manifest says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message

from data_emulator.engine import worker
from data_emulator.model import Commit, PartitionWritten, State
from data_emulator.service.dispatcher import Dispatcher
from data_emulator.service.emulations import Emulations
from data_emulator.service.store.store import Store
from data_emulator.settings import Settings
from tests.support import dying_worker
from tests.support.apache_kafka import ApacheKafka
from tests.support.in_process import PATIENCE_S, ended, start, wait_until, worker_pids
from tests.support.reading import as_in_manifest, ends, messages, of_emulation, own_ids

pytestmark = pytest.mark.kafka

TOPIC = "transactions"

Serve = Callable[..., Emulations]


@pytest.fixture
def serve(apache_kafka: ApacheKafka, tmp_path: Path) -> Iterator[Serve]:
    """Open the service, without HTTP, on one database: ``serve(sink_outage_s=1)``, again and again."""
    opened: list[Emulations] = []

    def opening(**changes: Any) -> Emulations:
        for earlier in opened:
            earlier.close()
        opened[:] = [
            Emulations(
                Settings(
                    database_url=f"sqlite:///{tmp_path / 'state.db'}",
                    kafka_bootstrap_servers=apache_kafka.bootstrap_servers,
                    workers=1,
                    world_users=100,
                    **{"sink_timeout_s": 5.0, "sink_outage_s": PATIENCE_S, **changes},
                )
            )
        ]
        opened[0].open()
        return opened[0]

    yield opening
    for each in opened:
        each.close()


def started(service: Emulations, **changes: Any) -> str:
    return start(service, **{"emulator_sync": "kafka", "timeout": 6, "rate": 1000, "seed": 5, **changes})


def committed_records(service: Emulations, emulation_id: str) -> int:
    return sum(each.records for each in service.manifest(emulation_id)[2])


class Topic:
    """What a test has put into the topic, as a reader of committed records sees it."""

    def __init__(self, broker: ApacheKafka) -> None:
        self._broker = broker
        self._since = ends(broker, TOPIC)

    def messages(self, emulation_id: str) -> list[Message]:
        return of_emulation(messages(self._broker, TOPIC, since=self._since), emulation_id)


@pytest.fixture
def topic(apache_kafka: ApacheKafka) -> Topic:
    return Topic(apache_kafka)


def assert_manifest_is_true(service: Emulations, topic: Topic, emulation_id: str) -> int:
    """Check that the manifest is what a reader of committed records reads, each record once; return how many."""
    emulation, _, partitions = service.manifest(emulation_id)
    found = topic.messages(emulation_id)
    assert [vars(each) for each in partitions] == as_in_manifest(found)
    assert len(set(own_ids(found))) == len(found)
    if emulation.state.is_terminal:
        assert emulation.records == len(found)
        assert emulation.bytes == sum(len(message.value()) for message in found)
    return len(found)


def test_the_manifest_is_what_a_reader_of_committed_records_reads(serve: Serve, topic: Topic) -> None:
    service = serve()
    bounded = started(service, rate=None, max_records=50_001, timeout=600)
    paced = [started(service, timeout=3, rate=rate) for rate in (1, 333, 2000)]
    timed = started(service, timeout=1, rate=None)
    counts = []
    for each in (bounded, *paced, timed):
        assert ended(service, each).state is State.COMPLETED
        # Read right away: what is completed can be read.
        counts.append(assert_manifest_is_true(service, topic, each))
    assert counts[:-1] == [50_001, 3, 999, 6000]
    assert counts[-1] > 0


def test_a_manifest_is_never_ahead_of_what_can_be_read(serve: Serve, topic: Topic) -> None:
    service = serve()
    emulation_id = started(service, rate=500, timeout=3600)
    for at_least in (1, 1000, 2000):
        wait_until(lambda least=at_least: committed_records(service, emulation_id) >= least, "records are committed")
        partitions = {each.partition: each for each in service.manifest(emulation_id)[2]}
        found = topic.messages(emulation_id)
        for number, told in partitions.items():
            upto = [message for message in found if message.partition() == number]
            assert vars(told) == as_in_manifest(upto[: told.records])[0]
    service.cancel(emulation_id)
    assert ended(service, emulation_id).state is State.CANCELLED
    assert assert_manifest_is_true(service, topic, emulation_id) >= 2000


def test_a_broker_that_comes_back_is_gone_on_with(serve: Serve, apache_kafka: ApacheKafka, topic: Topic) -> None:
    service = serve(commit_interval_s=3)
    ids = [started(service, timeout=6, rate=1000), started(service, timeout=600, rate=20_000, max_records=150_000)]
    for each in ids:
        wait_until(lambda one=each: committed_records(service, one) > 0, "records are committed")
    time.sleep(1)  # so that it dies well after one commit, and before the next: see `until_marked`
    apache_kafka.kill()
    try:
        time.sleep(8)  # longer than a write may take
        assert [service.get(each).state for each in ids] == [State.PROCESSING] * 2
    finally:
        apache_kafka.start()
    assert [ended(service, each).state for each in ids] == [State.COMPLETED] * 2
    assert [assert_manifest_is_true(service, topic, each) for each in ids] == [6000, 150_000]


def test_a_broker_that_stays_away_fails_its_emulations_with_the_cause(
    serve: Serve, apache_kafka: ApacheKafka, topic: Topic
) -> None:
    service = serve(sink_timeout_s=2.0, sink_outage_s=3.0, commit_interval_s=3)
    ids = [started(service, timeout=3600, rate=500), started(service, timeout=3600, rate=10_000)]
    for each in ids:
        wait_until(lambda one=each: committed_records(service, one) > 0, "records are committed")
    time.sleep(1)  # as above
    apache_kafka.kill()
    try:
        for each in ids:
            failed = ended(service, each)
            assert failed.state is State.FAILED
            assert "Kafka" in str(failed.error)
    finally:
        apache_kafka.start()
    for each in ids:
        assert assert_manifest_is_true(service, topic, each) > 0


class Settlements:
    """What the service found out about the transactions of dead workers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.committed: list[Commit | None] = []
        self.not_committed: list[Commit | None] = []
        original = Store.settle

        def settle(store: Store, writer_id: str, committed: Commit | None) -> None:
            prepared = next((each.commit for each in store.writers() if each.id == writer_id), None)
            if prepared is not None:
                (self.not_committed if committed is None else self.committed).append(prepared)
            original(store, writer_id, committed)

        monkeypatch.setattr(Store, "settle", settle)


@pytest.fixture
def settlements(monkeypatch: pytest.MonkeyPatch) -> Settlements:
    return Settlements(monkeypatch)


@pytest.fixture
def dies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """Have the first worker die at a moment of its second commit; return the path that is there once it has."""

    def at(moment: str, broker: ApacheKafka | None = None) -> Path:
        monkeypatch.setattr(worker, "main", dying_worker.main)
        monkeypatch.setenv(dying_worker.MOMENT, moment)
        monkeypatch.setenv(dying_worker.DIED, str(tmp_path / "died"))
        monkeypatch.setenv(dying_worker.BROKER, str(broker.pid) if broker else "")
        return tmp_path / "died"

    return at


@pytest.mark.parametrize("moment", ["before", "during", "after"])
def test_a_worker_that_dies_at_its_commit(
    serve: Serve, topic: Topic, settlements: Settlements, dies: Callable[..., Path], moment: str
) -> None:
    died = dies(moment)
    service = serve(commit_interval_s=0.1)
    ids = [started(service, rate=rate, seed=rate) for rate in (100, 1000)]
    states = [ended(service, each).state for each in ids]
    assert died.exists()
    assert states == [State.COMPLETED] * 2
    assert [assert_manifest_is_true(service, topic, each) for each in ids] == [600, 6000]
    # Each way was found out for what it was.
    if moment == "before":
        assert (len(settlements.committed), len(settlements.not_committed)) == (0, 1)
    elif moment == "after":
        assert (len(settlements.committed), len(settlements.not_committed)) == (1, 0)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_worker_that_dies_at_its_commit_and_a_broker_with_it(
    serve: Serve,
    apache_kafka: ApacheKafka,
    topic: Topic,
    settlements: Settlements,
    dies: Callable[..., Path],
    moment: str,
) -> None:
    died = dies(moment, apache_kafka)
    service = serve(commit_interval_s=0.1)
    emulation_id = started(service)
    wait_until(died.exists, "the worker has died")
    apache_kafka.kill()
    try:
        wait_until(lambda: service.outage_of(emulation_id) is not None, "its status tells what it waits for")
        outage = service.outage_of(emulation_id)
        assert outage is not None
        assert outage.reason.startswith(f"Kafka at {apache_kafka.bootstrap_servers}: ")
        assert service.get(emulation_id).state is State.PROCESSING
    finally:
        apache_kafka.start()
    assert ended(service, emulation_id).state is State.COMPLETED
    assert service.outage_of(emulation_id) is None
    assert assert_manifest_is_true(service, topic, emulation_id) == 6000
    assert (len(settlements.committed), len(settlements.not_committed)) == ((0, 1) if moment == "before" else (1, 0))


@pytest.mark.parametrize(("moment", "ends"), [("before", "cancelled"), ("after", "failed")])
def test_what_cannot_be_found_out_in_time_is_found_out_later(
    serve: Serve, apache_kafka: ApacheKafka, topic: Topic, dies: Callable[..., Path], moment: str, ends: str
) -> None:
    died = dies(moment, apache_kafka)
    service = serve(commit_interval_s=0.1, sink_outage_s=1.0 if ends == "failed" else PATIENCE_S)
    emulation_id = started(service, timeout=3600)
    wait_until(died.exists, "the worker has died")
    apache_kafka.kill()
    try:
        if ends == "cancelled":
            time.sleep(2)  # until the loss is noticed
            service.cancel(emulation_id)
        status = ended(service, emulation_id)
        assert status.state is State(ends)
        assert ("Kafka did not come back" in str(status.error)) == (ends == "failed")
        assert ("(set by DATA_EMULATOR_SINK_OUTAGE_S)" in str(status.error)) == (ends == "failed")
        assert_counts_as_the_manifest_says(service, emulation_id)
    finally:
        apache_kafka.start()
    until_found_out(service)
    assert assert_manifest_is_true(service, topic, emulation_id) > 0
    assert service.get(emulation_id).state is State(ends)


@pytest.mark.parametrize("ends", ["cancelled", "failed"])
def test_a_broker_that_goes_away_right_before_a_commit_holds_no_emulation_up(
    serve: Serve, apache_kafka: ApacheKafka, topic: Topic, dies: Callable[..., Path], ends: str
) -> None:
    died = dies("before, alone", apache_kafka)
    sink_outage_s = 3.0 if ends == "failed" else 10 * PATIENCE_S
    service = serve(commit_interval_s=0.1, sink_timeout_s=2.0, sink_outage_s=sink_outage_s)
    emulation_id = started(service, timeout=3600)
    wait_until(died.exists, "the broker has died")
    apache_kafka.kill()
    pids = worker_pids(service)
    try:
        if ends == "cancelled":
            wait_until(lambda: service.outage_of(emulation_id) is not None, "the outage is noticed")
            service.cancel(emulation_id)
        status = ended(service, emulation_id)
        assert status.state is State(ends)
        assert ("(set by DATA_EMULATOR_SINK_OUTAGE_S)" in str(status.error)) == (ends == "failed")
        assert_counts_as_the_manifest_says(service, emulation_id)
    finally:
        apache_kafka.start()
    until_found_out(service)
    assert assert_manifest_is_true(service, topic, emulation_id) > 0
    assert service.get(emulation_id).state is State(ends)
    assert worker_pids(service) == pids
    again = started(service, timeout=1)
    assert ended(service, again).state is State.COMPLETED


def until_found_out(service: Emulations) -> None:
    """Wait until it is known what became of every commit."""
    wait_until(lambda: all(each.commit is None for each in service.store.writers()), "it is found out")


def assert_counts_as_the_manifest_says(service: Emulations, emulation_id: str) -> None:
    emulation, _, partitions = service.manifest(emulation_id)
    assert emulation.records == sum(each.records for each in partitions)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_service_that_dies_with_its_worker_finds_out_when_it_is_back(
    serve: Serve, topic: Topic, dies: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    died = dies(moment)
    with monkeypatch.context() as deaf:
        deaf.setattr(Dispatcher, "on_lost", lambda *_: None)  # as if it had died at that moment too
        service = serve(commit_interval_s=0.1)
        emulation_id = started(service)
        wait_until(died.exists, "the worker has died")
        before = committed_records(service, emulation_id)
        service = serve(commit_interval_s=0.1)
    wait_until(lambda: committed_records(service, emulation_id) > before, "it goes on")
    assert ended(service, emulation_id).state is State.COMPLETED
    assert assert_manifest_is_true(service, topic, emulation_id) == 6000


def test_a_worker_of_an_earlier_life_is_fenced(serve: Serve, topic: Topic) -> None:
    """What such a worker still has open can never become visible."""
    service = serve()
    emulation_id = started(service, timeout=3600, rate=200)
    wait_until(lambda: committed_records(service, emulation_id) > 0, "records are committed")
    (of_worker,) = service._dispatcher._pool._workers
    (writer,) = service.store.writers()
    assert of_worker.writer_id == writer.id
    service._dispatcher._settlement.settle(writer, 0.0)
    # It notices, and its emulation goes on in the next transaction, or the next worker.
    at = committed_records(service, emulation_id)
    wait_until(lambda: committed_records(service, emulation_id) > at, "it goes on")
    service.cancel(emulation_id)
    assert ended(service, emulation_id).state is State.CANCELLED
    assert assert_manifest_is_true(service, topic, emulation_id) > at


def test_partitions_are_those_of_the_table() -> None:
    """What is prepared is stored by its fields' names."""
    assert list(vars(PartitionWritten(0, 0, 0, 0, 0))) == [
        "partition",
        "first_offset",
        "next_offset",
        "records",
        "bytes",
    ]
