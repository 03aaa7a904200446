"""Countries and cities, with the weights by which users live there (data in ``geography.json``).

A country's weight is its share of users, in percent; a city's is its population, in millions.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import numpy as np
import pyarrow as pa

from data_emulator.domains.columns import picks
from data_emulator.domains.randomness import Floats, Index, cumulative, weighted_choice


@dataclass(frozen=True)
class City:
    """A city. Latitude and longitude in degrees."""

    name: str
    country: int
    latitude: float
    longitude: float
    population_millions: float


@dataclass(frozen=True)
class Country:
    """A country. `code` is ISO 3166-1 alpha-2, `currency` ISO 4217, `locale` names its language for people's names."""

    code: str
    locale: str
    currency: str
    calling_code: str
    weight: float


def _load() -> tuple[list[Country], list[City]]:
    countries: list[Country] = []
    cities: list[City] = []
    for position, entry in enumerate(json.loads(files(__package__).joinpath("geography.json").read_text("utf-8"))):
        cities += [City(name, position, *place) for name, *place in entry.pop("cities")]
        countries.append(Country(**entry))
    return countries, cities


COUNTRIES, CITIES = _load()
COUNTRY_OF_CITY: Final[Index] = np.array([city.country for city in CITIES])


def _city_shares() -> Floats:
    """Return the share of users who live in each city: their country's share, split by population."""
    population = np.array([city.population_millions for city in CITIES])
    users = np.array([country.weight for country in COUNTRIES])
    shares = users[COUNTRY_OF_CITY] * population / np.bincount(COUNTRY_OF_CITY, population)[COUNTRY_OF_CITY]
    return np.asarray(shares / math.fsum(shares), dtype=np.float64)


CITY_SHARES: Final = _city_shares()
COUNTRY_SHARES: Final[Floats] = np.bincount(COUNTRY_OF_CITY, CITY_SHARES).astype(np.float64)
_CITY_WEIGHTS: Final = cumulative(CITY_SHARES)

LOCATION: Final = pa.struct(
    [("city", pa.string()), ("country", pa.string()), ("latitude", pa.float64()), ("longitude", pa.float64())]
)
_LOCATIONS: Final = pa.array(
    [
        {"city": c.name, "country": COUNTRIES[c.country].code, "latitude": c.latitude, "longitude": c.longitude}
        for c in CITIES
    ],
    LOCATION,
)


def choose_cities(uniform: Floats) -> Index:
    """Return a city for each number in [0, 1), by the share of users there, as a position in `CITIES`."""
    return weighted_choice(uniform, _CITY_WEIGHTS)


def locations(city: Index) -> Any:
    """Return a column of `LOCATION`, dictionary-encoded, for positions in `CITIES`."""
    return picks(_LOCATIONS, city)
