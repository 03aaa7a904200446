"""The service is killed, or stopped, in the middle of its work: nothing is forgotten, and all of it is gone on with."""

import threading
import time

import httpx
import pytest

from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.tansu import Tansu
from tests.data_emulator.conftest import ServiceFactory
from tests.support import readback
from tests.support.running_service import RunningService, endless, request, wait_until

pytestmark = pytest.mark.integration


def assert_manifest_is_there(
    service: RunningService, store: SeaweedFS, emulation_id: str, *, whole: bool = True
) -> int:
    """Check that all that the manifest lists, and nothing else, lies in the store as it says; return the records.

    :param whole: it has ended, so that its progress is what the manifest holds.
    """
    manifest = service.manifest(emulation_id)
    there = readback.objects(store, "transactions", emulation_id)
    if whole:
        assert {each["key"] for each in manifest["objects"]} == there.keys()
    for each in manifest["objects"]:
        assert readback.checksum(there[each["key"]]) == each["checksum"]
    if whole:
        assert manifest["totals"]["records"] == service.status(emulation_id)["progress"]["records"]
    return int(manifest["totals"]["records"])


def test_a_killed_service_knows_all_that_it_was_told(
    serve: ServiceFactory, s3_store: SeaweedFS, kafka_broker: Tansu
) -> None:
    service = serve(MAX_RUNNING=3)
    done = service.post(request(), **{"Idempotency-Key": "done"})
    before = service.ended(done)
    going = [service.post(endless(sync_type=sync_type)) for sync_type in ("single", "grouped")]
    going.append(service.post(endless(emulator_sync="kafka")))
    queued = [service.post(request()) for _ in range(3)]
    for each in going:
        service.wait_for_records(each)
    wait_until(lambda: service.manifest(going[0])["totals"]["records"] > 0, "objects are listed")
    wait_until(lambda: service.manifest(going[2])["totals"]["records"] > 0, "offsets are listed")
    assert [service.state(each) for each in queued] == ["queued"] * 3

    service.kill()
    wait_until(lambda: service.pids() == [], "the workers are gone with the service")
    service.start()

    assert service.status(done) == before
    assert service.post(request(), **{"Idempotency-Key": "done"}) == done
    for each in going:
        assert service.state(each) == "processing"
        reached = service.status(each)["progress"]["records"]
        service.wait_for_records(each, reached + 50)
        assert service.http.delete(f"/emulator/{each}").status_code == 202
        assert service.ended(each)["status"]["global_status"] == "cancelled"
    for each in queued:
        assert service.ended(each)["status"]["global_status"] == "completed"
        assert_manifest_is_there(service, s3_store, each)
    assert assert_manifest_is_there(service, s3_store, going[0]) > 0
    assert assert_manifest_is_there(service, s3_store, going[1]) > 0
    ranges = [
        (each["partition"], each["first_offset"], each["next_offset"])
        for each in service.manifest(going[2])["partitions"]
    ]
    own = [
        message
        for message in readback.messages(kafka_broker, "transactions", ranges)
        if going[2].encode() in message.value()
    ]
    assert len(own) == service.status(going[2])["progress"]["records"] > 0


def test_a_stopped_service_ends_in_order_and_accounts_for_what_it_wrote(
    serve: ServiceFactory, s3_store: SeaweedFS
) -> None:
    service = serve(MAX_RUNNING=1)
    going, queued = service.post(endless()), service.post(request())
    service.wait_for_records(going)
    service.terminate()
    wait_until(lambda: service.pids() == [], "all are gone with the service")
    service.start()
    assert (service.state(going), service.state(queued)) == ("processing", "queued")
    # What had been written when it stopped is told of: nothing is lost, and nothing is written again.
    assert_manifest_is_there(service, s3_store, going, whole=False)
    reached = service.status(going)["progress"]["records"]
    service.wait_for_records(going, reached + 50)
    service.http.delete(f"/emulator/{going}")
    assert service.ended(going)["status"]["global_status"] == "cancelled"
    assert assert_manifest_is_there(service, s3_store, going) > reached
    assert service.ended(queued)["status"]["global_status"] == "completed"


def test_a_long_poll_does_not_keep_a_stopped_service_from_ending_in_order(serve: ServiceFactory) -> None:
    service = serve()
    going = service.post(endless())
    service.wait_for_records(going)
    answers: list[httpx.Response | httpx.TransportError] = []

    def wait() -> None:
        try:
            answers.append(
                httpx.get(service.http.base_url.join(f"/emulator/{going}/status"), headers=prefer, timeout=60)
            )
        except httpx.TransportError as error:
            answers.append(error)

    prefer = {"Prefer": "wait=55"}
    waiter = threading.Thread(target=wait)
    waiter.start()
    time.sleep(1)  # for the request to arrive
    assert waiter.is_alive()
    service.terminate(within_s=40)
    waiter.join()
    assert "Traceback" not in service.output()
    service.start()
    assert service.state(going) == "processing"
