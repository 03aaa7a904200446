"""Countries and cities, with the weights by which users live there (data in ``geography.json``).

A country's weight is its share of users, in percent; a city's is its population, in millions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import numpy as np
import pyarrow as pa

from data_emulator.domains.randomness import Floats, Index, cumulative


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
COUNTRY_WEIGHTS: Final[Floats] = cumulative(np.array([country.weight for country in COUNTRIES]))


def _city_weights(country: int) -> tuple[int, Floats]:
    """Return the position of a country's first city in `CITIES`, and the cumulative weights of its cities."""
    own = [position for position, city in enumerate(CITIES) if city.country == country]
    return own[0], cumulative(np.array([CITIES[position].population_millions for position in own]))


CITY_WEIGHTS_BY_COUNTRY: Final = [_city_weights(country) for country in range(len(COUNTRIES))]

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


def locations(city: Index) -> Any:
    """Return a column of `LOCATION`, dictionary-encoded, for positions in `CITIES`."""
    return pa.DictionaryArray.from_arrays(pa.array(city.astype(np.int32)), _LOCATIONS)
