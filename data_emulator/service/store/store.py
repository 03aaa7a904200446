"""Reading and writing the state: emulations, and what each has written. SQLAlchemy Core; SQLite in WAL mode."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import ArgumentError, DBAPIError

from data_emulator.engine.messages import Report
from data_emulator.errors import ConfigurationError
from data_emulator.model import Checkpoint, Commit, ObjectWritten, PartitionWritten, State
from data_emulator.service.store.emulation import AcceptedRequest, Emulation, from_row
from data_emulator.service.store.migrations import migrate
from data_emulator.service.store.tables import emulations as _emulations
from data_emulator.service.store.tables import history as _history
from data_emulator.service.store.tables import objects as _objects
from data_emulator.service.store.tables import partitions as _partitions
from data_emulator.service.store.tables import untidy as _untidy
from data_emulator.service.store.tables import writers as _writers
from data_emulator.sinks.parts import may_have_parts

_REPORT = (
    _emulations.update()
    .where(_emulations.c.id == sa.bindparam("emulation_id"), _emulations.c.ended_at.is_(None))
    .values(
        elapsed_s=sa.bindparam("elapsed"),
        records=sa.bindparam("accepted"),
        bytes=sa.bindparam("size"),
        owed_records=sa.bindparam("owed"),
    )
)


_HIDDEN: Final = "hidden"
"""The state of those that are being deleted, which nobody sees any more."""
_SEEN: Final = _emulations.c.state != _HIDDEN
_GOING: Final = [state for state in State if not state.is_terminal]


_FORGET_PARTITIONS = _partitions.delete().where(_partitions.c.emulation_id == sa.bindparam("of"))


def _report_row(report: Report) -> dict[str, Any]:
    return {
        "emulation_id": report.emulation_id,
        "elapsed": report.elapsed_s,
        "accepted": report.records,
        "size": report.bytes,
        "owed": report.owed_records,
    }


def _manifest_total(name: str) -> sa.ColumnElement[int]:
    """Return the sum over the manifest of the emulation whose row it is set in: of its records, or its bytes."""
    sums = [
        sa.select(sa.func.coalesce(sa.func.sum(table.c[name]), 0))
        .where(table.c.emulation_id == _emulations.c.id)
        .correlate(_emulations)
        .scalar_subquery()
        for table in (_objects, _partitions)
    ]
    return sums[0] + sums[1]


_MANIFEST_TOTALS: Final = {name: _manifest_total(name) for name in ("records", "bytes")}


_END = (
    _emulations.update()
    .where(_emulations.c.id == sa.bindparam("of"), _emulations.c.ended_at.is_(None))
    .values(
        state=sa.bindparam("end_state"),
        error=sa.bindparam("end_error"),
        ended_at=sa.bindparam("at"),
        **_MANIFEST_TOTALS,
    )
)
"""Sets the final state. From here on, records and bytes are those that the manifest lists."""


_REQUEST_CANCEL = (
    _emulations.update()
    .where(
        _emulations.c.id == sa.bindparam("of"),
        _emulations.c.ended_at.is_(None),
        _emulations.c.cancel_requested.is_(False),
    )
    .values(cancel_requested=True, error=sa.bindparam("why"))
)


_FAIL_IF_SHORT = (
    _emulations.update()
    .where(
        _emulations.c.id == sa.bindparam("of"),
        _emulations.c.state == State.COMPLETED,
        _emulations.c.records != sa.bindparam("accepted"),
    )
    .values(
        state=State.FAILED,
        error="internal error: "
        + sa.cast(sa.bindparam("accepted"), sa.String)
        + " records were written, the manifest holds another number",
    )
)
"""Refuses to call an emulation completed whose manifest does not hold all that its sink accepted."""


_SET_UNTIDY = _untidy.insert().from_select(
    ["emulation_id", "due_at", "looks"],
    sa.select(_emulations.c.id, _emulations.c.ended_at, sa.literal(0)).where(
        _emulations.c.id == sa.bindparam("of"),
        _emulations.c.ended_at == sa.bindparam("at"),
        _emulations.c.started_at.is_not(None),
    ),
)
"""Notes that an emulation which has just ended may have left more than is listed, unless it was never run."""


_CORRECT_TOTALS = (
    _emulations.update()
    .where(_emulations.c.id == sa.bindparam("of"), _emulations.c.ended_at.is_not(None))
    .values(**_MANIFEST_TOTALS)
)


def _end_row(emulation_id: str, state: State, error: str | None, at: float) -> dict[str, Any]:
    return {"of": emulation_id, "end_state": state, "end_error": error, "at": at}


def _forget_commit(writer_id: str) -> sa.Update:
    return _writers.update().where(_writers.c.id == writer_id).values(token=None, partitions=sa.null())


@dataclass(frozen=True)
class Writer:
    """A worker process that may have left a commit open.

    :param sink: as in a request's `emulator_sync`.
    :param commit: what it was about to make final, if it is not known what became of it.
    """

    id: str
    sink: str
    commit: Commit | None

    @property
    def emulation_ids(self) -> list[str]:
        """The emulations of which it is not known yet what was made final."""
        return list(self.commit.partitions) if self.commit else []


@dataclass(frozen=True)
class Untidy:
    """An ended emulation of which more may lie in its sink than its manifest lists.

    :param may_have_uploads: whether its objects may have gone up in parts.
    :param last_key: of the last object that the manifest lists; `None`: it lists none.
    :param looks: how often everything was deleted that was found.
    """

    emulation_id: str
    sink: str
    domain: str
    may_have_uploads: bool
    last_key: str | None
    looks: int


class Store:
    """The database. Every method is one transaction, safe to call from any thread.

    :param url: SQLAlchemy URL.
    :raises ConfigurationError: when there is no such kind of database, or this one cannot be opened.
    """

    def __init__(self, url: str) -> None:
        try:
            self._engine = sa.create_engine(url)
        except (ArgumentError, ImportError) as error:  # ImportError: the database's driver is not installed
            raise ConfigurationError(f"DATA_EMULATOR_DATABASE_URL: {error}") from None
        self._writing = threading.Lock()  # SQLite has one writer: waiting here beats its busy handler's sleeps
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _configure_sqlite)
        try:
            migrate(self._engine)
        except DBAPIError as error:
            raise ConfigurationError(f"DATA_EMULATOR_DATABASE_URL: {error.orig}") from None

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def check(self) -> None:
        """Make sure that the database answers.

        :raises sqlalchemy.exc.SQLAlchemyError: when it does not.
        """
        with self._engine.connect() as connection:
            connection.execute(sa.select(1))

    def add(self, new: Iterable[tuple[Emulation, str | None]]) -> None:
        """Store new emulations with their idempotency keys, all of them or none.

        :raises sqlalchemy.exc.IntegrityError: when a key is taken.
        """
        rows = [
            {
                "id": emulation.id,
                "idempotency_key": idempotency_key,
                "body_digest": emulation.body_digest,
                "request": emulation.request.model_dump(mode="json"),
                "domain": emulation.request.emulation_domain,
                "world_seed": emulation.world_seed,
                "world_users": emulation.world_users,
                "fraud_share": emulation.fraud_share,
                "generator": emulation.generator,
                "schema_id": emulation.schema_id,
                "seed": emulation.seed,
                "state": emulation.state,
                "created_at": emulation.created_at,
                "started_at": emulation.started_at,
            }
            for emulation, idempotency_key in new
        ]
        if rows:
            with self._write() as connection:
                connection.execute(_emulations.insert(), rows)

    def by_keys(self, idempotency_keys: Sequence[str]) -> dict[str | None, Emulation]:
        """Return the emulations that were started with these idempotency keys, by key."""
        if not idempotency_keys:
            return {}
        with self._engine.connect() as connection:
            rows = connection.execute(
                _emulations.select().where(_emulations.c.idempotency_key.in_(idempotency_keys))
            ).all()
        return {row.idempotency_key: from_row(row) for row in rows}

    def get(self, emulation_id: str) -> Emulation | None:
        """Return an emulation."""
        return self._first(sa.and_(_emulations.c.id == emulation_id, _SEEN))

    def get_many(self, emulation_ids: Sequence[str]) -> dict[str, Emulation]:
        """Return those that exist, by id."""
        found: dict[str, Emulation] = {}
        with self._engine.connect() as connection:
            for start in range(0, len(emulation_ids), 500):  # databases bound the number of parameters
                chosen = _emulations.c.id.in_(emulation_ids[start : start + 500])
                found |= {
                    row.id: from_row(row) for row in connection.execute(_emulations.select().where(chosen, _SEEN))
                }
        return found

    def get_ended(self, emulation_ids: Sequence[str]) -> tuple[dict[str, Emulation], set[str]]:
        """Return those that have ended, by id; and the ids of those that exist, which are far less to read."""
        ended: dict[str, Emulation] = {}
        existing: set[str] = set()
        is_terminal = _emulations.c.state.in_([state for state in State if state.is_terminal])
        with self._engine.connect() as connection:
            for start in range(0, len(emulation_ids), 500):
                chosen = _emulations.c.id.in_(emulation_ids[start : start + 500])
                existing.update(connection.scalars(sa.select(_emulations.c.id).where(chosen, _SEEN)))
                rows = connection.execute(_emulations.select().where(chosen, is_terminal))
                ended |= {row.id: from_row(row) for row in rows}
        return ended, existing

    def page(self, state: State | None, domain: str | None, limit: int, offset: int) -> tuple[list[Emulation], int]:
        """Return a page of the emulations that match, the newest first, and how many match in all."""
        matching: sa.ColumnElement[bool] = _SEEN
        if state is not None:
            matching = sa.and_(matching, _emulations.c.state == state)
        if domain is not None:
            matching = sa.and_(matching, _emulations.c.domain == domain)
        newest_first = _emulations.select().where(matching).order_by(_emulations.c.number.desc())
        with self._engine.connect() as connection:
            counts = _counts(connection, state, domain)
            rows = connection.execute(newest_first.limit(limit).offset(offset))
            return [from_row(row) for row in rows], sum(number for number, _, _ in counts.values())

    def in_state(self, state: State) -> list[Emulation]:
        """Return the emulations in a state, the oldest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                _emulations.select().where(_emulations.c.state == state).order_by(_emulations.c.number)
            )
            return [from_row(row) for row in rows]

    def counts(self) -> dict[str, tuple[int, int, int]]:
        """Return for each state how many emulations are in it, and their records and bytes."""
        with self._engine.connect() as connection:
            return _counts(connection, None, None)

    def set_processing(self, emulation_id: str, started_at: float, generator: str | None = None) -> None:
        """Note that an emulation starts: a worker is about to be given it.

        :param generator: what makes its records; `None`: what it was accepted with.
        """
        with self._write() as connection:
            connection.execute(
                _emulations.update()
                .where(_emulations.c.id == emulation_id)
                .values(
                    state=State.PROCESSING,
                    started_at=started_at,
                    generator=sa.func.coalesce(generator, _emulations.c.generator),
                )
            )

    def set_generator(self, emulation_id: str, generator: str | None) -> None:
        """Note what makes an emulation's records from now on."""
        with self._write() as connection:
            connection.execute(_emulations.update().where(_emulations.c.id == emulation_id).values(generator=generator))

    def request_cancel(self, errors: Mapping[str, str | None]) -> dict[str, str | None]:
        """Note that emulations are to end as cancelled, whoever runs them, and what the error of each is to say.

        :return: those of them that have not ended, each with its error: what the first said who wanted it cancelled.
        """
        ids = list(errors)
        wanted: dict[str, str | None] = {}
        with self._write() as connection:
            if ids:
                connection.execute(_REQUEST_CANCEL, [{"of": key, "why": error} for key, error in errors.items()])
            for start in range(0, len(ids), 500):
                chosen = _emulations.c.id.in_(ids[start : start + 500])
                going = sa.select(_emulations.c.id, _emulations.c.error).where(chosen, _emulations.c.ended_at.is_(None))
                wanted |= {row.id: row.error for row in connection.execute(going)}
        return wanted

    def end(self, emulation_ids: Iterable[str], state: State, error: str | None) -> None:
        """Note that emulations have ended, without a worker's report. Those that had ended before stay as they are."""
        rows = [_end_row(each, state, error, time.time()) for each in emulation_ids]
        if rows:
            with self._write() as connection:
                connection.execute(_END, rows)
                for row in rows:
                    connection.execute(_SET_UNTIDY, {"of": row["of"], "at": row["at"]})

    def record(self, reports: list[Report], settled: str | None = None) -> None:
        """Store what a worker reports, all of it or nothing.

        :param settled: forget the commit of this writer: the reports know what became of it.
        """
        with self._write() as connection:
            if reports:
                connection.execute(_REPORT, [_report_row(report) for report in reports])
            self._set_partitions(connection, {each.emulation_id: each.written.partitions for each in reports})
            objects = [
                {"emulation_id": report.emulation_id, **vars(each)}
                for report in reports
                for each in report.written.objects
            ]
            if objects:
                connection.execute(_objects.insert(), objects)
            ended = [(report, report.outcome) for report in reports if report.outcome]
            if ended:
                now = time.time()
                ends = [_end_row(each.emulation_id, outcome.state, outcome.error, now) for each, outcome in ended]
                connection.execute(_END, ends)
                connection.execute(
                    _FAIL_IF_SHORT, [{"of": each.emulation_id, "accepted": each.records} for each, _ in ended]
                )
                for each, _ in ended:
                    if each.may_have_strays:
                        connection.execute(_SET_UNTIDY, {"of": each.emulation_id, "at": now})
            if late := [{"of": report.emulation_id} for report in reports if report.is_late]:
                connection.execute(_CORRECT_TOTALS, late)
            if settled is not None:
                connection.execute(_forget_commit(settled))

    def untidy(self, now: float, limit: int) -> list[Untidy]:
        """Return ended emulations of which more may lie in a sink than is listed, and that are due to be looked at."""
        last = sa.select(sa.func.max(_objects.c.key)).where(_objects.c.emulation_id == _untidy.c.emulation_id)
        due = (
            sa.select(_emulations.c.id, _emulations.c.request, _untidy.c.looks, last.scalar_subquery().label("last"))
            .join_from(_untidy, _emulations, _emulations.c.id == _untidy.c.emulation_id)
            .where(_untidy.c.due_at <= now)
            .order_by(_untidy.c.due_at)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            rows = [(AcceptedRequest.read(row.request), row) for row in connection.execute(due)]
        return [
            Untidy(
                row.id,
                request.emulator_sync,
                request.emulation_domain,
                may_have_parts(request.sync_type, request.max_chunk_size),
                row.last,
                row.looks,
            )
            for request, row in rows
        ]

    def set_untidy(self, emulation_id: str, due_at: float, looks: int) -> None:
        """Note when to look next at what an emulation has left behind."""
        with self._write() as connection:
            connection.execute(
                _untidy.update().where(_untidy.c.emulation_id == emulation_id).values(due_at=due_at, looks=looks)
            )

    def set_tidy(self, emulation_id: str) -> None:
        """Note that nothing lies in an emulation's sink but what its manifest lists."""
        with self._write() as connection:
            connection.execute(_untidy.delete().where(_untidy.c.emulation_id == emulation_id))

    def hide_ended(self, before: float, limit: int) -> int:
        """Hide emulations that ended before this time, so that they can be deleted; return how many, at most `limit`.

        Their idempotency keys are free. Those of which it is not known yet what was committed are not among them.
        """
        undecided = [each for writer in self.writers() for each in writer.emulation_ids]
        chosen = (
            sa.select(_emulations.c.id)
            .where(_emulations.c.ended_at < before, _SEEN, _emulations.c.id.not_in(undecided))
            .limit(limit)
        )
        with self._write() as connection:
            hide = _emulations.update().where(_emulations.c.id.in_(chosen.scalar_subquery()))
            return connection.execute(hide.values(state=_HIDDEN, idempotency_key=None)).rowcount

    def delete_hidden(self, limit: int) -> bool:
        """Delete a hidden emulation, or so many rows of its manifest; tell whether there was one."""
        o = _objects.c
        with self._write() as connection:
            emulation_id = connection.scalar(sa.select(_emulations.c.id).where(~_SEEN).limit(1))
            if emulation_id is None:
                return False
            of_it = sa.select(o.key).where(o.emulation_id == emulation_id).order_by(o.key)
            if (last := connection.scalar(of_it.offset(limit - 1).limit(1))) is not None:
                connection.execute(_objects.delete().where(o.emulation_id == emulation_id, o.key <= last))
                return True
            for table in (_objects, _partitions, _untidy):
                connection.execute(table.delete().where(table.c.emulation_id == emulation_id))
            connection.execute(_emulations.delete().where(_emulations.c.id == emulation_id))
            return True

    def add_writer(self, writer_id: str, sink: str) -> None:
        """Note that a worker may leave commits open from now on."""
        with self._write() as connection:
            connection.execute(_writers.insert().values(id=writer_id, sink=sink))

    def writers(self) -> list[Writer]:
        """Return the workers that may have left a commit open."""
        with self._engine.connect() as connection:
            return [_writer(row) for row in connection.execute(_writers.select())]

    def prepare(self, writer_id: str, commit: Commit) -> None:
        """Note what is about to be committed."""
        rows = {key: [vars(each) for each in partitions] for key, partitions in commit.partitions.items()}
        with self._write() as connection:
            connection.execute(
                _writers.update().where(_writers.c.id == writer_id).values(token=commit.token, partitions=rows)
            )

    def settle(self, writer_id: str, committed: Commit | None) -> None:
        """Forget a writer, and take in what it has committed last."""
        with self._write() as connection:
            self._set_partitions(connection, committed.partitions if committed else {})
            if committed:
                connection.execute(_CORRECT_TOTALS, [{"of": each} for each in committed.partitions])
            connection.execute(_writers.delete().where(_writers.c.id == writer_id))

    def checkpoint(self, emulation: Emulation) -> Checkpoint:
        """Return where an emulation is to be gone on with."""
        totals = sa.select(
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(_objects.c.records), 0),
            sa.func.coalesce(sa.func.sum(_objects.c.bytes), 0),
        ).where(_objects.c.emulation_id == emulation.id)
        with self._engine.connect() as connection:
            objects, records, size = connection.execute(totals).one()
        partitions = tuple(self.manifest(emulation.id)[1])
        return Checkpoint(
            elapsed_s=emulation.elapsed_s,
            records=int(records) + sum(each.records for each in partitions),
            bytes=int(size) + sum(each.bytes for each in partitions),
            objects=objects,
            partitions=partitions,
            owed_records=emulation.owed_records,
            is_resumed=True,
        )

    def manifest(self, emulation_id: str) -> tuple[list[ObjectWritten], list[PartitionWritten]]:
        """Return the objects and the partitions that hold an emulation's data, in order."""
        o = _objects.c
        objects = sa.select(o.key, o.records, o.bytes, o.checksum).where(o.emulation_id == emulation_id).order_by(o.key)
        with self._engine.connect() as connection:
            written = [ObjectWritten(*row) for row in connection.execute(objects)]
        return written, self.partitions(emulation_id)

    def partitions(self, emulation_id: str) -> list[PartitionWritten]:
        """Return the partitions that hold an emulation's data, in order."""
        p = _partitions.c
        with self._engine.connect() as connection:
            rows = connection.execute(
                sa.select(p.partition, p.first_offset, p.next_offset, p.records, p.bytes)
                .where(p.emulation_id == emulation_id)
                .order_by(p.partition)
            )
            return [PartitionWritten(*row) for row in rows]

    def objects(self, emulation_id: str, after: str, limit: int) -> list[ObjectWritten]:
        """Return the next objects that hold an emulation's data, in order: those whose keys come after this one."""
        o = _objects.c
        with self._engine.connect() as connection:
            rows = connection.execute(
                sa.select(o.key, o.records, o.bytes, o.checksum)
                .where(o.emulation_id == emulation_id, o.key > after)
                .order_by(o.key)
                .limit(limit)
            )
            return [ObjectWritten(*row) for row in rows]

    def _set_partitions(self, connection: Connection, partitions: Mapping[str, Sequence[PartitionWritten]]) -> None:
        """Replace what is in the partitions of each emulation that is given any."""
        rows = [{"emulation_id": key, **vars(each)} for key, written in partitions.items() for each in written]
        if rows:
            connection.execute(_FORGET_PARTITIONS, [{"of": key} for key, written in partitions.items() if written])
            connection.execute(_partitions.insert(), rows)

    def _first(self, condition: sa.ColumnElement[bool]) -> Emulation | None:
        with self._engine.connect() as connection:
            row = connection.execute(_emulations.select().where(condition)).first()
        return None if row is None else from_row(row)

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._writing, self._engine.begin() as connection:
            yield connection


