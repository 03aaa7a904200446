"""What the service writes, in any way that it can be asked for, is read back and found equal."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from data_emulator.settings import Settings
from data_emulator.verify.compare import compare
from data_emulator.verify.messages import count_messages
from data_emulator.verify.objects import count_objects
from data_emulator.wire import Manifest
from tests.data_emulator.conftest import ServiceFactory
from tests.support.receipts import CHOICES
from tests.support.running_service import RunningService, request
from tests.support.schema_registry import FakeSchemaRegistry

pytestmark = pytest.mark.integration

SYNC_TYPES = {"grouped": 5000, "chunked": 300, "single": 12}
"""Each with how many records are made: more than one block of Avro, more than one object, and few."""
SECRET = "s3cr3t-of-the-registry"


def ended(service: RunningService, emulation_id: str) -> Manifest:
    assert service.ended(emulation_id)["status"]["global_status"] == "completed"
    return Manifest.model_validate(service.manifest(emulation_id))


@pytest.fixture(scope="module")
def written(running: RunningService) -> dict[tuple[str, str, str], str]:
    """The ids of emulations to S3 by format, compression and sync type, all started at once."""
    return {
        (name, compression, sync_type): running.post(
            request(
                format_type=name,
                compression=compression,
                sync_type=sync_type,
                max_chunk_size=10_000,
                max_records=count,
            )
        )
        for name, compression in CHOICES
        for sync_type, count in SYNC_TYPES.items()
    }


@pytest.mark.parametrize("sync_type", SYNC_TYPES)
@pytest.mark.parametrize(("name", "compression"), CHOICES)
def test_objects_are_equal(
    written: dict[tuple[str, str, str], str],
    running: RunningService,
    s3_settings: Settings,
    name: str,
    compression: str,
    sync_type: str,
) -> None:
    manifest = ended(running, written[name, compression, sync_type])
    counted = count_objects(manifest, s3_settings)
    assert list(compare(manifest, counted)) == []
    assert counted.records == SYNC_TYPES[sync_type]
    if sync_type == "grouped":
        assert counted.places == 1
    else:
        assert counted.places > 1


def test_messages_of_every_format_are_equal(serve: ServiceFactory, kafka_settings: Settings) -> None:
    with FakeSchemaRegistry(login=f"emulator:{SECRET}") as registry:
        login = {"schema_registry_url": registry.url, "schema_registry_user": "emulator"}
        service = serve(**{name.upper(): each for name, each in login.items()}, SCHEMA_REGISTRY_PASSWORD=SECRET)
        settings = kafka_settings.model_copy(update={**login, "schema_registry_password": SecretStr(SECRET)})
        ids = {
            name: service.post(request(emulator_sync="kafka", format_type=name, max_records=1500))
            for name in ("json", "csv", "avro")
        }
        for name, emulation_id in ids.items():
            manifest = ended(service, emulation_id)
            counted = count_messages(manifest, settings)
            assert list(compare(manifest, counted)) == [], name
            assert counted.records == 1500
