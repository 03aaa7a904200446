"""A million records of each domain are realistic, by every check of the report; and the checks notice what is not.

`pytest -rP tests/realism` shows each statistic with its bounds.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console
from rich.table import Table

from data_emulator.domains.fraud import SCENARIOS
from data_emulator.report.checks import Check, checks
from data_emulator.report.leaks import best_rules
from data_emulator.report.sample import Sample

SEED = 20
RECORDS = 1_000_000
USERS = 10_000
FRAUD_SHARE = 0.005


def show(title: str, found: list[Check]) -> None:
    table = Table("check", "value", "from", "to", "source", title=title)
    for check in found:
        table.add_row(check.name, f"{check.value:.5g}", f"{check.low:.5g}", f"{check.high:.5g}", check.source)
    Console(width=170).print(table)


def failing(sample: Sample) -> set[str]:
    return {check.name for check in checks(sample) if not check.holds}


@pytest.mark.parametrize("domain", ["user-profile", "device-log", "transaction"])
def test_a_million_records_are_realistic(domain: str) -> None:
    found = checks(Sample.draw(domain, SEED, RECORDS, USERS, FRAUD_SHARE))
    show(f"{domain}: {RECORDS:,} records, seed {SEED}", found)
    assert len(found) > 10
    assert [check for check in found if not check.holds] == []


def test_no_rule_on_a_single_field_finds_fraud() -> None:
    rules = best_rules(Sample.draw("transaction", SEED, 300_000, USERS, FRAUD_SHARE))
    fields = {rule.field.partition(":")[0] for rule in rules}
    assert fields == {
        "transaction_id", "user_id", "amount", "currency", "merchant", "timestamp", "location.city",
        "location.country", "location.latitude", "location.longitude",
    }  # fmt: skip
    table = Table("field", "precision", "recall", title="the best rules on a single field, of all")
    for rule in rules[:10]:
        table.add_row(rule.field, f"{rule.precision:.3f}", f"{rule.recall:.3f}")
    Console(width=120).print(table)
    assert rules[0].worth < 0.5  # 0.9 is asked for


@pytest.fixture(scope="module")
def payments() -> Sample:
    return Sample.draw("transaction", SEED, 200_000, USERS, FRAUD_SHARE)


def with_column(sample: Sample, name: str, values: Any) -> Sample:
    position = sample.table.schema.get_field_index(name)
    table = sample.table.set_column(position, name, pa.chunked_array([pa.array(values)]))
    return dataclasses.replace(sample, table=table)


def notices(sample: Sample, part_of_name: str) -> bool:
    return any(part_of_name in name for name in failing(sample))


def test_fewer_records_are_as_realistic(payments: Sample) -> None:
    assert failing(payments) == set()


def test_uniform_amounts_are_noticed(payments: Sample) -> None:
    amounts = np.round(np.random.default_rng(1).uniform(1, 10_000, len(payments)), 2)
    found = failing(with_column(payments, "amount", amounts))
    assert {"median amount", "mean amount"} <= found
    assert any("KS distance from N(3.41" in name for name in found)


def test_amounts_that_are_a_little_off_are_noticed(payments: Sample) -> None:
    assert notices(with_column(payments, "amount", payments.floats("amount") * 1.05), "KS distance from N(3.41")


def test_unrounded_amounts_of_fraud_are_noticed(payments: Sample) -> None:
    fraud = payments.values("is_fraud").to_numpy(zero_copy_only=False)
    cents = np.rint(payments.floats("amount") * 100)
    honest_end_in_95 = np.where(fraud, cents, cents // 100 * 100 + 95) / 100
    assert notices(with_column(payments, "amount", honest_end_in_95), "best rule on a single field (amount")


def test_a_place_that_gives_fraud_away_is_noticed(payments: Sample) -> None:
    fraud = payments.values("is_fraud").to_numpy(zero_copy_only=False)
    names = np.where(fraud, "Bad Shop", np.array(payments.values("merchant").to_pylist(), dtype=object))
    assert notices(with_column(payments, "merchant", names.tolist()), "best rule on a single field (merchant")


def test_too_much_fraud_is_noticed(payments: Sample) -> None:
    more = dataclasses.replace(payments, world=type(payments.world)(SEED, USERS, 0.0035))
    assert notices(more, "fraud, share of payments")


def test_scattered_fraud_is_noticed(payments: Sample) -> None:
    shuffled = np.random.default_rng(1).permutation(len(payments))
    table = payments.table.take(pa.array(shuffled))
    found = failing(dataclasses.replace(payments, table=table))
    assert {f"{scenario}: payments in a burst, mean" for scenario in SCENARIOS[:4]} <= found


def test_labels_on_honest_payments_are_noticed(payments: Sample) -> None:
    labels = ["baseline"] * len(payments)
    assert notices(
        with_column(payments, "fraud_scenario", labels), "fraud without, or honest payments with, a scenario"
    )


def test_users_nobody_knows_are_noticed(payments: Sample) -> None:
    ids = payments.values("user_id").to_pylist()
    ids[7] = ids[7][::-1]
    assert notices(with_column(payments, "user_id", ids), "user ids that are a user-profile's")


def test_ids_that_come_twice_are_noticed(payments: Sample) -> None:
    ids = payments.values("transaction_id").to_pylist()
    ids[7] = ids[8]
    assert notices(with_column(payments, "transaction_id", ids), "ids that are unique")


def test_places_without_a_home_are_noticed(payments: Sample) -> None:
    shuffled = payments.values("location").take(pa.array(np.random.default_rng(1).permutation(len(payments))))
    assert notices(with_column(payments, "location", shuffled), "records in the user's home country")


def test_even_times_are_noticed(payments: Sample) -> None:
    first, last = int(payments.time_us[0]), int(payments.time_us[-1])
    even = dataclasses.replace(payments, time_us=np.linspace(first, last, len(payments)).astype(np.int64))
    assert {name.partition(":")[0] for name in failing(even)} == {"time of day", "weekdays", "December"}


def test_times_in_the_future_are_noticed(payments: Sample) -> None:
    moved = dataclasses.replace(payments, time_us=payments.time_us + 86_400_000_000)
    assert notices(moved, "records before or behind the range asked for")
    backwards = dataclasses.replace(payments, time_us=payments.time_us[::-1])
    assert notices(backwards, "records earlier than the one before")


def test_a_new_device_each_time_is_noticed() -> None:
    sessions = Sample.draw("device-log", SEED, 100_000, USERS, FRAUD_SHARE)
    found = failing(with_column(sessions, "device_id", sessions.values("log_id")))
    assert {"devices of a user, the most", "sessions a device, mean"} <= found
