"""The three domains: the fields of the wire contract, pure functions of (seed, index), one world."""

import hashlib
import itertools
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from data_emulator.domains import all_domains
from data_emulator.domains.base import Domain, EventClock
from data_emulator.domains.world import World, world
from data_emulator.formats import jsonl
from data_emulator.formats.envelope import enveloped
from data_emulator.formats.schema import record_schema

NOW_US = 1_795_000_000_000_000
"""2026-11-18."""
CLOCK = EventClock(NOW_US, 500.0)
SEED = 20
USERS = 10_000
NAMES = ["user-profile", "device-log", "transaction"]
FIELDS = {
    "user-profile": "user_id, name, email, phone, date_of_birth, address, country, signup_date, credit_score, "
    "risk_level",
    "device-log": "log_id, user_id, device_id, device_type, os, ip_address, location, user_agent, login_timestamp, "
    "logout_timestamp",
    "transaction": "transaction_id, user_id, amount, currency, merchant, timestamp, location, is_fraud, fraud_scenario",
}
"""As the wire contract lists them, and the label of fraud's scenario."""


def domain(name: str, seed: int = 7, world_seed: int = SEED) -> Domain:
    return all_domains()[name](world(world_seed, USERS), seed)


def records(name: str, index: Any, seed: int = 7, world_seed: int = SEED) -> pa.RecordBatch:
    return domain(name, seed, world_seed).records(index, CLOCK.times(index))


def rows(name: str, index: Any, seed: int = 7, world_seed: int = SEED) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = records(name, index, seed, world_seed).to_pylist()
    return listed


def lines(name: str, count: int) -> bytes:
    index = np.arange(count)
    time_us = CLOCK.times(index)
    batch = enveloped("00000000-0000-4000-8000-000000000000", time_us, domain(name).records(index, time_us))
    return b"".join(jsonl.encode(batch, "\n").to_pylist())


def test_there_are_the_three_of_the_contract() -> None:
    assert [*all_domains()][:3] == NAMES
    assert [all_domains()[name].destination for name in NAMES] == ["user-profiles", "device-logs", "transactions"]


@pytest.mark.parametrize("name", NAMES)
def test_fields_are_those_of_the_contract(name: str) -> None:
    assert [*rows(name, np.arange(1))[0]] == FIELDS[name].split(", ")
    assert domain(name).schema.names == FIELDS[name].split(", ")


@pytest.mark.parametrize("name", NAMES)
def test_columns_have_the_types_of_the_schema_and_nulls_only_where_it_says_so(name: str) -> None:
    batch = records(name, np.arange(5000))
    for field in domain(name).schema:
        column = batch.column(field.name)
        decoded = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        assert decoded == field.type, field.name
        assert len(column) == 5000
        if not field.nullable:
            assert column.null_count == 0, field.name
        else:
            assert 0 < column.null_count < 5000, field.name


@pytest.mark.parametrize("name", NAMES)
def test_records_validate_against_the_json_schema_that_is_served(name: str) -> None:
    schema = record_schema(name, domain(name).schema)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    for line in lines(name, 300).splitlines():
        validator.validate(json.loads(line))


@pytest.mark.parametrize("name", NAMES)
def test_the_json_schema_refuses_records_that_lack_a_field_or_have_a_wrong_type(name: str) -> None:
    validator = jsonschema.Draft202012Validator(record_schema(name, domain(name).schema))
    data = rows(name, np.arange(1))[0]
    whole = {"emulation_id": str(uuid.uuid4()), "timestamp": 1.5, "data": data}
    assert validator.is_valid(whole)
    for field in data:
        assert not validator.is_valid({**whole, "data": {key: data[key] for key in data if key != field}}), field
        assert not validator.is_valid({**whole, "data": {**data, field: [1]}}), field
    assert not validator.is_valid({**whole, "timestamp": "now"})


