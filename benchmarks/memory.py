"""The memory of the service with its workers while one emulation passes 1 million and 50 million records.

Every second: the resident memory of the service's process and its workers, summed; USS, what is theirs alone, and RSS,
which counts what they share once for each. An emulation of transactions, as fast as it goes, to Apache Kafka,
exactly-once (or, with ``--sink minio``, as CSV to S3 in one object). Beside it a writer of the same records that holds
its object in memory until the end, as a simple `grouped` does, at 0.2 and at 1 million.

To Kafka it needs a few GB of disk for a while: the topic keeps little, but the broker looks only every 5 minutes.

Run it as ``python -m benchmarks.memory [--sink kafka] [--few 1000000] [--many 50000000]``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil

from benchmarks.emulating import emulate, request_body, service_client
from benchmarks.records import transactions
from benchmarks.report import machine, print_figures, print_table, versions
from benchmarks.servers import create_topic, running_servers

_LONGEST_S = 6 * 3600
_SAMPLE_INTERVAL_S = 1.0
_HOLDING = (200_000, 1_000_000)
_SMALL_TOPIC = {"retention.bytes": str(256 * 2**20), "segment.bytes": str(64 * 2**20), "file.delete.delay.ms": "1000"}


@dataclass(frozen=True)
class Sample:
    """The memory of some processes, in bytes, and how many records were out by then."""

    records: int
    uss: int
    rss: int


def main() -> None:
    """Run one emulation, sampled each second, then the writer that holds all, and print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sink", choices=("kafka", "minio"), default="kafka")
    parser.add_argument("--few", type=int, default=1_000_000, help="records")
    parser.add_argument("--many", type=int, default=50_000_000, help="records")
    parser.add_argument("--hold", type=int, nargs="+", help=argparse.SUPPRESS)  # the other side, in its own process
    arguments = parser.parse_args()
    if arguments.hold:
        _hold(arguments.hold)
        return
    print(machine())
    print(versions("confluent-kafka", "obstore", "numpy", "pyarrow"))
    samples = _sampled(arguments.sink, arguments.many)
    # Around a number is within a half of it, and for the last the last tenth: the service tells how far it is.
    at_few = [each for each in samples if 0.5 * arguments.few <= each.records <= 1.5 * arguments.few]
    at_many = [each for each in samples if each.records >= 0.9 * arguments.many]
    held = [
        Sample(**json.loads(line))
        for line in subprocess.run(
            [sys.executable, "-m", "benchmarks.memory", "--hold", *map(str, _HOLDING)],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
    ]
    growth = _median_uss(at_many) / _median_uss(at_few)
    form = "JSON to Kafka, exactly-once" if arguments.sink == "kafka" else "CSV to S3, grouped"
    highest = [f"{max(column) / 2**20:,.0f}" for column in _columns(samples)]
    print_table(
        f"Memory in MiB, medians of {len(at_few)} and {len(at_many)} samples; {form}",
        ("side", "records", "USS", "RSS", "USS growth"),
        [
            ("the service and its workers", f"{arguments.few:,}", *_mib(at_few), ""),
            ("the service and its workers", f"{arguments.many:,}", *_mib(at_many), f"{growth:.3f}"),
            ("the service and its workers", "highest", *highest, ""),
            ("a writer that holds its object", f"{held[0].records:,}", *_mib(held[:1]), ""),
            (
                "a writer that holds its object",
                f"{held[1].records:,}",
                *_mib(held[1:]),
                f"{held[1].uss / held[0].uss:.3f}",
            ),
        ],
    )
    print_figures({"growth_ratio": round(growth, 3)})


def _sampled(sink: str, records: int) -> list[Sample]:
    """Return what was measured each second while an emulation of so many records ran on servers of its own."""
    more = {"format_type": "csv"} if sink == "minio" else {}
    with running_servers() as (_, broker, service), service_client(service.url) as client:
        create_topic(broker, "transactions", 3, _SMALL_TOPIC)
        emulate(client, request_body(sink, timeout=2, rate=None, **more))  # what is made once only, is there now
        body = request_body(sink, timeout=_LONGEST_S, rate=None, max_records=records, **more)
        emulation_id = client.post("/emulator/", json=body).raise_for_status().json()["id"]
        main_process = psutil.Process(service.pid)
        processes = [main_process, *main_process.children(recursive=True)]
        samples: list[Sample] = []
        for number in itertools.count(1):
            status = _status(client, emulation_id)
            if status["status"]["global_status"] != "processing":
                if status["status"]["global_status"] != "completed":
                    raise RuntimeError(f"the emulation is {status['status']['global_status']}: {status['error']}")
                return samples
            samples.append(_sample(status["progress"]["records"], processes))
            if number % 30 == 0:
                last = samples[-1]
                print(f"{last.records:,} records: {last.uss / 2**20:,.0f} MiB", file=sys.stderr, flush=True)
            time.sleep(_SAMPLE_INTERVAL_S)
    raise AssertionError("not reached")


def _status(client: httpx.Client, emulation_id: str) -> dict[str, Any]:
    status: dict[str, Any] = client.get(f"/emulator/{emulation_id}/status").raise_for_status().json()
    return status


def _sample(records: int, processes: list[psutil.Process]) -> Sample:
    infos = [process.memory_full_info() for process in processes]
    return Sample(records, uss=sum(info.uss for info in infos), rss=sum(info.rss for info in infos))


def _columns(samples: list[Sample]) -> tuple[list[int], list[int]]:
    return [each.uss for each in samples], [each.rss for each in samples]


def _median_uss(samples: list[Sample]) -> float:
    if not samples:
        raise RuntimeError("no sample was taken around that number of records: choose more of them")
    return median(each.uss for each in samples)


def _mib(samples: list[Sample]) -> tuple[str, str]:
    uss, rss = (f"{median(column) / 2**20:,.0f}" for column in _columns(samples))
    return uss, rss


def _hold(counts: list[int]) -> None:
    """Make records and keep them, as they will stand in the object; print the memory at each number of them."""
    held: list[bytes] = []
    process = psutil.Process()
    for count in counts:
        held += transactions(count - len(held), first=len(held))
        print(json.dumps(vars(_sample(count, [process]))), flush=True)


if __name__ == "__main__":
    main()
