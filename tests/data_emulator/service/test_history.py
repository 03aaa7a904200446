"""Ended emulations are counted as they end: the counts are those that counting them anew gives, whatever happened."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import sqlalchemy as sa

from data_emulator.api import bodies
from data_emulator.engine.messages import Report
from data_emulator.engine.run import Outcome
from data_emulator.model import Commit, ObjectWritten, PartitionWritten, State, Written
from data_emulator.service.emulations import Emulations
from data_emulator.service.store.store import Store
from data_emulator.service.store.tables import emulations as table
from data_emulator.settings import Settings
from tests.support.new_emulation import emulation

DOMAINS = ("transaction", "device-log")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'state.db'}"


def counted_anew(url: str) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Return number, records and bytes of the emulations by state and domain, from the rows themselves."""
    c = table.c
    sums = sa.select(c.state, c.domain, sa.func.count(), sa.func.sum(c.records), sa.func.sum(c.bytes))
    with sa.create_engine(url).connect() as connection:
        rows = connection.execute(sums.group_by(c.state, c.domain)).all()
    return {(row[0], row[1]): (row[2], row[3], row[4]) for row in rows}


@pytest.mark.parametrize("seed", range(3))
def test_the_counts_are_those_of_counting_anew(url: str, seed: int) -> None:
    chance = random.Random(seed)
    store = Store(url)
    going: list[str] = []
    store.add_writer("writer", "kafka")
    for step in range(150):
        new = emulation(domain=chance.choice(DOMAINS))
        store.add([(new, None)])
        going.append(new.id)
        chance.shuffle(going)
        one = going[-1]
        records = chance.randrange(1, 50)
        written = Written(objects=[ObjectWritten(f"{one}/part-{step:09d}", records, 10 * records, "sha256:")])
        match chance.randrange(7):
            case 0:
                store.set_processing(one, 1.0)
            case 1:
                store.record([Report(one, 1.0, records, 10 * records, Written(), None)])
            case 2:
                store.record([Report(one, 1.0, records, 10 * records, written, Outcome(State.COMPLETED))])
            case 3:  # it claims more than its manifest has: it is called failed
                store.record([Report(one, 1.0, records + 1, 10 * records, written, Outcome(State.COMPLETED))])
            case 4:
                store.end([one], State.CANCELLED, None)
            case 5:  # what was committed is found out after its end
                partitions = (PartitionWritten(0, 0, records, records, 10 * records),)
                store.prepare("writer", Commit("token", {one: partitions}))
                store.end([one], State.FAILED, "the broker was away")
                store.settle("writer", Commit("token", {one: partitions}))
                store.add_writer("writer", "kafka")
            case _:
                with sa.create_engine(url).begin() as connection:
                    connection.execute(table.delete().where(table.c.ended_at.is_not(None), table.c.records == 0))
        found = store.get(one)
        if found is None or found.state.is_terminal:
            going.remove(one)
    anew = counted_anew(url)
    assert {state for state, _ in anew} >= {State.COMPLETED, State.FAILED, State.CANCELLED, State.QUEUED}
    for state in State:
        of_state = [figures for (its, _), figures in anew.items() if its == state]
        assert store.counts().get(state, (0, 0, 0)) == tuple(map(sum, zip(*of_state, strict=True))) or not of_state
        assert store.page(state, None, 1, 0)[1] == sum(number for number, _, _ in of_state)
        for domain in DOMAINS:
            assert store.page(state, domain, 1, 0)[1] == anew.get((state, domain), (0,))[0]
    for domain in DOMAINS:
        assert store.page(None, domain, 1, 0)[1] == sum(n for (_, its), (n, _, _) in anew.items() if its == domain)
    assert store.page(None, None, 1, 0)[1] == sum(number for number, _, _ in anew.values())


@pytest.mark.parametrize("number", [0, 1, 100, 251])
def test_a_manifest_that_is_streamed_is_the_whole_one(url: str, number: int) -> None:
    service = Emulations(Settings(database_url=url, s3_instance_profile=True))
    try:
        one = emulation()
        service.store.add([(one, None)])
        objects = [
            ObjectWritten(f'{one.id}/part-{part:09d}."json"', 2, 30, f"sha256:{part:x}") for part in range(number)
        ]
        service.store.record([Report(one.id, 1.0, 2 * number, 30 * number, Written(objects=objects), None)])
        found, partitions = service.manifest_head(one.id)
        stream = list(bodies.manifest_stream(found, service.object_pages(one.id), partitions, service.settings))
        whole = bodies.manifest(*service.manifest(one.id), service.settings)
        assert b"".join(stream).decode() == whole.model_dump_json()
        assert len(stream) == 2 + -(-number // 100)
    finally:
        service.store.close()
