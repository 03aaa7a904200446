from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from include import wait_log
from include.wait_log import WaitLog
from include.wire.status import EmulationState, EmulationStatus


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
