"""The request that starts an emulation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from include.exceptions import DataEmulatorConfigError

#: The value of ``rate`` that asks for as many records a second as the service can make.
UNLIMITED: Literal["unlimited"] = "unlimited"

#: The value of ``world_seed`` that asks for the users of the service's own world.
SERVICE_WORLD: Literal["service"] = "service"

#: The shortest ``abandon_after`` that a service takes, in seconds.
MIN_ABANDON_AFTER_S = 10


@dataclass(frozen=True, kw_only=True)
class EmulationRequest:
    """What to emulate, where to, and for how long.

    ``timeout`` is how long to emulate in seconds, and ``max_chunk_size`` is in bytes; both names are the wire's.
    The fields that may be None are sent only if they are not, since a service that does not know them, or has its own
    default, should decide for itself: ``rate`` (records a second), ``max_records``, ``seed``, ``world_seed`` (of the
    users, if that is not the records' seed), ``compression``, ``start_time`` and ``end_time``, between which a
    backfill's records lie (ISO 8601, with a zone), and ``abandon_after`` (seconds, at least 10: the service cancels the
    emulation once nobody has asked for its status for that long).
    """

    emulator_sync: str
    emulation_domain: str
    format_type: str
    sync_type: str
    max_chunk_size: int
    timeout: int
    rate: float | Literal["unlimited"] | None = None
    max_records: int | None = None
    seed: int | None = None
    world_seed: int | Literal["service"] | None = None
    compression: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    abandon_after: int | None = None

    @classmethod
    def from_arguments(cls, arguments: Mapping[str, Any]) -> EmulationRequest:
        """Build a request from values that may have come out of a template, and are strings then.

        :param arguments: the fields of this class by name; those that may be None can be left out
        :raises DataEmulatorConfigError: naming each field that is missing or of the wrong type
        """
        problems: list[str] = []
        values: dict[str, Any] = {}
        for name in ("emulator_sync", "emulation_domain", "format_type", "sync_type"):
            value = arguments.get(name)
            if not isinstance(value, str) or not value.strip():
                problems.append(f"{name} must be a non-empty string, got {value!r}")
            else:
                values[name] = value.strip()
        for name in ("max_chunk_size", "timeout"):
            values[name] = _integer(name, arguments.get(name), problems)
        for name in ("max_records", "seed", "abandon_after"):
            value = arguments.get(name)
            values[name] = None if value is None else _integer(name, value, problems)
        world_seed = arguments.get("world_seed")
        values["world_seed"] = (
            world_seed if world_seed in (None, SERVICE_WORLD) else _integer("world_seed", world_seed, problems)
        )
        abandon_after = values["abandon_after"]
        if abandon_after is not None and abandon_after < MIN_ABANDON_AFTER_S:
            problems.append(f"abandon_after must be at least {MIN_ABANDON_AFTER_S} seconds, got {abandon_after}")
        values["rate"] = _rate(arguments.get("rate"), problems)
        values["compression"] = compression = arguments.get("compression")
        if compression is not None and (not isinstance(compression, str) or not compression.strip()):
            problems.append(f"compression must be a non-empty string, got {compression!r}")
        for name in ("start_time", "end_time"):
            values[name] = _time(name, arguments.get(name), problems)
        if values["start_time"] and values["end_time"]:
            problems += _range_problems(values["start_time"], values["end_time"])
        if problems:
            raise DataEmulatorConfigError("Cannot start an emulation: " + "; ".join(problems))
        return cls(**values)

    def body(self) -> dict[str, Any]:
        """The JSON body of ``POST /emulator/``."""
        body: dict[str, Any] = {
            "emulator_sync": self.emulator_sync,
            "emulation_domain": self.emulation_domain,
            "format_type": self.format_type,
            "sync_type": self.sync_type,
            "max_chunk_size": self.max_chunk_size,
            "timeout": self.timeout,
        }
        if self.rate is not None:
            body["rate"] = None if self.rate == UNLIMITED else self.rate
        if self.world_seed is not None:
            body["world_seed"] = None if self.world_seed == SERVICE_WORLD else self.world_seed
        for name in ("max_records", "seed", "compression", "start_time", "end_time", "abandon_after"):
            if (value := getattr(self, name)) is not None:
                body[name] = value
        return body


def _integer(name: str, value: Any, problems: list[str]) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            pass
    problems.append(f"{name} must be an integer, got {value!r}")
    return None


def _rate(value: Any, problems: list[str]) -> float | Literal["unlimited"] | None:
    if value is None:
        return None
    if value == UNLIMITED:
        return UNLIMITED
    if not isinstance(value, bool):
        try:
            rate = float(value)
        except (TypeError, ValueError):
            rate = math.nan
        if math.isfinite(rate) and rate > 0:
            return rate
    problems.append(f"rate must be a number of records a second above 0, or {UNLIMITED!r}, got {value!r}")
    return None


def _time(name: str, value: Any, problems: list[str]) -> str | None:
    if value is None:
        return None
    time = value
    if isinstance(value, str):
        try:
            time = datetime.fromisoformat(value.strip())
        except ValueError:
            time = None
    if isinstance(time, datetime) and time.tzinfo is not None:
        return time.isoformat()
    problems.append(f"{name} must be a time with a zone, like 2026-01-31T00:00:00+00:00, got {value!r}")
    return None


def _range_problems(start: str, end: str) -> list[str]:
    if start == end:
        problem = (
            f"start_time and end_time are both {start}: an empty interval. By default Airflow 3 gives no other to the "
            'run of a cron schedule: use window="data_interval", or schedule the DAG by CronDataIntervalTimetable'
        )
        return [problem]
    if datetime.fromisoformat(start) > datetime.fromisoformat(end):
        return [f"end_time must be later than start_time, {start}, got {end}"]
    return []
