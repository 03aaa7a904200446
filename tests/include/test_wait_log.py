from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from include import wait_log
from include.wait_log import WaitLog
from include.wire.status import EmulationState, EmulationStatus, Waiting


class Log:
    """Keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str, *values: Any) -> None:
        self.lines.append(text % values)

    warning = info


PROCESSING = EmulationStatus("e1", EmulationState.PROCESSING)


def test_progress_is_told_often_at_first_and_then_every_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(wait_log, "time", SimpleNamespace(monotonic=lambda: clock.now))
    wait, told_at = WaitLog(log, "payments (e1)"), []
    for seconds in range(0, 200, 5):
        clock.now = float(seconds)
        before = len(log.lines)
        wait.answered(PROCESSING)
        if len(log.lines) > before:
            told_at.append(seconds)
    assert told_at == [0, 15, 30, 45, 60, 115, 170]
    assert set(log.lines) == {"Emulation payments (e1) is processing"}


def test_a_new_state_is_told_at_once() -> None:
    log = Log()
    wait = WaitLog(log, "e1")
    wait.answered(EmulationStatus("e1", EmulationState.QUEUED))
    wait.answered(PROCESSING)
    wait.answered(PROCESSING)
    assert log.lines == ["Emulation e1 is queued", "Emulation e1 is processing"]


def test_an_outage_is_told_once_and_so_is_its_end() -> None:
    log = Log()
    wait = WaitLog(log, "e1")
    for _ in range(3):
        wait.failed(ConnectionError("refused"))
    wait.answered_again()
    wait.answered_again()
    assert log.lines == [
        "Still waiting for emulation e1, but its status cannot be read for now: refused",
        "The Data Emulator Service answers again",
    ]
    assert wait.last_error is None


def test_what_an_emulation_waits_for_is_told_once_and_so_is_its_end() -> None:
    log = Log()
    wait = WaitLog(log, "payments (e1)")
    away = Waiting("S3 object e1/part-0: no answer", "2026-01-31T12:00:00Z", "2026-01-31T12:05:00Z")
    refused = replace(away, reason="S3 object e1/part-0: 500")  # the same outage, in other words
    for waiting in (None, away, away, refused, away):
        wait.answered(replace(PROCESSING, waiting=waiting))
    held_up = (
        "S3 object e1/part-0: no answer (since 2026-01-31T12:00:00Z; the service gives up at 2026-01-31T12:05:00Z)"
    )
    assert wait.in_the_way == held_up
    for _ in range(2):
        wait.answered(PROCESSING)
    assert log.lines == [
        "Emulation payments (e1) is processing",
        f"Emulation payments (e1) is waiting: {held_up}",
        "Emulation payments (e1) continues: its sink is available again",
    ]
    assert wait.in_the_way is None


def test_a_second_outage_is_told_too() -> None:
    log = Log()
    wait = WaitLog(log, "e1")
    for since in ("2026-01-31T12:00:00Z", "2026-01-31T12:07:00Z"):
        wait.answered(replace(PROCESSING, waiting=Waiting("gone", since)))
    assert log.lines[1:] == [
        "Emulation e1 is waiting: gone (since 2026-01-31T12:00:00Z)",
        "Emulation e1 is waiting: gone (since 2026-01-31T12:07:00Z)",
    ]
