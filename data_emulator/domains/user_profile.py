"""User profiles: who the users of the world are."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa

from data_emulator.domains import columns
from data_emulator.domains.base import Domain
from data_emulator.domains.geography import CITIES, COUNTRIES
from data_emulator.domains.people import name_pools
from data_emulator.domains.randomness import Index, Stream, cumulative, weighted_choice
from data_emulator.domains.world import World

_MAIL_HOSTS: Final = ["example.com", "example.org", "example.net"]
"""Reserved by RFC 2606: no mail to a synthetic user reaches anybody."""
_FIRST_SIGNUP_DAY: Final = 16_436  # 2015-01-01
_LAST_SIGNUP_DAY: Final = 20_453  # 2025-12-31
_DAYS_A_YEAR: Final = 365.25
_RISK_LEVELS: Final = ["low", "medium", "high"]
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
        (self._first, self._last, self._host, self._phone, self._age, self._street, self._house, self._signup) = (
            Stream(world.seed, f"user.{field}")
            for field in ("first", "last", "host", "phone", "age", "street", "house", "signup")
        )
        self._credit = Stream(world.seed, "user.credit")

    def columns(self, index: Index, time_us: Index) -> list[Any]:
        """Return the profiles of the users numbered `index`; their times play no part."""
        pools = name_pools()
        country = self.world.countries(index)
        city = self.world.home_cities(index)
        first = country * pools.first_size + self._first.integers(index, pools.first_size)
        last = country * pools.last_size + self._last.integers(index, pools.last_size)
        street = country * pools.street_size + self._street.integers(index, pools.street_size)
        host = weighted_choice(self._host.uniform(index), cumulative(np.array([6.0, 3.0, 1.0])))
        signup = _FIRST_SIGNUP_DAY + self._signup.integers(index, _LAST_SIGNUP_DAY - _FIRST_SIGNUP_DAY + 1)
        age_years = 18 + 62 * self._age.uniform(index) ** 1.4  # the younger half of 18 to 80 prevails among users
        credit = np.clip(np.rint(690 + 85 * self._credit.normal(index)), 300, 850).astype(np.int64)
        risk = (credit < _RISK_FLOORS[0]).astype(np.int64) + (credit < _RISK_FLOORS[1])
        return [
            self.world.user_ids(index),
            columns.text(columns.picks(pools.first_names, first), " ", columns.picks(pools.last_names, last)),
            columns.text(
                columns.picks(pools.first_slugs, first),
                ".",
                columns.picks(pools.last_slugs, last),
                pa.array(index),
                "@",
                columns.picks(_MAIL_HOSTS, host),
            ),
            columns.text(
                "+",
                columns.picks([country.calling_code for country in COUNTRIES], country),
                pa.array(200_000_000 + self._phone.integers(index, 800_000_000)),
            ),
            columns.dates(signup - (age_years * _DAYS_A_YEAR).astype(np.int64)),
            columns.text(
                pa.array(1 + self._house.integers(index, 250)),
                " ",
                columns.picks(pools.streets, street),
                ", ",
                columns.picks([city.name for city in CITIES], city),
            ),
            columns.picks([country.code for country in COUNTRIES], country),
            columns.dates(signup),
            pa.array(credit),
            columns.picks(_RISK_LEVELS, risk),
        ]
