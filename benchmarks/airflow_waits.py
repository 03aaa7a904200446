"""A thousand emulations, each waited for by a trigger of its own, in one `airflow triggerer`.

The emulations are real, at one record a second; the triggerer is Airflow's program, with its default settings, and the
triggers are the project's. Only the task instances are not started by a scheduler: `benchmarks.airflow_defer` writes
the rows that a task leaves when it defers.

First the triggerer is watched without a trigger: just started, and again after one wait has come and gone, for what the
first wait loads stays loaded. Then the thousand begin to wait, and it is watched while none of them ends: CPU time and
memory of all its processes, and the requests that reach the service, which a proxy in front counts. Then the emulations
end, spread over a minute. An emulation's end is when the service stores it (`ended_at` in its
database): from then on every answer says so. Compared with it are the moment at which the trigger fired, which Airflow
writes into the task's log, and the moment at which Airflow has stored that (`scheduled_dttm` of the task instance): the
triggerer hands events on once a second.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
import re
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from benchmarks.airflow_servers import (
    BENCHMARK_DAGS,
    Servers,
    Triggerer,
    cpu_s,
    read_only,
    rss_bytes,
    running_servers,
)
from benchmarks.counting_proxy import CountingProxy
from data_emulator.stack.processes import StackError

_DAG_ID = "waits_dag"
_FIRST, _WAITING, _SLEEPING = "first", "waiting", "sleeping"
_FIRST_WAIT_S = 8
_STARTS_AT_A_TIME = 16
_COMMAND_TIMEOUT_S = 600.0
_ASSIGNED_WITHIN_S = 600.0
_SETTLES_S = 10.0
_ALL_HEARD_WITHIN_S = 120.0
_FIRED = "Trigger fired event"
_MAP_INDEX = re.compile(r"map_index=(\d+)$")
_FIRED_LATE = re.compile(rf"^(\S+) \[info *\] {_FIRED} .* map_index=(\d+) .* run_id={_WAITING} ")


@dataclass(frozen=True)
class Watched:
    """What the processes of a triggerer took over some time.

    :param seconds: how long they were watched
    :param cpu_share: CPU seconds a second
    :param rss_bytes: resident memory at the end
    """

    seconds: float
    cpu_share: float
    rss_bytes: int


@dataclass
class Waits:
    """What was seen.

    :param fresh: a triggerer that has had no trigger yet
    :param idle: without triggers, after one wait
    :param sleeping: with so many triggers that do nothing; None if that was left out
    :param steady: with so many waits of which none ended
    :param requests_per_s: that reached the service over the same time
    :param ending_requests_per_s: that reached it while the emulations ended
    :param fired_s: from an emulation's end to the event of its trigger
    :param stored_s: from an emulation's end to the row in Airflow's database
    :param lost: waits without the event that their emulation completed
    """

    fresh: Watched
    idle: Watched
    steady: Watched
    sleeping: Watched | None
    requests_per_s: float
    ending_requests_per_s: float = 0.0
    fired_s: list[float] = field(default_factory=list)
    stored_s: list[float] = field(default_factory=list)
    lost: int = 0


def measure(waits: int, *, lead_s: int, idle_s: float, steady_s: float, spread_s: int, with_sleeping: bool) -> Waits:
    """Do all of it.

    :param waits: how many
    :param lead_s: from the first emulation's start to its end: into it fit the beginning of all waits and `steady_s`
    :param idle_s: how long to watch a triggerer without triggers
    :param steady_s: how long to watch the waits, at the least
    :param spread_s: over how many seconds the emulations end
    :param with_sleeping: whether to watch as many triggers that do nothing, too
    :raises StackError: when `lead_s` is too short for this machine
    """
    environment = {"DATA_EMULATOR_MAX_RUNNING": str(waits), "DATA_EMULATOR_MAX_QUEUED": str(waits)}
    with (
        running_servers(
            [BENCHMARK_DAGS / "waits_dag.py"], airflow_environment={}, service_environment=environment
        ) as servers,
        CountingProxy(servers.service.url) as proxy,
    ):
        servers.supervisor.run(servers.airflow.command("dags", "reserialize"), timeout_s=_COMMAND_TIMEOUT_S)
        sleeping = _watch_sleeping(servers, waits, idle_s) if with_sleeping else None
        triggerer = _triggerer(servers)
        triggerer.start()
        time.sleep(_SETTLES_S)
        fresh = _watch(triggerer, idle_s)
        _say(f"fresh: {fresh}")
        _defer(servers, _FIRST, asyncio.run(_start(servers.service.url, 1, _FIRST_WAIT_S, 0)), str(proxy.port))
        _until_over(servers.airflow_database, _FIRST)
        time.sleep(_SETTLES_S)
        idle = _watch(triggerer, idle_s)
        _say(f"idle: {idle}")
        started_at = time.time()
        ids = asyncio.run(_start(servers.service.url, waits, lead_s, spread_s))
        _say(f"{len(ids)} emulations started in {time.time() - started_at:.1f} s")
        _defer(servers, _WAITING, ids, str(proxy.port))
        _until_assigned(servers.airflow_database, len(ids))
        _say(f"all waits assigned {time.time() - started_at:.1f} s after the first start")
        time.sleep(_SETTLES_S)
        left_s = started_at + lead_s - time.time() - 2.0
        if left_s < steady_s:
            raise StackError(f"only {left_s:.0f} s are left before the first emulation ends: give a longer lead")
        began_at = time.monotonic()
        steady = _watch(triggerer, left_s)
        requests = proxy.asked_between(began_at, time.monotonic())
        _say(f"steady: {steady}, {requests} requests")
        found = Waits(fresh, idle, steady, sleeping, requests / steady.seconds)
        began_at = time.monotonic()
        time.sleep(2.0 + spread_s)
        found.ending_requests_per_s = proxy.asked_between(began_at, time.monotonic()) / (2.0 + spread_s)
        _hear(servers, ids, found)
        _say(f"{len(found.stored_s)} waits over, {len(found.fired_s)} found in the logs")
        triggerer.stop()
    return found


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _triggerer(servers: Servers) -> Triggerer:
    return Triggerer(
        servers.supervisor, servers.airflow.command("triggerer", "--skip-serve-logs"), servers.airflow_database
    )


def _watch(triggerer: Triggerer, seconds: float) -> Watched:
    began_at, cpu_before_s = time.monotonic(), cpu_s(triggerer.pid)
    time.sleep(seconds)
    elapsed_s = time.monotonic() - began_at
    return Watched(elapsed_s, (cpu_s(triggerer.pid) - cpu_before_s) / elapsed_s, rss_bytes(triggerer.pid))


def _watch_sleeping(servers: Servers, waits: int, seconds: float) -> Watched:
    """Watch a triggerer of its own with triggers that do nothing."""
    triggerer = _triggerer(servers)
    triggerer.start()
    _defer(servers, _SLEEPING, [str(number) for number in range(waits)], "-")
    _until_assigned(servers.airflow_database, waits)
    time.sleep(_SETTLES_S)
    watched = _watch(triggerer, seconds)
    _say(f"sleeping: {watched}")
    triggerer.kill()
    _defer(servers, "none", [], "-")  # the next triggerer must not go on with these
    return watched


async def _start(url: str, count: int, lead_s: int, spread_s: int) -> list[str]:
    """Start so many emulations, of which the first ends after `lead_s` and the last `spread_s` later."""
    places = asyncio.Semaphore(_STARTS_AT_A_TIME)
    async with aiohttp.ClientSession(url, trust_env=False) as client:

        async def start(number: int) -> str:
            body = {
                "emulator_sync": "minio",
                "emulation_domain": "user-profile",
                "format_type": "json",
                "sync_type": "grouped",
                "max_chunk_size": 1024,
                "timeout": lead_s + number * spread_s // count,
                "rate": 1,
            }
            async with places, client.post("/emulator/", json=body) as answer:
                answer.raise_for_status()
                emulation_id: str = (await answer.json())["id"]
                return emulation_id

        # In any order: those that start one after the other would end at the same place of their second.
        return await asyncio.gather(*(start(number) for number in random.Random(count).sample(range(count), count)))


def _defer(servers: Servers, run_id: str, ids: list[str], port: str) -> None:
    path = servers.folder / "ids.json"
    path.write_text(json.dumps(ids))
    command = servers.airflow.command("defer")
    argv = (sys.executable, "-m", "benchmarks.airflow_defer", run_id, str(path), port)
    servers.supervisor.run(dataclasses.replace(command, argv=argv), timeout_s=_COMMAND_TIMEOUT_S)


def _until_assigned(database: Path, count: int) -> None:
    gives_up_at = time.monotonic() + _ASSIGNED_WITHIN_S
    with closing(read_only(database)) as connection:
        while True:
            (assigned,) = connection.execute("select count(*) from trigger where triggerer_id is not null").fetchone()
            if assigned >= count:
                return
            if time.monotonic() > gives_up_at:
                raise StackError(f"only {assigned} of {count} triggers were taken by the triggerer")
            time.sleep(0.5)


def _until_over(database: Path, run_id: str) -> list[tuple[int, str, str]]:
    """Wait until no task instance of a run is deferred, or for two minutes; return their map indexes and more."""
    gives_up_at = time.monotonic() + _ALL_HEARD_WITHIN_S
    with closing(read_only(database)) as connection:
        while True:
            rows = connection.execute(
                "select map_index, scheduled_dttm, next_kwargs, state from task_instance"
                " where dag_id = ? and run_id = ? and task_id = 'wait'",
                (_DAG_ID, run_id),
            ).fetchall()
            if time.monotonic() > gives_up_at or all(state != "deferred" for *_, state in rows):
                return [(map_index, stored_at, kwargs) for map_index, stored_at, kwargs, _ in rows]
            time.sleep(0.5)


def _hear(servers: Servers, ids: list[str], found: Waits) -> None:
    """Wait until every wait is over, and compare the moments."""
    rows = _until_over(servers.airflow_database, _WAITING)
    ended_at = _ends(servers.service_database)
    fired_at = _firings(servers.folder, len(ids))
    for map_index, stored_at, kwargs in rows:
        event = json.loads(kwargs or "{}").get("event", {})
        if event.get("outcome") != "ended" or event["status"]["state"] != "completed":
            found.lost += 1
            continue
        end = ended_at[ids[map_index]]
        if map_index in fired_at:
            found.fired_s.append(fired_at[map_index] - end)
        found.stored_s.append(datetime.fromisoformat(stored_at).replace(tzinfo=UTC).timestamp() - end)


def _ends(database: Path) -> Mapping[str, float]:
    """Return when each emulation ended, by id, in Unix seconds."""
    with closing(read_only(database)) as connection:
        return dict(connection.execute("select id, ended_at from emulations where ended_at is not null"))


def _firings(folder: Path, count: int) -> dict[int, float]:
    """Return when the trigger of each map index fired, in Unix seconds, out of the logs.

    A triggerer that is busy writes them later than it acts: up to two minutes are given to it. What it comes to only
    when it has forgotten the task already, it writes into its own log, and not into the task's.
    """
    tasks = folder / "airflow" / "logs" / f"dag_id={_DAG_ID}" / f"run_id={_WAITING}" / "task_id=wait"
    gives_up_at = time.monotonic() + _ALL_HEARD_WITHIN_S
    while True:
        fired_at: dict[int, float] = {}
        for line in (folder / "logs" / "airflow-triggerer.log").read_text().splitlines():
            if late := _FIRED_LATE.search(line):
                fired_at[int(late[2])] = datetime.fromisoformat(late[1]).timestamp()
        for path in tasks.glob("map_index=*/*.trigger.*.log"):
            if found := _MAP_INDEX.search(path.parent.name):
                for entry in map(json.loads, path.read_text().splitlines()):
                    if entry["event"] == _FIRED:
                        fired_at[int(found[1])] = datetime.fromisoformat(entry["timestamp"]).timestamp()
        if len(fired_at) >= count or time.monotonic() > gives_up_at:
            return fired_at
        time.sleep(2.0)
