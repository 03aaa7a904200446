"""Interrupt emulations at random moments, and count what is in the store and the broker in the end.

A mix of emulations goes to Apache Kafka, in transactions, and to S3, in all formats, throttled and as fast as it goes.
Meanwhile the service or one of its workers is killed, stopped or ended, or the store or broker goes away, again and
again. In the end every emulation must be completed, every record that it should have made be there once, and every
manifest agree with what is there, to the byte and the offset.

Run it as ``python -m benchmarks.kills [--kills 20] [--seed N]``.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import httpx

from benchmarks.interrupted_data import wrong
from benchmarks.interrupted_mix import Wanted, the_mix
from benchmarks.interruptions import INTERRUPTIONS, Servers
from benchmarks.servers import running_servers

ENDS_WITHIN_S: Final = 300


def interrupt_and_count(
    names: Sequence[str], servers: Servers, mix: Sequence[Wanted], pause_s: float = 2.0
) -> Iterator[tuple[Wanted, list[str]]]:
    """Run the mix through these interruptions; give each emulation with what is wrong about it.

    :param pause_s: how long it is left alone in between at most.
    """
    with httpx.Client(base_url=servers.service.url, timeout=60, trust_env=False) as client:
        ids = [client.post("/emulator/", json=each.body).raise_for_status().json()["id"] for each in mix]
        seen = dict.fromkeys(ids, 0)
        for number, name in enumerate(names, start=1):
            time.sleep(servers.chance.uniform(0.2, pause_s))
            states = _look(client, seen)
            print(f"{number} of {len(names)}: {dict(states)}; then: {name}", file=sys.stderr, flush=True)
            INTERRUPTIONS[name](servers)
        for wanted, emulation_id in zip(mix, ids, strict=True):
            status = _ended(client, emulation_id)
            manifest = client.get(f"/emulator/{emulation_id}/manifest").json()
            yield wanted, list(wrong(wanted, seen[emulation_id], status, manifest, servers.store, servers.broker))


def _look(client: httpx.Client, seen: dict[str, int]) -> Counter[str]:
    """Note how many records each emulation has accepted, and return how many are in which state."""
    statuses = client.post("/emulator/status", json={"ids": list(seen)}).json()["emulations"]
    for each in statuses:
        seen[each["id"]] = max(seen[each["id"]], each["progress"]["records"])
    return Counter(each["status"]["global_status"] for each in statuses)


def _ended(client: httpx.Client, emulation_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + ENDS_WITHIN_S
    while True:
        status: dict[str, Any] = client.get(f"/emulator/{emulation_id}/status", headers={"Prefer": "wait=20"}).json()
        if status["status"]["global_status"] not in ("queued", "processing") or time.monotonic() > deadline:
            return status


def main() -> int:
    """Run it on servers of its own, print what was found, and return 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    names = [chance.choice(list(INTERRUPTIONS)) for _ in range(arguments.kills)]
    mix = the_mix(duration_s=max(8, 2 * arguments.kills), unthrottled_s=10, unthrottled_records=400_000)
    problems = 0
    with running_servers() as (store, broker, service):
        for wanted, complaints in interrupt_and_count(names, Servers(service, store, broker, chance), mix):
            print(f"{wanted.name}: {'; '.join(complaints) or 'all there, once, as the manifest says'}")
            problems += len(complaints)
    print(json.dumps({"kills": arguments.kills, "seed": arguments.seed, "wrong": problems}))
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
