"""Many emulations at once, and how quickly the service answers meanwhile, beside one that emulates in threads.

1, 30 and 100 emulations at once, as fast as they go, for 10 s, and 1,000 of 20 records/s each, for 20 s; half of them
to Apache Kafka, half to S3 in one object each. All start requests are sent at the same moment; meanwhile the status of
one emulation or another is asked for, one request at a time, at random moments. Then every manifest is compared with
its status, and with what was asked for, and a sample is read back whole. One client process, on the same machine.

Beside it `benchmarks.threaded_service`: each emulation in five threads of the API's own process, as the original does
it, to the same S3 store.

Run it as ``python -m benchmarks.concurrency [--levels 1 30 100 1000] [--threaded-levels 1 30 100]``.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.emulating import emulate, request_body, service_client
from benchmarks.latencies import Latencies, measure
from benchmarks.report import machine, print_figures, print_table, versions
from benchmarks.servers import client_settings, running_servers
from benchmarks.threaded_service import ThreadedService
from data_emulator.settings import Settings
from data_emulator.stack.ports import PortReservation
from data_emulator.stack.processes import Supervisor
from data_emulator.verify.compare import compare, fetch_manifest
from data_emulator.verify.messages import count_messages
from data_emulator.verify.objects import count_objects

_PACED_FROM = 1000
_RATE = 20
# The default is 200: the rest of a thousand would queue, and run later.
_ENVIRONMENT = {"DATA_EMULATOR_MAX_RUNNING": "1000"}
_READ_BACK_OBJECTS = 5
_READ_BACK_TOPICS = 1


def main() -> None:
    """Run every level on both, and print the latencies and what was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", type=int, nargs="*", default=[1, 30, 100, 1000])
    parser.add_argument("--threaded-levels", type=int, nargs="*", default=[1, 30, 100])
    arguments = parser.parse_args()
    print(machine())
    print(versions("fastapi", "uvicorn", "aiohttp", "confluent-kafka", "obstore"))
    rows: list[tuple[str, ...]] = []
    figures: dict[str, dict[str, float | int]] = {}
    wrong: list[str] = []
    with running_servers(_ENVIRONMENT) as (store, broker, service):
        settings = client_settings(store, broker)
        with service_client(service.url) as client:  # what happens once only, is over before it is measured
            for sink in ("kafka", "minio"):
                emulate(client, request_body(sink, timeout=2, rate=None))
        for level in arguments.levels:
            latencies = uvloop.run(measure(service.url, _bodies(level)))
            figures[str(level)] = latencies.figures()
            rows.append(_row(f"the service, {level:,}", latencies, level))
            wrong += [f"{level}: {each}" for each in _wrong(latencies, level, service.url, settings)]
            print(rows[-1], file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="threaded-") as folder:
            supervisor = Supervisor(guarded=True)
            try:
                for level in arguments.threaded_levels:
                    with PortReservation(1) as reservation:
                        (port,) = reservation.ports
                    threaded = ThreadedService(supervisor, store, Path(folder) / "log", port)
                    threaded.start()  # anew for each level: what one leaves behind must not slow the next down
                    latencies = uvloop.run(
                        measure(threaded.url, [request_body("minio", timeout=10, rate=None)] * level)
                    )
                    threaded.kill()
                    rows.append(_row(f"five threads each, {level:,}", latencies, level))
                    print(rows[-1], file=sys.stderr, flush=True)
            finally:
                supervisor.stop_all()
    print_table(
        "1 to 100 at once: as fast as they go, 10 s; 1,000: 20 records/s each, 20 s. Times in ms",
        ("emulations", "POST p50", "p99", "status p50", "p99", "completed", "all ended after", "records/s"),
        rows,
    )
    print(f"Settings of the service that are not the defaults: {_ENVIRONMENT}")
    print("\n".join(wrong) or "Every manifest is right, and so is what was read back of the sample.")
    print_figures(figures)


def _bodies(level: int) -> list[dict[str, Any]]:
    paced = level >= _PACED_FROM
    return [
        request_body("kafka" if number % 2 else "minio", timeout=20 if paced else 10, rate=_RATE if paced else None)
        for number in range(level)
    ]


def _row(name: str, latencies: Latencies, level: int) -> tuple[str, ...]:
    figures = latencies.figures()
    records = sum(each["progress"]["records"] for each in latencies.statuses.values())
    return (
        name,
        *(f"{1000 * figures[key]:,.0f}" for key in ("post_p50_s", "post_p99_s", "status_p50_s", "status_p99_s")),
        f"{figures['completed']:,} of {level:,}",
        f"{latencies.ended_after_s:.1f} s",
        f"{records / latencies.ended_after_s:,.0f}",
    )


def _wrong(latencies: Latencies, level: int, url: str, settings: Settings) -> Iterator[str]:
    """Yield what is wrong with the emulations of a level: in their number, their manifests, and what lies there."""
    if len(latencies.statuses) != level:
        yield f"{latencies.refused} were refused"
    planned = {body["timeout"] * body["rate"] for body in _bodies(level) if body["rate"]}
    by_sink: dict[str, list[Any]] = {"s3": [], "kafka": []}
    for emulation_id, status in latencies.statuses.items():
        manifest = fetch_manifest(emulation_id, service_url=url, settings=settings)
        by_sink[manifest.sink].append(manifest)
        records = status["progress"]["records"]
        if status["status"]["global_status"] != "completed":
            yield f"{emulation_id} is {status['status']['global_status']}: {status.get('error')}"
        if manifest.totals.records != records or not records:
            yield f"{emulation_id}: the manifest has {manifest.totals.records} records, the status {records}"
        if planned and records not in planned:
            yield f"{emulation_id} has {records} records, not {planned}"
    chance = random.Random(level)
    for sink, count, most in (("s3", count_objects, _READ_BACK_OBJECTS), ("kafka", count_messages, _READ_BACK_TOPICS)):
        for manifest in chance.sample(by_sink[sink], min(most, len(by_sink[sink]))):
            yield from (f"{manifest.id}: {each}" for each in compare(manifest, count(manifest, settings)))


if __name__ == "__main__":
    main()
