"""The recipes of the images, carried out without Docker: their install steps, in fresh and empty environments."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from data_emulator.stack.ports import PortReservation
from tests import dockerfile

ROOT = Path(__file__).parent.parent
SERVICE_RECIPE = ROOT / "docker" / "service.Dockerfile"

pytestmark = pytest.mark.integration


def locked_versions() -> dict[str, set[str]]:
    """Every version of each package in the lock: markers may choose between several."""
    versions: dict[str, set[str]] = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        requirement = line.split(" ;")[0].strip()
        if "==" in requirement and not requirement.startswith("#"):
            name, version = requirement.split("==")
            versions.setdefault(name, set()).add(version)
    return versions


def installed_in(python: Path) -> dict[str, str]:
    """Name and version of what is installed there; read by that interpreter itself."""
    program = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    found: dict[str, str] = json.loads(run([str(python), "-I", "-c", program]).stdout)
    return {name.lower().replace("_", "-"): version for name, version in found.items()}


def run(
    command: list[str], *, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run to the end; what it printed is in the error when it fails."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done


@dataclass(frozen=True)
class ServiceImage:
    """What the service's recipe makes; `venv` stands for /opt/venv, and `state_dir` for /var/lib/data-emulator."""

    stage: dockerfile.Stage
    venv: Path
    state_dir: Path

    def environment(self, **more: str) -> dict[str, str]:
        """What a container's process would find set, and nothing else."""
        environment = {"PATH": os.defpath, **self.stage.environment()}
        environment["PATH"] = environment["PATH"].replace("$PATH", os.defpath)
        return {name: self._here(value) for name, value in environment.items()} | more

    def command(self) -> list[str]:
        """What a container runs."""
        program, *arguments = self.stage.the("ENTRYPOINT").exec_form() + self.stage.the("CMD").exec_form()
        return [str(self.venv / "bin" / program), *arguments]

    def healthcheck(self) -> list[str]:
        """What tells whether a container is healthy."""
        program, *arguments = self.stage.the("HEALTHCHECK").exec_form()
        return [str(self.venv / "bin" / program), *arguments]

    def _here(self, value: str) -> str:
        return value.replace("/opt/venv", str(self.venv)).replace("/var/lib/data-emulator", str(self.state_dir))


@pytest.fixture(scope="module")
def service_image(tmp_path_factory: pytest.TempPathFactory) -> ServiceImage:
    """The first stage's steps carried out, in order, on a Python without packages."""
    base = tmp_path_factory.mktemp("service-image")
    source, venv, bare = base / "src", base / "venv", base / "bare"
    (base / "state").mkdir()
    run([sys.executable, "-m", "venv", str(bare)])
    environment = {"PATH": f"{bare / 'bin'}:{os.defpath}", "HOME": os.environ["HOME"]}
    for name in ("http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE"):
        for variable in (name, name.upper()):
            if variable in os.environ:
                environment[variable] = os.environ[variable]
    for name in os.environ:
        if name.startswith(("PIP_", "UV_")):  # where packages come from
            environment[name] = os.environ[name]

    build, final = dockerfile.read(SERVICE_RECIPE)
    for instruction in build.instructions:
        if instruction.name == "WORKDIR":
            assert instruction.value == "/src"
            source.mkdir()
        elif instruction.name == "COPY":
            copy(instruction.value.split(), source)
        elif instruction.name == "RUN":
            command = instruction.value.replace("/opt/venv", str(venv))
            run(["sh", "-e", "-c", command], cwd=source, env=environment)
        else:
            pytest.fail(f"the first stage has an instruction that this test does not carry out: {instruction}")
    shutil.rmtree(source)  # the second stage does not have it
    return ServiceImage(final, venv, base / "state")


def copy(paths: list[str], to: Path) -> None:
    """As COPY does: files into the folder, a folder's content into the folder named."""
    *origins, destination = paths
    for origin in origins:
        if (ROOT / origin).is_dir():
            shutil.copytree(ROOT / origin, to / destination, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / origin, to / destination)


def test_the_service_image_holds_the_locked_service_and_no_airflow(service_image: ServiceImage) -> None:
    installed = installed_in(service_image.venv / "bin" / "python")
    assert installed.pop("lakehouse-data-emulator")
    locked = locked_versions()
    assert {name: version for name, version in installed.items() if version not in locked.get(name, ())} == {}
    assert {"fastapi", "confluent-kafka", "obstore"} <= installed.keys()
    assert [name for name in installed if "airflow" in name] == []

    program = (
        "import importlib.util as u; print([n for n in ('airflow', 'include', 'pytest', 'pip') if u.find_spec(n)])"
    )
    found = run([str(service_image.venv / "bin" / "python"), "-c", program], cwd=service_image.state_dir)
    assert found.stdout.strip() == "[]"


