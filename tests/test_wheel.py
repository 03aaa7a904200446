"""The distribution installed from its wheel, beside a project that has an `include` of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
UV = Path(sys.executable).with_name("uv")
NAME = "lakehouse_data_emulator.airflow"

pytestmark = pytest.mark.integration

INSTALLED = f"""
import importlib, importlib.util, json, pkgutil
import include, include.sums
from airflow.dag_processing.dagbag import DagBag
from airflow.providers_manager import ProvidersManager
from airflow.sdk.module_loading import import_string
import {NAME} as package
from {NAME}.triggers.emulation import EmulationTrigger

modules = [each.name for each in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
for name in modules:
    if not name.endswith("__main__"):
        importlib.import_module(name)
hook = ProvidersManager().hooks["data_emulator"]
path, arguments = EmulationTrigger(
    emulation_id="e1", poll_interval=10, deadline=0, cancel_on_kill=True
).serialize()
bag = DagBag("dags")
print(json.dumps({{
    "own include": [include.__file__, include.sums.ONE],
    "modules": modules,
    "hook": hook.hook_class_name,
    "hook's type": import_string(hook.hook_class_name).conn_type,
    "trigger": path,
    "trigger is itself": import_string(path) is EmulationTrigger,
    "dags": sorted(bag.dags),
    "errors": bag.import_errors,
    "include's parts": [name for name in ("hooks", "provider_info") if importlib.util.find_spec("include." + name)],
}}))
"""
DAG = f"""
from airflow.sdk import dag
from include.sums import ONE
from {NAME}.operators.run_emulation import RunEmulationOperator


@dag(schedule=None)
def theirs():
    RunEmulationOperator(task_id="run", emulator_sync="kafka", emulation_domain="transaction", format_type="json",
                         sync_type="grouped", max_chunk_size=1024, timeout=ONE)


theirs()
"""


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(UV, "build", "--quiet", "--out-dir", folder, ROOT, cwd=folder)  # by way of the source distribution
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel in it, and what it needs on the Airflow side."""
    venv = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=venv)
    python = venv / "bin" / "python"
    lock = ROOT / "requirements.lock"
    wanted = f"lakehouse-data-emulator[airflow,bronze] @ {wheel.as_uri()}"
    run(UV, "pip", "install", "--quiet", "--python", python, "--constraint", lock, wanted, cwd=venv)
    return python


def test_the_wheel_has_no_package_of_a_common_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        top = {name.partition("/")[0] for name in archive.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"data_emulator", "lakehouse_data_emulator"}


def test_everything_that_is_in_the_tree_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        there = set(archive.namelist())
    room = NAME.replace(".", "/")
    files = [path for path in (ROOT / "include").rglob("*") if path.suffix in (".py", ".typed")]
    assert {f"{room}/{path.relative_to(ROOT / 'include').as_posix()}" for path in files} <= there


def test_it_works_beside_a_project_that_has_an_include(python: Path, tmp_path: Path) -> None:
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "__init__.py").touch()
    (tmp_path / "include" / "sums.py").write_text("ONE = 1\n")
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "theirs.py").write_text(DAG)
    (tmp_path / "look.py").write_text(INSTALLED)
    home = {"AIRFLOW_HOME": str(tmp_path / "airflow"), "PYTHONPATH": str(tmp_path)}
    found: dict[str, Any] = json.loads(run(python, "look.py", cwd=tmp_path, **home).splitlines()[-1])
    assert found["own include"] == [str(tmp_path / "include" / "__init__.py"), 1]
    assert found["include's parts"] == []
    assert f"{NAME}.bronze.table" in found["modules"]
    assert found["hook"] == f"{NAME}.hooks.data_emulator.DataEmulatorHook"
    assert found["hook's type"] == "data_emulator"
    assert found["trigger"] == f"{NAME}.triggers.emulation.EmulationTrigger"
    assert found["trigger is itself"]
    assert (found["dags"], found["errors"]) == (["theirs"], {})
