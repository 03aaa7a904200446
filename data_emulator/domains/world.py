"""The one seeded world that all domains share: its users, where they live, which devices they use, how active they are,
how much they spend.

Every property of user number ``u`` is a function of (seed, u). So the profile of a user, a log line about them and a
payment of theirs agree whoever computes them, and whenever. What records need most often is computed once and looked
up from then on.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np

from data_emulator.domains import columns
from data_emulator.domains.geography import choose_cities
from data_emulator.domains.randomness import (
    Floats,
    Index,
    Stream,
    cumulative,
    weighted_choice,
    zipf_ranks,
    zipf_shares,
)

ACTIVITY_ZIPF_EXPONENT: Final = 0.8
"""Users differ in activity as 1 / rank**0.8: Zipf-like, as in Di Clemente et al., Nature Communications 2018."""
DEFAULT_FRAUD_SHARE: Final = 0.005
"""Between the 0.17% of the ULB card data and the 0.837% of the Fraud Detection Handbook."""
MAX_DEVICES: Final = 3
_DEVICE_COUNT_WEIGHTS: Final = cumulative(np.array([0.45, 0.38, 0.17]))
_TABLED_USERS: Final = 1 << 20
"""Ids are kept for so many users at most: 36 bytes each. Those of others are computed each time."""


class World:
    """The users of a seed.

    :param seed: any integer.
    :param users: how many of them are active: records that are about a user are about one of the first `users`.
        Profiles can be computed beyond that.
    :param fraud_share: share of payments that are fraud.
    """

    def __init__(self, seed: int, users: int, fraud_share: float = DEFAULT_FRAUD_SHARE) -> None:
        self.seed = seed
        self.users = users
        self.fraud_share = fraud_share
        self._id_high = Stream(seed, "user.id.high")
        self._id_low = Stream(seed, "user.id.low")
        self._city = Stream(seed, "user.city")
        self._devices = Stream(seed, "user.devices")
        everybody = np.arange(users)
        self._by_activity = np.argsort(Stream(seed, "user.activity").bits(everybody), kind="stable").astype(np.int32)
        self._home_cities = choose_cities(self._city.uniform(everybody)).astype(np.int16)
        self._spending = self._standardized(Stream(seed, "user.spending").normal(everybody)).astype(np.float32)
        self._ids = columns.uuid_text(self._id_high, self._id_low, everybody[:_TABLED_USERS])

    def _standardized(self, habit: Floats) -> Floats:
        """Return habits shifted and scaled so that, over all records, their mean is 0 and their deviation 1.

        A few users make many of the records. Without this, what these few happen to be like would move the whole.
        """
        if self.users == 1:
            return np.zeros(1)
        share = np.empty(self.users)
        share[self._by_activity] = zipf_shares(self.users, ACTIVITY_ZIPF_EXPONENT)
        centred = habit - _mean(habit, share)
        return np.asarray(centred / np.sqrt(_mean(centred * centred, share)), dtype=np.float64)

    def user_ids(self, user: Index) -> Any:
        """Return the string column of the users' ids."""
        if len(user) and user.max() >= len(self._ids):
            return columns.uuids(self._id_high, self._id_low, user)
        return columns.fixed_width_strings(self._ids.take(user, axis=0))

    def home_cities(self, user: Index) -> Index:
        """Return each user's home city, as a position in `geography.CITIES`."""
        if len(user) and user.max() >= self.users:
            return choose_cities(self._city.uniform(user))
        return self._home_cities.take(user).astype(np.int64)

    def spending(self, user: Index) -> Floats:
        """Return how much each of the active users tends to pay: 0 is as all do, 1 a standard deviation more."""
        return self._spending.take(user).astype(np.float64)

    def device_counts(self, user: Index) -> Index:
        """Return how many devices each user has: 1 to `MAX_DEVICES`."""
        return 1 + weighted_choice(self._devices.uniform(user), _DEVICE_COUNT_WEIGHTS)

    def active_users(self, uniform: Floats) -> Index:
        """Return a user for each number in [0, 1), the active ones more often."""
        return self._by_activity.take(zipf_ranks(uniform, self.users, ACTIVITY_ZIPF_EXPONENT)).astype(np.int64)


def _mean(numbers: Floats, weights: Floats) -> float:
    """Return the weighted mean, added up in order: in which order `numpy.sum` does it is not laid down."""
    return float(np.cumsum(numbers * weights)[-1] / np.cumsum(weights)[-1])


@lru_cache(maxsize=8)
def world(seed: int, users: int, fraud_share: float = DEFAULT_FRAUD_SHARE) -> World:
    """Return the world of a seed, kept while in use: making one sorts its users."""
    return World(seed, users, fraud_share)
