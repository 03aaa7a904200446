"""The one seeded world that all domains share: its users, where they live, which devices they use, how active they are.

Nothing is stored: every property of user number ``u`` is a function of (seed, u). So the profile of a user, a log line
about them and a payment of theirs agree whoever computes them, and whenever.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np

from data_emulator.domains import columns
from data_emulator.domains.geography import CITY_WEIGHTS_BY_COUNTRY, COUNTRIES, COUNTRY_WEIGHTS
from data_emulator.domains.randomness import Floats, Index, Stream, cumulative, weighted_choice

ACTIVITY_ZIPF_EXPONENT: Final = 0.8
"""Users differ in activity as 1 / rank**0.8: Zipf-like, as in Di Clemente et al., Nature Communications 2018."""
MAX_DEVICES: Final = 3
_DEVICE_COUNT_WEIGHTS: Final = cumulative(np.array([0.45, 0.38, 0.17]))


class World:
    """The users of a seed.

    :param seed: any integer.
    :param users: how many of them are active: records that are about a user are about one of the first `users`.
        Profiles can be computed beyond that.
    """

    def __init__(self, seed: int, users: int) -> None:
        self.seed = seed
        self.users = users
        self._id_high = Stream(seed, "user.id.high")
        self._id_low = Stream(seed, "user.id.low")
        self._country = Stream(seed, "user.country")
        self._city = Stream(seed, "user.city")
        self._devices = Stream(seed, "user.devices")
        activity_order = np.argsort(Stream(seed, "user.activity").bits(np.arange(users)), kind="stable")
        self._by_activity: Index = activity_order.astype(np.int64)
        self._activity = cumulative(np.arange(1, users + 1) ** -ACTIVITY_ZIPF_EXPONENT)

    def user_ids(self, user: Index) -> Any:
        """Return the string column of the users' ids."""
        return columns.uuids(self._id_high, self._id_low, user)

    def countries(self, user: Index) -> Index:
        """Return each user's home country, as a position in `geography.COUNTRIES`."""
        return weighted_choice(self._country.uniform(user), COUNTRY_WEIGHTS)

    def home_cities(self, user: Index) -> Index:
        """Return each user's home city, as a position in `geography.CITIES`."""
        return cities_in(self.countries(user), self._city.uniform(user))

    def device_counts(self, user: Index) -> Index:
        """Return how many devices each user has: 1 to `MAX_DEVICES`."""
        return 1 + weighted_choice(self._devices.uniform(user), _DEVICE_COUNT_WEIGHTS)

    def active_users(self, uniform: Floats) -> Index:
        """Return a user for each number in [0, 1), the active ones more often."""
        return self._by_activity[weighted_choice(uniform, self._activity)]


def cities_in(country: Index, uniform: Floats) -> Index:
    """Return a city of each country, by population, as a position in `geography.CITIES`.

    :param country: positions in `geography.COUNTRIES`.
    :param uniform: numbers in [0, 1), one for each row.
    """
    city = np.zeros(len(country), dtype=np.int64)
    for position in range(len(COUNTRIES)):
        rows = country == position
        first, weights = CITY_WEIGHTS_BY_COUNTRY[position]
        city[rows] = first + weighted_choice(uniform[rows], weights)
    return city


@lru_cache(maxsize=8)
def world(seed: int, users: int) -> World:
    """Return the world of a seed, kept while in use: making one sorts its users."""
    return World(seed, users)
