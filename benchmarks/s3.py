"""One emulation to S3, beside obstore alone uploading the very same bytes, which it has in memory already.

Ours is an emulation by the real service: transactions as JSON, grouped in one object, as fast as it goes. Its time is
the emulation's own clock, from when a worker takes it up until the object is whole: it includes making and encoding the
records, and the object's checksum.

Run it as ``python -m benchmarks.s3 [--rounds 5] [--records N]``.
"""

from __future__ import annotations

import argparse
import sys
import time
from statistics import median
from typing import Any

import obstore
from obstore.store import S3Store

from benchmarks.emulating import emulate, request_body, service_client
from benchmarks.report import machine, print_figures, print_table, versions
from benchmarks.servers import running_servers
from data_emulator.sinks.parts import CONCURRENT_PARTS, PART_BYTES

_LONGEST_S = 600

OURS = "an emulation"
PUT = "obstore put, its defaults"
WRITER = "obstore open_writer, parts as ours"


def main() -> None:
    """Run the sides in turn, several rounds, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--records", type=int, default=1_500_000, help="of a run; about 320 bytes each")
    arguments = parser.parse_args()
    print(machine())
    print(versions("obstore", "numpy", "pyarrow"))
    seen: dict[str, list[float]] = {name: [] for name in (OURS, PUT, WRITER)}
    with running_servers() as (store, _, service), service_client(service.url) as client:
        emulate(client, request_body("minio", timeout=2, rate=None))  # what happens once only, is over now
        bucket = store.bucket("transactions")
        for number in range(arguments.rounds):
            body = request_body("minio", timeout=_LONGEST_S, rate=None, max_records=arguments.records)
            status = emulate(client, body)
            progress = status["progress"]
            seen[OURS].append(progress["bytes"] / progress["elapsed_s"])
            (entry,) = client.get(f"/emulator/{status['id']}/manifest").raise_for_status().json()["objects"]
            content = bytes(obstore.get(bucket, entry["key"]).bytes())
            seen[PUT].append(len(content) / _seconds(obstore.put, bucket, "again", content))
            seen[WRITER].append(len(content) / _seconds(_write_in_parts, bucket, "again", content))
            obstore.delete(bucket, [entry["key"], "again"])
            rates = ", ".join(f"{rates[-1] / 1e6:.1f}" for rates in seen.values())
            print(f"round {number + 1}: {rates} MB/s", file=sys.stderr, flush=True)
    medians = {name: median(rates) for name, rates in seen.items()}
    print_table(
        f"One object of {len(content) / 1e6:.0f} MB, {arguments.records:,} records, to SeaweedFS; medians of "
        f"{arguments.rounds} rounds",
        ("side", "MB/s", "ours to it", "slowest", "fastest"),
        [
            (
                name,
                f"{medians[name] / 1e6:.1f}",
                f"{medians[OURS] / medians[name]:.2f}",
                f"{min(rates) / 1e6:.1f}",
                f"{max(rates) / 1e6:.1f}",
            )
            for name, rates in seen.items()
        ],
    )
    print_figures(
        {"bytes_per_s": round(medians[OURS]), "upload_ratio": round(medians[OURS] / medians[PUT], 3)},
    )


def _write_in_parts(bucket: S3Store, key: str, content: bytes) -> None:
    with obstore.open_writer(bucket, key, buffer_size=PART_BYTES, max_concurrency=CONCURRENT_PARTS) as writer:
        for start in range(0, len(content), PART_BYTES):
            writer.write(content[start : start + PART_BYTES])


def _seconds(work: Any, *arguments: Any) -> float:
    started = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
