"""Which interval a run is for, whatever its schedule, and what is asked for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import (
    DAG,
    Asset,
    AssetOrTimeSchedule,
    CronDataIntervalTimetable,
    CronPartitionTimetable,
    CronTriggerTimetable,
    DeltaDataIntervalTimetable,
    MultipleCronTriggerTimetable,
)

from include.exceptions import DataEmulatorConfigError
from include.window import Window
from include.wire.request import SERVICE_WORLD, EmulationRequest

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
AFTERNOON = MIDNIGHT + timedelta(hours=14, minutes=5)
DAY = timedelta(days=1)
THE_DAY_BEFORE = Window(MIDNIGHT - DAY, MIDNIGHT)
HOUR = timedelta(hours=1)

SIX: dict[str, Any] = {
    "emulator_sync": "minio",
    "emulation_domain": "transaction",
    "format_type": "json",
    "sync_type": "grouped",
    "max_chunk_size": 1024,
    "timeout": 30,
}


class RunType(str, Enum):  # noqa: UP042 - a StrEnum would be its value
    """As Airflow's own, whose text is not its value."""

    ASSET_TRIGGERED = "asset_triggered"


def context(
    schedule: Any,
    logical_date: datetime | None = MIDNIGHT,
    interval: tuple[datetime, datetime] | None = (MIDNIGHT, MIDNIGHT),
    run_after: datetime = MIDNIGHT,
    run_type: Any = "scheduled",
    task_id: str = "t",
) -> Any:
    dag = DAG("d", schedule=schedule, start_date=datetime(2026, 1, 1, tzinfo=UTC))
    start, end = interval or (None, None)
    run = SimpleNamespace(
        logical_date=logical_date,
        data_interval_start=start,
        data_interval_end=end,
        run_after=run_after,
        run_type=run_type,
    )
    return {"dag": dag, "dag_run": run, "ti": SimpleNamespace(dag_id="d", task_id=task_id)}


class TestOfRun:
    @pytest.mark.parametrize("schedule", ["@daily", None, [Asset("a")]])
    def test_an_interval_of_its_own_counts_whatever_the_schedule(self, schedule: Any) -> None:
        own = (MIDNIGHT - 7 * DAY, MIDNIGHT - 6 * DAY)
        assert Window.of_run(context(schedule, interval=own)) == Window(*own)

    @pytest.mark.parametrize(
        ("schedule", "expected"),
        [
            ("@daily", THE_DAY_BEFORE),
            ("0 0 * * *", THE_DAY_BEFORE),
            ("@weekly", Window(MIDNIGHT - 8 * DAY, MIDNIGHT - DAY)),  # 2 March 2026 is a Monday
            ("@monthly", Window(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))),
            (timedelta(hours=6), Window(MIDNIGHT - 6 * HOUR, MIDNIGHT)),
            (CronTriggerTimetable("@daily", timezone="UTC"), THE_DAY_BEFORE),
        ],
    )
    def test_an_empty_interval_is_the_last_whole_period_of_the_schedule(self, schedule: Any, expected: Window) -> None:
        assert Window.of_run(context(schedule)) == expected

    @pytest.mark.parametrize(
        ("schedule", "expected"),
        [
            ("@daily", THE_DAY_BEFORE),
            (CronDataIntervalTimetable("@daily", timezone="UTC"), THE_DAY_BEFORE),
            (DeltaDataIntervalTimetable(DAY), Window(AFTERNOON - DAY, AFTERNOON)),
            (CronTriggerTimetable("@daily", timezone="UTC", interval=HOUR), Window(MIDNIGHT - HOUR, MIDNIGHT)),
        ],
    )
    @pytest.mark.parametrize("interval", [None, (AFTERNOON, AFTERNOON)])
    def test_a_run_by_hand_is_for_the_last_whole_period(self, schedule: Any, expected: Window, interval: Any) -> None:
        date = None if interval is None else AFTERNOON
        run = context(schedule, logical_date=date, interval=interval, run_after=AFTERNOON, run_type="manual")
        assert Window.of_run(run) == expected

    def test_a_day_is_as_long_as_the_schedules_zone_has_it(self) -> None:
        schedule = CronTriggerTimetable("@daily", timezone="Europe/Berlin")
        after_the_change = datetime(2026, 3, 29, 22, tzinfo=UTC)  # the day summer time began had 23 hours
        found = Window.of_run(context(schedule, after_the_change, (after_the_change, after_the_change)))
        assert found == Window(after_the_change - timedelta(hours=23), after_the_change)

    @pytest.mark.parametrize(
        "schedule",
        [
            None,
            "@once",
            [Asset("a")],
            MultipleCronTriggerTimetable("@daily", "@hourly", timezone="UTC"),
            CronPartitionTimetable("@daily", timezone="UTC"),
            AssetOrTimeSchedule(timetable=CronTriggerTimetable("@daily", timezone="UTC"), assets=[Asset("a")]),
        ],
    )
    def test_without_a_period_it_says_what_to_do(self, schedule: Any) -> None:
        with pytest.raises(DataEmulatorConfigError) as caught:
            Window.of_run(context(schedule, logical_date=None, interval=None, run_type=RunType.ASSET_TRIGGERED))
        assert str(caught.value) == (
            "window is 'data_interval', but this run (asset_triggered) has no data interval, and none follows from the "
            "DAG's schedule. Schedule the DAG with a cron expression, a timedelta or CronDataIntervalTimetable, or "
            "give start_time and end_time instead of window"
        )


