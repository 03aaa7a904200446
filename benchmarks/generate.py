"""How fast records are generated and encoded, on one core, beside the usual ways to make synthetic data in Python.

Each way makes the same transaction, in its envelope, with ids, names, an amount, a place and a time, and ends with
bytes of JSON, one record a line. Ours are also measured as CSV and Parquet, and for the other domains. All ways run in
turns, several times, and the fastest turn of each counts: the one that others on the machine disturbed least. What is
counted is the CPU time of this process, which has one thread at work.

Run it as ``make bench-generate``. The last line is a JSON object of figures.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from faker import Faker
from mimesis import Address, Finance, Person
from mimesis.locales import Locale
from rich.console import Console
from rich.table import Table

from data_emulator.domains import all_domains
from data_emulator.domains.base import EventClock
from data_emulator.domains.world import world
from data_emulator.engine.plan import BLOCK_RECORDS
from data_emulator.formats import csv, jsonl
from data_emulator.formats.envelope import envelope_schema, enveloped
from data_emulator.formats.parquet import ROW_GROUP_RECORDS, SAMPLE_RECORDS, ParquetObjects
from data_emulator.model import Records

START_US = 1_795_000_000_000_000
EMULATION_ID = "00000000-0000-4000-8000-000000000000"
USERS = 10_000
TURN_RECORDS = 4 * BLOCK_RECORDS
"""Some 20 ms, about as long as the turns of the others: on a busy machine, some of them pass without a disturbance."""


@dataclass
class Way:
    """A way to make records. `make` makes about so many, and returns how many, and of how many bytes."""

    name: str
    records: int
    make: Callable[[int], tuple[int, int]]
    fastest: float = 0.0
    record_bytes: float = 0.0

    def turn(self) -> None:
        """Measure once."""
        started = time.process_time()
        records, size = self.make(self.records)
        per_s = records / (time.process_time() - started)
        if per_s > self.fastest:
            self.fastest, self.record_bytes = per_s, size / records


class Ours:
    """The emulator's own generation of a domain, block by block as the engine does it."""

    def __init__(self, domain: str) -> None:
        self._domain = all_domains()[domain](world(20, USERS), 7)
        self._clock = EventClock(START_US, 1.0)
        self._next = 0

    def _block(self) -> pa.RecordBatch:
        index = np.arange(self._next, self._next + BLOCK_RECORDS)
        self._next += BLOCK_RECORDS
        time_us = self._clock.times(index)
        return enveloped(EMULATION_ID, time_us, self._domain.records(index, time_us))

    def lines(self, encode: Callable[[pa.RecordBatch, str], Any]) -> Callable[[int], tuple[int, int]]:
        """Return the way that ends with lines."""

        def make(records: int) -> tuple[int, int]:
            made = size = 0
            while made < records:
                values = encode(self._block(), "\n")
                made += len(values)
                size += values.nbytes - 4 * len(values)
            return made, size

        return make

    def parquet(self, records: int) -> tuple[int, int]:
        """Make a Parquet object, as the engine writes it: in row groups, compressed with Snappy."""
        schema = envelope_schema(self._domain.schema)
        encoder = ParquetObjects(".parquet", "snappy", schema, self._block().slice(0, SAMPLE_RECORDS)).encoder("a key")
        made = size = 0
        while made < records:
            batch = self._block()
            size += len(encoder.add(Records(batch, None, batch.column(0))))
            made += len(batch)
        return made, size + len(encoder.close())


def record(**data: Any) -> dict[str, Any]:
    """Return a record in its envelope, at the current time."""
    return {"emulation_id": EMULATION_ID, "timestamp": time.time(), "data": data}


def with_faker() -> Callable[[int], tuple[int, int]]:
    """Return the way of the original service: Faker for every field, json to encode."""
    fake = Faker()
    users = [str(uuid.uuid4()) for _ in range(USERS)]

    def make(records: int) -> tuple[int, int]:
        lines = []
        for _ in range(records):
            latitude, longitude, city, country, _ = fake.location_on_land()
            fraud = random.random() < 0.005
            made = record(
                transaction_id=fake.uuid4(),
                user_id=random.choice(users),
                amount=round(random.lognormvariate(3.41, 0.86), 2),
                currency=fake.currency_code(),
                merchant=fake.company(),
                timestamp=datetime.now(UTC).isoformat(),
                location={
                    "city": city,
                    "country": country,
                    "latitude": float(latitude),
                    "longitude": float(longitude),
                },
                is_fraud=fraud,
                fraud_scenario="baseline" if fraud else None,
            )
            lines.append(json.dumps(made).encode() + b"\n")
        return records, sum(map(len, lines))

    return make


