"""Many emulations started at the same moment, and how quickly the service answers meanwhile."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np

_POLLS_A_SECOND = 10.0
_LAST_WORD_AFTER_S = 180.0
_KEEPALIVE_S = 4.0  # less than the 5 s after which uvicorn closes a connection
_REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=None)


@dataclass
class Latencies:
    """How long requests took, from before the connection is opened until the answer is read, and what came of them.

    :param statuses: by id, the last status of each emulation that was accepted.
    """

    post_s: list[float] = field(default_factory=list)
    status_s: list[float] = field(default_factory=list)
    statuses: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: int = 0
    ended_after_s: float = 0.0

    def completed(self) -> int:
        """Return how many emulations ended as completed."""
        return sum(each["status"]["global_status"] == "completed" for each in self.statuses.values())

    def figures(self) -> dict[str, float | int]:
        """Return the medians and the 99th percentiles, in seconds, and how many have completed."""
        return {
            "post_p50_s": _quantile(self.post_s, 0.5),
            "post_p99_s": _quantile(self.post_s, 0.99),
            "status_p50_s": _quantile(self.status_s, 0.5),
            "status_p99_s": _quantile(self.status_s, 0.99),
            "completed": self.completed(),
        }


def _quantile(seconds: list[float], share: float) -> float:
    return round(float(np.quantile(seconds, share)), 4) if seconds else float("nan")


async def measure(url: str, bodies: list[dict[str, Any]]) -> Latencies:
    """Send every body at the same moment, ask for the status of one emulation or another until all have ended.

    Those that have not ended three minutes after their time are left alone, and count as not completed.
    """
    latencies = Latencies()
    ids: list[str] = []
    longest_s = max(body["timeout"] for body in bodies)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S)
    started = time.monotonic()
    async with aiohttp.ClientSession(url, connector=connector, timeout=_REQUEST_TIMEOUT, trust_env=False) as client:
        all_ended = asyncio.Event()
        poller = asyncio.create_task(_poll(client, ids, latencies, all_ended))
        await asyncio.gather(*(_post(client, body, ids, latencies) for body in bodies))
        await asyncio.sleep(max(0.0, longest_s - (time.monotonic() - started)))
        await _until_all_ended(client, ids, latencies, gives_up_at=time.monotonic() + _LAST_WORD_AFTER_S)
        latencies.ended_after_s = time.monotonic() - started
        all_ended.set()
        await poller
    return latencies


async def _post(client: aiohttp.ClientSession, body: dict[str, Any], ids: list[str], latencies: Latencies) -> None:
    started = time.perf_counter()
    async with client.post("/emulator/", json=body) as answer:
        created = await answer.json()
    latencies.post_s.append(time.perf_counter() - started)
    if answer.status == 201:
        ids.append(created["id"])
    else:
        latencies.refused += 1


async def _poll(client: aiohttp.ClientSession, ids: list[str], latencies: Latencies, stop: asyncio.Event) -> None:
    """Ask for the status of any one, again and again at random moments, from the first that is accepted on."""
    chance = random.Random(len(ids))
    while not stop.is_set():
        await asyncio.sleep(chance.expovariate(_POLLS_A_SECOND))
        if ids:
            started = time.perf_counter()
            await _status(client, chance.choice(ids))
            latencies.status_s.append(time.perf_counter() - started)


async def _status(client: aiohttp.ClientSession, emulation_id: str) -> dict[str, Any]:
    async with client.get(f"/emulator/{emulation_id}/status") as answer:
        status: dict[str, Any] = await answer.json()
    return status


async def _until_all_ended(
    client: aiohttp.ClientSession, ids: list[str], latencies: Latencies, gives_up_at: float
) -> None:
    """Take in the last status of each, one request after the other: few of them still run by now."""
    for emulation_id in ids:
        status = await _status(client, emulation_id)
        while _runs(status) and time.monotonic() < gives_up_at:
            await asyncio.sleep(0.25)
            status = await _status(client, emulation_id)
        latencies.statuses[emulation_id] = status


def _runs(status: dict[str, Any]) -> bool:
    return status["status"]["global_status"] in ("queued", "processing")
