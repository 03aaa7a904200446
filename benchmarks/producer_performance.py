"""Kafka's own `kafka-producer-perf-test`, as the peer that a producer is measured against."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support import apache_kafka_jars

_SUMMARY = re.compile(r"^(\d+) records sent, ([\d.]+) records/sec .*99\.9th\.$", re.MULTILINE)


def producer_performance(
    bootstrap_servers: str,
    topic: str,
    *,
    jars_dir: Path,
    records: int,
    payload: int | Path,
    properties: Mapping[str, str],
    transaction_duration_ms: int | None = None,
    timeout_s: float = 600,
) -> float:
    """Let the tool produce `records` records, as fast as it can, and return the records a second that it reports.

    `payload` is a record's size in bytes, of random letters, or a file of which every line is a record; the tool sends
    no keys. `properties` are those of the Java producer, such as acks and compression.type. With
    `transaction_duration_ms` it is transactional, with a commit that often. `jars_dir` is what
    `apache_kafka_jars.fetch` returned. The time counts from the tool's first record until the last one is
    acknowledged, the start of Java not included.

    Raises ProgramMissingError without Java, RuntimeError with what the tool said when it did not send every record,
    and subprocess.TimeoutExpired after `timeout_s` seconds.
    """
    settings = {"bootstrap.servers": bootstrap_servers, **properties}
    command = [
        *(str(apache_kafka_jars.java_path()), "-Xmx512m", "-Duser.language=en"),
        *("-cp", apache_kafka_jars.class_path(jars_dir), "org.apache.kafka.tools.ProducerPerformance"),
        *("--topic", topic, "--num-records", str(records), "--throughput", "-1"),
        *(("--payload-file", str(payload)) if isinstance(payload, Path) else ("--record-size", str(payload))),
        *(() if transaction_duration_ms is None else ("--transaction-duration-ms", str(transaction_duration_ms))),
        *("--command-property", *(f"{name}={value}" for name, value in settings.items())),
    ]
    tool = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout_s, check=False
    )
    if tool.returncode != 0:
        raise RuntimeError(f"kafka-producer-perf-test ended with exit status {tool.returncode}:\n{tool.stdout}")
    return records_per_s(tool.stdout, records)


def records_per_s(output: str, records: int) -> float:
    """Return the records a second of the whole run from the tool's `output`.

    Raises RuntimeError when it does not say that `records` records were sent: it reports a failed one in passing, and
    ends with exit status 0.
    """
    found = _SUMMARY.findall(output)
    if not found or int(found[-1][0]) != records:
        raise RuntimeError(f"kafka-producer-perf-test does not report {records} records sent:\n{output}")
    return float(found[-1][1])
