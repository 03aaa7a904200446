"""How many records are due, by rate, time and bound."""

import pytest

from tests.support.engine_fakes import plan


@pytest.mark.parametrize(
    ("rate", "max_records", "elapsed_s", "due"),
    [
        (100.0, None, 0.0, 0),
        (100.0, None, 0.5, 50),
        (100.0, None, 9.999, 999),
        (100.0, None, 10.0, 1000),
        (100.0, None, 60.0, 1000),  # never more than the duration gives
        (0.25, None, 3.9, 0),
        (0.25, None, 4.0, 1),
        (100.0, 30, 0.2, 20),
        (100.0, 30, 5.0, 30),
        (None, 30, 0.0, 30),
        (None, None, 5.0, None),
    ],
)
def test_records_due(rate: float | None, max_records: int | None, elapsed_s: float, due: int | None) -> None:
    assert plan(duration_s=10, rate=rate, max_records=max_records).records_due(elapsed_s) == due


def test_nothing_is_due_in_no_time() -> None:
    assert plan(duration_s=0).records_planned == 0


@pytest.mark.parametrize(
    ("rate", "max_records", "planned"), [(100.0, None, 1000), (100.0, 30, 30), (None, 30, 30), (None, None, None)]
)
def test_records_planned(rate: float | None, max_records: int | None, planned: int | None) -> None:
    assert plan(duration_s=10, rate=rate, max_records=max_records).records_planned == planned
