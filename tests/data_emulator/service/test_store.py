"""The database: what is in it survives, all of a report or nothing goes in, and it never calls a part the whole."""

import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from data_emulator.engine.messages import Report
from data_emulator.engine.run import Outcome
from data_emulator.model import Checkpoint, Commit, ObjectWritten, PartitionWritten, State, Written
from data_emulator.service.store.store import Store, Writer
from tests.support.new_emulation import emulation


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def store(path: Path) -> Store:
    return Store(f"sqlite:///{path}")


def added(store: Store, key: str | None = None, **changes: Any) -> str:
    new = emulation(**changes)
    store.add([(new, key)])
    return new.id


def report(
    emulation_id: str, records: int, written: Written | None = None, outcome: Outcome | None = None, **changes: Any
) -> Report:
    fields = {"elapsed_s": 2.5, "records": records, "bytes": 10 * records, **changes}
    return Report(emulation_id, written=written or Written(), outcome=outcome, **fields)


def an_object(number: int, records: int = 10) -> ObjectWritten:
    return ObjectWritten(f"part-{number}", records, 10 * records, f"sha256:{number}")


def partition(number: int, first: int, after: int) -> PartitionWritten:
    return PartitionWritten(number, first, after, after - first, 10 * (after - first))


def test_it_is_in_wal_mode_and_waits_for_the_disk(store: Store, path: Path) -> None:
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with store._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_everything_survives_reopening(store: Store, path: Path) -> None:
    new = emulation()
    store.add([(new, "a key")])
    store.set_processing(new.id, 1000.0)
    in_s3 = Written(objects=[an_object(1), an_object(2)], partitions=[partition(0, 5, 15), partition(2, 0, 3)])
    store.record([report(new.id, 33, in_s3)])
    before = (store.get(new.id), store.manifest(new.id))
    store.close()
    again = Store(f"sqlite:///{path}")
    assert (again.get(new.id), again.manifest(new.id)) == before
    kept = again.by_keys(["a key"])["a key"]
    assert (kept.id, kept.request, kept.seed, kept.world_seed) == (new.id, new.request, 2**63 - 1, -(2**63))
    assert (kept.state, kept.records, kept.bytes, kept.started_at) == (State.PROCESSING, 33, 330, 1000.0)
    assert again.manifest(new.id) == (in_s3.objects, in_s3.partitions)


def test_what_an_emulation_owes_outlives_an_outage_and_the_process(store: Store, path: Path) -> None:
    new = emulation()
    store.add([(new, None)])
    store.record([report(new.id, 30, Written(objects=[an_object(1)]), owed_records=30)])
    store.record([report(new.id, 10, owed_records=30)])  # what is not acknowledged does not count during an outage
    store.close()
    again = Store(f"sqlite:///{path}")
    kept = again.get(new.id)
    assert kept is not None
    assert (kept.records, kept.owed_records) == (10, 30)
    assert again.checkpoint(kept) == Checkpoint(
        elapsed_s=2.5, records=10, bytes=100, objects=1, owed_records=30, is_resumed=True
    )


def test_what_becomes_known_after_the_end_corrects_the_totals_and_not_the_end(store: Store) -> None:
    one = added(store)
    store.record([report(one, 30, Written(partitions=[partition(0, 0, 10)]), Outcome(State.CANCELLED, "abandoned"))])
    store.record([report(one, 30, Written(partitions=[partition(0, 0, 30)]), is_late=True)])
    kept = store.get(one)
    assert kept is not None
    assert (kept.state, kept.error, kept.records, kept.bytes) == (State.CANCELLED, "abandoned", 30, 300)
    assert store.manifest(one)[1] == [partition(0, 0, 30)]


def test_a_key_is_taken_once(store: Store) -> None:
    first = added(store, "key")
    with pytest.raises(IntegrityError):
        store.add([(other := emulation(), "another"), (emulation(), "key")])
    assert store.get(other.id) is None
    known = store.by_keys(["key", "another", "none has it"])
    assert {key: each.id for key, each in known.items()} == {"key": first}
    added(store)
    added(store)  # without a key there may be any number


def test_a_report_goes_in_as_a_whole_or_not_at_all(store: Store) -> None:
    one, other = added(store), added(store)
    store.record([report(one, 10, Written(objects=[an_object(1)]))])
    twice = report(other, 20, Written(objects=[an_object(7), an_object(7)]))
    with pytest.raises(IntegrityError):
        store.record([report(one, 20, Written(objects=[an_object(2)]), Outcome(State.COMPLETED)), twice])
    kept = store.get(one)
    assert kept is not None
    assert (kept.state, kept.records) == (State.QUEUED, 10)
    assert store.manifest(one)[0] == [an_object(1)]
    assert store.manifest(other)[0] == []


def test_objects_add_up_and_partitions_are_replaced(store: Store) -> None:
    one = added(store)
    store.record([report(one, 10, Written(objects=[an_object(1)], partitions=[partition(0, 5, 10)]))])
    store.record([report(one, 20)])  # nothing new: nothing is lost
    more = Written(objects=[an_object(2)], partitions=[partition(0, 5, 20), partition(1, 0, 1)])
    store.record([report(one, 30, more)])
    assert store.manifest(one) == ([an_object(1), an_object(2)], [partition(0, 5, 20), partition(1, 0, 1)])


