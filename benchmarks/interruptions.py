"""What may interrupt an emulation, done to real servers: of the service, its workers, the store and the broker."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import psutil

from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.server import Server
from data_emulator.stack.service import Service
from tests.support.apache_kafka import ApacheKafka

_AWAY_S: Final = 3.0
_STOPPED_S: Final = 2.0


@dataclass(frozen=True)
class Servers:
    """What there is to be interrupted."""

    service: Service
    store: SeaweedFS
    broker: ApacheKafka
    chance: random.Random

    def worker(self) -> int:
        """Return one of the service's workers, once there are any."""
        deadline = time.monotonic() + 60
        while not (workers := self._workers()):
            if time.monotonic() > deadline:
                raise TimeoutError("the service has no workers")
            time.sleep(0.1)
        return self.chance.choice(workers)

    def _workers(self) -> list[int]:
        children = psutil.Process(self.service.pid).children()
        return [each.pid for each in children if "spawn_main" in " ".join(each.cmdline())]


def _kill_worker(servers: Servers) -> None:
    os.kill(servers.worker(), signal.SIGKILL)


def _stop_worker(servers: Servers) -> None:
    worker = servers.worker()
    os.kill(worker, signal.SIGSTOP)
    time.sleep(_STOPPED_S)
    os.kill(worker, signal.SIGCONT)


def _kill_service(servers: Servers) -> None:
    servers.service.kill()
    servers.service.start()


def _kill_first_process(servers: Servers) -> None:
    os.kill(servers.service.pid, signal.SIGKILL)
    _kill_service(servers)


def _terminate_service(servers: Servers) -> None:
    servers.service.stop()
    servers.service.start()


def _take_away(server: Server) -> None:
    server.kill()
    time.sleep(_AWAY_S)
    server.start()


def _hang_store(servers: Servers) -> None:
    os.kill(servers.store.pid, signal.SIGSTOP)
    time.sleep(_AWAY_S)
    os.kill(servers.store.pid, signal.SIGCONT)


def _take_store_and_worker(servers: Servers) -> None:
    servers.store.kill()
    _kill_worker(servers)
    time.sleep(_AWAY_S)
    servers.store.start()


INTERRUPTIONS: Final[dict[str, Callable[[Servers], None]]] = {
    "worker killed": _kill_worker,
    "worker stopped for a while": _stop_worker,
    "service killed": _kill_service,
    "first process killed": _kill_first_process,
    "service terminated": _terminate_service,
    "store away": lambda servers: _take_away(servers.store),
    "store hangs": _hang_store,
    "store away and worker killed": _take_store_and_worker,
    "broker away": lambda servers: _take_away(servers.broker),
}
