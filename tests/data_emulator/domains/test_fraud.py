"""Fraud comes in bursts that are found from the index alone, and makes up the share that is asked for."""

import math

import numpy as np
import pytest

from data_emulator.domains import all_domains
from data_emulator.domains.base import EventClock
from data_emulator.domains.fraud import MAX_FRAUD_SHARE, SCENARIOS, FraudBursts
from data_emulator.domains.world import World

MANY = np.arange(500_000)


@pytest.mark.parametrize("share", [0.001, 0.0017, 0.005, 0.00837, 0.03, 0.07, MAX_FRAUD_SHARE])
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_the_share_is_as_asked_within_three_sigma(share: float, seed: int) -> None:
    sigma = math.sqrt(share * (1 - share) / len(MANY))
    observed = len(FraudBursts(seed, share).among(MANY).row) / len(MANY)
    assert abs(observed - share) < 3 * sigma


def test_no_fraud_when_none_is_asked_for() -> None:
    assert len(FraudBursts(1, 0.0).among(MANY).row) == 0
    payments = all_domains()["transaction"](World(20, 100, fraud_share=0.0), 1)
    batch = payments.records(MANY[:5000], MANY[:5000])
    assert batch.column("is_fraud").true_count == 0
    assert batch.column("fraud_scenario").null_count == 5000


def test_the_domain_has_the_share_of_its_world() -> None:
    payments = all_domains()["transaction"](World(20, 1000, fraud_share=0.03), 1)
    batch = payments.records(MANY[:100_000], EventClock(10**15, 1.0).times(MANY[:100_000]))
    assert abs(batch.column("is_fraud").true_count - 3000) < 3 * math.sqrt(3000)


@pytest.mark.parametrize("share", [0.005, 0.07, MAX_FRAUD_SHARE])
def test_any_part_of_the_index_holds_the_same_fraud(share: float) -> None:
    bursts = FraudBursts(7, share)
    whole = bursts.among(MANY[:20_000])
    expected = dict(
        zip(whole.row.tolist(), zip(whole.burst.tolist(), whole.scenario.tolist(), strict=True), strict=True)
    )
    assert len(expected) == len(whole.row) > 50
    generator = np.random.default_rng(1)
    for index in (
        MANY[:20_000][::-1],
        generator.permutation(20_000),
        np.sort(generator.choice(20_000, 5000, replace=False)),
        np.array([whole.row[3]]),
        np.array([17_000, whole.row[5], 2]),
    ):
        part = bursts.among(index)
        found = {
            int(index[row]): (burst, scenario)
            for row, burst, scenario in zip(part.row.tolist(), part.burst.tolist(), part.scenario.tolist(), strict=True)
        }
        assert found == {i: expected[i] for i in index.tolist() if i in expected}


def test_five_bursts_in_a_row_are_of_the_five_scenarios_in_varying_order() -> None:
    found = FraudBursts(7, 0.005).among(MANY)
    burst, first = np.unique(found.burst, return_index=True)
    scenario = found.scenario[first]
    assert burst.tolist() == list(range(burst[-1] + 1))
    fives = scenario[: len(scenario) // 5 * 5].reshape(-1, 5)
    assert (np.sort(fives, axis=1) == np.arange(len(SCENARIOS))).all()
    assert len({tuple(five) for five in fives.tolist()}) > 50


def test_bursts_are_close_together_and_vary_in_size() -> None:
    found = FraudBursts(7, 0.005).among(MANY)
    for scenario, (fewest, most) in enumerate([(3, 6), (6, 12), (4, 8), (2, 4), (1, 1)]):
        rows = [found.row[found.burst == burst] for burst in np.unique(found.burst[found.scenario == scenario])]
        assert {len(each) for each in rows} == set(range(fewest, most + 1))
        assert max(np.ptp(each) for each in rows) < 100
        assert all((np.diff(each) > 0).all() for each in rows)
