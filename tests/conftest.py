"""Airflow reads its home when it is imported: give it one of its own before any test does, so that no test needs, finds
or leaves anything in the home folder. It holds no database: a test that needs one brings its own.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ["tests.support.servers"]

_AIRFLOW_HOME = tempfile.mkdtemp(prefix="airflow-home-")
os.environ["AIRFLOW_HOME"] = _AIRFLOW_HOME


class SideBySide(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types of its schedulers
    """Runs the tests of a file in one process, and in one and the same all that start an Airflow of their own."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        return "airflow" if "pytest.mark.e2e" in (self.config.rootpath / file).read_text() else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> SideBySide:
    return SideBySide(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: "e2e" not in item.keywords)  # what takes longest first


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what a test, or a command that it runs, does to structlog, by which Airflow logs as well."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(_AIRFLOW_HOME, ignore_errors=True)


def pytest_report_header() -> str:
    """Say which Airflow the tests run on: there is more than one environment."""
    names = ("apache-airflow", "apache-airflow-providers-http", "apache-airflow-providers-common-compat")
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
