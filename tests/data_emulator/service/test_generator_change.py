"""A service that makes other bytes of the same seed does not go on with what another has begun to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_emulator.domains import generator_version
from data_emulator.model import State
from data_emulator.service.emulations import Emulations
from data_emulator.service.obstacles import misfit
from data_emulator.service.store.store import Store
from data_emulator.settings import Settings
from tests.support.in_process import ended, start, wait_until
from tests.support.new_emulation import emulation

OLD = "0-00000000"
NOW = generator_version("transaction")


@pytest.mark.parametrize(("generator", "records"), [(NOW, 100), (None, 100), (OLD, 0)])
def test_rest_fits_what_the_same_made_or_nobody_knows_or_nothing(generator: str | None, records: int) -> None:
    assert misfit(emulation(generator=generator), records) is None


def test_rest_does_not_fit_what_another_generator_made() -> None:
    reason = f"its first 1,234 records were made by generator {OLD}, and this service has {NOW}"
    assert str(misfit(emulation(generator=OLD), 1234)).startswith(reason)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(database_url=f"sqlite:///{tmp_path / 'state.db'}", file_root=tmp_path / "lake", workers=1)


@pytest.mark.integration
def test_upgrade_fails_what_has_written_and_starts_over_what_has_not(settings: Settings) -> None:
    # Of the grouped one, nothing is written for good before its end.
    some = {
        "emulator_sync": "file",
        "sync_type": "chunked",
        "rate": 2000.0,
        "max_records": 8000,
        "max_chunk_size": 5000,
    }
    whole = {**some, "sync_type": "grouped", "max_records": 8000}
    service = Emulations(settings)
    service.open()
    written, unknown, same, nothing = (start(service, **each) for each in (some, some, some, whole))
    wait_until(
        lambda: all(service.get(each).records > 100 for each in (written, unknown, same, nothing)), "records are made"
    )
    assert service.get(nothing).generator == NOW
    service.close()

    store = Store(settings.database_url)
    for each, generator in ((written, OLD), (nothing, OLD), (unknown, None)):
        store.set_generator(each, generator)
    store.close()
    service = Emulations(settings)
    service.open()
    try:
        failed = ended(service, written)
        assert failed.state is State.FAILED
        assert f"were made by generator {OLD}, and this service has {NOW}" in str(failed.error)
        _, objects, _ = service.manifest(written)
        assert 0 < sum(each.records for each in objects) == failed.records < 8000
        for each in (unknown, same, nothing):
            found = ended(service, each)
            assert (found.state, found.records, found.generator) == (State.COMPLETED, 8000, NOW)
    finally:
        service.close()


@pytest.mark.integration
def test_queued_emulation_is_made_by_whoever_starts_it(settings: Settings) -> None:
    (Path(str(settings.file_root)) / "transactions").mkdir(parents=True)
    usual = emulation()
    request = usual.request.model_copy(update={"emulator_sync": "file", "timeout": 1, "compression": "none"})
    queued = emulation(request=request, generator=OLD)
    store = Store(settings.database_url)
    store.add([(queued, None)])
    store.close()
    service = Emulations(settings)
    service.open()
    try:
        found = ended(service, queued.id)
        assert (found.state, found.generator) == (State.COMPLETED, NOW)
    finally:
        service.close()
