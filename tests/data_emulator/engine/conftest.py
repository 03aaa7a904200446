"""Virtual time as a fixture."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from data_emulator.engine import sink_outages, stopwatch
from tests.support.virtual_time import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """A clock that what a run asks for the time shows; see `run_virtually`."""
    virtual = Clock()
    for module in (sink_outages, stopwatch):
        monkeypatch.setattr(
            module, "time", SimpleNamespace(monotonic=lambda: virtual.now_s, time=lambda: virtual.now_s)
        )
    yield virtual
    virtual.close()