@pytest.fixture
def port() -> int:
    with PortReservation(1) as reservation:
        return int(reservation.ports[0])


@pytest.fixture
def container(service_image: ServiceImage, port: int) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The image's process, with a token, and its environment."""
    # Not on all of this machine's addresses, as it would be in a container's own network.
    environment = service_image.environment(
        DATA_EMULATOR_PORT=str(port),
        DATA_EMULATOR_HOST="127.0.0.1",
        DATA_EMULATOR_TOKEN="a-token",
        DATA_EMULATOR_WORKERS="1",
    )
    process = subprocess.Popen(
        service_image.command(),
        env=environment,
        cwd=service_image.state_dir,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process, environment
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
        process.communicate()


def test_the_service_image_answers_and_its_healthcheck_sees_it(
    service_image: ServiceImage, container: tuple[subprocess.Popen[str], dict[str, str]]
) -> None:
    process, environment = container
    url = f"http://127.0.0.1:{environment['DATA_EMULATOR_PORT']}"
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=5) as answer:
                assert json.load(answer) == {"status": "ok"}
            break
        except OSError:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline, "the service does not answer"
            time.sleep(0.2)
    run(service_image.healthcheck(), env=environment)
    assert (service_image.state_dir / "emulations.db").exists()
    with pytest.raises(urllib.request.HTTPError, match="401"):
        urllib.request.urlopen(f"{url}/emulator/", timeout=5)

    process.terminate()  # as `docker stop` does
    process.wait(30)
    unhealthy = subprocess.run(service_image.healthcheck(), env=environment, capture_output=True, check=False)
    assert unhealthy.returncode != 0


def test_the_service_image_does_not_start_without_a_token(service_image: ServiceImage) -> None:
    refused = subprocess.run(
        service_image.command(),
        env=service_image.environment(),
        cwd=service_image.state_dir,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert refused.returncode == 2
    assert "set DATA_EMULATOR_TOKEN" in refused.stderr


def test_the_service_image_runs_without_privileges() -> None:
    _, final = dockerfile.read(SERVICE_RECIPE)
    user = final.the("USER").value
    created = final.values("RUN")[0]
    assert created.split(" && ")[0].split()[-1] == user
    assert f"--owner={user}" in created
    assert final.environment()["DATA_EMULATOR_PORT"] == final.the("EXPOSE").value
    assert final.the("WORKDIR").value in created


def test_the_astro_image_registers_the_connection_type_from_the_project_folder(tmp_path: Path) -> None:
    # The Runtime image copies the project before the one RUN of ours.
    (stage,) = dockerfile.read(ROOT / "Dockerfile")
    project = tmp_path / "airflow"
    project.mkdir()
    for name in ("dags", "include", "data_emulator", "setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        copy([name, name], project)
    run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")])
    python = tmp_path / "venv" / "bin" / "python"
    command = stage.the("RUN").value
    assert command.startswith("uv pip install --system ")
    assert stage.values("USER")[-1] == "astro"
    uv = Path(sys.executable).with_name("uv")
    run(["sh", "-c", command.replace("uv ", f"{uv} ", 1).replace("--system", f"--python {python}")], cwd=project)

    assert installed_in(python).keys() == {"lakehouse-data-emulator"}
    program = (
        "from importlib.metadata import entry_points\n"
        "(entry,) = entry_points(group='apache_airflow_provider')\n"
        "info = entry.load()()\n"
        "from importlib.util import find_spec\n"
        "(kind,) = info['connection-types']\n"
        "hook = find_spec(kind['hook-class-name'].rpartition('.')[0])\n"
        "print(entry.dist.name, info['package-name'], kind['connection-type'], hook.origin, find_spec('include'))"
    )
    printed = run([str(python), "-c", program], cwd=tmp_path).stdout.split()
    assert printed[:3] == ["lakehouse-data-emulator", "lakehouse-data-emulator", "data_emulator"]
    assert Path(printed[3]) == project / "include" / "hooks" / "data_emulator.py"
    assert printed[4] == "None", "no project's own include is hidden"
    by_name = {"PYTHONPATH": str(project)}  # as on Astro: then the hook is the class that DAGs import
    assert run([str(python), "-c", program + "\nprint(hook.name)"], cwd=tmp_path, env=by_name).stdout.split()[-1] == (
        "include.hooks.data_emulator"
    )
