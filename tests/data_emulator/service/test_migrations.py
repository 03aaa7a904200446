"""A database of an older version is brought to today's schema, and its emulations go on."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from data_emulator.errors import ConfigurationError
from data_emulator.model import Commit, PartitionWritten, State
from data_emulator.service.emulations import Emulations
from data_emulator.service.store.store import Store, Writer
from data_emulator.service.store.tables import metadata
from data_emulator.settings import Settings
from tests.support.in_process import ended
from tests.support.new_emulation import emulation

OLD = Path(__file__).with_name("before_alembic.sql")
QUEUED, PROCESSING, COMPLETED, FAILED, CANCELLED, CANCELLING, IN_KAFKA, BACKFILL = (
    f"00000000-0000-0000-0000-{number:012d}" for number in range(1, 9)
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a database as version 0.1 left it."""
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(OLD.read_text())
    connection.close()
    return path


def differences(path: Path) -> list[object]:
    """Return what is different in the database from what `tables.py` says."""
    with sa.create_engine(f"sqlite:///{path}").connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))


def test_a_new_database_has_the_tables_of_today(tmp_path: Path) -> None:
    Store(f"sqlite:///{tmp_path / 'new.db'}").close()
    assert differences(tmp_path / "new.db") == []


def test_an_old_database_gets_the_tables_of_today(path: Path) -> None:
    Store(f"sqlite:///{path}").close()
    assert differences(path) == []


def test_what_an_old_database_holds_is_kept(path: Path) -> None:
    store = Store(f"sqlite:///{path}")
    states = {each.id: each.state for each in store.page(None, None, 50, 0)[0]}
    assert states == {
        QUEUED: State.QUEUED,
        PROCESSING: State.PROCESSING,
        COMPLETED: State.COMPLETED,
        FAILED: State.FAILED,
        CANCELLED: State.CANCELLED,
        CANCELLING: State.PROCESSING,
        IN_KAFKA: State.PROCESSING,
        BACKFILL: State.QUEUED,
    }
    assert {each: found.owed_records for each in (QUEUED, PROCESSING) if (found := store.get(each))} == {
        QUEUED: 0,
        PROCESSING: 40,
    }
    assert store.by_keys(["first-key"])["first-key"].id == QUEUED
    objects, _ = store.manifest(COMPLETED)
    assert [each.records for each in objects] == [50, 50]
    commit = Commit(json.dumps(["transactions", 0, 30]), {IN_KAFKA: (PartitionWritten(0, 0, 50, 50, 5000),)})
    assert sorted(store.writers(), key=lambda each: each.id) == [
        Writer("data-emulator-idle", "kafka", None),
        Writer("data-emulator-writer", "kafka", commit),
    ]
    store.settle("data-emulator-writer", commit)
    assert store.manifest(IN_KAFKA)[1] == [PartitionWritten(0, 0, 50, 50, 5000)]


@pytest.mark.integration
def test_the_emulations_of_an_old_database_go_on(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    (folder / "transactions").mkdir(parents=True)
    service = Emulations(Settings(database_url=f"sqlite:///{path}", file_root=folder, workers=1))
    service.open()
    try:
        for each, records in ((QUEUED, 100), (PROCESSING, 100), (BACKFILL, 500)):
            found = ended(service, each)
            assert (found.state, found.records) == (State.COMPLETED, records)
            _, objects, _ = service.manifest(each)
            assert sum((folder / "transactions" / part.key).stat().st_size for part in objects) == found.bytes
        cancelled = ended(service, CANCELLING)
        assert (cancelled.state, cancelled.error) == (State.CANCELLED, "nobody asked for it for 10 s")
        without_broker = service.get(IN_KAFKA)
        assert without_broker.state is State.FAILED
        assert "DATA_EMULATOR_KAFKA_BOOTSTRAP_SERVERS" in str(without_broker.error)
        assert [
            each.id for each in service.store.writers()
        ] != []  # what they committed is asked once there is a broker
    finally:
        service.close()


def test_a_migration_that_is_cut_off_leaves_the_database_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_off(*_: object, **__: object) -> None:
        raise OSError("killed")

    with monkeypatch.context() as killed:
        killed.setattr("alembic.op.drop_table", cut_off)  # after a table was made and filled
        with pytest.raises(OSError, match="killed"):
            Store(f"sqlite:///{path}")
    with sa.create_engine(f"sqlite:///{path}").connect() as connection:
        assert not {"writers", "alembic_version"} & set(sa.inspect(connection).get_table_names())
    Store(f"sqlite:///{path}").close()
    assert differences(path) == []


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    Store(url).close()
    with sa.create_engine(url).begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match=r"schema version 9999.*used by a newer one"):
        Store(url)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"max_chunk_size": 0, "timeout": -5, "rate": 1e12, "format_type": "json"}, None),
        ({"a_field_of_another_version": True}, None),
        ({"timeout": "soon"}, "timeout: Input should be a valid integer"),
        ({"sync_type": None}, "sync_type: Input should be a valid string"),
    ],
)
def test_a_stored_request_is_readable_whatever_it_holds(
    tmp_path: Path, change: dict[str, object], reason: str | None
) -> None:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    store = Store(url)
    odd, usual = emulation(), emulation()
    store.add([(odd, None), (usual, None)])
    with sa.create_engine(url).begin() as connection:
        table = metadata.tables["emulations"]
        stored = connection.execute(sa.select(table.c.request).where(table.c.id == odd.id)).scalar_one()
        connection.execute(table.update().where(table.c.id == odd.id).values(request={**stored, **change}))
    listed, total = store.page(None, None, 50, 0)
    assert (total, {each.id for each in listed}) == (2, {odd.id, usual.id})
    found = store.get(odd.id)
    assert found is not None
    assert (found.request.unreadable is None) if reason is None else (reason in str(found.request.unreadable))
