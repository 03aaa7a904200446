"""Domains that packages bring: one that is broken takes nothing with it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from data_emulator import domains
from data_emulator.domains.transaction import Transaction
from data_emulator.errors import InvalidRequest
from data_emulator.service.admission import Admission
from data_emulator.settings import Settings
from data_emulator.sinks.configured import sink_configurations
from data_emulator.wire import EmulationRequest


class Payment(Transaction):
    """A domain of a package."""

    name = "payment"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a good domain and two broken ones."""
    found = [
        EntryPoint("payment", f"{__name__}:Payment", domains.ENTRY_POINT_GROUP),
        EntryPoint("gone", "a_package_that_is_gone.module:Domain", domains.ENTRY_POINT_GROUP),
        EntryPoint("nameless", "builtins:object", domains.ENTRY_POINT_GROUP),
    ]
    monkeypatch.setattr(EntryPoint, "load", lambda each: Payment if each.name == "payment" else _load(each))
    monkeypatch.setattr(domains, "entry_points", lambda group: found)
    domains._loaded.cache_clear()
    yield
    domains._loaded.cache_clear()


_load: Any = EntryPoint.load


@pytest.mark.usefixtures("installed")
def test_a_broken_package_takes_no_other_domain_with_it() -> None:
    assert set(domains.all_domains()) == {"user-profile", "device-log", "transaction", "payment"}
    assert set(domains.broken_domains()) == {"gone", "nameless"}


@pytest.mark.usefixtures("installed")
def test_who_asks_for_a_broken_domain_is_told_why(tmp_path: Path) -> None:
    settings = Settings(file_root=tmp_path)
    admission = Admission(settings, sink_configurations(settings), {})
    request = EmulationRequest(
        emulator_sync="file",
        emulation_domain="gone",
        format_type="json",
        sync_type="grouped",
        max_chunk_size=1,
        timeout=1,
    )
    with pytest.raises(InvalidRequest, match=r"'gone' cannot be loaded: ModuleNotFoundError: .*a_package_that_is_gone"):
        admission.admit(request)
    admission.close()
