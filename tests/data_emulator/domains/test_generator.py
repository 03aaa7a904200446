"""The version of what makes the records: it changes when the bytes do.

If a digest below has changed, then so has what a seed gives. If that is meant: raise `GENERATION`, put the new digests
here, and say so in CHANGELOG.md under behaviour changes. If only those of user-profile have, and `POOLS` too, then
Mimesis' data has changed: put the new ones here, which is all; the version says it by itself.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import EntryPoint

import pytest

from data_emulator import domains
from data_emulator.domains import all_domains, elementary, generator, generator_version, people
from data_emulator.domains.generator import GENERATION, arithmetic_digest
from data_emulator.engine.source import RecordSource
from tests.support.making import STARTED_US, plan

FORMATS = ("json", "csv", "avro")
MADE_BY = 1
"""The `GENERATION` that the digests are of."""
POOLS = "2d2f8d60"
DIGESTS = {
    ("user-profile", "live"): "b202efe4e531f034",
    ("user-profile", "backfill"): "9430d23f8e8801dd",
    ("device-log", "live"): "6ac91c45c7819cc1",
    ("device-log", "backfill"): "9cd61b57e55c183f",
    ("transaction", "live"): "d24e7781272d30db",
    ("transaction", "backfill"): "9cc09f61680bdf5b",
}
FIRST = 118_000
"""Of the records that the digests are of; among them is an amount of 3,596.80."""


def digest(domain: str, clock: str) -> str:
    """Return a digest of records in all formats: Parquet has the same columns."""
    clocks = {
        "live": {"rate": None},
        "backfill": {"max_records": 200_000, "backfill_us": (STARTED_US - 10**13, STARTED_US)},
    }
    content = hashlib.sha256()
    for format_type in FORMATS:
        source = RecordSource(
            plan(domain=domain, format=format_type, seed=3, world_seed=3, world_users=10_000, **clocks[clock])
        )
        for first in (0, FIRST):
            source.seek(first)
            content.update(b"".join(source.take(8192).values.to_pylist()))
    return content.hexdigest()[:16]


@pytest.mark.parametrize(("domain", "clock"), DIGESTS)
def test_same_seed_makes_the_same_bytes_as_ever(domain: str, clock: str) -> None:
    assert (GENERATION, digest(domain, clock)) == (MADE_BY, DIGESTS[domain, clock])


def test_names_are_those_of_the_pinned_mimesis() -> None:
    assert people.pools_digest() == POOLS


def test_version_is_that_of_code_arithmetic_and_names() -> None:
    assert generator_version("transaction") == generator_version("device-log") == f"{GENERATION}-{arithmetic_digest()}"
    assert generator_version("user-profile") == f"{GENERATION}-{arithmetic_digest()}-{people.pools_digest()}"
    with pytest.raises(KeyError):
        generator_version("no-such-domain")


def test_version_changes_with_what_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    before = generator_version("transaction")
    monkeypatch.setattr(elementary, "exp", lambda numbers: elementary.log(numbers + 100.0))
    arithmetic_digest.cache_clear()
    try:
        assert generator_version("transaction") != before
    finally:
        arithmetic_digest.cache_clear()


def test_version_of_an_installed_package_s_domain_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    class Packaged(all_domains()["transaction"]):  # type: ignore[misc]
        name = "packaged"

    class Distribution:
        name, version = "more-domains", "1.2.3"

    place = EntryPoint("packaged", f"{Packaged.__module__}:{Packaged.__qualname__}", domains.ENTRY_POINT_GROUP)
    monkeypatch.setattr(domains, "entry_points", lambda group: [place._for(Distribution())])  # type: ignore[attr-defined]
    monkeypatch.setitem(all_domains(), "packaged", Packaged)
    domains._packages.cache_clear()
    try:
        assert generator_version("packaged") == f"{GENERATION}-{generator.arithmetic_digest()} more-domains-1.2.3"
        assert generator_version("transaction") == f"{GENERATION}-{generator.arithmetic_digest()}"
    finally:
        domains._packages.cache_clear()
