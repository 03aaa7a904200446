"""A sink goes away while emulations write to it, for longer than it may: they fail with the reason, and soon."""

import pytest

from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.tansu import Tansu
from tests.data_emulator import readback
from tests.data_emulator.conftest import ServiceFactory
from tests.data_emulator.running_service import endless, request

pytestmark = pytest.mark.integration


def test_a_broker_that_dies(serve: ServiceFactory, kafka_broker: Tansu) -> None:
    service = serve(SINK_TIMEOUT_S=2, SINK_OUTAGE_S=1)
    # One would go on for an hour, one ends while the broker is away: both have records that nobody took.
    ids = [
        service.post(endless(emulator_sync="kafka")),
        service.post(request(emulator_sync="kafka", max_records=None, rate=200, timeout=4)),
    ]
    for each in ids:
        service.wait_for_records(each, 100)
    kafka_broker.kill()
    try:
        for each in ids:
            status = service.ended(each)
            assert status["status"] == {"global_status": "failed", "threads": {"0": "error"}}
            assert "transactions" in status["error"]
        refused = service.http.post("/emulator/", json=request(emulator_sync="kafka"))
        assert refused.status_code == 400
        assert kafka_broker.bootstrap_servers in refused.json()["detail"]
    finally:
        kafka_broker.start()
    for each in ids:
        manifest = service.manifest(each)
        ranges = [(part["partition"], part["first_offset"], part["next_offset"]) for part in manifest["partitions"]]
        found = readback.messages(kafka_broker, "transactions", ranges)
        own = {message.value() for message in found if each.encode() in message.value()}
        assert len(own) == manifest["totals"]["records"] == service.status(each)["progress"]["records"]
    again = service.post(request(emulator_sync="kafka"))
    assert service.ended(again)["status"]["global_status"] == "completed"


def test_a_store_that_dies(serve: ServiceFactory, s3_store: SeaweedFS) -> None:
    service = serve(SINK_TIMEOUT_S=1, SINK_OUTAGE_S=1)
    ids = [
        service.post(request(sync_type=each, max_records=None, rate=100, timeout=4))
        for each in ("grouped", "chunked", "single")
    ]
    for each in ids:
        service.wait_for_records(each, 50)
    s3_store.kill()
    try:
        for each in ids:
            status = service.ended(each)
            assert status["status"] == {"global_status": "failed", "threads": {"0": "error"}}
            assert f"{each}/part-" in status["error"]
        refused = service.http.post("/emulator/", json=request())
        assert refused.status_code == 400
        assert s3_store.endpoint in refused.json()["detail"]
    finally:
        s3_store.start()
    for each in ids:
        there = readback.objects(s3_store, "transactions", each)
        manifest = service.manifest(each)
        assert {one["key"] for one in manifest["objects"]} <= set(there)
        for one in manifest["objects"]:
            assert one["checksum"] == readback.checksum(there[one["key"]])
    again = service.post(request())
    assert service.ended(again)["status"]["global_status"] == "completed"
