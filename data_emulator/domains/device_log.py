"""Device logs: a user's session on one of their few devices, written when it ends or, if it is still open, so far."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_emulator.domains import columns, elementary
from data_emulator.domains.base import Domain
from data_emulator.domains.geography import LOCATION, choose_cities, locations
from data_emulator.domains.randomness import Index, Stream, cumulative, weighted_choice
from data_emulator.domains.world import MAX_DEVICES, World

_WEBKIT: Final = "AppleWebKit/537.36 (KHTML, like Gecko)"
_DEVICES: Final = [
    # type, os, what the user agent says of the platform, of the browser, share in percent
    ("mobile", "Android 15", "Linux; Android 15; Pixel 9", f"{_WEBKIT} Chrome/131.0.0.0 Mobile Safari/537.36", 34),
    ("mobile", "iOS 18", "iPhone; CPU iPhone OS 18_1 like Mac OS X", f"{_WEBKIT} Version/18.1 Mobile Safari/604.1", 26),
    ("desktop", "Windows 11", "Windows NT 10.0; Win64; x64", f"{_WEBKIT} Chrome/131.0.0.0 Safari/537.36", 21),
    ("desktop", "macOS 15", "Macintosh; Intel Mac OS X 10_15_7", f"{_WEBKIT} Version/18.1 Safari/605.1.15", 9),
    ("desktop", "Ubuntu 24.04", "X11; Linux x86_64; rv:132.0", "Gecko/20100101 Firefox/132.0", 3),
    ("tablet", "iPadOS 18", "iPad; CPU OS 18_1 like Mac OS X", f"{_WEBKIT} Version/18.1 Safari/604.1", 5),
    ("tablet", "Android 14", "Linux; Android 14; SM-X710", f"{_WEBKIT} Chrome/131.0.0.0 Safari/537.36", 2),
]
_TYPES: Final = pa.array(sorted({kind for kind, *_ in _DEVICES}))
_TYPE_OF_DEVICE: Final = np.array([_TYPES.index(kind).as_py() for kind, *_ in _DEVICES], dtype=np.int32)
_SYSTEMS: Final = pa.array([system for _, system, *_ in _DEVICES])
_USER_AGENTS: Final = pa.array([f"Mozilla/5.0 ({platform}) {browser}" for _, _, platform, browser, _ in _DEVICES])
_DEVICE_WEIGHTS: Final = cumulative(np.array([float(weight) for *_, weight in _DEVICES]))
TRAVEL_SHARE: Final = 0.04
"""Share of sessions on a journey: somewhere in the world, at home included, as often as users live there."""
_OPEN_SHARE: Final = 0.12
_SESSION_MEDIAN_S: Final = 420.0
_SESSION_SIGMA: Final = 1.1
_NETWORKS_A_USER: Final = 3
_OCTETS: Final = pa.array([str(octet) for octet in range(256)])


class DeviceLog(Domain):
    """Sessions of the active users. Nothing in a record is later than the record's own time."""

    name: ClassVar[str] = "device-log"
    destination: ClassVar[str] = "device-logs"
    description: ClassVar[str] = "Sessions: which user was logged in on which device, from where, from when until when."
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            pa.field("log_id", pa.string(), nullable=False),
            pa.field("user_id", pa.string(), nullable=False),
            pa.field("device_id", pa.string(), nullable=False),
            pa.field("device_type", pa.string(), nullable=False),
            pa.field("os", pa.string(), nullable=False),
            pa.field("ip_address", pa.string(), nullable=False),
            pa.field("location", LOCATION, nullable=False),
            pa.field("user_agent", pa.string(), nullable=False),
            pa.field("login_timestamp", pa.string(), nullable=False),
            pa.field("logout_timestamp", pa.string(), nullable=True),
        ]
    )

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world, seed)
        # What a device or a network is belongs to the world; which of them a session uses, to the emulation.
        self._device_high = Stream(world.seed, "device.id.high")
        self._device_low = Stream(world.seed, "device.id.low")
        self._device_kind = Stream(world.seed, "device.kind")
        self._address = Stream(world.seed, "network.address")
        (self._id_high, self._id_low, self._user, self._choice, self._journey, self._place, self._length) = (
            Stream(seed, f"device-log.{field}")
            for field in ("id.high", "id.low", "user", "choice", "journey", "place", "length")
        )

    def columns(self, index: Index, time_us: Index) -> list[Any]:
        """Return the sessions that are logged at `time_us`."""
        user = self.world.active_users(self._user.uniform(index))
        which_device, which_network = self._choice.halves(index)
        device = user * MAX_DEVICES + (which_device * self.world.device_counts(user)).astype(np.int64)
        network = user * _NETWORKS_A_USER + (which_network * _NETWORKS_A_USER).astype(np.int64)
        kind = weighted_choice(self._device_kind.uniform(device), _DEVICE_WEIGHTS)
        journey, still_open = self._journey.halves(index)
        length_us = _SESSION_MEDIAN_S * 1e6 * elementary.exp(_SESSION_SIGMA * self._length.normal(index))
        return [
            columns.uuids(self._id_high, self._id_low, index),
            self.world.user_ids(user),
            columns.uuids(self._device_high, self._device_low, device),
            columns.picks(_TYPES, _TYPE_OF_DEVICE.take(kind)),
            columns.picks(_SYSTEMS, kind),
            self._ip_addresses(network),
            locations(self._cities(index, user, journey < TRAVEL_SHARE)),
            columns.picks(_USER_AGENTS, kind),
            columns.iso_timestamps(time_us - length_us.astype(np.int64)),
            columns.iso_timestamps(time_us, missing=still_open < _OPEN_SHARE),
        ]

    def _cities(self, index: Index, user: Index, journey: NDArray[np.bool_]) -> Index:
        """Return where each session is: the user's home city, or for a few somewhere in the world."""
        city = self.world.home_cities(user)
        away = np.flatnonzero(journey)
        city[away] = choose_cities(self._place.uniform(index[away]))
        return city

    def _ip_addresses(self, network: Index) -> Any:
        """Return each network's address, in 10.0.0.0/8: no synthetic log points at somebody's machine (RFC 1918)."""
        bits = self._address.bits(network)
        octets = [_OCTETS.take(pa.array((bits >> np.uint64(shift)).astype(np.uint8))) for shift in (0, 8, 16)]
        return columns.text("10.", octets[0], ".", octets[1], ".", octets[2])