@pytest.mark.parametrize("name", NAMES)
def test_any_split_of_the_range_gives_the_same_records(name: str) -> None:
    whole = rows(name, np.arange(1000))
    for bounds in ([0, 1, 2, 500, 1000], [0, 333, 999, 1000]):
        split = [row for i, j in itertools.pairwise(bounds) for row in rows(name, np.arange(i, j))]
        assert split == whole
    backwards = rows(name, np.arange(1000)[::-1])
    assert backwards[::-1] == whole
    assert rows(name, np.array([777]))[0] == whole[777]


@pytest.mark.parametrize("name", NAMES)
def test_no_index_gives_no_record(name: str) -> None:
    assert rows(name, np.arange(0)) == []


def test_another_process_makes_the_same_records() -> None:
    script = (
        "import hashlib, sys; sys.path.insert(0, sys.argv[1]); import test_domains as t;"
        "print([hashlib.sha256(t.lines(name, 5000)).hexdigest() for name in t.NAMES])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent)],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert done.stdout.strip() == str([hashlib.sha256(lines(name, 5000)).hexdigest() for name in NAMES])


@pytest.mark.parametrize("name", ["device-log", "transaction"])
def test_another_seed_gives_other_records_about_the_same_users(name: str) -> None:
    one, other = rows(name, np.arange(5000), seed=1), rows(name, np.arange(5000), seed=2)
    own_id = domain(name).schema.names[0]
    assert {row[own_id] for row in one}.isdisjoint(row[own_id] for row in other)
    assert [row["user_id"] for row in one] != [row["user_id"] for row in other]
    assert not {row["user_id"] for row in one}.isdisjoint(row["user_id"] for row in other)


@pytest.mark.parametrize("name", NAMES)
def test_another_world_has_other_users(name: str) -> None:
    here = {row["user_id"] for row in rows(name, np.arange(5000), world_seed=1)}
    assert here.isdisjoint(row["user_id"] for row in rows(name, np.arange(5000), world_seed=2))


def test_profiles_belong_to_the_world_and_not_to_the_emulation() -> None:
    assert rows("user-profile", np.arange(500), seed=1) == rows("user-profile", np.arange(500), seed=2)


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_unique_and_valid_version_4_uuids(name: str) -> None:
    ids = records(name, np.arange(200_000)).column(0)
    assert pc.count_distinct(ids).as_py() == 200_000
    for text in ids[:2000].to_pylist():
        parsed = uuid.UUID(text)
        assert (parsed.version, parsed.variant) == (4, uuid.RFC_4122)
        assert str(parsed) == text


@pytest.mark.parametrize("name", ["device-log", "transaction"])
def test_every_user_is_one_of_the_profiles_of_the_same_world(name: str) -> None:
    profiles = records("user-profile", np.arange(USERS)).column("user_id")
    users = records(name, np.arange(200_000)).column("user_id")
    assert pc.all(pc.is_in(users, value_set=profiles)).as_py()


def test_activity_is_zipf_like() -> None:
    counts = pc.value_counts(records("transaction", np.arange(200_000)).column("user_id")).field("counts")
    busiest = np.sort(counts.to_numpy())[::-1]
    assert len(busiest) > USERS * 0.9
    ranks = np.arange(1, 301)
    slope = np.polyfit(np.log(ranks), np.log(busiest[:300]), 1)[0]
    assert -0.9 < slope < -0.7  # world.ACTIVITY_ZIPF_EXPONENT is 0.8


def test_devices_are_few_reused_and_always_the_same() -> None:
    by_user: dict[str, set[str]] = {}
    by_device: dict[str, set[tuple[str, ...]]] = {}
    uses = 0
    for row in rows("device-log", np.arange(50_000)):
        uses += 1
        by_user.setdefault(row["user_id"], set()).add(row["device_id"])
        what = (row["user_id"], row["device_type"], row["os"], row["user_agent"])
        by_device.setdefault(row["device_id"], set()).add(what)
    assert {len(devices) for devices in by_user.values()} == {1, 2, 3}
    assert all(len(what) == 1 for what in by_device.values())
    assert uses > 2 * len(by_device)


@pytest.mark.parametrize("name", ["device-log", "transaction"])
def test_the_home_country_is_dominant_for_each_user(name: str) -> None:
    home = {row["user_id"]: row["country"] for row in rows("user-profile", np.arange(USERS))}
    seen: dict[str, list[bool]] = {}
    for row in rows(name, np.arange(50_000)):
        seen.setdefault(row["user_id"], []).append(row["location"]["country"] == home[row["user_id"]])
    shares = [sum(at_home) / len(at_home) for at_home in seen.values() if len(at_home) >= 20]
    assert len(shares) > 100
    assert min(shares) > 0.5
    everywhere = [each for at_home in seen.values() for each in at_home]
    assert 0.9 < sum(everywhere) / len(everywhere) < 1


def test_payments_are_in_the_currency_of_the_home_country() -> None:
    home = {row["user_id"]: row["country"] for row in rows("user-profile", np.arange(USERS))}
    currencies: dict[str, set[str]] = {}
    for row in rows("transaction", np.arange(20_000)):
        currencies.setdefault(home[row["user_id"]], set()).add(row["currency"])
    assert all(len(used) == 1 for used in currencies.values())
    assert currencies["US"] == {"USD"}
    assert currencies["DE"] == currencies["FR"] == {"EUR"}


def test_payments_are_positive_amounts_of_whole_cents_and_few_are_fraud() -> None:
    batch = records("transaction", np.arange(200_000))
    amounts = batch.column("amount").to_numpy()
    assert amounts.min() >= 0.01
    assert np.allclose(np.rint(amounts * 100), amounts * 100, atol=1e-6)
    assert 28 < np.median(amounts) < 32
    frauds = pc.sum(batch.column("is_fraud")).as_py()
    assert abs(frauds - 1000) < 3 * 32  # half a percent, within three standard deviations


def test_nothing_in_a_session_is_later_than_its_record() -> None:
    index = np.arange(20_000)
    for row, time_us in zip(rows("device-log", index), CLOCK.times(index).tolist(), strict=True):
        written = iso(time_us)
        assert row["login_timestamp"] <= (row["logout_timestamp"] or written) <= written
    assert sum(row["logout_timestamp"] is None for row in rows("device-log", index)) in range(2000, 2800)


def test_a_payment_happens_at_the_time_of_its_record() -> None:
    index = np.arange(5000)
    assert [row["timestamp"] for row in rows("transaction", index)] == [iso(t) for t in CLOCK.times(index).tolist()]


def test_a_profile_is_of_an_adult_who_signed_up_in_the_past() -> None:
    for row in rows("user-profile", np.arange(5000)):
        assert row["date_of_birth"][:4] < row["signup_date"][:4]
        assert int(row["signup_date"][:4]) - int(row["date_of_birth"][:4]) in range(17, 82)
        assert row["signup_date"] <= iso(NOW_US)
        assert row["email"].isascii()
        assert row["email"].partition("@")[2].startswith("example.")
        assert 300 <= row["credit_score"] <= 850
        risk = "low" if row["credit_score"] >= 700 else "medium" if row["credit_score"] >= 600 else "high"
        assert row["risk_level"] == risk


def test_the_clock_counts_from_its_start_by_its_step() -> None:
    assert EventClock(1000, 2.5).times(np.arange(4)).tolist() == [1000, 1002, 1005, 1007]
    assert CLOCK.times(np.array([10**9])).tolist() == [NOW_US + 500 * 10**9]


def test_profiles_go_on_beyond_the_active_users() -> None:
    more = World(SEED, 10)
    index = np.arange(0, 30_000)
    ids = all_domains()["user-profile"](more, 1).records(index, CLOCK.times(index)).column("user_id")
    assert pc.count_distinct(ids).as_py() == 30_000


def iso(time_us: int) -> str:
    stamp = np.datetime64(time_us // 1000, "ms")
    return f"{stamp}Z"
