"""Make the records of one seed three times, and compare the digests of their `data`.

Once with one worker and once with three, as fast as they go, and once with three, at a rate, and a kill in the middle
(SIGKILL, of the service's first process), after which the service starts again on its database and resumes. Five
emulations, of all domains and formats, run side by side and write to a folder. They are backfills, so that the times in
the records are the same, too. The digests are of the bytes of `data`; of Avro and Parquet, of its values.

Run it as ``make same-bytes``; it needs no other server. The last line is a JSON object, and the exit status is 1 if any
digests differ.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from data_emulator.domains import all_domains
from data_emulator.stack.processes import Supervisor
from data_emulator.verify.decoding import object_records
from tests.support.running_service import RunningService, wait_until

EMULATIONS: Final = (
    ("transaction", "json", "chunked"),
    ("transaction", "csv", "chunked"),
    ("transaction", "json", "grouped"),
    ("device-log", "avro", "chunked"),
    ("user-profile", "parquet", "chunked"),
)
SEED: Final = 3
RECORDS: Final = 130_000
"""Of each emulation. Of seed 3, they have an amount of 3,596.80 among them: it once changed how others were written."""
_SECONDS: Final = (4, 16, 64)
"""How long the emulations take that are killed: longer if a busy machine had ended some before the kill."""
_CHUNK_BYTES: Final = 500_000


@dataclass(frozen=True)
class Way:
    """How the records are made."""

    name: str
    workers: int
    is_killed: bool = False


WAYS: Final = (Way("1 worker", 1), Way("3 workers", 3), Way("3 workers and a kill", 3, is_killed=True))


@dataclass(frozen=True)
class Made:
    """What one way made of one emulation.

    :param killed_at: how many records it had reported when the service was killed; `None`: it was not.
    """

    records: int
    digest: str
    killed_at: int | None


class EndedBeforeTheKill(RuntimeError):
    """An emulation had ended when the service was to be killed."""


def make(way: Way, folder: Path, supervisor: Supervisor, *, seed: int, records: int, seconds: int) -> list[Made]:
    """Run the emulations, and return what was made of each.

    :param seconds: how long they are to take, if the service is killed meanwhile; otherwise it is as fast as it goes.
    :raises RuntimeError: when one does not complete, or had ended before the kill.
    """
    root = folder / "data"
    environment = {"DATA_EMULATOR_WORKERS": str(way.workers), "DATA_EMULATOR_FILE_ROOT": str(root)}
    service = RunningService(supervisor, folder / "service", environment)
    killed_at: list[int | None] = [None] * len(EMULATIONS)
    try:
        service.start()
        rate = records / seconds if way.is_killed else None
        ids = [service.post(_body(*each, seed=seed, records=records, rate=rate)) for each in EMULATIONS]
        if way.is_killed:
            service.wait_for_records(ids[0], records // 3)
            before = [service.status(each) for each in ids]
            service.kill()
            wait_until(lambda: service.pids() == [], "the workers are gone with the service")
            if any(each["status"]["global_status"] != "processing" for each in before):
                raise EndedBeforeTheKill("an emulation had ended before the kill")
            killed_at = [each["progress"]["records"] for each in before]
            service.start()
        for each in ids:
            if (status := service.ended(each))["status"]["global_status"] != "completed":
                raise RuntimeError(f"emulation {each} is {status['status']['global_status']}: {status['error']}")
        made = []
        for emulation_id, at, (domain, format_type, _) in zip(ids, killed_at, EMULATIONS, strict=True):
            bucket = root / all_domains()[domain].destination
            contents = [(bucket / each["key"]).read_bytes() for each in service.manifest(emulation_id)["objects"]]
            made.append(Made(*digest(contents, format_type), at))
        return made
    finally:
        service.end()


def _body(
    domain: str, format_type: str, sync_type: str, *, seed: int, records: int, rate: float | None
) -> dict[str, Any]:
    return {
        "emulator_sync": "file",
        "emulation_domain": domain,
        "format_type": format_type,
        "sync_type": sync_type,
        "max_chunk_size": _CHUNK_BYTES,
        # A busy machine may take far longer than the rate says.
        "timeout": 600,
        "rate": rate,
        "max_records": records,
        "start_time": "2025-11-28T00:00:00Z",
        "end_time": "2025-12-03T00:00:00Z",
        "seed": seed,
    }


def digest(objects: list[bytes], format_type: str) -> tuple[int, str]:
    """Return how many records objects hold, and a digest of the records' `data`, in order."""
    total, content = 0, hashlib.sha256()
    for each in objects:
        for data in _data(each, format_type):
            total += 1
            content.update(data + b"\n")
    return total, content.hexdigest()[:16]


def _data(content: bytes, format_type: str) -> Iterator[bytes]:
    """Yield the `data` of each record: the bytes that are in a line, or the values of other formats as text."""
    if format_type == "json":
        for line in content.splitlines():
            yield line.partition(b'"data":')[2][:-1]
    elif format_type == "csv":
        for line in content.splitlines()[1:]:
            yield line.split(b",", 2)[2]
    else:
        for record in object_records(io.BytesIO(content), format_type, "none"):
            yield json.dumps(record["data"]).encode()


def compare(seed: int, records: int) -> list[list[Made]]:
    """Return for each emulation what was made of it in each of `WAYS`."""
    made = []
    with tempfile.TemporaryDirectory(prefix="same-bytes-") as folder:
        supervisor = Supervisor(guarded=True)
        try:
            for number, way in enumerate(WAYS):
                print(f"{way.name} ...", file=sys.stderr, flush=True)
                for seconds in _SECONDS:
                    try:
                        place = Path(folder) / f"{number}-{seconds}"
                        made.append(make(way, place, supervisor, seed=seed, records=records, seconds=seconds))
                        break
                    except EndedBeforeTheKill:
                        if seconds == _SECONDS[-1]:
                            raise
        finally:
            supervisor.stop_all()
    return [list(each) for each in zip(*made, strict=True)]


def is_same(made: list[Made], records: int) -> bool:
    """Tell whether all ways made the same, and all of it."""
    return {(each.records, each.digest) for each in made} == {(records, made[0].digest)}


def main(arguments: list[str] | None = None) -> int:
    """Make the records in all ways, print the digests, and return 1 if any differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--records", type=int, default=RECORDS, help="of each emulation")
    options = parser.parse_args(arguments)
    found = compare(options.seed, options.records)
    table = Table(
        "domain", "format", "sync type", *(way.name for way in WAYS), "killed at record", "equal",
        title=f"seed {options.seed}, {options.records:,} records each: digests of their data",
    )  # fmt: skip
    for emulation, made in zip(EMULATIONS, found, strict=True):
        killed_at = next(each.killed_at for each in made if each.killed_at is not None)
        same = "yes" if is_same(made, options.records) else "NO"
        table.add_row(*emulation, *(each.digest for each in made), f"{killed_at:,}", same)
    Console(width=150).print(table)
    equal = sum(is_same(made, options.records) for made in found)
    print(json.dumps({"seed": options.seed, "records": options.records, "emulations": len(found), "equal": equal}))
    return 0 if equal == len(found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
