"""A database has one service: a second one neither goes on with its emulations nor touches what they write."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from data_emulator.errors import ConfigurationError
from data_emulator.service.store.ownership import Ownership
from data_emulator.stack.ports import PortReservation
from tests.data_emulator.conftest import ServiceFactory
from tests.support.running_service import request, wait_until


def test_a_database_has_one_owner_at_a_time(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    first = Ownership(url)
    with pytest.raises(ConfigurationError, match=rf"another service, process {os.getpid()}, uses .*state\.db"):
        Ownership(url)
    Ownership(f"sqlite:///{tmp_path / 'another.db'}").release()
    first.release()
    Ownership(url).release()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_nobody_elses(url: str) -> None:
    Ownership(url)
    Ownership(url)


def test_a_folder_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone/state\.db\.lock: No such file or directory"):
        Ownership(f"sqlite:///{tmp_path}/gone/state.db")


@pytest.mark.integration
@pytest.mark.parametrize("same_port", [True, False])
def test_a_second_service_is_refused_and_does_no_harm(serve: ServiceFactory, tmp_path: Path, same_port: bool) -> None:
    """Seen without this: the second one took the first one's emulations over, and deleted their objects."""
    folder = tmp_path / "lake"
    folder.mkdir()
    database = f"sqlite:///{tmp_path / 'shared.db'}"
    first = serve(FILE_ROOT=str(folder), DATABASE_URL=database)
    emulation_id = first.post(
        request(emulator_sync="file", sync_type="chunked", max_chunk_size=2000, timeout=8, rate=500, max_records=None)
    )
    wait_until(lambda: len(first.manifest(emulation_id)["objects"]) > 5, "objects are listed")
    port = httpx.URL(str(first.http.base_url)).port
    with PortReservation(1) as reserved:
        (free,) = reserved.ports
    environment = {
        **os.environ,
        "DATA_EMULATOR_DATABASE_URL": database,
        "DATA_EMULATOR_FILE_ROOT": str(folder),
        "DATA_EMULATOR_PORT": str(port if same_port else free),
    }
    second = subprocess.run(
        [sys.executable, "-m", "data_emulator", "serve"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert second.returncode == 2
    assert "data-emulator: DATA_EMULATOR_DATABASE_URL: another service, process" in second.stderr
    assert "stop it first, or give this one a database of its own" in second.stderr
    assert first.ended(emulation_id)["status"]["global_status"] == "completed"
    manifest = first.manifest(emulation_id)
    there = {f"{emulation_id}/{path.name}" for path in (folder / manifest["bucket"] / emulation_id).iterdir()}
    assert there == {each["key"] for each in manifest["objects"]}
    assert manifest["totals"]["records"] == 4000


@pytest.mark.integration
def test_who_is_killed_leaves_the_database_free(serve: ServiceFactory) -> None:
    service = serve()
    service.kill()
    service.start()
