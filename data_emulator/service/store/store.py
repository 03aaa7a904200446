"""The state that outlives the process: emulations, and what each has written. SQLAlchemy Core; SQLite in WAL mode."""

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
from data_emulator.model import Checkpoint, ObjectWritten, PartitionWritten, State
from data_emulator.sinks.kafka.probe import Place
from data_emulator.sinks.kafka.writer import Transaction
from data_emulator.sinks.parts import may_have_parts
from data_emulator.wire import EmulationRequest

_metadata = sa.MetaData()

_emulations = sa.Table(
    "emulations",
    _metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True, comment="in order of arrival"),
    sa.Column("id", sa.String(36), nullable=False, unique=True),
    sa.Column("idempotency_key", sa.String(255), unique=True),
    sa.Column("body_digest", sa.String(64), nullable=False, comment="of the request as it was sent"),
    sa.Column("request", sa.JSON, nullable=False, comment="as it is carried out: defaults filled in"),
    sa.Column("domain", sa.String(255), nullable=False, index=True),
    sa.Column("world_seed", sa.BigInteger, nullable=False),
    sa.Column("world_users", sa.BigInteger, nullable=False),
    sa.Column("fraud_share", sa.Double, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("schema_id", sa.BigInteger, comment="what the schema registry calls the schema of the records"),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("error", sa.Text, comment="while it is being cancelled, the one that it will end with"),
    sa.Column("created_at", sa.Double, nullable=False, comment="Unix seconds, as all times here"),
    sa.Column("started_at", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.Column("cancel_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("elapsed_s", sa.Double, nullable=False, default=0.0, comment="how long it has been emulating"),
    sa.Column("records", sa.BigInteger, nullable=False, default=0),
    sa.Column("bytes", sa.BigInteger, nullable=False, default=0),
    sa.Column(
        "owed_records",
        sa.BigInteger,
        nullable=False,
        default=0,
        server_default="0",
        comment="the most that its sink has ever accepted: what is lost of them is made again",
    ),
)
_objects = sa.Table(
    "objects",
    _metadata,
    sa.Column("emulation_id", sa.String(36), sa.ForeignKey("emulations.id"), primary_key=True),
    sa.Column("key", sa.String(1024), primary_key=True),
    sa.Column("records", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("checksum", sa.String(80), nullable=False),
)
_partitions = sa.Table(
    "partitions",
    _metadata,
    sa.Column("emulation_id", sa.String(36), sa.ForeignKey("emulations.id"), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("first_offset", sa.BigInteger, nullable=False),
    sa.Column("next_offset", sa.BigInteger, nullable=False),
    sa.Column("records", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)
_transactions = sa.Table(
    "transactions",
    _metadata,
    sa.Column("transactional_id", sa.String(80), primary_key=True),
    sa.Column("topic", sa.String(255), comment="where one of the records of the prepared transaction lies"),
    sa.Column("partition", sa.Integer),
    sa.Column("offset", sa.BigInteger),
    sa.Column("partitions", sa.JSON, comment="by emulation, the rows of the table partitions once it is committed"),
)
_untidy = sa.Table(
    "untidy",
    _metadata,
    sa.Column("emulation_id", sa.String(36), sa.ForeignKey("emulations.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("due_at", sa.Double, nullable=False, index=True, comment="when to look for what it has left behind"),
    sa.Column("looks", sa.Integer, nullable=False, comment="how often everything was deleted that was found"),
)
"""Ended emulations of which more may lie in the store than the manifest lists."""


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


def _forget_prepared(transactional_id: str) -> sa.Update:
    return (
        _transactions.update()
        .where(_transactions.c.transactional_id == transactional_id)
        .values(topic=None, partition=None, offset=None, partitions=sa.null())
    )


@dataclass(frozen=True)
class Emulation:
    """An emulation as stored. Times are Unix seconds; `schema_id` is of the schema registry, for Avro in Kafka.

    With `cancel_requested` and before its end, `error` is the one that it will end with. `owed_records`: as in
    `Checkpoint`.
    """

    id: str
    body_digest: str
    request: EmulationRequest
    world_seed: int
    world_users: int
    fraud_share: float
    seed: int
    state: State
    error: str | None
    created_at: float
    started_at: float | None
    ended_at: float | None
    elapsed_s: float
    cancel_requested: bool
    records: int
    bytes: int
    schema_id: int | None = None
    owed_records: int = 0


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
            _metadata.create_all(self._engine)
            self._add_owed_records()
        except DBAPIError as error:
            raise ConfigurationError(f"DATA_EMULATOR_DATABASE_URL: {error.orig}") from None

    def _add_owed_records(self) -> None:
        """Add the column `owed_records` to a database that was made before there was one."""
        with self._engine.begin() as connection:
            if "owed_records" not in {each["name"] for each in sa.inspect(connection).get_columns("emulations")}:
                connection.execute(sa.text("ALTER TABLE emulations ADD COLUMN owed_records BIGINT DEFAULT 0 NOT NULL"))
                connection.execute(_emulations.update().values(owed_records=_emulations.c.records))

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
        return {row.idempotency_key: _emulation(row) for row in rows}

    def get(self, emulation_id: str) -> Emulation | None:
        """Return an emulation."""
        return self._first(_emulations.c.id == emulation_id)

    def get_many(self, emulation_ids: Sequence[str]) -> dict[str, Emulation]:
        """Return those that exist, by id."""
        found: dict[str, Emulation] = {}
        with self._engine.connect() as connection:
            for start in range(0, len(emulation_ids), 500):  # databases bound the number of parameters
                chosen = _emulations.c.id.in_(emulation_ids[start : start + 500])
                found |= {row.id: _emulation(row) for row in connection.execute(_emulations.select().where(chosen))}
        return found

    def get_ended(self, emulation_ids: Sequence[str]) -> tuple[dict[str, Emulation], set[str]]:
        """Return those that have ended, by id; and the ids of those that exist, which are far less to read."""
        ended: dict[str, Emulation] = {}
        existing: set[str] = set()
        is_terminal = _emulations.c.state.in_([state for state in State if state.is_terminal])
        with self._engine.connect() as connection:
            for start in range(0, len(emulation_ids), 500):
                chosen = _emulations.c.id.in_(emulation_ids[start : start + 500])
                existing.update(connection.scalars(sa.select(_emulations.c.id).where(chosen)))
                rows = connection.execute(_emulations.select().where(chosen, is_terminal))
                ended |= {row.id: _emulation(row) for row in rows}
        return ended, existing

    def page(self, state: State | None, domain: str | None, limit: int, offset: int) -> tuple[list[Emulation], int]:
        """Return a page of the emulations that match, the newest first, and how many match in all."""
        matching: sa.ColumnElement[bool] = sa.true()
        if state is not None:
            matching = sa.and_(matching, _emulations.c.state == state)
        if domain is not None:
            matching = sa.and_(matching, _emulations.c.domain == domain)
        newest_first = _emulations.select().where(matching).order_by(_emulations.c.number.desc())
        with self._engine.connect() as connection:
            total = connection.execute(sa.select(sa.func.count()).select_from(_emulations).where(matching)).scalar_one()
            rows = connection.execute(newest_first.limit(limit).offset(offset))
            return [_emulation(row) for row in rows], total

    def in_state(self, state: State) -> list[Emulation]:
        """Return the emulations in a state, the oldest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                _emulations.select().where(_emulations.c.state == state).order_by(_emulations.c.number)
            )
            return [_emulation(row) for row in rows]

    def counts(self) -> dict[str, tuple[int, int, int]]:
        """Return for each state how many emulations are in it, and their records and bytes."""
        c = _emulations.c
        sums = sa.select(c.state, sa.func.count(), sa.func.sum(c.records), sa.func.sum(c.bytes)).group_by(c.state)
        with self._engine.connect() as connection:
            return {state: (int(n), int(records), int(size)) for state, n, records, size in connection.execute(sums)}

    def set_processing(self, emulation_id: str, started_at: float) -> None:
        """Note that an emulation starts: a worker is about to be given it."""
        with self._write() as connection:
            connection.execute(
                _emulations.update()
                .where(_emulations.c.id == emulation_id)
                .values(state=State.PROCESSING, started_at=started_at)
            )

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

        :param settled: forget what was prepared under this transactional id: the reports know what became of it.
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
                connection.execute(_forget_prepared(settled))

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
            return [
                Untidy(
                    row.id,
                    row.request["emulator_sync"],
                    row.request["emulation_domain"],
                    may_have_parts(row.request["sync_type"], row.request["max_chunk_size"]),
                    row.last,
                    row.looks,
                )
                for row in connection.execute(due)
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

    def add_transactional_id(self, transactional_id: str) -> None:
        """Note that transactions may be open under this id."""
        with self._write() as connection:
            connection.execute(_transactions.insert().values(transactional_id=transactional_id))

    def transactional_ids(self) -> list[str]:
        """Return the ids under which transactions may be open."""
        with self._engine.connect() as connection:
            return list(connection.execute(sa.select(_transactions.c.transactional_id)).scalars())

    def prepare(self, transactional_id: str, transaction: Transaction) -> None:
        """Note what is about to be committed."""
        rows = {key: [vars(each) for each in partitions] for key, partitions in transaction.partitions.items()}
        with self._write() as connection:
            connection.execute(
                _transactions.update()
                .where(_transactions.c.transactional_id == transactional_id)
                .values(**vars(transaction.place), partitions=rows)
            )

    def prepared(self, transactional_id: str) -> Transaction | None:
        """Return what was about to be committed, if it is not known what became of it."""
        with self._engine.connect() as connection:
            row = connection.execute(
                _transactions.select().where(_transactions.c.transactional_id == transactional_id)
            ).first()
        if row is None or row.partitions is None:
            return None
        partitions = {key: tuple(PartitionWritten(**each) for each in rows) for key, rows in row.partitions.items()}
        return Transaction(Place(row.topic, row.partition, row.offset), partitions)

    def settle(self, transactional_id: str, committed: Transaction | None) -> None:
        """Forget a transactional id, and take in what was committed under it last."""
        with self._write() as connection:
            self._set_partitions(connection, committed.partitions if committed else {})
            if committed:
                connection.execute(_CORRECT_TOTALS, [{"of": each} for each in committed.partitions])
            connection.execute(_transactions.delete().where(_transactions.c.transactional_id == transactional_id))

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
        o, p = _objects.c, _partitions.c
        objects = sa.select(o.key, o.records, o.bytes, o.checksum).where(o.emulation_id == emulation_id).order_by(o.key)
        partitions = (
            sa.select(p.partition, p.first_offset, p.next_offset, p.records, p.bytes)
            .where(p.emulation_id == emulation_id)
            .order_by(p.partition)
        )
        with self._engine.connect() as connection:
            return (
                [ObjectWritten(*row) for row in connection.execute(objects)],
                [PartitionWritten(*row) for row in connection.execute(partitions)],
            )

    def _set_partitions(self, connection: Connection, partitions: Mapping[str, Sequence[PartitionWritten]]) -> None:
        """Replace what is in the partitions of each emulation that is given any."""
        rows = [{"emulation_id": key, **vars(each)} for key, written in partitions.items() for each in written]
        if rows:
            connection.execute(_FORGET_PARTITIONS, [{"of": key} for key, written in partitions.items() if written])
            connection.execute(_partitions.insert(), rows)

    def _first(self, condition: sa.ColumnElement[bool]) -> Emulation | None:
        with self._engine.connect() as connection:
            row = connection.execute(_emulations.select().where(condition)).first()
        return None if row is None else _emulation(row)

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


def _emulation(row: Row[Any]) -> Emulation:
    return Emulation(
        id=row.id,
        body_digest=row.body_digest,
        request=EmulationRequest.model_validate(row.request),
        world_seed=row.world_seed,
        world_users=row.world_users,
        fraud_share=row.fraud_share,
        seed=row.seed,
        state=State(row.state),
        error=row.error,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        elapsed_s=row.elapsed_s,
        cancel_requested=row.cancel_requested,
        records=row.records,
        bytes=row.bytes,
        schema_id=row.schema_id,
        owed_records=row.owed_records,
    )
