"""What every benchmark prints: on what it ran, a table, and as the last line one JSON object of figures."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil
from rich import box
from rich.console import Console
from rich.table import Table

from data_emulator.stack.seaweedfs import weed_path
from tests.support import apache_kafka_jars

_WIDTH = 120


def machine() -> str:
    """Return the date, the machine and what it runs, in one line; it names no host."""
    model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return "; ".join(
        [
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            f"{os.cpu_count()} cores of {model[1] if model else platform.processor()}",
            f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
            f"{platform.system()} {platform.release()}",
            f"load before {os.getloadavg()[0]:.1f}",
        ]
    )


def versions(*packages: str, with_kafka: bool = True) -> str:
    """Return the versions of Python, these packages, Apache Kafka and Java where they are used, and SeaweedFS."""
    weed = subprocess.run([weed_path(), "version"], capture_output=True, text=True, check=True).stdout.split()
    return "; ".join(
        [
            f"Python {platform.python_version()}",
            *(f"{package} {version(package)}" for package in packages),
            *(_kafka_versions() if with_kafka else ()),
            f"SeaweedFS {weed[2]}",
        ]
    )


def _kafka_versions() -> tuple[str, str]:
    java = subprocess.run(
        [apache_kafka_jars.java_path(), "-version"], capture_output=True, text=True, check=True
    ).stderr.splitlines()[0]
    return f"Apache Kafka {apache_kafka_jars.version()}", java.replace('"', "")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table that is Markdown too, so that it can be kept. The first column is text, the others are figures."""
    table = Table(title=title, title_justify="left", box=box.MARKDOWN)
    for position, column in enumerate(columns):
        table.add_column(column, justify="right" if position else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(width=_WIDTH).print(table)


def print_figures(figures: Mapping[str, object]) -> None:
    """Print the figures as one line of JSON: the last line of a benchmark."""
    print(json.dumps(figures), flush=True)
