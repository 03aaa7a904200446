"""The event clock of a backfill: times over a range in the past, busy and quiet as life is.

The intensity is the product of a season (December is doubled) and a weekday (Monday to Sunday 80, 90, 100, 100, 150,
175, 175), both as in Sparkov, and of the time of day: normal around noon with a standard deviation of 20,000 s, cut off
at midnight, as in the Fraud Detection Handbook. Days, weekdays and hours are those of UTC.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from data_emulator.domains.randomness import Floats, Index

WEEKDAY_WEIGHTS: Final = (80.0, 90.0, 100.0, 100.0, 150.0, 175.0, 175.0)
"""Monday to Sunday."""
DECEMBER_FACTOR: Final = 2.0
NOON_S: Final = 43_200
DAILY_SIGMA_S: Final = 20_000.0
DAY_US: Final = 86_400_000_000
_EPOCH_WEEKDAY: Final = 3  # 1970-01-01 was a Thursday
_SERIES_TERMS: Final = 30
"""Within 2.16 standard deviations of noon, the next term is below 1e-18."""
_TABLE_STEP_S: Final = 60
_TABLE_S: Final[Floats] = np.arange(0, 86_400 + _TABLE_STEP_S, _TABLE_STEP_S, dtype=np.float64)


def share_of_day(seconds: Floats) -> Floats:
    """Return which share of a day's records lies before each time of day, in seconds since midnight."""
    midnight = _from_noon(np.array([86_400.0]))
    return np.asarray(0.5 + 0.5 * _from_noon(seconds) / midnight, dtype=np.float64)


def _from_noon(seconds: Floats) -> Floats:
    """Return the integral of the day's bell curve from noon to each time of day, but for a factor.

    By the power series of the error function, since `math.erf` is not the same on every machine.
    """
    deviations = (seconds - NOON_S) / DAILY_SIGMA_S
    square = -0.5 * deviations * deviations
    power, integral = deviations, deviations
    for order in range(1, _SERIES_TERMS):
        power = power * square / order
        integral = integral + power / (2 * order + 1)
    return integral


def _interpolated(wanted: Floats, at: Floats, values: Floats) -> Floats:
    """Return what `numpy.interp` does; that may round differently on another machine."""
    left = np.clip(np.searchsorted(at, wanted, side="right") - 1, 0, len(at) - 2)
    slopes = np.diff(values) / np.diff(at)
    return np.asarray(slopes.take(left) * (wanted - at.take(left)) + values.take(left), dtype=np.float64)


_SHARES: Final = share_of_day(_TABLE_S)


def day_weights(day: Index) -> Floats:
    """Return how much busier than others each day is; `day` counts from the Unix epoch."""
    weekday = (day + _EPOCH_WEEKDAY) % 7
    month = day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
    return np.take(np.array(WEEKDAY_WEIGHTS), weekday) * np.where(month == 11, DECEMBER_FACTOR, 1.0)


class BackfillClock:
    """When the record of each index happens, so that `records` of them fill a range in order.

    Record ``i`` happens when the share ``(i + 0.5) / records`` of the range's whole intensity has passed.

    :param start_us: start of the range, in microseconds since the Unix epoch.
    :param end_us: its end; no record lies there or behind it.
    :param records: how many there will be.
    """

    def __init__(self, start_us: int, end_us: int, records: int) -> None:
        self._start_us, self._end_us, self._records = start_us, end_us, records
        self._days = np.arange(start_us // DAY_US, (end_us - 1) // DAY_US + 1)
        self._weights = day_weights(self._days)
        self._passed = np.concatenate([[0.0], np.cumsum(self._weights)])
        self._from = self._intensity_until(start_us)
        self._to = self._intensity_until(end_us)

    def _intensity_until(self, time_us: int) -> float:
        """Return the intensity from midnight of the first day to a time in the range."""
        position = min(time_us // DAY_US - int(self._days[0]), len(self._days) - 1)
        second_of_day = (time_us - int(self._days[position]) * DAY_US) / 1e6
        share = float(_interpolated(np.array([second_of_day]), _TABLE_S, _SHARES)[0])
        return float(self._passed[position] + self._weights[position] * share)

    def times(self, index: Index) -> Index:
        """Return the time of each index, in microseconds since the Unix epoch."""
        wanted = self._from + (index + 0.5) / self._records * (self._to - self._from)
        position = np.searchsorted(self._passed, wanted, side="right") - 1
        position = np.clip(position, 0, len(self._days) - 1)
        share = (wanted - self._passed.take(position)) / self._weights.take(position)
        of_day_us = (_interpolated(share, _SHARES, _TABLE_S) * 1e6).astype(np.int64)
        time_us = self._days.take(position) * DAY_US + np.minimum(of_day_us, DAY_US - 1)
        return np.asarray(np.clip(time_us, self._start_us, self._end_us - 1), dtype=np.int64)
