"""One look at an emulation, by the hook and by its async twin."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from include.hooks.data_emulator import DataEmulatorHook
from include.hooks.data_emulator_async import DataEmulatorAsyncHook
from include.wire.status import EmulationStatus
from tests.support.http_servers import Authority

Look = Callable[[], EmulationStatus]


@pytest.fixture(params=["hook", "async hook"])
def look(request: pytest.FixtureRequest) -> Look:
    """Look at emulation e1 by the connection, once."""

    async def look_async() -> EmulationStatus:
        async with DataEmulatorAsyncHook().open() as client:
            return await client.get_status("e1")

    return (lambda: asyncio.run(look_async())) if request.param == "async hook" else look_sync


def look_sync() -> EmulationStatus:
    return DataEmulatorHook().get_status("e1")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture(autouse=True)
def _nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No proxy, authority or login but those of the test."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        for each in (name, name.upper()):
            monkeypatch.delenv(each, raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", os.devnull)
