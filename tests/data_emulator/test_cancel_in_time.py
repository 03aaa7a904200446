"""A cancellation takes effect within two seconds, also while the sink hangs, and leaves a true manifest."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import pytest

from data_emulator.stack.seaweedfs import SeaweedFS
from tests.data_emulator.conftest import ServiceFactory
from tests.support import readback
from tests.support.running_service import RunningService, endless, wait_until

pytestmark = pytest.mark.integration

WITHIN_S = 2.0
KINDS = [
    {"sync_type": "grouped", "rate": 500},
    {"sync_type": "chunked", "max_chunk_size": 20_000, "rate": 500},
    {"sync_type": "single", "rate": 50},
    {"sync_type": "grouped", "rate": 10_000},  # goes up in parts
]


@pytest.fixture
def service(serve: ServiceFactory) -> RunningService:
    return serve(SINK_TIMEOUT_S=60, SINK_OUTAGE_S=600)


@contextmanager
def hanging(store: SeaweedFS) -> Iterator[None]:
    """Have a store that takes connections and answers nothing."""
    os.kill(store.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(store.pid, signal.SIGCONT)
        wait_until(store.is_ready, "the store answers again")


def started(service: RunningService) -> list[str]:
    ids = [service.post(endless(**kind)) for kind in KINDS]
    for kind, each in zip(KINDS, ids, strict=True):
        service.wait_for_records(each, 60_000 if kind["rate"] == 10_000 else 50)
    return ids


def cancel(service: RunningService, emulation_id: str) -> float:
    """Cancel an emulation, and return how many seconds it takes to end."""
    asked_at = time.monotonic()
    assert service.http.delete(f"/emulator/{emulation_id}").status_code == 202
    answer = service.http.get(f"/emulator/{emulation_id}/status", headers={"Prefer": "wait=50"})
    assert answer.json()["status"]["global_status"] == "cancelled"
    return time.monotonic() - asked_at


def assert_manifest_is_true(service: RunningService, store: SeaweedFS, emulation_id: str) -> None:
    """Check that what the manifest lists is there, whole, and nothing else.

    Requests that the store had when it hung were finished later: what they made is deleted soon.
    """
    manifest = service.manifest(emulation_id)
    listed = {each["key"]: (each["bytes"], each["checksum"]) for each in manifest["objects"]}

    def is_all_there() -> bool:
        there = readback.objects(store, "transactions", emulation_id + "/")
        return listed == {key: (len(content), readback.checksum(content)) for key, content in there.items()}

    wait_until(is_all_there, "what is listed is there, whole, and nothing else")
    assert service.status(emulation_id)["progress"]["records"] == manifest["totals"]["records"]


def test_with_a_sink_that_works(service: RunningService, s3_store: SeaweedFS) -> None:
    # A busy machine may delay one of them, but not the quickest of several.
    rounds = [started(service) for _ in range(2)]
    for kind, ids in zip(KINDS, zip(*rounds, strict=True), strict=True):
        assert min(cancel(service, each) for each in ids) < WITHIN_S, kind
    for each in chain.from_iterable(rounds):
        assert_manifest_is_true(service, s3_store, each)
        assert service.manifest(each)["totals"]["records"] > 0


def test_with_a_sink_that_hangs(service: RunningService, s3_store: SeaweedFS) -> None:
    rounds = [started(service) for _ in range(2)]
    with hanging(s3_store):
        time.sleep(1)  # so that requests are on their way
        took_s = [[cancel(service, each) for each in ids] for ids in zip(*rounds, strict=True)]
    for kind, each in zip(KINDS, took_s, strict=True):
        assert min(each) < WITHIN_S, (kind, each)
    for one in chain.from_iterable(rounds):
        assert_manifest_is_true(service, s3_store, one)
    again = service.post(endless(max_records=100))
    assert service.ended(again)["status"]["global_status"] == "completed"
