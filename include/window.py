"""The data interval of a run, and the request that backfills it, which is always the same.

The run at midnight generates the day that has just ended. Which day that is:

1. the run's own data interval, if it has one that is not empty (``CronDataIntervalTimetable``, or a schedule with an
   ``interval``);
2. otherwise the last whole period of the schedule before the run: by default Airflow 3 gives the run of a cron schedule
   an empty interval, and a manual run possibly none;
3. otherwise it is unknown, and the task fails with a message that says what to do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .exceptions import DataEmulatorConfigError
from .wire.request import SERVICE_WORLD

if TYPE_CHECKING:
    from airflow.sdk import Context

#: The value of ``window`` for the run's own data interval.
DATA_INTERVAL = "data_interval"

#: Seeds of this many bits survive every JSON reader, including browsers.
_SEED_BITS = 53


@dataclass(frozen=True)
class Window:
    """The time range of a run's data: from ``start`` up to, not including, ``end``."""

    start: datetime
    end: datetime

    @classmethod
    def of_run(cls, context: Context) -> Window:
        """Return the data interval of the running task's run.

        :raises DataEmulatorConfigError: when the run has none, and none follows from the DAG's schedule
        """
        run: Any = context["dag_run"]
        start, end = run.data_interval_start, run.data_interval_end
        if start is not None and end is not None and start < end:
            return cls(start.astimezone(UTC), end.astimezone(UTC))
        period = _last_period(getattr(context["dag"], "timetable", None), end or run.logical_date or run.run_after)
        if period is None:
            kind = getattr(run.run_type, "value", run.run_type)
            raise DataEmulatorConfigError(
                f"window is {DATA_INTERVAL!r}, but this run ({kind}) has no data interval, and none follows "
                "from the DAG's schedule. Schedule the DAG with a cron expression, a timedelta or "
                "CronDataIntervalTimetable, or give start_time and end_time instead of window"
            )
        return cls(*period)

    def arguments(self, arguments: Mapping[str, Any], label: str | None) -> dict[str, Any]:
        """Return the arguments of a request for this window.

        The seed of the records is derived from the label, the window and the given seed, if any: each day has its own
        data, the same every time. The users stay the same from day to day, those of the service or of the given seed,
        so the entries of a run and the days of a month can be joined.
        """
        if arguments.get("start_time") is not None or arguments.get("end_time") is not None:
            raise DataEmulatorConfigError("window and start_time or end_time are both given: give only one of them")
        seed = arguments.get("seed")
        return {
            **arguments,
            "start_time": self.start,
            "end_time": self.end,
            "seed": self._seed(label, seed),
            "world_seed": SERVICE_WORLD if seed is None else seed,
        }

    def idempotency_key(self, context: Context, label: str | None, body: Mapping[str, Any]) -> str:
        """Return the key by which the task finds its emulation of this window, whichever run started it.

        It includes the request, because a key can stand for one request only.
        """
        ti = context["ti"]
        return f"window/{_digest(ti.dag_id, ti.task_id, label, *self._texts, json.dumps(body, sort_keys=True)).hex()}"

    @property
    def _texts(self) -> tuple[str, str]:
        return self.start.isoformat(), self.end.isoformat()

    def _seed(self, label: str | None, seed: object) -> int:
        digest = _digest(label, *self._texts, "" if seed is None else str(int(str(seed))))
        return int.from_bytes(digest[:8], "big") >> (64 - _SEED_BITS)


def _digest(*parts: str | None) -> bytes:
    return hashlib.sha256(json.dumps(parts).encode()).digest()


def _last_period(timetable: Any, at: datetime) -> tuple[datetime, datetime] | None:
    """Return the last whole period of a schedule that ends at or before a time; None if it has no periods.

    Airflow's own timetable of data intervals computes it, so daylight saving time is treated as everywhere in Airflow.
    """
    from airflow import sdk
    from airflow.timetables.interval import CronDataIntervalTimetable, DeltaDataIntervalTimetable
    from pendulum import instance

    periods: CronDataIntervalTimetable | DeltaDataIntervalTimetable
    # Exactly these classes: a subclass, such as the timetable of partitions, means something else.
    if type(timetable) in (sdk.CronTriggerTimetable, sdk.CronDataIntervalTimetable):
        periods = CronDataIntervalTimetable(timetable.expression, timetable.timezone)
    elif type(timetable) in (sdk.DeltaTriggerTimetable, sdk.DeltaDataIntervalTimetable):
        periods = DeltaDataIntervalTimetable(timetable.delta)
    else:
        return None
    start, end = periods.infer_manual_data_interval(run_after=instance(at))
    if stated := getattr(timetable, "interval", None):
        start = end - stated
    return start.astimezone(UTC), end.astimezone(UTC)
