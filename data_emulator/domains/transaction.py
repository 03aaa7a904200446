"""Transactions: card payments of the active users, a few of them fraud."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_emulator.domains import columns, elementary, fraud
from data_emulator.domains.base import Domain
from data_emulator.domains.fraud import SCENARIOS, FraudBursts, FraudRows
from data_emulator.domains.geography import COUNTRIES, COUNTRY_OF_CITY, LOCATION, choose_cities, locations
from data_emulator.domains.merchants import choose_merchants, choose_small_merchants, merchant_names
from data_emulator.domains.randomness import Floats, Index, Stream
from data_emulator.domains.world import World

AMOUNT_MU: Final = 3.41
AMOUNT_SIGMA: Final = 0.86
"""Amounts are log-normal with median about 30 and mean about 44, as in IBM TabFormer's 24.4M card transactions."""
HABIT_SHARE: Final = 0.25
"""Share of the variance of log(amount) that lies between users, who have their habits; the rest is between payments."""
_HABIT_SIGMA: Final = AMOUNT_SIGMA * HABIT_SHARE**0.5
_PAYMENT_SIGMA: Final = AMOUNT_SIGMA * (1 - HABIT_SHARE) ** 0.5
TRAVEL_SHARE: Final = 0.04
"""Share of payments on a journey: somewhere in the world, at home included, as often as users live there."""

_CURRENCIES: Final = pa.array(sorted({country.currency for country in COUNTRIES}))
_CURRENCY_OF_CITY: Final = np.array(
    [_CURRENCIES.index(COUNTRIES[country].currency).as_py() for country in COUNTRY_OF_CITY], dtype=np.int32
)
_SCENARIOS: Final = pa.array(SCENARIOS)
# None of these is so far from honest payments that a single field would give fraud away.
_AMOUNT_FACTORS: Final = np.array([2.5, 0.12, 1.6, 1.2, 1.0])
_TAKEN_ABROAD_SHARE: Final = 0.5
"""Share of account takeovers that pay from one place somewhere in the world."""


class Transaction(Domain):
    """Payments, in the currency of the user's home country, at the record's own time."""

    name: ClassVar[str] = "transaction"
    destination: ClassVar[str] = "transactions"
    description: ClassVar[str] = (
        "Card payments: who paid how much to which merchant, where and when, and whether it was fraud, of which kind."
    )
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            pa.field("transaction_id", pa.string(), nullable=False),
            pa.field("user_id", pa.string(), nullable=False),
            pa.field("amount", pa.float64(), nullable=False),
            pa.field("currency", pa.string(), nullable=False),
            pa.field("merchant", pa.string(), nullable=False),
            pa.field("timestamp", pa.string(), nullable=False),
            pa.field("location", LOCATION, nullable=False),
            pa.field("is_fraud", pa.bool_(), nullable=False),
            pa.field("fraud_scenario", pa.string(), nullable=True),
        ]
    )

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world, seed)
        (self._id_high, self._id_low, self._user, self._amount, self._where, self._place) = (
            Stream(seed, f"transaction.{field}") for field in ("id.high", "id.low", "user", "amount", "where", "place")
        )
        self._bursts = FraudBursts(seed, world.fraud_share)
        (self._victim, self._shop, self._hideout) = (
            Stream(seed, f"fraud.{field}") for field in ("victim", "shop", "hideout")
        )

    def columns(self, index: Index, time_us: Index) -> list[Any]:
        """Return the payments that are made at `time_us`."""
        bursts = self._bursts.among(index)
        user = self._users(index, bursts)
        journey, shop = self._where.halves(index)
        home = self.world.home_cities(user)
        return [
            columns.uuids(self._id_high, self._id_low, index),
            self.world.user_ids(user),
            pa.array(self._amounts(index, user, bursts)),
            columns.picks(_CURRENCIES, _CURRENCY_OF_CITY.take(home)),
            merchant_names(self._merchants(shop, bursts)),
            columns.iso_timestamps(time_us),
            locations(self._cities(index, home, journey < TRAVEL_SHARE, bursts)),
            *_labels(len(index), bursts),
        ]

    def _users(self, index: Index, bursts: FraudRows) -> Index:
        user = self.world.active_users(self._user.uniform(index))
        one_card = (bursts.scenario != fraud.MERCHANT_COLLUSION) & (bursts.scenario != fraud.BASELINE)
        user[bursts.row[one_card]] = self.world.active_users(self._victim.uniform(bursts.burst[one_card]))
        return user

    def _amounts(self, index: Index, user: Index, bursts: FraudRows) -> Floats:
        """Return amounts of whole cents."""
        logarithm = AMOUNT_MU + _HABIT_SIGMA * self.world.spending(user) + _PAYMENT_SIGMA * self._amount.normal(index)
        amount = elementary.exp(logarithm)
        amount[bursts.row] *= _AMOUNT_FACTORS[bursts.scenario]
        cents: Floats = np.maximum(np.rint(amount * 100), 1)
        return cents / 100

    def _merchants(self, shop: Floats, bursts: FraudRows) -> Index:
        merchant = choose_merchants(shop)
        for scenario, choose in (
            (fraud.CARD_TESTING, choose_merchants),
            (fraud.MERCHANT_COLLUSION, choose_small_merchants),
        ):
            its = bursts.scenario == scenario
            merchant[bursts.row[its]] = choose(self._shop.uniform(bursts.burst[its]))
        return merchant

    def _cities(self, index: Index, home: Index, journey: NDArray[np.bool_], bursts: FraudRows) -> Index:
        city = home.copy()
        elsewhere = journey.copy()
        elsewhere[bursts.row[bursts.scenario == fraud.GEOGRAPHIC_ANOMALY]] = True
        away = np.flatnonzero(elsewhere)
        city[away] = choose_cities(self._place.uniform(index[away]))
        hidden = bursts.scenario == fraud.ACCOUNT_TAKEOVER
        moved, where = self._hideout.halves(bursts.burst[hidden])
        abroad = moved < _TAKEN_ABROAD_SHARE
        city[bursts.row[hidden][abroad]] = choose_cities(where[abroad])
        return city


def _labels(rows: int, bursts: FraudRows) -> tuple[Any, Any]:
    """Return the columns `is_fraud` and `fraud_scenario`."""
    is_fraud = np.zeros(rows, dtype=bool)
    is_fraud[bursts.row] = True
    scenario = np.zeros(rows, dtype=np.int32)
    scenario[bursts.row] = bursts.scenario
    return pa.array(is_fraud), columns.picks(_SCENARIOS, scenario, missing=~is_fraud)
