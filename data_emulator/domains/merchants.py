"""The merchants of every world, the most popular first."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

from data_emulator.domains.columns import picks
from data_emulator.domains.randomness import Floats, Index, zipf_ranks

MERCHANT_ZIPF_EXPONENT: Final = 1.0
"""Merchants differ in popularity as 1 / rank: Zipf-like, as in Di Clemente et al., Nature Communications 2018."""
_KINDS: Final = [
    "Groceries", "Fuel", "Pharmacy", "Restaurant", "Electronics", "Fashion", "Travel", "Books", "Sports", "Furniture",
    "Streaming", "Telecom", "Insurance", "Toys", "Beauty", "Garden", "Hotel", "Taxi", "Cinema", "Bakery",
]  # fmt: skip
_NAMES: Final = [
    "Alder", "Birch", "Cedar", "Dover", "Elm", "Falcon", "Garnet", "Harbour", "Indigo", "Juniper",
    "Kestrel", "Lumen", "Maple", "Nimbus", "Orchard", "Pioneer", "Quarry", "Raven", "Summit",
    "Tidewater", "Union", "Vale", "Willow", "Yarrow",
]  # fmt: skip
_STEP: Final = 7
"""Coprime to the number of kinds: neighbours in popularity differ in name and kind."""
_MERCHANTS: Final = pa.array(
    [
        f"{_NAMES[rank % len(_NAMES)]} {_KINDS[(rank * _STEP + rank // len(_NAMES)) % len(_KINDS)]}"
        for rank in range(len(_NAMES) * len(_KINDS))
    ]
)
MERCHANT_COUNT: Final = len(_MERCHANTS)


def choose_merchants(uniform: Floats) -> Index:
    """Return a merchant for each number in [0, 1), the popular ones more often, as its rank in popularity."""
    return zipf_ranks(uniform, MERCHANT_COUNT, MERCHANT_ZIPF_EXPONENT)


def choose_small_merchants(uniform: Floats) -> Index:
    """Return a merchant of the less popular half for each number in [0, 1), each as often."""
    half = MERCHANT_COUNT // 2
    return half + (uniform * (MERCHANT_COUNT - half)).astype(np.int64)


def merchant_names(merchant: Index) -> Any:
    """Return a string column, dictionary-encoded, for ranks in popularity."""
    return picks(_MERCHANTS, merchant)
