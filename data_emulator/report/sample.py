"""What a report looks at: records of a domain over a year, as columns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_emulator.domains import all_domains
from data_emulator.domains.backfill import BackfillClock
from data_emulator.domains.geography import CITIES, COUNTRY_OF_CITY
from data_emulator.domains.randomness import Floats, Index
from data_emulator.domains.world import World, world

YEAR_START: Final = datetime(2025, 1, 1, tzinfo=UTC)
YEAR_END: Final = datetime(2026, 1, 1, tzinfo=UTC)
_BLOCK_RECORDS: Final = 16_384


def _microseconds(time: datetime) -> int:
    return int(time.timestamp()) * 1_000_000


@dataclass(frozen=True)
class Sample:
    """Records of a domain, over 2025 by the clock of a backfill.

    :param domain: its name.
    :param world: the users whom they are about.
    :param time_us: when each happened. Shape: (records,).
    :param table: the columns of `data`.
    """

    domain: str
    world: World
    time_us: Index
    table: Any

    @classmethod
    def draw(cls, domain: str, seed: int, records: int, users: int, fraud_share: float) -> Sample:
        """Compute the first records of an emulation with this seed, given for the world as well.

        :raises KeyError: when there is no such domain.
        """
        kind = all_domains()[domain]
        of = world(seed, users, fraud_share)
        instance = kind(of, seed)
        clock = BackfillClock(_microseconds(YEAR_START), _microseconds(YEAR_END), records)
        times, batches = [], []
        for start in range(0, records, _BLOCK_RECORDS):
            index = np.arange(start, min(start + _BLOCK_RECORDS, records))
            times.append(clock.times(index))
            batches.append(instance.records(index, times[-1]))
        return cls(domain, of, np.concatenate(times), pa.Table.from_batches(batches))

    def __len__(self) -> int:
        return len(self.time_us)

    def values(self, name: str) -> Any:
        """Return a column as one plain Arrow array."""
        column = self.table.column(name).combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks)
        return column.dictionary.take(column.indices) if pa.types.is_dictionary(column.type) else column

    def codes(self, name: str) -> tuple[Index, Any]:
        """Return, for a column, the number of each row's value and the values: ``values[codes[i]]``."""
        encoded = pc.dictionary_encode(self.values(name))
        return encoded.indices.fill_null(len(encoded.dictionary)).to_numpy().astype(np.int64), encoded.dictionary

    def floats(self, name: str) -> Floats:
        """Return a column of numbers."""
        numbers: Floats = self.values(name).to_numpy().astype(np.float64)
        return numbers

    @cached_property
    def users(self) -> Index:
        """The number of each record's user; -1 when no profile has that id."""
        profiles = self.world.user_ids(
            np.arange(max(self.world.users, len(self) if self.domain == "user-profile" else 0))
        )
        found = pc.index_in(self.values("user_id"), value_set=profiles)
        return np.asarray(found.fill_null(-1).to_numpy(), dtype=np.int64)

    @cached_property
    def cities(self) -> Index:
        """The position in `geography.CITIES` of each record's location."""
        names = pa.array([city.name for city in CITIES])
        found = pc.index_in(pc.struct_field(self.values("location"), "city"), value_set=names)
        return np.asarray(found.to_numpy(), dtype=np.int64)

    @cached_property
    def at_home(self) -> Any:
        """Whether each record's location is in its user's home country. Shape: (records,)."""
        home = COUNTRY_OF_CITY[self.world.home_cities(self.users)]
        return COUNTRY_OF_CITY[self.cities] == home