class TestArguments:
    def test_they_make_a_backfill_of_the_services_own_users(self) -> None:
        body = EmulationRequest.from_arguments(THE_DAY_BEFORE.arguments({**SIX, "max_records": 5}, "x")).body()
        assert (body["start_time"], body["end_time"]) == ("2026-03-01T00:00:00+00:00", "2026-03-02T00:00:00+00:00")
        assert body["world_seed"] is None
        assert 0 <= body["seed"] < 2**53

    def test_a_seed_of_ones_own_is_that_of_the_users(self) -> None:
        arguments = THE_DAY_BEFORE.arguments({**SIX, "seed": "7"}, "x")
        assert EmulationRequest.from_arguments(arguments).body()["world_seed"] == 7

    def test_the_seed_follows_from_label_interval_and_seed(self) -> None:
        def seed(window: Window = THE_DAY_BEFORE, label: str = "a", given: Any = None) -> int:
            return int(window.arguments({"seed": given}, label)["seed"])

        the_day_after = Window(MIDNIGHT, MIDNIGHT + DAY)
        assert seed() == seed()
        assert len({seed(), seed(the_day_after), seed(label="b"), seed(given=0), seed(given=1)}) == 5
        assert seed(given="1") == seed(given=1)
        # Pinned: with another seed, a day that is run again would have other data.
        assert seed() == PINNED_SEED

    @pytest.mark.parametrize("name", ["start_time", "end_time"])
    def test_it_goes_with_no_other_interval(self, name: str) -> None:
        with pytest.raises(DataEmulatorConfigError, match="give only one of them"):
            THE_DAY_BEFORE.arguments({**SIX, name: "2026-01-01T00:00:00Z"}, "x")

    def test_the_users_are_those_of_the_service_by_a_null_on_the_wire(self) -> None:
        with_world = EmulationRequest.from_arguments({**SIX, "seed": 1, "world_seed": SERVICE_WORLD}).body()
        assert with_world["world_seed"] is None
        assert "world_seed" not in EmulationRequest.from_arguments({**SIX, "seed": 1}).body()


class TestIdempotencyKey:
    def test_it_is_the_same_for_every_run_of_the_interval(self) -> None:
        first, second = context("@daily"), context("@daily", run_type="manual", run_after=AFTERNOON)
        keys = {Window.of_run(each).idempotency_key(each, "x", SIX) for each in (first, second)}
        assert len(keys) == 1
        assert keys.pop().startswith("window/")

    def test_it_is_another_for_whatever_else_is_asked_for(self) -> None:
        run = context("@daily")
        window = Window.of_run(run)
        others = [
            window.idempotency_key(run, "x", SIX),
            window.idempotency_key(run, "y", SIX),
            window.idempotency_key(run, "x", {**SIX, "timeout": 5}),
            window.idempotency_key(context("@daily", task_id="u"), "x", SIX),
            Window(MIDNIGHT, MIDNIGHT + DAY).idempotency_key(run, "x", SIX),
        ]
        assert len(set(others)) == len(others)


PINNED_SEED = 8433686054652415
