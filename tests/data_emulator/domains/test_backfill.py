"""The clock of a backfill: in order, within its range, as busy as life is, the same for any part of the index."""

from datetime import UTC, datetime

import numpy as np
import pytest

from data_emulator.domains.backfill import DAY_US, BackfillClock, day_weights, share_of_day

HOUR_US = 3_600_000_000


def us(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[misc,arg-type]


@pytest.mark.parametrize("records", [1, 2, 1000, 100_000])
@pytest.mark.parametrize(
    ("start", "end"),
    [
        (us(2024, 1, 1), us(2025, 1, 1)),
        (us(2025, 3, 7, 22, 30), us(2025, 3, 9, 1, 15)),
        (us(2025, 3, 7, 11), us(2025, 3, 7, 11) + 1),
        (us(2025, 3, 7), us(2025, 3, 7) + 1000),
        (us(1970, 1, 1), us(1970, 1, 2)),
        (us(2025, 12, 31, 23), us(2026, 1, 1)),
    ],
)
def test_times_are_in_order_and_within_the_range(start: int, end: int, records: int) -> None:
    times = BackfillClock(start, end, records).times(np.arange(records))
    assert times.min() >= start
    assert times.max() < end
    assert (np.diff(times) >= 0).all()


def test_the_range_is_filled_to_its_ends() -> None:
    times = BackfillClock(us(2025, 5, 5, 11), us(2025, 5, 5, 13), 100_000).times(np.arange(100_000))
    assert times[0] - us(2025, 5, 5, 11) < 100_000
    assert us(2025, 5, 5, 13) - times[-1] < 100_000


def test_any_part_of_the_index_has_the_same_times() -> None:
    clock = BackfillClock(us(2024, 1, 1), us(2025, 1, 1), 10_000)
    whole = clock.times(np.arange(10_000))
    parts = [clock.times(np.arange(start, start + 100)) for start in range(0, 10_000, 100)]
    assert (np.concatenate(parts) == whole).all()
    assert (clock.times(np.arange(10_000)[::-1])[::-1] == whole).all()
    assert clock.times(np.array([4321]))[0] == whole[4321]


def test_days_are_as_busy_as_their_weights() -> None:
    records = 1_000_000
    times = BackfillClock(us(2025, 11, 1), us(2026, 1, 1), records).times(np.arange(records))
    days = np.arange(us(2025, 11, 1) // DAY_US, us(2026, 1, 1) // DAY_US)
    observed = np.bincount(times // DAY_US - days[0])
    expected = day_weights(days) / day_weights(days).sum() * records
    assert np.abs(observed - expected).max() < 2
    # Monday 3 November 2025, Sunday 9 November, Monday 1 December.
    assert observed[2] * 175 == pytest.approx(observed[8] * 80, rel=0.001)
    assert observed[30] == pytest.approx(2 * observed[2], rel=0.001)


def test_a_day_is_busy_around_noon() -> None:
    records = 1_000_000
    seconds = BackfillClock(0, DAY_US, records).times(np.arange(records)) / 1e6
    assert seconds.mean() == pytest.approx(43_200, abs=10)
    assert seconds.std() == pytest.approx(18_190, abs=50)  # of a normal with 20,000 cut off at 2.16 to each side
    for hour in (3, 9, 12, 20):
        observed = float((seconds < hour * 3600).mean())
        assert observed == pytest.approx(float(share_of_day(np.array([hour * 3600.0]))[0]), abs=1e-4)


def test_a_part_of_a_day_has_that_parts_share() -> None:
    records = 1_000_000
    times = BackfillClock(us(2025, 5, 5, 12), us(2025, 5, 6, 12), records).times(np.arange(records))
    evening = float((times < us(2025, 5, 6)).mean())
    assert evening == pytest.approx(80 / (80 + 90), abs=1e-4)  # half a Monday, half a Tuesday
