"""How a demo ends: what is printed, what is kept, and that everything is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from data_emulator.demo import demo
from data_emulator.stack.processes import StackError


class FakeStack:
    """A stack that cannot be started, for the reason that a test sets, or that nothing is wrong with."""

    failure: ClassVar[StackError | None] = None
    logs: ClassVar[bool] = True
    stopped: ClassVar[int] = 0

    def __init__(self, run_dir: Path, **_: object) -> None:
        self.run_dir = run_dir

    def start(self, say: object) -> None:
        if self.logs:
            (self.run_dir / "logs").mkdir()
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        type(self).stopped += 1

    def check(self) -> None:
        if self.failure is not None:
            raise self.failure


@pytest.fixture(autouse=True)
def lab_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(demo, "Stack", FakeStack)
    monkeypatch.setattr(demo, "lab_dir", lambda: tmp_path)
    monkeypatch.setattr(FakeStack, "failure", None)
    monkeypatch.setattr(FakeStack, "stopped", 0)
    return tmp_path


def test_a_failure_is_told_once_and_the_logs_are_kept(
    lab_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(FakeStack, "failure", StackError("weed [INFO] has no room"))
    assert demo.run() == 1
    printed = capsys.readouterr().out
    assert printed.count("The demo failed: weed [INFO] has no room") == printed.count("has no room") == 1
    (kept,) = lab_dir.iterdir()
    assert f"The servers' logs are in {kept / 'logs'}" in printed
    assert "What next?" not in printed
    assert FakeStack.stopped == 1


def test_a_demo_that_started_nothing_leaves_nothing(
    lab_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(FakeStack, "failure", StackError("300 MB are free, and 500 MB are needed"))
    monkeypatch.setattr(FakeStack, "logs", False)
    assert demo.run() == 1
    assert capsys.readouterr().out.endswith("\nThe demo failed: 300 MB are free, and 500 MB are needed\n")
    assert list(lab_dir.iterdir()) == []


def test_a_full_disk_is_told_whatever_it_showed_as(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(FakeStack, "failure", StackError("Airflow answered GET /x with 500"))
    monkeypatch.setattr(demo, "full_disk", lambda run_dir: "the disk is full (0 MB free)")
    assert demo.run() == 1
    printed = capsys.readouterr().out
    assert "The demo failed: the disk is full (0 MB free)" in printed
    assert "500" not in printed


def test_a_success_leaves_nothing_and_says_what_to_do_next(
    lab_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "_run", lambda stack: None)
    assert demo.run() == 0
    assert list(lab_dir.iterdir()) == []
    assert "What next?" in capsys.readouterr().out
    assert FakeStack.stopped == 1


def test_nothing_is_waited_for_when_the_stack_cannot_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stack = FakeStack(tmp_path)
    demo._check(stack)  # type: ignore[arg-type]
    monkeypatch.setattr(demo, "full_disk", lambda run_dir: "the disk is full")
    with pytest.raises(StackError, match=r"^the disk is full$"):
        demo._check(stack)  # type: ignore[arg-type]
    monkeypatch.setattr(FakeStack, "failure", StackError("the service died six times"))
    with pytest.raises(StackError, match="died six times"):
        demo._check(stack)  # type: ignore[arg-type]