def with_mimesis() -> Callable[[int], tuple[int, int]]:
    """Return the way of Mimesis for every field, and orjson to encode."""
    address, finance, person = Address(Locale.EN), Finance(Locale.EN), Person(Locale.EN)
    users = [person.identifier(mask="########-####-####-####-############") for _ in range(USERS)]

    def make(records: int) -> tuple[int, int]:
        lines = []
        for _ in range(records):
            fraud = random.random() < 0.005
            made = record(
                transaction_id=str(uuid.uuid4()),
                user_id=random.choice(users),
                amount=round(random.lognormvariate(3.41, 0.86), 2),
                currency=finance.currency_iso_code(),
                merchant=finance.company(),
                timestamp=datetime.now(UTC).isoformat(),
                location={
                    "city": address.city(),
                    "country": address.country_code(),
                    "latitude": address.latitude(),
                    "longitude": address.longitude(),
                },
                is_fraud=fraud,
                fraud_scenario="baseline" if fraud else None,
            )
            lines.append(orjson.dumps(made) + b"\n")
        return records, sum(map(len, lines))

    return make


def with_numpy() -> Callable[[int], tuple[int, int]]:
    """Return the way of columns drawn by numpy, and orjson to encode each record."""
    generator = np.random.default_rng(7)
    users = [str(uuid.uuid4()) for _ in range(USERS)]
    merchants = [f"Merchant {number}" for number in range(480)]
    places = [
        {"city": f"City {number}", "country": "US", "latitude": number / 7, "longitude": number / 3}
        for number in range(50)
    ]

    def make(records: int) -> tuple[int, int]:
        who = generator.integers(0, USERS, records).tolist()
        amounts = np.round(generator.lognormal(3.41, 0.86, records), 2).tolist()
        which = generator.integers(0, len(merchants), records).tolist()
        where = generator.integers(0, len(places), records).tolist()
        frauds = (generator.random(records) < 0.005).tolist()
        ids = generator.bytes(16 * records).hex()
        now_s = time.time()
        stamp = datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds")
        dumps = orjson.dumps
        lines = []
        for i, (user, amount, merchant, place, fraud) in enumerate(
            zip(who, amounts, which, where, frauds, strict=True)
        ):
            digits = ids[32 * i : 32 * i + 32]
            made = {
                "emulation_id": EMULATION_ID,
                "timestamp": now_s + i / 1e6,
                "data": {
                    "transaction_id": f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}",
                    "user_id": users[user],
                    "amount": amount,
                    "currency": "USD",
                    "merchant": merchants[merchant],
                    "timestamp": stamp,
                    "location": places[place],
                    "is_fraud": fraud,
                    "fraud_scenario": "baseline" if fraud else None,
                },
            }
            lines.append(dumps(made) + b"\n")
        return records, sum(map(len, lines))

    return make


def main() -> int:
    """Run the benchmark."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--turns", type=int, default=40, help="how often each way is measured")
    turns = arguments.parse_args().turns
    pa.set_cpu_count(1)

    ways = {}
    for domain in ("transaction", "device-log", "user-profile"):
        ours = Ours(domain)
        for name, make in (
            ("json", ours.lines(jsonl.encode)),
            ("csv", ours.lines(csv.encode)),
            ("parquet", ours.parquet),
        ):
            ways[f"{domain} {name}"] = Way(
                f"{domain} as {name}", ROW_GROUP_RECORDS if name == "parquet" else TURN_RECORDS, make
            )
    ways["numpy"] = Way("transaction, numpy + orjson", 10_000, with_numpy())
    ways["mimesis"] = Way("transaction, Mimesis + orjson", 2_000, with_mimesis())
    ways["faker"] = Way("transaction, Faker + json", 200, with_faker())
    for _ in range(turns):
        for way in ways.values():
            way.turn()

    ours_json = ways["transaction json"].fastest
    table = Table(
        "what", "records a CPU-second", "bytes a record", "MB a CPU-second", "times slower than ours",
        title=f"Generation and encoding, one core, the fastest of {turns} turns",
    )  # fmt: skip
    for column in table.columns[1:]:
        column.justify = "right"
    for way in ways.values():
        slower = f"{ours_json / way.fastest:.1f}" if ", " in way.name else ""
        speed = way.fastest * way.record_bytes / 1e6
        table.add_row(way.name, f"{way.fastest:,.0f}", f"{way.record_bytes:.0f}", f"{speed:,.0f}", slower)
    console = Console(width=110)
    console.print(table)
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "pyarrow", "orjson", "mimesis", "faker"))
    console.print(f"{platform.machine()}, Python {platform.python_version()}, {packages}")
    figures = {
        "transaction_json_records_per_cpu_s": round(ours_json),
        "transaction_csv_records_per_cpu_s": round(ways["transaction csv"].fastest),
        "transaction_parquet_records_per_cpu_s": round(ways["transaction parquet"].fastest),
        "faker_ratio": round(ours_json / ways["faker"].fastest, 1),
        "mimesis_ratio": round(ours_json / ways["mimesis"].fastest, 1),
        "numpy_orjson_ratio": round(ours_json / ways["numpy"].fastest, 1),
    }
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
