"""Airflow reads its home when it is imported: give it one of its own before any test does, so that no test needs, finds
or leaves anything in the home folder. It holds no database: a test that needs one brings its own.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import tempfile

import pytest

pytest_plugins = ["tests.servers"]

_AIRFLOW_HOME = tempfile.mkdtemp(prefix="airflow-home-")
os.environ["AIRFLOW_HOME"] = _AIRFLOW_HOME


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tell pytest-xdist what must not run side by side: a file's tests, and all that start an Airflow of their own."""
    for item in items:
        one_at_a_time = "e2e" in item.keywords or "disturbance" in item.keywords
        item.add_marker(pytest.mark.xdist_group("airflow" if one_at_a_time else item.path.name))
    items.sort(key=lambda item: "e2e" not in item.keywords)  # what takes longest first


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(_AIRFLOW_HOME, ignore_errors=True)


def pytest_report_header() -> str:
    """Say which Airflow the tests run on: there is more than one environment."""
    names = ("apache-airflow", "apache-airflow-providers-http", "apache-airflow-providers-common-compat")
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