@pytest.mark.parametrize(
    "written",
    [
        Written(objects=[an_object(1, 60), an_object(2, 40)]),
        Written(partitions=[partition(0, 7, 67), partition(1, 0, 40)]),
    ],
)
def test_completed_when_the_manifest_holds_all(store: Store, written: Written) -> None:
    one = added(store)
    store.record([report(one, 100, written, Outcome(State.COMPLETED))])
    ended = store.get(one)
    assert ended is not None
    assert (ended.state, ended.error, ended.records, ended.bytes) == (State.COMPLETED, None, 100, 1000)


@pytest.mark.parametrize(
    "written", [Written(), Written(objects=[an_object(1, 99)]), Written(partitions=[partition(0, 0, 101)])]
)
def test_never_completed_when_the_manifest_holds_another_number(store: Store, written: Written) -> None:
    one = added(store)
    store.record([report(one, 100, written, Outcome(State.COMPLETED))])
    ended = store.get(one)
    assert ended is not None
    assert ended.state is State.FAILED
    assert "100 records were written" in str(ended.error)


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
def test_what_ended_otherwise_counts_what_the_manifest_holds(store: Store, state: State) -> None:
    one = added(store)
    store.record([report(one, 100, Written(objects=[an_object(1, 30)]), Outcome(state, "why"))])
    ended = store.get(one)
    assert ended is not None
    assert (ended.state, ended.error, ended.records, ended.bytes) == (state, "why", 30, 300)


def test_an_end_is_final(store: Store) -> None:
    one = added(store)
    store.end([one], State.CANCELLED, None)
    store.end([one], State.FAILED, "too late")
    store.record([report(one, 0, outcome=Outcome(State.COMPLETED))])
    ended = store.get(one)
    assert ended is not None
    assert (ended.state, ended.error) == (State.CANCELLED, None)


def test_a_checkpoint_is_what_is_written_for_good(store: Store) -> None:
    in_s3, in_kafka, new = added(store), added(store), added(store)
    objects = Written(objects=[an_object(1, 60), an_object(2, 40)])
    partitions = Written(partitions=[partition(0, 7, 67), partition(1, 0, 40)])
    # More was accepted than is written.
    store.record([report(in_s3, 150, objects), report(in_kafka, 170, partitions)])

    def checkpoint(emulation_id: str) -> Checkpoint:
        found = store.get(emulation_id)
        assert found is not None
        return store.checkpoint(found)

    assert checkpoint(in_s3) == Checkpoint(2.5, 100, 1000, objects=2, is_resumed=True)
    assert checkpoint(in_kafka) == Checkpoint(2.5, 100, 1000, partitions=tuple(partitions.partitions), is_resumed=True)
    assert checkpoint(new) == Checkpoint(is_resumed=True)


@pytest.fixture
def prepared(store: Store) -> Commit:
    """Two emulations that had something in Kafka, and more that is about to be committed."""
    ids = [added(store), added(store)]
    store.record([report(each, 10, Written(partitions=[partition(0, 0, 10)])) for each in ids])
    after = (partition(0, 0, 30), partition(2, 5, 15))
    commit = Commit("a token", dict.fromkeys(ids, after))
    store.add_writer("writer", "kafka")
    store.prepare("writer", commit)
    return commit


def partitions_of(store: Store, commit: Commit) -> list[list[PartitionWritten]]:
    return [store.manifest(each)[1] for each in commit.partitions]


def test_what_is_prepared_survives_and_is_not_in_the_manifest_yet(store: Store, path: Path, prepared: Commit) -> None:
    store.close()
    again = Store(f"sqlite:///{path}")
    assert again.writers() == [Writer("writer", "kafka", prepared)]
    assert partitions_of(again, prepared) == [[partition(0, 0, 10)]] * 2


def test_what_was_committed_is_taken_in_and_its_producer_forgotten(store: Store, prepared: Commit) -> None:
    store.settle("writer", prepared)
    assert partitions_of(store, prepared) == [[partition(0, 0, 30), partition(2, 5, 15)]] * 2
    assert store.writers() == []


def test_what_was_not_committed_is_forgotten(store: Store, prepared: Commit) -> None:
    store.settle("writer", None)
    assert partitions_of(store, prepared) == [[partition(0, 0, 10)]] * 2
    assert store.writers() == []


def test_what_is_settled_late_counts_for_those_that_have_ended(store: Store, prepared: Commit) -> None:
    store.end(prepared.partitions, State.FAILED, "the broker was away")
    store.settle("writer", prepared)
    for emulation_id in prepared.partitions:
        ended = store.get(emulation_id)
        assert ended is not None
        assert (ended.state, ended.records, ended.bytes) == (State.FAILED, 40, 400)


