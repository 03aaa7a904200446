"""The request that starts an emulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

from ..domain_list.fields import FIELDS, Field, plain
from ..exceptions import DataEmulatorConfigError

#: The value of ``rate`` that requests as many records per second as possible.
UNLIMITED: Literal["unlimited"] = "unlimited"

#: The value of ``world_seed`` that requests the users of the service's own world.
SERVICE_WORLD: Literal["service"] = "service"

#: The shortest ``abandon_after`` that the service accepts, in seconds.
MIN_ABANDON_AFTER_S = 10


@dataclass(frozen=True, kw_only=True)
class EmulationRequest:
    """What to emulate, where to, and for how long.

    ``timeout`` is how long to emulate in seconds, and ``max_chunk_size`` is in bytes; both names are the wire's.
    Fields that are None are not sent, so that the service uses its own defaults: ``rate`` (records a second),
    ``max_records``, ``seed``, ``world_seed`` (of the users, if that is not the records' seed), ``compression``,
    ``start_time`` and ``end_time``, between which a backfill's records lie (ISO 8601, with a zone), and
    ``abandon_after`` (seconds, at least 10: the service cancels the emulation once nobody has asked for its status for
    that long).
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
        """Build a request from values that may be strings because they come from templates.

        :param arguments: the fields of this class by name; those that may be None can be left out
        :raises DataEmulatorConfigError: naming each field that is missing or of the wrong type
        """
        problems: list[str] = []
        values: dict[str, Any] = {}
        for field in fields(cls):
            given = arguments.get(field.name)
            if given is None and field.default is None:
                continue
            kind = _ALLOWED[field.name]
            value = _value(given, kind)
            if kind.allows(value):
                values[field.name] = plain(value)
            else:
                problems.append(f"{field.name} must be {kind.allowed}, got {given!r}")
        if not problems and "start_time" in values and "end_time" in values:
            problems += _range_problems(values["start_time"], values["end_time"])
        if problems:
            raise DataEmulatorConfigError("Cannot start an emulation: " + "; ".join(problems))
        return cls(**values)

    def body(self) -> dict[str, Any]:
        """Return the JSON body of ``POST /emulator/``."""
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


def _value(given: Any, kind: Field) -> Any:
    """Convert an argument that may be a string because it comes from a template."""
    if isinstance(given, datetime):
        return given.isoformat()
    if not isinstance(given, str):
        return given
    text = given.strip()
    for read in () if kind is _TEXT else (int, float, _iso_time):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _iso_time(text: str) -> str:
    return datetime.fromisoformat(text).isoformat()


_TEXT = Field("a non-empty string", {"type": "string", "pattern": r"\S"})
_INTEGER = Field("an integer", {"type": "integer"})

#: As for an entry of the domain list, except where another service may have other names and bounds.
_ALLOWED: dict[str, Field] = {
    **FIELDS,
    **dict.fromkeys(("emulator_sync", "emulation_domain", "format_type", "sync_type", "compression"), _TEXT),
    **dict.fromkeys(("max_chunk_size", "timeout"), _INTEGER),
    "world_seed": Field(
        f"an integer from -2^63 to 2^63 - 1, or {SERVICE_WORLD!r}",
        {"anyOf": [FIELDS["seed"].schema, {"enum": [SERVICE_WORLD]}]},
    ),
    "abandon_after": Field(
        f"an integer of at least {MIN_ABANDON_AFTER_S}, in seconds", {"type": "integer", "minimum": MIN_ABANDON_AFTER_S}
    ),
}


def _range_problems(start: str, end: str) -> list[str]:
    if start == end:
        problem = (
            f"start_time and end_time are both {start}, an empty interval, as Airflow 3 gives the run of a cron "
            'schedule by default: use window="data_interval", or schedule the DAG with CronDataIntervalTimetable'
        )
        return [problem]
    if datetime.fromisoformat(start) > datetime.fromisoformat(end):
        return [f"end_time must be later than start_time, {start}, got {end}"]
    return []
