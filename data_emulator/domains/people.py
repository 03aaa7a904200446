"""Pools of names and streets for each country's language, filled once by Mimesis."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
from mimesis import Address, Person
from mimesis.locales import Locale

from data_emulator.domains.generator import short_digest
from data_emulator.domains.geography import COUNTRIES

_POOL_SEED = 20
_FIRST_NAMES = 300
_LAST_NAMES = 600
_STREETS = 400


@dataclass(frozen=True)
class NamePools:
    """Values to pick from, as Arrow string arrays, the countries one after the other.

    Those of a country start at ``country * size``.

    `first_slugs` and `last_slugs` are the names as they go into an e-mail address.
    """

    first_names: Any
    last_names: Any
    first_slugs: Any
    last_slugs: Any
    streets: Any
    first_size: int = _FIRST_NAMES
    last_size: int = _LAST_NAMES
    street_size: int = _STREETS


def _slug(name: str) -> str:
    """Return the ASCII letters of a name in lower case, without its accents; ``"user"`` where none is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return "".join(letter for letter in plain if letter.isalpha()) or "user"


@lru_cache(maxsize=1)
def name_pools() -> NamePools:
    """Return the pools. They are the same in every world: which of them a user has is a matter of the seed."""
    first: list[str] = []
    last: list[str] = []
    streets: list[str] = []
    for country in COUNTRIES:
        person = Person(Locale(country.locale), seed=_POOL_SEED)
        address = Address(Locale(country.locale), seed=_POOL_SEED)
        first += [person.first_name() for _ in range(_FIRST_NAMES)]
        last += [person.last_name() for _ in range(_LAST_NAMES)]
        streets += [address.street_name() for _ in range(_STREETS)]
    slugs = [[_slug(name) for name in names] for names in (first, last)]
    return NamePools(*(pa.array(values) for values in (first, last, *slugs, streets)))


@lru_cache(maxsize=1)
def pools_digest() -> str:
    """Return a digest of the pools: they change with Mimesis' data."""
    pools = name_pools()
    columns = (pools.first_names, pools.last_names, pools.first_slugs, pools.last_slugs, pools.streets)
    return short_digest(json.dumps([column.to_pylist() for column in columns]).encode())
