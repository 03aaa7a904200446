"""The domains that can be emulated: one file a domain, over one seeded world.

A package may add its own: it registers a `Domain` subclass under the entry point group ``data_emulator.domains``.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import entry_points

import structlog

from data_emulator.domains.base import Domain
from data_emulator.domains.device_log import DeviceLog
from data_emulator.domains.transaction import Transaction
from data_emulator.domains.user_profile import UserProfile

ENTRY_POINT_GROUP = "data_emulator.domains"

log = structlog.get_logger(__name__)


def generator_version(name: str) -> str:
    """Return the version of what makes a domain's records: equal wherever the same seed makes the same bytes of `data`.

    It is that of our code and of what other packages contribute, such as ``1-5f0c2b7e``; for a domain of an installed
    package, that package and its version come after it.

    :raises KeyError: when there is no such domain.
    """
    domain = all_domains()[name]
    package = _packages().get(f"{domain.__module__}:{domain.__qualname__}")
    return f"{domain.generator()} {package}" if package else domain.generator()


@lru_cache(maxsize=1)
def _packages() -> dict[str, str]:
    """Return name and version of the package that has each registered class."""
    found = entry_points(group=ENTRY_POINT_GROUP)
    return {each.value: f"{each.dist.name}-{each.dist.version}" for each in found if each.dist}


def all_domains() -> dict[str, type[Domain]]:
    """Return every domain by its name on the wire: the three of the lab, then those of installed packages."""
    return _loaded()[0]


def broken_domains() -> dict[str, str]:
    """Return why domains of installed packages cannot be loaded, by the name of their entry points."""
    return _loaded()[1]


@lru_cache(maxsize=1)
def _loaded() -> tuple[dict[str, type[Domain]], dict[str, str]]:
    domains: dict[str, type[Domain]] = {domain.name: domain for domain in (UserProfile, DeviceLog, Transaction)}
    broken: dict[str, str] = {}
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            domain: type[Domain] = entry_point.load()
            domains[domain.name] = domain
        except Exception as error:  # whatever it is, it must not take the other domains with it
            broken[entry_point.name] = f"{type(error).__name__}: {error}"
            log.exception("a package's domain cannot be loaded", domain=entry_point.name, value=entry_point.value)
    return domains, broken
