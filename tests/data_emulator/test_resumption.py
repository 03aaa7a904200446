"""Workers are killed, the store goes away and comes back: in the end every object is there, whole, and no other."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data_emulator.engine.layout import layout
from data_emulator.engine.source import RecordSource
from data_emulator.model import Checkpoint, State
from data_emulator.service.emulations import Emulations
from data_emulator.settings import Settings
from data_emulator.sinks.file import Folder
from data_emulator.sinks.objects import ObjectSink
from data_emulator.stack.seaweedfs import SeaweedFS
from tests.support import readback
from tests.support.in_process import ended, kill_workers, opened, start, wait_until, worker_pids
from tests.support.writing import FilePlace

pytestmark = pytest.mark.integration

BUCKET = "transactions"


KINDS: list[dict[str, Any]] = [
    {"sync_type": "grouped", "rate": 1000, "max_records": 8000},
    {"sync_type": "grouped", "rate": 500, "max_records": 4000, "format_type": "csv"},
    {"sync_type": "chunked", "rate": 1000, "max_records": 8000, "max_chunk_size": 20_000},
    {"sync_type": "chunked", "rate": 500, "max_records": 4000, "max_chunk_size": 5000, "format_type": "csv"},
    {"sync_type": "single", "rate": 75, "max_records": 600},
    {"sync_type": "grouped", "rate": 500, "max_records": 4000, "format_type": "parquet"},
    {"sync_type": "chunked", "rate": 500, "max_records": 4000, "max_chunk_size": 30_000, "format_type": "parquet"},
    {"sync_type": "chunked", "rate": 500, "max_records": 4000, "max_chunk_size": 50_000, "format_type": "avro"},
    {"sync_type": "chunked", "rate": 500, "max_records": 4000, "max_chunk_size": 50_000, "compression": "gzip"},
    # Objects that go up in parts.
    {"sync_type": "chunked", "rate": 10_000, "max_records": 80_000, "max_chunk_size": 12_000_000},
]


@pytest.fixture
def settings(s3_settings: Settings, tmp_path: Path) -> Settings:
    changes = {
        "database_url": f"sqlite:///{tmp_path / 'state.db'}",
        "file_root": tmp_path / "files",
        "workers": 2,
        "world_users": 100,
        "sink_timeout_s": 2.0,
        "sink_outage_s": 120.0,
    }
    return s3_settings.model_copy(update=changes)


@pytest.fixture
def service(settings: Settings) -> Iterator[Emulations]:
    with opened(settings) as service:
        yield service


@pytest.fixture(params=["minio", "file"])
def sink(request: pytest.FixtureRequest) -> str:
    """Each kind of sink that keeps objects."""
    return str(request.param)


def there(settings: Settings, store: SeaweedFS, sink: str, emulation_id: str) -> dict[str, bytes]:
    """Return all that lies in an emulation's objects or files, by key."""
    if sink == "minio":
        assert readback.uploads(store, BUCKET, emulation_id + "/") == []
        return readback.objects(store, BUCKET, emulation_id + "/")
    assert settings.file_root
    return FilePlace(settings.file_root / BUCKET).objects(emulation_id)


async def undisturbed(service: Emulations, folder: Path, emulation_id: str) -> dict[str, str]:
    """Return the checksums, by key, of what a run that nothing happens to writes: made and written here."""
    emulation = service.get(emulation_id)
    plan = service._dispatcher._plan(emulation, Checkpoint())
    source = RecordSource(plan)
    sink = ObjectSink(
        Folder(folder),
        prefix=emulation_id,
        layout=layout(plan, source),
        checkpoint=Checkpoint(),
    )
    assert plan.max_records is not None
    while sink.accepted_records < plan.max_records:
        await sink.write(source.take(plan.max_records - sink.accepted_records))
    await sink.finish()
    return {each.key: each.checksum for each in sink.take_written().objects}


def assert_as_undisturbed(
    service: Emulations, settings: Settings, store: SeaweedFS, emulation_id: str, folder: Path
) -> None:
    """Check that the sink holds what it would have held anyway, to the byte, and that the manifest says so."""
    emulation, objects, _ = service.manifest(emulation_id)
    assert (emulation.state, emulation.error) == (State.COMPLETED, None)
    found = there(settings, store, emulation.request.emulator_sync, emulation_id)
    expected = asyncio.run(undisturbed(service, folder, emulation_id))
    assert {key: readback.checksum(content) for key, content in found.items()} == expected
    assert {each.key: each.checksum for each in objects} == expected
    assert {each.key: each.bytes for each in objects} == {key: len(content) for key, content in found.items()}
    assert emulation.records == sum(each.records for each in objects) == emulation.request.max_records


def started(service: Emulations, sink: str = "minio") -> list[str]:
    """Start one emulation of each kind, and return their ids once all have written something."""
    ids = [start(service, seed=11, emulator_sync=sink, **kind) for kind in KINDS]
    for each in ids:
        wait_until(lambda one=each: service.get(one).records > 0, "records are written")
    return ids


def states(service: Emulations, ids: list[str]) -> set[State]:
    return {service.get(each).state for each in ids}


def test_killed_workers_leave_no_trace(
    service: Emulations, settings: Settings, s3_store: SeaweedFS, sink: str, tmp_path: Path
) -> None:
    ids = started(service, sink)
    for _ in range(3):
        assert states(service, ids) == {State.PROCESSING}
        kill_workers(service)
        time.sleep(1)
    for each in ids:
        ended(service, each)
        assert_as_undisturbed(service, settings, s3_store, each, tmp_path)


@pytest.mark.parametrize("workers_too", [False, True])
def test_a_store_that_comes_back_has_everything(
    service: Emulations, settings: Settings, s3_store: SeaweedFS, workers_too: bool, tmp_path: Path
) -> None:
    ids = started(service)
    s3_store.kill()
    try:
        if workers_too:
            kill_workers(service)
        time.sleep(5)  # longer than a write may take
        assert states(service, ids) == {State.PROCESSING}
    finally:
        s3_store.start()
    for each in ids:
        ended(service, each)
        assert_as_undisturbed(service, settings, s3_store, each, tmp_path)


@pytest.mark.parametrize(("sink", "sync_type"), [("minio", "single"), ("minio", "chunked"), ("file", "single")])
def test_what_is_cancelled_as_its_worker_dies_leaves_no_objects_behind(
    service: Emulations, settings: Settings, s3_store: SeaweedFS, sync_type: str, sink: str
) -> None:
    ids = [start(service, emulator_sync=sink, sync_type=sync_type, rate=100, timeout=3600) for _ in range(3)]
    for each in ids:
        wait_until(lambda one=each: len(service.manifest(one)[1]) > 0, "objects are written")
    for pid in worker_pids(service):
        os.kill(pid, signal.SIGKILL)
    for each in ids:
        service.cancel(each)
    for each in ids:
        assert ended(service, each).state is State.CANCELLED
        found = there(settings, s3_store, sink, each)
        assert {one.key: one.checksum for one in service.manifest(each)[1]} == {
            key: readback.checksum(content) for key, content in found.items()
        }
