"""Transactions: card payments of the active users, a few of them fraud."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa

from data_emulator.domains import columns
from data_emulator.domains.base import Domain
from data_emulator.domains.geography import COUNTRIES, LOCATION, locations
from data_emulator.domains.randomness import Index, Stream, cumulative, weighted_choice
from data_emulator.domains.world import World, cities_in

AMOUNT_MU: Final = 3.41
AMOUNT_SIGMA: Final = 0.86
"""Amounts are log-normal with median about 30 and mean about 44, as in IBM TabFormer's 24.4M card transactions."""
FRAUD_SHARE: Final = 0.005
"""Between the 0.17% of the ULB card data and the 0.837% of the Fraud Detection Handbook."""
_ABROAD_SHARE: Final = 0.03
_MERCHANT_ZIPF_EXPONENT: Final = 1.0
_MERCHANT_KINDS: Final = [
    "Groceries", "Fuel", "Pharmacy", "Restaurant", "Electronics", "Fashion", "Travel", "Books", "Sports", "Furniture",
    "Streaming", "Telecom", "Insurance", "Toys", "Beauty", "Garden", "Hotel", "Taxi", "Cinema", "Bakery",
]  # fmt: skip
_MERCHANT_NAMES: Final = [
    "Alder", "Birch", "Cedar", "Dover", "Elm", "Falcon", "Garnet", "Harbour", "Indigo", "Juniper",
    "Kestrel", "Lumen", "Maple", "Nimbus", "Orchard", "Pioneer", "Quarry", "Raven", "Summit",
    "Tidewater", "Union", "Vale", "Willow", "Yarrow",
]  # fmt: skip
_MERCHANTS: Final = [f"{name} {kind}" for name in _MERCHANT_NAMES for kind in _MERCHANT_KINDS]
_MERCHANT_POPULARITY: Final = cumulative(np.arange(1, len(_MERCHANTS) + 1) ** -_MERCHANT_ZIPF_EXPONENT)
# The original's five fraud scenarios: by how much each scales the amount, and how often it pays from abroad. None is so
# far from honest payments that the amount or the place alone would give it away.
_FRAUD_AMOUNT_FACTORS: Final = np.array([2.5, 0.15, 1.6, 1.2, 1.0])
"""Account takeover, card testing, merchant collusion, geographic anomaly, baseline."""
_FRAUD_ABROAD_SHARES: Final = np.array([0.3, 0.1, 0.03, 0.9, 0.03])


class Transaction(Domain):
    """Payments, in the currency of the user's home country, at the record's own time."""

    name: ClassVar[str] = "transaction"
    destination: ClassVar[str] = "transactions"
    description: ClassVar[str] = (
        "Card payments: who paid how much to which merchant, where and when, and whether it was fraud."
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
        ]
    )

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world, seed)
        (self._id_high, self._id_low, self._user, self._amount, self._merchant, self._travel, self._place) = (
            Stream(seed, f"transaction.{field}")
            for field in ("id.high", "id.low", "user", "amount", "merchant", "travel", "place")
        )
        self._fraud = Stream(seed, "transaction.fraud")
        self._scenario = Stream(seed, "transaction.scenario")

    def columns(self, index: Index, time_us: Index) -> list[Any]:
        """Return the payments that are made at `time_us`."""
        user = self.world.active_users(self._user.uniform(index))
        fraud = self._fraud.uniform(index) < FRAUD_SHARE
        scenario = self._scenario.integers(index, len(_FRAUD_AMOUNT_FACTORS))
        factor = np.where(fraud, _FRAUD_AMOUNT_FACTORS[scenario], 1.0)
        amount = np.exp(AMOUNT_MU + AMOUNT_SIGMA * self._amount.normal(index)) * factor
        cents = np.maximum(np.rint(amount * 100), 1)
        abroad_share = np.where(fraud, _FRAUD_ABROAD_SHARES[scenario], _ABROAD_SHARE)
        home = self.world.countries(user)
        city = self.world.home_cities(user)
        away = self._travel.uniform(index) < abroad_share
        city[away] = cities_in(self.world.countries(index[away]), self._place.uniform(index[away]))
        return [
            columns.uuids(self._id_high, self._id_low, index),
            self.world.user_ids(user),
            pa.array(cents / 100),
            columns.picks([country.currency for country in COUNTRIES], home),
            columns.picks(_MERCHANTS, weighted_choice(self._merchant.uniform(index), _MERCHANT_POPULARITY)),
            columns.iso_timestamps(time_us),
            locations(city),
            pa.array(fraud),
        ]
