"""Interruptions of every kind: what was to be made is there in the end, once, and as the manifests say.

The short form of ``make bench-kills``: in each test the same emulations, of all sync types, formats and both sinks,
throttled and not, go through some of the interruptions.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.interrupted_mix import the_mix
from benchmarks.interruptions import INTERRUPTIONS, Servers
from benchmarks.kills import interrupt_and_count
from data_emulator.stack.ports import PortReservation
from data_emulator.stack.processes import Command, Supervisor
from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.service import Service
from tests.support.apache_kafka import ApacheKafka

pytestmark = pytest.mark.kafka

SEED = 20
OF_PROCESSES = ["worker killed", "worker stopped for a while", "service terminated", "service killed"]
OF_SERVERS = ["store hangs", "store away and worker killed", "store away", "broker away"]


class ImpatientService(Service):
    """Notices within two seconds that a store or broker is away."""

    def command(self) -> Command:
        command = super().command()
        return replace(command, env={**command.env, "DATA_EMULATOR_SINK_TIMEOUT_S": "2"})


@pytest.fixture
def service(
    supervisor: Supervisor, s3_store: SeaweedFS, apache_kafka: ApacheKafka, tmp_path: Path
) -> Iterator[Service]:
    with PortReservation(Service.PORT_COUNT) as reservation:
        (port,) = reservation.ports
    started = ImpatientService(
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
@pytest.mark.parametrize("names", [OF_PROCESSES, OF_SERVERS], ids=["processes", "servers"])
def test_nothing_is_lost_and_nothing_is_there_twice(
    service: Service, s3_store: SeaweedFS, apache_kafka: ApacheKafka, names: list[str]
) -> None:
    servers = Servers(service, s3_store, apache_kafka, random.Random(SEED))
    mix = the_mix(duration_s=6, unthrottled_s=3, unthrottled_records=40_000)
    complaints = {
        wanted.name: wrong for wanted, wrong in interrupt_and_count(names, servers, mix, pause_s=1.5) if wrong
    }
    assert complaints == {}


def test_each_kind_of_interruption_is_tried() -> None:
    # To kill the first process alone is much like to kill the service: its workers notice, and end.
    assert {*OF_PROCESSES, *OF_SERVERS, "first process killed"} == INTERRUPTIONS.keys()
