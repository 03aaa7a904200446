"""An object that needs more parts of the usual size than a store allows; the limit is lowered for the test."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_emulator.engine import object_size
from data_emulator.model import State
from data_emulator.service.emulations import Emulations
from data_emulator.settings import Settings
from data_emulator.sinks import parts
from data_emulator.stack.seaweedfs import SeaweedFS
from tests.support import readback
from tests.support.faulty_store import FaultyStore, Refusal, Request
from tests.support.in_process import ended, start

pytestmark = pytest.mark.integration

MOST_PARTS = 3
RECORDS = 100_000


def more_parts(request: Request) -> Refusal | None:
    """Refuse what S3 refuses, with a lower limit."""
    return Refusal(400, "InvalidArgument") if int(request.query.get("partNumber", 0)) > MOST_PARTS else None


@pytest.mark.parametrize("is_told", [True, False])
def test_parts_are_as_large_as_the_planned_object_needs(
    s3_store: SeaweedFS, s3_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_told: bool
) -> None:
    if is_told:
        monkeypatch.setattr(parts, "MAX_PARTS", MOST_PARTS)
        monkeypatch.setattr(object_size, "SMALL_IN_S", 0)
    with FaultyStore(s3_store.endpoint, more_parts) as proxy:
        changes = {"database_url": f"sqlite:///{tmp_path / 'state.db'}", "workers": 1, "s3_endpoint": proxy.url}
        service = Emulations(s3_settings.model_copy(update={**changes, "sink_timeout_s": 30.0}))
        service.open()
        try:
            emulation_id = start(service, max_records=RECORDS)
            emulation = ended(service, emulation_id)
            objects = service.manifest(emulation_id)[1]
        finally:
            service.close()
        puts = [each for each in proxy.requests if "partNumber" in each.query]
    if not is_told:  # it is refused, which is no outage
        assert emulation.state is State.FAILED
        assert "400 InvalidArgument" in str(emulation.error)
        return
    assert (emulation.state, emulation.error, emulation.records) == (State.COMPLETED, None, RECORDS)
    assert {each.query["partNumber"] for each in puts} == {"1", "2", "3"}
    there = readback.objects(s3_store, "transactions", emulation_id + "/")
    assert {key: readback.checksum(content) for key, content in there.items()} == {
        each.key: each.checksum for each in objects
    }
    assert emulation.bytes > MOST_PARTS * parts.PART_BYTES
