"""What `up` says when it cannot begin, and of the stack before."""

import time
from pathlib import Path

import pytest

from data_emulator.stack import folders
from data_emulator.stack import up as up_module
from data_emulator.stack.addresses import Addresses
from data_emulator.stack.incidents import Incident, record_incident
from data_emulator.stack.processes import StackError
from data_emulator.stack.up import up


def test_a_folder_that_cannot_be_written_is_an_error_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(folders, "up_dir", lambda: tmp_path / "file" / "up")
    assert up(airflow=False) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
    assert str(tmp_path / "file") in printed


def test_the_end_of_the_stack_before_is_told_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(run_dir: Path, airflow: bool) -> Addresses:
        raise StackError("no broker")

    monkeypatch.setattr(folders, "up_dir", lambda: tmp_path)
    monkeypatch.setattr(up_module, "_start", fail)
    record_incident(tmp_path, Incident(time.time(), "tansu died (exit status 1)", server="tansu", final=True))
    assert up(airflow=False) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("The last stack ended by itself at 20")
    assert first.endswith(": tansu died (exit status 1).")
    assert last == "error: no broker"
