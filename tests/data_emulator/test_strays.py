"""However an emulation ends, its store holds exactly what its manifest lists, and no unfinished upload: soon after.

In front of the real store is a proxy that refuses or holds back what a test says.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data_emulator.model import State
from data_emulator.service import tidying
from data_emulator.service.emulations import Emulations
from data_emulator.settings import Settings
from data_emulator.stack.seaweedfs import SeaweedFS
from tests.support import readback
from tests.support.faulty_store import FaultyStore, Refusal, Request
from tests.support.in_process import ended, kill_workers, opened, start, wait_until

pytestmark = pytest.mark.integration

BUCKET = "transactions"
BUSY = Refusal(503, "SlowDown")


@pytest.fixture
def proxy(s3_store: SeaweedFS) -> Iterator[FaultyStore]:
    with FaultyStore(s3_store.endpoint) as opened:
        yield opened


@pytest.fixture
def settings(s3_settings: Settings, proxy: FaultyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(tidying, "_RETRY_S", 0.5)
    monkeypatch.setattr(tidying, "_SECOND_LOOK_S", 3.0)
    changes = {
        "database_url": f"sqlite:///{tmp_path / 'state.db'}",
        "workers": 1,
        "world_users": 100,
        "s3_endpoint": proxy.url,
        "sink_timeout_s": 2.0,
        "sink_outage_s": 1.0,
    }
    return s3_settings.model_copy(update=changes)


@pytest.fixture
def service(settings: Settings) -> Iterator[Emulations]:
    with opened(settings) as service:
        yield service


def tidies(request: Request) -> bool:
    """Tell whether a request looks for what is left behind, or deletes it."""
    deletes = request.method == "DELETE" or "delete" in request.query
    lists = request.method == "GET" and ("uploads" in request.query or "list-type" in request.query)
    is_probe = "probe" in request.query.get("prefix", "")
    return deletes or (lists and not is_probe)


def puts(request: Request) -> bool:
    return request.method == "PUT"


def is_part(request: Request, number: int) -> bool:
    return puts(request) and f"part-{number:09d}." in request.key


def keys_there(store: SeaweedFS, emulation_id: str) -> list[str]:
    return sorted(each["path"] for each in readback.listing(store, BUCKET, emulation_id + "/"))


def listed(service: Emulations, emulation_id: str) -> list[str]:
    return [each.key for each in service.manifest(emulation_id)[1]]


def is_tidied(service: Emulations, emulation_id: str) -> bool:
    return emulation_id not in {each.emulation_id for each in service.store.untidy(math.inf, 100)}


def assert_becomes_tidy(service: Emulations, store: SeaweedFS, emulation_id: str) -> None:
    wait_until(lambda: is_tidied(service, emulation_id), "what is left behind is deleted")
    there = readback.objects(store, BUCKET, emulation_id + "/")
    manifest = {each.key: each.checksum for each in service.manifest(emulation_id)[1]}
    assert {key: readback.checksum(content) for key, content in there.items()} == manifest
    assert readback.uploads(store, BUCKET, emulation_id + "/") == []


def written(service: Emulations, emulation_id: str, at_least: int) -> None:
    wait_until(lambda: len(listed(service, emulation_id)) >= at_least, "objects are written")


def test_one_refused_put_among_many(service: Emulations, s3_store: SeaweedFS, proxy: FaultyStore) -> None:
    denied = Refusal(403, "AccessDenied")
    proxy.refuse = lambda each: denied if is_part(each, 100) else BUSY if tidies(each) else None
    emulation_id = start(service, sync_type="single", max_records=3000)
    failed = ended(service, emulation_id)
    assert failed.state is State.FAILED
    assert "answers 403 AccessDenied" in str(failed.error)
    assert failed.records <= 100
    assert len(keys_there(s3_store, emulation_id)) > failed.records
    proxy.refuse = lambda _: None
    assert_becomes_tidy(service, s3_store, emulation_id)


def test_an_outage_that_lasts(service: Emulations, s3_store: SeaweedFS, proxy: FaultyStore) -> None:
    emulation_id = start(service, sync_type="chunked", rate=500, max_chunk_size=5000)
    written(service, emulation_id, 10)
    missing = len(listed(service, emulation_id)) + 50
    is_away = threading.Event()
    proxy.refuse = lambda each: (
        BUSY if tidies(each) or is_part(each, missing) or (puts(each) and is_away.is_set()) else None
    )
    wait_until(lambda: len(keys_there(s3_store, emulation_id)) > missing, "objects behind the missing one arrive")
    is_away.set()
    assert ended(service, emulation_id).state is State.FAILED
    proxy.refuse = lambda _: None
    assert_becomes_tidy(service, s3_store, emulation_id)


def test_an_upload_in_parts_that_fails(service: Emulations, s3_store: SeaweedFS, proxy: FaultyStore) -> None:
    denied = Refusal(403, "QuotaExceeded")
    proxy.refuse = lambda each: denied if each.query.get("partNumber") == "4" else BUSY if tidies(each) else None
    emulation_id = start(service, rate=None, timeout=60)
    assert ended(service, emulation_id).state is State.FAILED
    assert readback.uploads(s3_store, BUCKET, emulation_id + "/") != []
    proxy.refuse = lambda _: None
    assert_becomes_tidy(service, s3_store, emulation_id)
    assert listed(service, emulation_id) == []


@pytest.mark.parametrize(
    ("kind", "at_least_bytes"),
    [({"sync_type": "chunked", "max_chunk_size": 2000, "rate": 2000}, 2**19), ({"rate": None}, 40 * 2**20)],
)
def test_a_cancel_just_after_a_kill_in_a_service_that_then_ends(
    settings: Settings, s3_store: SeaweedFS, proxy: FaultyStore, kind: dict[str, Any], at_least_bytes: int
) -> None:
    service = Emulations(settings)
    service.open()
    try:
        emulation_id = start(service, **kind)
        wait_until(lambda: service.get(emulation_id).bytes > at_least_bytes, "records are written")
        proxy.refuse = lambda each: BUSY if tidies(each) else None
        kill_workers(service)
        service.cancel(emulation_id)
        assert ended(service, emulation_id).state is State.CANCELLED
        assert not is_tidied(service, emulation_id)
    finally:
        service.close()
    proxy.refuse = lambda _: None
    later = Emulations(settings)
    later.open()
    try:
        assert_becomes_tidy(later, s3_store, emulation_id)
    finally:
        later.close()


def test_a_put_that_arrives_after_the_end(service: Emulations, s3_store: SeaweedFS, proxy: FaultyStore) -> None:
    late = threading.Event()
    arrived = threading.Event()

    def hold_back(each: Request) -> Refusal | None:
        if is_part(each, 55) and not late.is_set():
            late.wait(60)  # and pass it on then, though nobody waits for an answer any more
            arrived.set()
            return None
        return Refusal(403, "AccessDenied") if is_part(each, 50) else None

    proxy.refuse = hold_back
    emulation_id = start(service, sync_type="single", max_records=3000)
    assert ended(service, emulation_id).state is State.FAILED
    wait_until(lambda: any(each.looks for each in service.store.untidy(math.inf, 10)), "the first look is over")
    late.set()
    assert arrived.wait(30)
    key = listed(service, emulation_id)[0].replace("part-000000000", "part-000000055")
    wait_until(lambda: key in keys_there(s3_store, emulation_id), "the late put has arrived")
    assert_becomes_tidy(service, s3_store, emulation_id)


def test_emulations_that_end_as_they_should_are_not_looked_at(service: Emulations) -> None:
    kinds = [{"sync_type": each} for each in ("grouped", "chunked", "single")]
    completed = [start(service, **kind, max_records=50) for kind in kinds]
    cancelled = [start(service, **kind, rate=20) for kind in kinds]
    for each in cancelled:
        wait_until(lambda one=each: service.get(one).records > 5, "records are written")
        service.cancel(each)
    assert {ended(service, each).state for each in completed} == {State.COMPLETED}
    assert {ended(service, each).state for each in cancelled} == {State.CANCELLED}
    assert service.store.untidy(math.inf, 10) == []
