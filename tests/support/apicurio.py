"""Apicurio Registry, which speaks the REST API of Confluent's schema registry: fetched by Maven once, run by Java."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

import httpx

from data_emulator.stack.ports import LOOPBACK
from data_emulator.stack.processes import Child, Command, Supervisor
from tests.support import apache_kafka_jars

_POM_PATH = Path(__file__).with_name("apicurio_pom.xml")
_FETCH_TIMEOUT_S = 900
_READY_TIMEOUT_S = 120


def fetch(cache_dir: Path) -> Path:
    """Return the folder with the registry. It appears in `cache_dir` when it is whole, and not before."""
    kept = cache_dir / "apicurio-registry"
    if (kept / "pom.xml").exists() and (kept / "pom.xml").read_bytes() == _POM_PATH.read_bytes():
        return kept
    part = kept.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    shutil.copyfile(_POM_PATH, part / "pom.xml")
    goal = ["dependency:copy-dependencies", "-DoutputDirectory=."]
    maven = subprocess.run(
        ["mvn", "--batch-mode", "--quiet", "--strict-checksums", *goal],
        cwd=part,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_FETCH_TIMEOUT_S,
        check=False,
    )
    assert maven.returncode == 0, f"Maven could not fetch Apicurio Registry:\n{maven.stdout[-2000:]}"
    (archive,) = part.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(part, filter="data")
    archive.unlink()
    shutil.rmtree(kept, ignore_errors=True)
    part.replace(kept)
    return kept


class ApicurioRegistry:
    """A registry that keeps its schemas in memory. `url` is where it speaks as Confluent's does."""

    def __init__(self, supervisor: Supervisor, *, folder: Path, log_path: Path, port: int) -> None:
        self._supervisor = supervisor
        self._folder = folder
        self._log_path = log_path
        self._port = port
        self._child: Child | None = None
        self.url = f"http://{LOOPBACK}:{port}/apis/ccompat/v7"

    def start(self) -> None:
        """Start it, and return when it answers."""
        (runner,) = self._folder.glob("*-runner.jar")
        command = Command(
            name="apicurio-registry",
            argv=(
                str(apache_kafka_jars.java_path()),
                "-Xmx512m",
                f"-Dquarkus.http.host={LOOPBACK}",
                f"-Dquarkus.http.port={self._port}",
                "-jar",
                str(runner),
            ),
            log_path=self._log_path,
            cleared_prefixes=("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"),
        )
        self._child = self._supervisor.start(command, self._is_ready, timeout_s=_READY_TIMEOUT_S)

    def stop(self) -> None:
        """End it."""
        if self._child is not None:
            self._supervisor.stop(self._child)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/subjects", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False