def test_a_report_that_knows_the_end_of_it_forgets_what_was_prepared(store: Store, prepared: Commit) -> None:
    reports = [report(each, 40, Written(partitions=list(rows))) for each, rows in prepared.partitions.items()]
    store.record(reports)
    assert store.writers()[0].commit == prepared  # these did not
    store.record(reports, "another")
    assert store.writers()[0].commit == prepared
    store.record(reports, "writer")
    assert store.writers() == [Writer("writer", "kafka", None)]  # it goes on
    assert partitions_of(store, prepared) == [[partition(0, 0, 30), partition(2, 5, 15)]] * 2
    store.prepare("writer", prepared)
    assert store.writers()[0].commit == prepared


def test_what_a_report_knows_is_forgotten_only_if_the_report_is_kept(store: Store, prepared: Commit) -> None:
    one = next(iter(prepared.partitions))
    with pytest.raises(IntegrityError):
        store.record([report(one, 40, Written(objects=[an_object(7), an_object(7)]))], "writer")
    assert store.writers()[0].commit == prepared


def test_a_wish_to_cancel_survives(store: Store, path: Path) -> None:
    one, other = added(store), added(store)
    assert store.request_cancel({one: "nobody wants it"}) == {one: "nobody wants it"}
    store.close()
    again = Store(f"sqlite:///{path}")
    kept = again.get_many([one, other])
    assert [kept[each].cancel_requested for each in (one, other)] == [True, False]
    assert [kept[each].error for each in (one, other)] == ["nobody wants it", None]


def test_the_first_wish_to_cancel_says_why_and_none_comes_after_the_end(store: Store) -> None:
    by_user, abandoned, ended = added(store), added(store), added(store)
    store.end([ended], State.COMPLETED, None)
    store.request_cancel({by_user: None})
    store.request_cancel({abandoned: "first"})
    later = dict.fromkeys([by_user, abandoned, ended, "unknown"], "later")
    assert store.request_cancel(later) == {by_user: None, abandoned: "first"}
    left = store.get(ended)
    assert left is not None
    assert (left.state, left.error, left.cancel_requested) == (State.COMPLETED, None, False)


def test_pages_are_the_newest_first_and_filtered(store: Store) -> None:
    ids = [added(store, domain=domain) for domain in ("transaction", "device-log") * 5]
    store.end(ids[:4], State.CANCELLED, None)
    assert [each.id for each in store.page(None, None, 3, 0)[0]] == ids[:-4:-1]
    assert [each.id for each in store.page(None, None, 3, 8)[0]] == [ids[1], ids[0]]
    assert store.page(None, None, 3, 10) == ([], 10)
    page, total = store.page(State.CANCELLED, "device-log", 10, 0)
    assert ([each.id for each in page], total) == ([ids[3], ids[1]], 2)
    assert store.page(State.QUEUED, None, 1, 0)[1] == 6
    assert store.page(None, "unknown", 10, 0) == ([], 0)


def test_those_in_a_state_are_the_oldest_first(store: Store) -> None:
    ids = [added(store) for _ in range(5)]
    store.set_processing(ids[2], time.time())
    assert [each.id for each in store.in_state(State.QUEUED)] == [ids[0], ids[1], ids[3], ids[4]]
    assert [each.id for each in store.in_state(State.PROCESSING)] == [ids[2]]


def test_many_are_found_at_once(store: Store) -> None:
    ids = [added(store) for _ in range(3)]
    asked = [str(number) for number in range(2000)] + ids
    assert set(store.get_many(asked)) == set(ids)
    assert store.get_many([]) == {}


def test_counts_by_state(store: Store) -> None:
    one, other = added(store), added(store)
    added(store)
    for each in (one, other):
        store.record([report(each, 10, Written(objects=[an_object(1)]), Outcome(State.COMPLETED))])
    assert store.counts() == {State.COMPLETED: (2, 20, 200), State.QUEUED: (1, 0, 0)}


def test_writers_and_readers_side_by_side(store: Store, path: Path) -> None:
    """Two stores, as two processes would have: neither loses a write, nor is refused."""
    stores = [store, Store(f"sqlite:///{path}")]
    ids: list[str] = []
    errors: list[Exception] = []

    def work(own: Store) -> None:
        try:
            for _ in range(15):
                one = added(own)
                own.set_processing(one, time.time())
                own.record([report(one, 10, Written(objects=[an_object(1)]))])
                own.page(None, None, 50, 0)
                own.record([report(one, 20, Written(objects=[an_object(2)]), Outcome(State.COMPLETED))])
                ids.append(one)
        except Exception as error:  # for the assertion below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(stores[number % 2],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(ids) == 120
    assert store.counts() == {State.COMPLETED: (120, 2400, 24000)}


def test_a_database_that_does_not_answer_is_an_error(store: Store, path: Path) -> None:
    store.check()
    store.close()
    path.with_name("state.db-wal").unlink(missing_ok=True)
    path.with_name("state.db-shm").unlink(missing_ok=True)
    path.unlink()
    path.mkdir()
    with pytest.raises(SQLAlchemyError):
        store.check()
