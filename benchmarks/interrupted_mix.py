"""The emulations that are interrupted, in tests and in ``make bench-kills``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from data_emulator.domains import all_domains
from data_emulator.domains.world import world

WORLD_USERS: Final = 10_000


@dataclass(frozen=True)
class Wanted:
    """An emulation of the mix, with a seed, so that it is known which records it has to make."""

    body: dict[str, Any]

    @property
    def name(self) -> str:
        """What it is, in a few words."""
        names = ("emulator_sync", "sync_type", "format_type", "emulation_domain", "rate", "max_records")
        return " ".join(str(self.body.get(each)) for each in names)

    @property
    def records(self) -> int | None:
        """How many records there must be in the end; `None`: as many as its time allows."""
        if "max_records" in self.body:
            return int(self.body["max_records"])
        return None if self.body["rate"] is None else int(self.body["rate"] * self.body["timeout"])

    def ids(self, count: int) -> set[str]:
        """Return the ids of its first records: the first column of the domain."""
        domain = all_domains()[self.body["emulation_domain"]]
        seed = self.body["seed"]
        index = np.arange(count)
        return set(domain(world(seed, WORLD_USERS), seed).records(index, index).column(0).to_pylist())


def the_mix(duration_s: int, unthrottled_s: int, unthrottled_records: int) -> list[Wanted]:
    """Return emulations of every sync type and format, throttled and as fast as it goes, to both sinks.

    Each pair of sync type, format, and what ends it (its time or its records, throttled or not) that matters is there.

    :param duration_s: of those that are throttled.
    :param unthrottled_s: of those that make what they can.
    :param unthrottled_records: of those that are not throttled, and end by their records.
    """
    throttled = {"timeout": duration_s}
    # What is bounded by records has time enough: it must not end early for lack of it.
    by_records = {"rate": None, "max_records": unthrottled_records, "timeout": 600}
    by_time = {"rate": None, "timeout": unthrottled_s}
    mix: list[tuple[str, str, str, str, int, dict[str, Any]]] = [
        ("kafka", "transaction", "json", "grouped", 1024, {"rate": 1000, **throttled}),
        ("kafka", "device-log", "csv", "grouped", 1024, {"rate": 500, **throttled}),
        ("kafka", "transaction", "json", "grouped", 1024, by_records),
        ("kafka", "user-profile", "json", "grouped", 1024, by_time),
        ("minio", "user-profile", "json", "grouped", 1024, {"rate": 1000, **throttled}),
        ("minio", "transaction", "json", "grouped", 1024, by_time),
        ("minio", "device-log", "parquet", "grouped", 1024, by_time),
        ("minio", "transaction", "csv", "grouped", 1024, {**by_records, "compression": "gzip"}),
        ("minio", "transaction", "csv", "chunked", 65_536, {"rate": 1000, **throttled}),
        ("minio", "transaction", "json", "chunked", 20_000_000, by_records),
        ("minio", "user-profile", "json", "chunked", 5_000_000, by_time),
        ("minio", "user-profile", "parquet", "chunked", 200_000, {"rate": 1000, **throttled}),
        ("minio", "device-log", "avro", "chunked", 1_000_000, by_records),
        ("minio", "device-log", "json", "single", 1, {"rate": 20, **throttled}),
        ("minio", "transaction", "csv", "single", 1, {**by_records, "max_records": unthrottled_records // 100}),
    ]
    return [
        Wanted(
            {
                "emulator_sync": sink,
                "emulation_domain": domain,
                "format_type": form,
                "sync_type": sync,
                "max_chunk_size": chunk,
                "seed": seed,
                **more,
            }
        )
        for seed, (sink, domain, form, sync, chunk, more) in enumerate(mix)
    ]
