"""Which payments are fraud: bursts of five scenarios, each found from the index alone.

The payments of an emulation are cut into windows of equal length, by index, and each window holds one burst: a few
payments close to each other, of one scenario. Five windows in a row hold the five scenarios in some order, so that the
share of fraud comes out as asked, however short the emulation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from data_emulator.domains.randomness import Index, Stream

SCENARIOS: Final = ("account_takeover", "card_testing", "merchant_collusion", "geographic_anomaly", "baseline")
"""As the original names them. One user's card is used by another; tried out with small amounts at one merchant; a
merchant charges several users; one card pays in places far apart; and a single payment that looks like any other."""
ACCOUNT_TAKEOVER, CARD_TESTING, MERCHANT_COLLUSION, GEOGRAPHIC_ANOMALY, BASELINE = range(len(SCENARIOS))
MAX_FRAUD_SHARE: Final = 0.1
_FEWEST: Final = np.array([3, 6, 4, 2, 1])
_MOST: Final = np.array([6, 12, 8, 4, 1])
"""Payments in a burst, by scenario: any number between these is as likely."""
_MEAN: Final = float((_FEWEST + _MOST).mean() / 2)
_WIDEST_GAP: Final = 8
"""Payments of others between two of a burst, at most, on average."""
_AHEAD: Final = 256
_Members = tuple[Index, Index, Index]
"""Fraud payments in order: the index, the number of the burst and the scenario of each."""


@dataclass(frozen=True)
class FraudRows:
    """The fraud among a batch of payments; arrays of one shape, one element a fraud payment.

    :param row: its position in the batch.
    :param burst: the number of its burst, the same for all payments in it.
    :param scenario: position in `SCENARIOS`.
    """

    row: Index
    burst: Index
    scenario: Index


class FraudBursts:
    """The fraud in one emulation.

    :param seed: what it is computed from.
    :param share: share of payments that are fraud, from 0 to `MAX_FRAUD_SHARE`.
    """

    def __init__(self, seed: int, share: float) -> None:
        self._window = math.floor(_MEAN / share) if share else 0
        # Windows are whole: where the share asks for a part of one more, some windows stay empty instead.
        self._used_share = share * self._window / _MEAN
        self._widest_gap = min(_WIDEST_GAP, self._window // int(_MOST.max()))
        self._used, self._order, self._size, self._gap, self._start = (
            Stream(seed, f"fraud.{field}") for field in ("used", "order", "size", "gap", "start")
        )
        self._within_gap = Stream(seed, "fraud.within-gap")
        # Payments are mostly asked for in order: those of many windows are found at once, and kept.
        self._known: _Members = (np.arange(0), np.arange(0), np.arange(0))
        self._known_from = self._known_to = 0

    def among(self, index: Index) -> FraudRows:
        """Return the fraud among the payments with these indexes, in any order."""
        if not self._window or not len(index):
            nothing = np.arange(0)
            return FraudRows(nothing, nothing, nothing)
        first, last = int(index[0]), int(index[-1])
        if last - first == len(index) - 1 and (index[1:] > index[:-1]).all():
            member, burst, scenario = self._between(first, last)
            return FraudRows(member - first, burst, scenario)
        member, burst, scenario = self._members(np.unique(index // self._window))
        order = np.argsort(index)
        place = np.minimum(np.searchsorted(index, member, sorter=order), len(index) - 1)
        here = index[order[place]] == member
        return FraudRows(order[place[here]], burst[here], scenario[here])

    def _between(self, first: int, last: int) -> _Members:
        """Return the fraud payments from one index to another, both included."""
        if not (self._known_from <= first and last < self._known_to):
            windows = np.arange(first // self._window, max(last // self._window + 1, first // self._window + _AHEAD))
            self._known = self._members(windows)
            self._known_from, self._known_to = int(windows[0]) * self._window, (int(windows[-1]) + 1) * self._window
        start, stop = np.searchsorted(self._known[0], (first, last + 1))
        member, burst, scenario = self._known
        return member[start:stop], burst[start:stop], scenario[start:stop]

    def _members(self, window: Index) -> _Members:
        """Return all fraud payments in these windows, which are in order."""
        window = window[self._used.uniform(window) < self._used_share]
        scenario = self._scenarios(window)
        fewest = _FEWEST[scenario]
        size = fewest + self._size.integers(window, _MOST[scenario] - fewest + 1)
        gap = 1 + self._gap.integers(window, self._widest_gap)
        start = window * self._window + self._start.integers(window, self._window - size * gap + 1)
        burst = np.repeat(np.arange(len(window)), size)
        number = np.arange(len(burst)) - np.repeat(np.cumsum(size) - size, size)
        slot = start[burst] + number * gap[burst]
        return slot + self._within_gap.integers(slot, gap[burst]), window[burst], scenario[burst]

    def _scenarios(self, window: Index) -> Index:
        """Return each window's scenario: a permutation of them for each five windows."""
        kinds = len(SCENARIOS)
        five, position = window // kinds, window % kinds
        rank = self._order.bits(five[:, None] * kinds + np.arange(kinds)).argsort(axis=1)
        return rank[np.arange(len(window)), position]
