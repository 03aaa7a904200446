"""What `up` says when it cannot begin."""

from pathlib import Path

import pytest

from data_emulator.stack import folders
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
