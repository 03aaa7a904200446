"""Ended emulations are forgotten after a while: whole, and nothing else is."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from data_emulator.cli import app
from data_emulator.engine.messages import Report
from data_emulator.engine.run import Outcome
from data_emulator.model import Commit, ObjectWritten, PartitionWritten, State, Written
from data_emulator.service import retention
from data_emulator.service.retention import Retention, prune
from data_emulator.service.store.store import Store
from tests.support.new_emulation import emulation

DAY_S = 86_400.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def store(path: Path) -> Store:
    return Store(f"sqlite:///{path}")


def added(store: Store, path: Path, *, ended_days_ago: float | None, objects: int = 2, key: str | None = None) -> str:
    """Add an emulation with so many objects, which has ended or goes on; return its id."""
    one = emulation()
    store.add([(one, key)])
    written = Written(objects=[ObjectWritten(f"{one.id}/part-{n:09d}", 1, 10, "sha256:") for n in range(objects)])
    outcome = None if ended_days_ago is None else Outcome(State.COMPLETED)
    store.record([Report(one.id, 1.0, objects, 10 * objects, written, outcome)])
    if ended_days_ago is not None:
        with sqlite3.connect(path) as connection:
            ended_at = time.time() - ended_days_ago * DAY_S
            connection.execute("UPDATE emulations SET ended_at = ? WHERE id = ?", (ended_at, one.id))
        connection.close()
    return one.id


def rows(path: Path, table: str) -> int:
    with sqlite3.connect(path) as connection:
        count = int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    connection.close()
    return count


def test_what_ended_long_ago_is_forgotten_and_nothing_else(store: Store, path: Path) -> None:
    old = added(store, path, ended_days_ago=31, key="old")
    recent, going = added(store, path, ended_days_ago=29, key="recent"), added(store, path, ended_days_ago=None)
    assert prune(store, time.time() - 30 * DAY_S) == 1
    assert store.get(old) is None
    assert store.get_many([old, recent, going]).keys() == {recent, going}
    assert store.get_ended([old, recent, going])[1] == {recent, going}
    assert store.by_keys(["old", "recent"]).keys() == {"recent"}
    listed, total = store.page(None, None, 50, 0)
    assert (total, {each.id for each in listed}) == (2, {recent, going})
    assert store.counts()[State.COMPLETED] == (1, 2, 20)
    assert store.manifest(old) == ([], [])
    assert len(store.manifest(recent)[0]) == len(store.manifest(going)[0]) == 2
    assert (rows(path, "emulations"), rows(path, "objects")) == (2, 4)
    assert prune(store, time.time() - 30 * DAY_S) == 0


def test_nobody_sees_a_part_of_a_manifest(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is deleted in several transactions, and interrupted after the first."""
    monkeypatch.setattr(retention, "_ROWS", 10)
    old = added(store, path, ended_days_ago=31, objects=35)
    closing = threading.Event()
    original = Store.delete_hidden

    def delete(self: Store, limit: int) -> bool:
        closing.set()
        return original(self, limit)

    monkeypatch.setattr(Store, "delete_hidden", delete)
    assert prune(store, time.time() - 30 * DAY_S, closing) == 1
    assert rows(path, "objects") == 25
    assert store.get(old) is None
    assert store.page(None, None, 50, 0) == ([], 0)
    assert State.COMPLETED not in store.counts()
    monkeypatch.setattr(Store, "delete_hidden", original)
    prune(store, time.time() - 30 * DAY_S)
    assert (rows(path, "emulations"), rows(path, "objects")) == (0, 0)


def test_what_is_not_known_to_be_committed_is_kept(store: Store, path: Path) -> None:
    old = added(store, path, ended_days_ago=31)
    store.add_writer("writer", "kafka")
    commit = Commit("token", {old: (PartitionWritten(0, 0, 5, 5, 50),)})
    store.prepare("writer", commit)
    assert prune(store, time.time() - 30 * DAY_S) == 0
    store.settle("writer", commit)
    assert prune(store, time.time() - 30 * DAY_S) == 1


@pytest.mark.parametrize(("days", "kept"), [(30.0, 1), (0.0, 2)])
def test_the_service_forgets_by_itself_unless_it_is_to_keep_all(
    store: Store, path: Path, days: float, kept: int
) -> None:
    added(store, path, ended_days_ago=31)
    added(store, path, ended_days_ago=1)
    forgetting = Retention(store, days)
    forgetting.open()
    deadline = time.monotonic() + 60
    while rows(path, "emulations") > kept and time.monotonic() < deadline:
        time.sleep(0.02)
    forgetting.close()
    assert rows(path, "emulations") == kept


def test_the_command_forgets_while_a_service_runs(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_EMULATOR_DATABASE_URL", f"sqlite:///{path}")
    added(store, path, ended_days_ago=31)
    added(store, path, ended_days_ago=3)
    said = CliRunner().invoke(app, ["prune"]).output
    assert "1 emulations that ended more than 30 days ago are forgotten; their data stays." in said
    assert (
        "1 emulations that ended more than 2 days ago" in CliRunner().invoke(app, ["prune", "--older-than", "2"]).output
    )
    assert rows(path, "emulations") == 0
    monkeypatch.setenv("DATA_EMULATOR_RETENTION_DAYS", "0")
    refused = CliRunner().invoke(app, ["prune"])
    assert refused.exit_code == 2
    assert "--older-than DAYS" in refused.output
