"""Kills at random moments: everything that was to be made is there in the end, once, and as the manifests say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.kills import kill_and_count
from data_emulator.stack.ports import PortReservation
from data_emulator.stack.processes import Supervisor
from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.service import Service
from tests.support.apache_kafka import ApacheKafka

pytestmark = pytest.mark.kafka

KILLS = 3
SEED = 20


@pytest.fixture
def service(
    supervisor: Supervisor, s3_store: SeaweedFS, apache_kafka: ApacheKafka, tmp_path: Path
) -> Iterator[Service]:
    with PortReservation(Service.PORT_COUNT) as reservation:
        (port,) = reservation.ports
    started = Service(
        supervisor,
        store=s3_store,
        bootstrap_servers=apache_kafka.bootstrap_servers,
        delivery="exactly-once",
        data_dir=tmp_path,
        log_path=tmp_path / "service.log",
        port=port,
    )
    started.start()
    yield started
    started.stop()


@pytest.mark.timeout(600)
def test_nothing_is_lost_and_nothing_is_there_twice(
    service: Service, s3_store: SeaweedFS, apache_kafka: ApacheKafka
) -> None:
    complaints = {
        tuple(wanted.body[name] for name in ("emulation_domain", "emulator_sync", "sync_type", "format_type")): wrong
        for wanted, wrong in kill_and_count(KILLS, service=service, store=s3_store, broker=apache_kafka, seed=SEED)
        if wrong
    }
    assert complaints == {}