def _configure_sqlite(connection: Any, _: Any) -> None:
    """Set a new connection up: readers and the writer do not wait for each other, and a commit survives a power cut."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _writer(row: Row[Any]) -> Writer:
    if row.partitions is None:
        return Writer(row.id, row.sink, None)
    partitions = {key: tuple(PartitionWritten(**each) for each in rows) for key, rows in row.partitions.items()}
    return Writer(row.id, row.sink, Commit(row.token, partitions))


def _counts(connection: Connection, state: State | None, domain: str | None) -> dict[str, tuple[int, int, int]]:
    """Return for each state how many emulations are in it, and their records and bytes.

    Those that have ended are counted already; of the others there are few.
    """
    ended, going = _history.c, _emulations.c
    sources = (
        (ended.state, ended.domain, ended.emulations, ended.records, ended.bytes, sa.true()),
        (going.state, going.domain, sa.literal(1), going.records, going.bytes, going.state.in_(_GOING)),
    )
    counts: dict[str, tuple[int, int, int]] = {}
    for of_state, of_domain, number, records, size, condition in sources:
        sums = sa.select(of_state, sa.func.sum(number), sa.func.sum(records), sa.func.sum(size)).where(condition)
        sums = sums.where(of_state != _HIDDEN if state is None else of_state == state)
        if domain is not None:
            sums = sums.where(of_domain == domain)
        for row in connection.execute(sums.group_by(of_state)):
            if row[1]:
                counts[row[0]] = (int(row[1]), int(row[2]), int(row[3]))
    return counts
