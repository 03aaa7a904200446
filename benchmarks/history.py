"""What a long history costs: the service with a million ended emulations beside the same one with none, in one run.

Both answer the same requests in turns: the first page of the listing, the same with filters, the metrics, a status, and
a start (to a folder; it is cancelled at once). Then the manifest of one emulation with a million objects is fetched
whole, four times at once, while the status of another is asked for: by how much the service's memory grows, and how
much longer the slowest status takes than without that.

Run it as ``python -m benchmarks.history [--emulations 1000000] [--objects 1000000]``. The last line is JSON:
`list_ratio`, `filter_ratio`, `metrics_ratio`, `status_ratio`, `start_ratio` (of medians), `manifest_mb`,
`status_delay_ms`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.emulating import request_body
from benchmarks.report import machine, print_figures, print_table, versions
from data_emulator.service.store.store import Store
from data_emulator.stack.ports import LOOPBACK, PortReservation
from data_emulator.stack.processes import Child, Command, Supervisor
from tests.support.new_emulation import emulation

_ROUNDS = 200
_STARTS = 40
_LONG = str(uuid.UUID(int=1))
"""The emulation with many objects."""


def main() -> None:
    """Measure both services, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emulations", type=int, default=1_000_000)
    parser.add_argument("--objects", type=int, default=1_000_000)
    arguments = parser.parse_args()
    print(machine())
    print(versions("sqlalchemy", "fastapi", with_kafka=False))
    with tempfile.TemporaryDirectory(prefix="history-") as folder:
        supervisor = Supervisor(guarded=True)
        try:
            with (
                _service(supervisor, Path(folder) / "empty", 0, 1) as (empty, _),
                _service(supervisor, Path(folder) / "long", arguments.emulations, arguments.objects) as (long, child),
            ):
                medians = _measure(empty, long)
                megabytes, delay_ms = _fetch_manifest(long, child, arguments.objects)
        finally:
            supervisor.stop_all()
    rows = [(name, f"{1000 * a:.2f} ms", f"{1000 * b:.2f} ms", f"{b / a:.2f}") for name, (a, b) in medians.items()]
    columns = ("request", "no history", f"{arguments.emulations:,} ended", "ratio")
    print_table("Medians", columns, rows)
    print_figures(
        {f"{name}_ratio": round(b / a, 3) for name, (a, b) in medians.items()}
        | {"manifest_mb": round(megabytes, 1), "status_delay_ms": round(delay_ms, 1)}
    )


@contextmanager
def _service(
    supervisor: Supervisor, folder: Path, emulations: int, objects: int
) -> Iterator[tuple[httpx.Client, Child]]:
    """Start the service on a database with so many ended emulations, the first of which has so many objects."""
    (folder / "lake").mkdir(parents=True)
    database = folder / "state.db"
    _fill(database, emulations, objects)
    with PortReservation(1) as reserved:
        (port,) = reserved.ports
    environment = {
        "DATA_EMULATOR_DATABASE_URL": f"sqlite:///{database}",
        "DATA_EMULATOR_FILE_ROOT": str(folder / "lake"),
        "DATA_EMULATOR_PORT": str(port),
        "DATA_EMULATOR_WORKERS": "1",
    }
    child = supervisor.launch(
        Command(
            name="service",
            argv=(sys.executable, "-m", "data_emulator", "serve"),
            log_path=folder / "log",
            env=environment,
        )
    )
    with httpx.Client(base_url=f"http://{LOOPBACK}:{port}", timeout=600, trust_env=False) as client:
        while True:
            try:
                client.get("/healthz").raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield client, child


