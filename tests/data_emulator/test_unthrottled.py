"""Emulations as fast as it goes, interrupted: they end with at least what they had accepted before.

For more interruptions see `tests/kafka/test_kills.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from data_emulator.stack.seaweedfs import SeaweedFS
from tests.data_emulator.conftest import ServiceFactory
from tests.support import readback
from tests.support.running_service import RunningService, endless, wait_until

pytestmark = pytest.mark.integration

TIMEOUT_S = 4


def terminate_service(service: RunningService, _: SeaweedFS) -> None:
    service.terminate()
    service.start()


def take_store_away(service: RunningService, store: SeaweedFS) -> None:
    store.kill()
    time.sleep(2)
    store.start()


Interruption = Callable[[RunningService, SeaweedFS], None]


@pytest.mark.parametrize("interruption", [terminate_service, take_store_away])
def test_what_was_accepted_before_an_interruption_is_made_again(
    serve: ServiceFactory, s3_store: SeaweedFS, interruption: Interruption
) -> None:
    service = serve()
    emulation_id = service.post(endless(rate=None, timeout=TIMEOUT_S))
    wait_until(lambda: service.status(emulation_id)["progress"]["elapsed_s"] > TIMEOUT_S / 2, "it is half over")
    before = service.status(emulation_id)["progress"]["records"]
    interruption(service, s3_store)
    status = service.ended(emulation_id)
    assert status["status"]["global_status"] == "completed", status
    assert status["progress"]["records"] >= before > 0
    (listed,) = service.manifest(emulation_id)["objects"]
    (there,) = readback.objects(s3_store, "transactions", emulation_id).items()
    assert (listed["key"], listed["checksum"]) == (there[0], readback.checksum(there[1]))


def test_a_timeout_holds_after_an_outage(serve: ServiceFactory, s3_store: SeaweedFS) -> None:
    service = serve(SINK_TIMEOUT_S=2)
    emulation_id = service.post(endless(rate=None, timeout=2, max_records=1_000_000_000))
    service.wait_for_records(emulation_id)
    take_store_away(service, s3_store)
    status = service.ended(emulation_id)
    assert status["status"]["global_status"] == "completed"
    assert 0 < status["progress"]["records"] < 1_000_000_000
