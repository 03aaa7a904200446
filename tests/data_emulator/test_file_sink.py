"""The service with a folder to write to: what it tells, and that it goes on after it was killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_emulator.settings import Settings
from data_emulator.verify.compare import fetch_manifest, write_receipt
from data_emulator.verify.first_records import first_records
from tests.data_emulator.conftest import ServiceFactory
from tests.support import readback
from tests.support.running_service import RunningService, endless, request, wait_until
from tests.support.writing import FilePlace

pytestmark = pytest.mark.integration


def receipt_of(service: RunningService, emulation_id: str) -> tuple[str, ...]:
    return write_receipt(emulation_id, service_url=str(service.http.base_url), settings=Settings()).problems


def test_a_folder_takes_what_a_bucket_takes_also_when_the_service_is_killed(
    serve: ServiceFactory, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    service = serve(FILE_ROOT=root)
    assert service.http.get("/readyz").json()["checks"]["file"] == "ok"
    done = service.post(request(emulator_sync="file", format_type="parquet"))
    status, manifest = service.ended(done), service.manifest(done)
    assert status["place"] == manifest["place"] == f"file://{root}/transactions/{done}/"
    assert (manifest["sink"], manifest["bucket"], manifest["topic"]) == ("file", "transactions", None)
    # Neither of them is told where the folder is: the manifest says so.
    assert receipt_of(service, done) == ()
    read = fetch_manifest(done, service_url=str(service.http.base_url), settings=Settings())
    assert [each["emulation_id"] for each in first_records(read, Settings(), 3)] == [done] * 3

    going = [service.post(endless(emulator_sync="file", sync_type=each)) for each in ("single", "grouped", "chunked")]
    for each in going:
        service.wait_for_records(each, 100)
    service.kill()
    wait_until(lambda: service.pids() == [], "the workers are gone with the service")
    service.start()
    for each in going:
        reached = service.status(each)["progress"]["records"]
        service.wait_for_records(each, reached + 50)
        assert service.http.delete(f"/emulator/{each}").status_code == 202
        assert service.ended(each)["status"]["global_status"] == "cancelled"
        there = FilePlace(root / "transactions").objects(each)
        listed = {one["key"]: one["checksum"] for one in service.manifest(each)["objects"]}
        assert {key: readback.checksum(content) for key, content in there.items()} == listed
        assert receipt_of(service, each) == ("the emulation is cancelled, not completed",)


def test_a_damaged_file_is_found(serve: ServiceFactory, tmp_path: Path) -> None:
    service = serve(FILE_ROOT=tmp_path / "data")
    done = service.post(request(emulator_sync="file"))
    service.ended(done)
    (path,) = (tmp_path / "data" / "transactions" / done).iterdir()
    path.write_bytes(path.read_bytes()[:-10])
    assert any("the manifest says 100 records" in problem for problem in receipt_of(service, done))
    path.unlink()
    assert any("is not in the bucket" in problem for problem in receipt_of(service, done))


def test_without_a_folder_it_is_refused_and_the_variable_named(running: RunningService) -> None:
    answer = running.http.post("/emulator/", json=request(emulator_sync="file"))
    assert answer.status_code == 400
    assert "not configured" in answer.json()["detail"]
    assert "DATA_EMULATOR_FILE_ROOT" in answer.json()["detail"]


def test_a_folder_that_cannot_be_written_to_is_refused_with_the_reason(serve: ServiceFactory, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    service = serve(FILE_ROOT=tmp_path / "data")
    answer = service.http.post("/emulator/", json=request(emulator_sync="file"))
    assert answer.status_code == 400
    assert f"{tmp_path}/data/transactions is not a folder" in answer.json()["detail"]
    readiness = service.http.get("/readyz")
    assert readiness.status_code == 503
    assert "is not a folder" in readiness.json()["checks"]["file"]
