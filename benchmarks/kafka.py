"""One emulation to Apache Kafka, beside Kafka's own performance tool and a Faker loop, on the same broker.

Ours is an emulation by the real service: transactions as JSON, keyed, exactly-once, as fast as it goes. Its time is the
emulation's own clock, from when a worker takes it up until the last record is committed and can be read: it includes
making and encoding the records, and every commit. The tool sends lines of the same records, again and again, without
keys; its time is from the first until the last is acknowledged. The Faker loop makes records with the same fields.

Run it as ``python -m benchmarks.kafka [--rounds 3] [--records N]``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import uuid
from pathlib import Path
from statistics import median
from typing import Any

from confluent_kafka import Producer
from faker import Faker

from benchmarks.emulating import emulate, request_body, service_client
from benchmarks.producer_performance import producer_performance
from benchmarks.records import transactions
from benchmarks.report import machine, print_figures, print_table, versions
from benchmarks.servers import create_topic, delete_topic, running_servers
from tests.support.apache_kafka import ApacheKafka

_PARTITIONS = 3
_PAYLOAD_LINES = 50_000
_LONGEST_S = 600
_FAKER_S = 5.0
_SAME = {"acks": "all", "compression.type": "lz4"}
_AS_OURS = {"linger.ms": "20", "batch.size": "1000000", "buffer.memory": "134217728"}
_COMMIT_INTERVAL_MS = 500

OURS = "an emulation, exactly-once"
TOOL = "kafka-producer-perf-test, its defaults"
TOOL_BATCHED = "kafka-producer-perf-test, linger and batch as ours"
TOOL_TRANSACTIONS = "kafka-producer-perf-test, the same in transactions of 0.5 s"
FAKER = "Faker, json.dumps, confluent_kafka produce()"


def main() -> None:
    """Run the sides in turn, several rounds, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--records", type=int, default=1_500_000, help="of a run of ours and of the tool")
    arguments = parser.parse_args()
    print(machine())
    print(versions("confluent-kafka", "faker", "numpy", "pyarrow"))
    seen: dict[str, list[float]] = {name: [] for name in (OURS, TOOL, TOOL_BATCHED, TOOL_TRANSACTIONS, FAKER)}
    with (
        tempfile.TemporaryDirectory(prefix="payload-") as folder,
        running_servers() as (_, broker, service),
        service_client(service.url) as client,
    ):
        payload = Path(folder) / "payload.jsonl"
        payload.write_bytes(b"".join(transactions(_PAYLOAD_LINES)))
        emulate(client, request_body("kafka", timeout=2, rate=None))  # what happens once only, is over now
        for number in range(arguments.rounds):
            body = request_body("kafka", timeout=_LONGEST_S, rate=None, max_records=arguments.records)
            seen[OURS].append(emulate(client, body)["progress"]["records_per_s"])
            for name, properties, transaction_ms in (
                (TOOL, {}, None),
                (TOOL_BATCHED, _AS_OURS, None),
                (TOOL_TRANSACTIONS, _AS_OURS, _COMMIT_INTERVAL_MS),
            ):
                seen[name].append(_tool(broker, arguments.records, payload, properties, transaction_ms))
            seen[FAKER].append(_faker_loop(broker))
            print(
                f"round {number + 1}: " + ", ".join(f"{rates[-1]:,.0f}" for rates in seen.values()),
                file=sys.stderr,
                flush=True,
            )
        size = payload.stat().st_size / _PAYLOAD_LINES - 1
    medians = {name: median(rates) for name, rates in seen.items()}
    print_table(
        f"{_PARTITIONS} partitions, acks=all, lz4, {size:.0f} bytes a record, {arguments.records:,} records a run; "
        f"medians of {arguments.rounds} rounds",
        ("side", "records/s", "MB/s", "ours to it", "slowest", "fastest"),
        [
            (
                name,
                f"{medians[name]:,.0f}",
                f"{medians[name] * size / 1e6:.1f}",
                f"{medians[OURS] / medians[name]:.2f}",
                f"{min(rates):,.0f}",
                f"{max(rates):,.0f}",
            )
            for name, rates in seen.items()
        ],
    )
    print("The tool is idempotent, as Kafka's producers are by default, and sends no keys. An emulation's records are")
    print("keyed by user, so that each batch goes to several partitions; and it makes them while it sends them.")
    print_figures(
        {
            "records_per_s": round(medians[OURS]),
            "perf_test_ratio": round(medians[OURS] / medians[TOOL], 3),
            "faker_ratio": round(medians[OURS] / medians[FAKER], 1),
        }
    )


def _tool(
    broker: ApacheKafka, records: int, payload: Path, properties: dict[str, str], transaction_ms: int | None
) -> float:
    topic = f"perf-{uuid.uuid4()}"
    create_topic(broker, topic, _PARTITIONS)
    try:
        return producer_performance(
            broker.bootstrap_servers,
            topic,
            jars_dir=broker.jars_dir,
            records=records,
            payload=payload,
            properties={**_SAME, **properties},
            transaction_duration_ms=transaction_ms,
        )
    finally:
        delete_topic(broker, topic)


def _faker_loop(broker: ApacheKafka) -> float:
    """Return the records a second of the loop that most people write first."""
    topic = f"faker-{uuid.uuid4()}"
    create_topic(broker, topic, _PARTITIONS)
    fake = Faker()
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0, **_SAME})
    emulation_id = str(uuid.uuid4())
    count = 0
    started = time.perf_counter()
    while time.perf_counter() - started < _FAKER_S:
        data = _fake_transaction(fake)
        record = {"emulation_id": emulation_id, "timestamp": time.time(), "data": data}
        producer.produce(topic, json.dumps(record), key=data["user_id"])
        producer.poll(0)
        count += 1
    producer.flush()
    rate = count / (time.perf_counter() - started)
    delete_topic(broker, topic)
    return rate


def _fake_transaction(fake: Faker) -> dict[str, Any]:
    return {
        "transaction_id": fake.uuid4(),
        "user_id": fake.uuid4(),
        "amount": fake.pyfloat(min_value=1, max_value=10_000, right_digits=2),
        "currency": fake.currency_code(),
        "merchant": fake.company(),
        "timestamp": fake.date_time_this_year().isoformat(),
        "location": {
            "city": fake.city(),
            "country": fake.country_code(),
            "latitude": float(fake.latitude()),
            "longitude": float(fake.longitude()),
        },
        "is_fraud": fake.pybool(truth_probability=1),
    }


if __name__ == "__main__":
    main()