def _fill(database: Path, emulations: int, objects: int) -> None:
    """Make a database of today's schema, and fill it."""
    store = Store(f"sqlite:///{database}")
    one = emulation(id=_LONG)
    store.add([(one, None)])
    store.close()
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("UPDATE emulations SET state = 'completed', ended_at = created_at")
        columns = [row[1] for row in connection.execute("PRAGMA table_info(emulations)") if row[1] != "number"]
        chosen = ["lower(hex(randomblob(18)))" if name == "id" else name for name in columns]
        connection.execute(
            f"WITH RECURSIVE counter(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < ?) "
            f"INSERT INTO emulations ({', '.join(columns)}) SELECT {', '.join(chosen)} FROM counter, "
            f"(SELECT * FROM emulations WHERE id = ?)  WHERE ? > 0",
            (max(emulations, 1), _LONG, emulations),
        )
        connection.execute(
            "WITH RECURSIVE counter(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < ?) "
            "INSERT INTO objects SELECT ?, ? || '/part-' || printf('%09d', n) || '.json', 10, 1000, "
            "'sha256:' || hex(zeroblob(32)) FROM counter",
            (objects, _LONG, _LONG),
        )
    connection.close()


def _measure(empty: httpx.Client, long: httpx.Client) -> dict[str, tuple[float, float]]:
    """Return the median durations of each request in seconds, without and with a history."""
    requests: dict[str, Callable[[httpx.Client], httpx.Response]] = {
        "list": _asking("/emulator/?limit=1"),
        "filter": _asking("/emulator/?limit=1&status=completed&domain=transaction"),
        "metrics": _asking("/metrics"),
        "status": _asking(f"/emulator/{_LONG}/status"),
    }
    durations: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in [*requests, "start"]}
    for _ in range(_ROUNDS):
        for name, ask in requests.items():
            for client, taken in zip((empty, long), durations[name], strict=True):
                taken.append(_timed(partial(ask, client)))
    body = request_body("file", timeout=60, rate=1.0)
    for _ in range(_STARTS):
        for client, taken in zip((empty, long), durations["start"], strict=True):
            started_at = time.perf_counter()
            started = client.post("/emulator/", json=body)
            taken.append(time.perf_counter() - started_at)
            emulation_id = started.raise_for_status().json()["id"]
            client.delete(f"/emulator/{emulation_id}")
    return {name: (statistics.median(a), statistics.median(b)) for name, (a, b) in durations.items()}


def _asking(path: str) -> Callable[[httpx.Client], httpx.Response]:
    return lambda client: client.get(path).raise_for_status()


def _timed(do: Callable[[], Any]) -> float:
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


def _fetch_manifest(client: httpx.Client, child: Child, objects: int) -> tuple[float, float]:
    """Fetch the long manifest four times at once; return megabytes of growth, and by how much a status is delayed."""
    process = psutil.Process(child.process.pid)
    before = process.memory_info().rss
    quiet = [_timed(lambda: client.get(f"/emulator/{_LONG}/status")) for _ in range(_ROUNDS)]
    # Processes, so that what they do with the answers delays nobody but the service.
    context = multiprocessing.get_context("spawn")
    fetching = [context.Process(target=_fetch, args=(str(client.base_url), objects)) for _ in range(4)]
    for each in fetching:
        each.start()
    peak, busy = before, []
    with httpx.Client(base_url=client.base_url, timeout=600, trust_env=False) as other:
        while any(each.is_alive() for each in fetching):
            busy.append(_timed(lambda: other.get(f"/emulator/{_LONG}/status")))
            peak = max(peak, process.memory_info().rss)
            time.sleep(0.02)
    if any(each.exitcode for each in fetching):
        raise SystemExit("a manifest was not what was expected")
    return (peak - before) / 1e6, 1000 * (max(busy) - max(quiet))


def _fetch(url: str, objects: int) -> None:
    """Fetch the long manifest whole, and make sure that it has so many objects."""
    end = b""
    with httpx.stream("GET", f"{url}/emulator/{_LONG}/manifest", timeout=600, trust_env=False) as answer:
        for piece in answer.iter_bytes():
            end = (end + piece)[-200:]
    if f'"objects":{objects},'.encode() not in end:
        raise SystemExit(f"the manifest ends with {end!r}, {objects} objects were expected")


if __name__ == "__main__":
    main()
