"""User profiles: who the users of the world are."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa

from data_emulator.domains import columns, elementary
from data_emulator.domains.base import Domain
from data_emulator.domains.geography import CITIES, COUNTRIES, COUNTRY_OF_CITY
from data_emulator.domains.people import name_pools, pools_digest
from data_emulator.domains.randomness import Index, Stream, cumulative, weighted_choice
from data_emulator.domains.world import World

_MAIL_HOSTS: Final = pa.array(["example.com", "example.org", "example.net"])
"""Reserved by RFC 2606: no mail to a synthetic user reaches anybody."""
_MAIL_HOST_WEIGHTS: Final = cumulative(np.array([6.0, 3.0, 1.0]))
_FIRST_SIGNUP_DAY: Final = 16_436  # 2015-01-01
_LAST_SIGNUP_DAY: Final = 19_722  # 2023-12-31
_DAYS_A_YEAR: Final = 365.25
_CREDIT_MEDIAN: Final = 1.05
_CREDIT_SPREAD: Final = 0.75
"""Of the log-odds between the ends of the FICO scale, 300 and 850: a median of 707, and none beyond the ends."""
_RISK_LEVELS: Final = pa.array(["low", "medium", "high"])
_COUNTRY_CODES: Final = pa.array([country.code for country in COUNTRIES])
_DIALLING: Final = pa.array([f"+{country.calling_code}" for country in COUNTRIES])
_CITY_NAMES: Final = pa.array([f", {city.name}" for city in CITIES])
_RISK_FLOORS: Final = np.array([700, 600])
"""Credit scores from which the risk is low, and medium: the bounds between good, fair and poor of the FICO scale."""


class UserProfile(Domain):
    """The profile of user ``i`` is record ``i``, so every emulation of a world gives the same users in order."""

    name: ClassVar[str] = "user-profile"
    destination: ClassVar[str] = "user-profiles"
    description: ClassVar[str] = "The users of the world: who they are, where they live, how creditworthy they are."
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            pa.field("user_id", pa.string(), nullable=False),
            pa.field("name", pa.string(), nullable=False),
            pa.field("email", pa.string(), nullable=False),
            pa.field("phone", pa.string(), nullable=False),
            pa.field("date_of_birth", pa.string(), nullable=False),
            pa.field("address", pa.string(), nullable=False),
            pa.field("country", pa.string(), nullable=False),
            pa.field("signup_date", pa.string(), nullable=False),
            pa.field("credit_score", pa.int64(), nullable=False),
            pa.field("risk_level", pa.string(), nullable=False),
        ]
    )

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world, seed)
        # A profile belongs to the world: it must not change with the emulation's own seed.
        (self._name, self._address, self._account, self._age, self._phone, self._credit) = (
            Stream(world.seed, f"user.{field}") for field in ("name", "address", "account", "age", "phone", "credit")
        )

    @classmethod
    def generator(cls) -> str:
        """Return the version of what makes the records, Mimesis' names among it."""
        return f"{super().generator()}-{pools_digest()}"

    def columns(self, index: Index, time_us: Index) -> list[Any]:
        """Return the profiles of the users numbered `index`; their times play no part."""
        pools = name_pools()
        city = self.world.home_cities(index)
        country = COUNTRY_OF_CITY.take(city)
        first_name, last_name = self._name.halves(index)
        first = country * pools.first_size + (first_name * pools.first_size).astype(np.int64)
        last = country * pools.last_size + (last_name * pools.last_size).astype(np.int64)
        which_street, which_house = self._address.halves(index)
        street = country * pools.street_size + (which_street * pools.street_size).astype(np.int64)
        house = 1 + (which_house * 250).astype(np.int64)
        which_host, when = self._account.halves(index)
        signup = _FIRST_SIGNUP_DAY + (when * (_LAST_SIGNUP_DAY - _FIRST_SIGNUP_DAY + 1)).astype(np.int64)
        age_years = 80 - 62 * np.sqrt(self._age.uniform(index))  # 18 to 80, the older the fewer
        goodness = 1 / (1 + elementary.exp(-(_CREDIT_MEDIAN + _CREDIT_SPREAD * self._credit.normal(index))))
        credit = np.rint(300 + 550 * goodness).astype(np.int64)
        risk = (credit < _RISK_FLOORS[0]).astype(np.int64) + (credit < _RISK_FLOORS[1])
        return [
            self.world.user_ids(index),
            columns.text(pools.first_names.take(first), " ", pools.last_names.take(last)),
            columns.text(
                pools.first_slugs.take(first),
                ".",
                pools.last_slugs.take(last),
                pa.array(index),
                "@",
                _MAIL_HOSTS.take(weighted_choice(which_host, _MAIL_HOST_WEIGHTS)),
            ),
            columns.text(_DIALLING.take(country), pa.array(200_000_000 + self._phone.integers(index, 800_000_000))),
            columns.dates(signup - (age_years * _DAYS_A_YEAR).astype(np.int64)),
            columns.text(pa.array(house), " ", pools.streets.take(street), _CITY_NAMES.take(city)),
            columns.picks(_COUNTRY_CODES, country),
            columns.dates(signup),
            pa.array(credit),
            columns.picks(_RISK_LEVELS, risk),
        ]
