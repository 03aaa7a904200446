from __future__ import annotations

import random

import pytest

from include.exceptions import DataEmulatorUnavailableError
from include.retry import RetryPolicy

POLICY = RetryPolicy(attempts=5, backoff_base_s=1.0, backoff_cap_s=30.0)


def test_the_wait_doubles_up_to_the_cap_with_equal_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[float, float]] = []
    monkeypatch.setattr(random, "uniform", lambda low, high: drawn.append((low, high)) or high)
    assert [POLICY.wait_s(n, None) for n in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]
    assert all(low == high / 2 for low, high in drawn)


def test_the_default_policy_outlasts_two_minutes_of_refused_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary redeployment of the service; with the shortest waits that can be drawn."""
    monkeypatch.setattr(random, "uniform", lambda low, high: low)
    policy = RetryPolicy()
    assert sum(policy.wait_s(failed, None) for failed in range(1, policy.attempts)) > 120


def test_an_outage_of_any_length_has_a_wait() -> None:
    assert POLICY.wait_s(100_000, None) <= 30.0


def test_retry_after_is_honoured_up_to_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    assert POLICY.wait_s(1, DataEmulatorUnavailableError("busy", retry_after_s=12)) == 12
    assert POLICY.wait_s(1, DataEmulatorUnavailableError("busy", retry_after_s=3600)) == 30
    assert POLICY.wait_s(5, DataEmulatorUnavailableError("busy", retry_after_s=2)) == 16
