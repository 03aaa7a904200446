"""An emulation that kills its worker again and again is given up; the others, on the same worker or not, are not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from data_emulator.engine import pool, worker
from data_emulator.model import State
from data_emulator.service.emulations import Emulations
from data_emulator.settings import Settings
from data_emulator.stack.seaweedfs import SeaweedFS
from tests.support import deadly_worker, readback
from tests.support.in_process import ended, kill_workers, start, wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def service(s3_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulations]:
    monkeypatch.setattr(worker, "main", deadly_worker.main)
    changes = {"database_url": f"sqlite:///{tmp_path / 'state.db'}", "workers": 1, "world_users": 100}
    opened = Emulations(s3_settings.model_copy(update=changes))
    opened.open()
    yield opened
    opened.close()


def test_it_is_given_up_and_the_others_are_not(service: Emulations, s3_store: SeaweedFS) -> None:
    kinds = [{"sync_type": "grouped"}, {"sync_type": "chunked"}, {"sync_type": "single", "max_records": 100}]
    others = [start(service, **{"rate": 200, "max_records": 1000, **kind}) for kind in kinds]
    for each in others:
        wait_until(lambda one=each: service.get(one).records > 0, "records are written")
    deadly = start(service, seed=deadly_worker.DEADLY_SEED, rate=200)
    failed = ended(service, deadly)
    assert failed.state is State.FAILED
    assert "died 5 times" in str(failed.error)
    assert failed.records == 0
    for each in others:
        emulation = ended(service, each)
        assert (emulation.state, emulation.error) == (State.COMPLETED, None)
        there = readback.objects(s3_store, "transactions", each + "/")
        assert sum(content.count(b"\n") for content in there.values()) == emulation.records
        assert emulation.records == emulation.request.max_records


def test_one_that_never_yields_is_given_up_and_the_others_are_not(
    service: Emulations, s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "SILENT_S", 4.0)
    other = start(service, rate=200, max_records=1000)
    wait_until(lambda: service.get(other).records > 0, "records are written")
    endless, cancelled = (start(service, seed=deadly_worker.ENDLESS_SEED, rate=200) for _ in range(2))
    service.cancel(cancelled)
    assert ended(service, cancelled).state is State.CANCELLED
    failed = ended(service, endless)
    assert (failed.state, failed.error) == (State.FAILED, "its worker process hung 2 times in a row")
    emulation = ended(service, other)
    assert (emulation.state, emulation.records) == (State.COMPLETED, 1000)
    there = readback.objects(s3_store, "transactions", other + "/")
    assert sum(content.count(b"\n") for content in there.values()) == 1000


@pytest.mark.parametrize("sync_type", ["single", "grouped"])
def test_kills_from_outside_count_against_nobody_that_gets_on(service: Emulations, sync_type: str) -> None:
    emulation_id = start(service, sync_type=sync_type, rate=50, timeout=3600)
    for _ in range(6):
        at_s = service.get(emulation_id).elapsed_s
        wait_until(lambda at_s=at_s: service.get(emulation_id).elapsed_s > at_s + 1.5, "it gets on")
        kill_workers(service)
    assert service.get(emulation_id).state is State.PROCESSING
    service.cancel(emulation_id)
    assert ended(service, emulation_id).state is State.CANCELLED
