"""What an older version, or other settings, have accepted and this service cannot run: it fails, and alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_emulator.api import bodies
from data_emulator.model import State
from data_emulator.service.emulations import Emulations
from data_emulator.service.obstacles import obstacle
from data_emulator.service.store.store import Store
from data_emulator.settings import Settings
from data_emulator.sinks.configured import sink_configurations
from tests.support.in_process import ended
from tests.support.new_emulation import emulation

CHANGES = [
    ({"emulation_domain": "cats"}, "there is no domain 'cats' any more"),
    ({"emulator_sync": "tape"}, "there is no sink 'tape' any more"),
    ({"emulator_sync": "kafka"}, "Kafka is not configured: set DATA_EMULATOR_KAFKA_BOOTSTRAP_SERVERS"),
    ({"format_type": "xml"}, "there is no format 'xml' any more"),
    ({"unreadable": "timeout: Input should be a valid integer"}, "its stored request cannot be read: timeout"),
]


@pytest.mark.parametrize(("change", "reason"), CHANGES)
def test_the_reason_is_told(tmp_path: Path, change: dict[str, str], reason: str) -> None:
    usual = emulation()
    request = usual.request.model_copy(update={"emulator_sync": "file", **change})
    found = obstacle(emulation(request=request), sink_configurations(Settings(file_root=tmp_path), {}))
    assert found is not None
    assert found.startswith(reason)


@pytest.mark.integration
@pytest.mark.parametrize("state", [State.QUEUED, State.PROCESSING])
def test_those_that_can_go_on_do(tmp_path: Path, state: State) -> None:
    (tmp_path / "transactions").mkdir()
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'state.db'}", file_root=tmp_path, workers=1)
    usual = emulation().request.model_copy(update={"emulator_sync": "file", "timeout": 1, "compression": "none"})
    odd = [emulation(request=usual.model_copy(update=change), state=state) for change, _ in CHANGES]
    good = emulation(request=usual, state=state)
    store = Store(settings.database_url)
    store.add([(each, None) for each in [*odd, good]])
    store.close()
    service = Emulations(settings)
    service.open()
    try:
        assert ended(service, good.id).state is State.COMPLETED
        for each, (_, reason) in zip(odd, CHANGES, strict=True):
            assert bodies.status(service.get(each.id), settings).id == each.id  # it can be listed
            found = service.get(each.id)
            assert found.state is State.FAILED
            assert str(found.error).startswith(reason)
    finally:
        service.close()
