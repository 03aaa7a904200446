"""The sink for a folder where it is more, or less, than a bucket: what its files are is in `test_objects`."""

from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from data_emulator.errors import SinkError, SinkUnavailable
from data_emulator.model import Checkpoint
from data_emulator.settings import Settings
from data_emulator.sinks import file
from data_emulator.sinks.catalog import SINKS
from data_emulator.sinks.file import FileTarget, Folder
from tests.support.writing import FilePlace, encoded, records, sink, write_all


@contextmanager
def no_room_beyond(size: int) -> Iterator[None]:
    """Refuse this process files larger than that, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def target(root: Path) -> FileTarget:
    return FileTarget(Settings(file_root=root))


def test_the_folder_and_the_bucket_in_it_are_created(tmp_path: Path) -> None:
    root = tmp_path / "with a blank" / "ü"
    target(root).check()
    assert [*root.iterdir()] == []
    target(root).prepare("transactions")
    target(root).prepare("transactions")
    assert [each.name for each in root.iterdir()] == ["transactions"]
    assert [*(root / "transactions").iterdir()] == []


@pytest.mark.parametrize("where", ["data", "data/below"])
def test_a_file_in_its_place_is_named(tmp_path: Path, where: str) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(SinkUnavailable, match=f"{tmp_path}/data.* is not a folder .*DATA_EMULATOR_FILE_ROOT"):
        target(tmp_path / where).prepare("transactions")


def test_a_folder_without_room_is_told(tmp_path: Path) -> None:
    with no_room_beyond(100), pytest.raises(SinkUnavailable, match=f"folder {tmp_path} cannot be written.*: File too"):
        target(tmp_path).check()


def test_a_folder_that_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(file.tempfile, "TemporaryFile", refuse)  # root, as whom tests may run, is refused nothing
    with pytest.raises(SinkUnavailable, match=f"folder {tmp_path}/made cannot be written.*: Permission denied"):
        target(tmp_path).prepare("made")


async def test_a_full_disk_is_an_outage_that_ends(tmp_path: Path) -> None:
    opened, prefix = sink(Folder(tmp_path), max_bytes=3000)
    values = records(100)
    with no_room_beyond(2000):
        where = rf"file {tmp_path}/{prefix}/part-\d+.json"
        with pytest.raises(SinkError, match=f"{where}: .*File too large") as caught:
            await write_all(opened, values)
        assert not caught.value.permanent
        assert await opened.roll_back() == 0
    written = await write_all(opened, values)
    there = FilePlace(tmp_path).objects(prefix)
    assert [each.key for each in written] == [*there]
    assert b"".join(there.values()) == b"".join(values)


async def test_what_arrived_behind_a_failure_is_deleted(tmp_path: Path) -> None:
    """A file for which there was room after one for which there was none is in no manifest."""
    opened, prefix = sink(Folder(tmp_path), max_bytes=3000)
    values = [b"a" * 999 + b"\n", b"b" * 2999 + b"\n", b"c" * 999 + b"\n"]
    with no_room_beyond(2000), pytest.raises(SinkError):
        await write_all(opened, values)
    await opened.roll_back()
    await opened.finish()
    written = opened.take_written().objects
    assert [*FilePlace(tmp_path).objects(prefix)] == [each.key for each in written]


async def test_what_a_kill_left_unfinished_is_deleted(tmp_path: Path) -> None:
    """A worker that had not told of anything yet leaves half a file, and files that its successor will not reach."""
    opened, prefix = sink(Folder(tmp_path), checkpoint=Checkpoint(is_resumed=True))
    for name in ("part-000000000.json#1", "part-000000004.json", "part-000000004.json#12"):
        (tmp_path / prefix).mkdir(exist_ok=True)
        (tmp_path / prefix / name).write_text("left")
    await write_all(opened, records(10))
    assert [*FilePlace(tmp_path).objects(prefix)] == [f"{prefix}/part-000000000.json"]


async def test_what_is_told_of_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []

    def sync(path: Path) -> None:
        assert path.exists()
        synced.append(path)

    monkeypatch.setattr(file, "_sync", sync)
    opened, prefix = sink(Folder(tmp_path), max_bytes=1000)
    await opened.write(encoded(records(20)))
    await opened.finish()
    written = [tmp_path / each.key for each in opened.take_written().objects]
    assert len(written) > 1
    assert {*written, tmp_path / prefix, tmp_path} == {*synced}


async def test_a_folder_that_was_deleted_is_a_lasting_error(tmp_path: Path) -> None:
    folder = tmp_path / "transactions"
    folder.mkdir()
    opened, _ = sink(Folder(folder), max_bytes=500)
    await write_all(opened, records(20))
    shutil.rmtree(folder)
    folder.mkdir()
    with pytest.raises(SinkError, match=f"folder {folder} was deleted or replaced") as caught:
        await write_all(opened, records(20))
    assert caught.value.permanent


async def test_a_folder_that_is_away_is_waited_for(tmp_path: Path) -> None:
    """A share that is not mounted yet when the service goes on must not fail what had been written to it."""
    folder = tmp_path / "transactions"
    opened, _ = sink(Folder(folder))
    with pytest.raises(SinkError, match="No such file or directory") as caught:
        await write_all(opened, records(10))
    assert not caught.value.permanent
    folder.mkdir()
    await opened.roll_back()
    assert len(await write_all(opened, records(10))) == 1


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_refusal_is_lasting(tmp_path: Path, number: int) -> None:
    folder = Folder(tmp_path)
    assert folder.is_permanent(OSError(number, os.strerror(number)))
    assert folder.is_permanent(Exception(f"Generic error: Unable to open file x: refused (os error {number})"))
    assert not folder.is_permanent(Exception("Unable to copy data to file: No space left on device (os error 28)"))


def test_the_place_is_a_url(tmp_path: Path) -> None:
    settings = Settings(file_root=tmp_path / "a b")
    assert SINKS["file"].place(settings, "transactions", "id") == f"file://{tmp_path}/a%20b/transactions/id/"


def test_a_relative_folder_is_the_same_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert Settings(file_root=Path("data")).file_root == tmp_path / "data"
    assert Settings(file_root=Path("~/data")).file_root == Path("/home/somebody/data")
