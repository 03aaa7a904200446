"""The documentation says what is so: its requests are sent, its tables compared with the code, its links followed."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from airflow.sdk import Connection
from packaging.requirements import Requirement

from data_emulator.domains import ENTRY_POINT_GROUP, all_domains
from data_emulator.settings import Settings
from data_emulator.stack import airflow_setup
from data_emulator.stack.ports import PortReservation
from data_emulator.stack.processes import Supervisor
from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.service import Service
from data_emulator.stack.tansu import Tansu
from data_emulator.wire import EmulationRequest
from include.connection import OWN_FIELDS, ConnectionSettings
from include.domain_list import parse_domain_list
from include.domain_list.fields import FIELDS
from include.emulations import DEFAULT_POOL
from include.retry import TRANSIENT_STATUS_CODES
from tests.support import dockerfile

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def table_rows(page: Path, heading: str) -> list[list[str]]:
    """The rows of the first table after a line that starts with this text, without its head; code marks removed."""
    lines = iter(page.read_text().splitlines())
    assert any(line.startswith(heading) for line in lines), f"{page} has no line that starts with {heading!r}"
    rows: list[list[str]] = []
    for line in lines:
        if line.startswith("|"):
            rows.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
        elif rows:
            break
    return rows[2:]


class TestLinks:
    @pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
    def test_links_lead_somewhere(self, page: Path) -> None:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(\s*([^)\s]+)\s*\)", text.replace("\n", " ")):
            path, _, anchor = target.partition("#")
            if path.startswith(("http://", "https://")):
                continue
            linked = page if not path else (page.parent / path).resolve()
            assert linked.exists(), f"{page.name} links to {target}, which is not there"
            assert not anchor or anchor in anchors(linked), f"{page.name} links to {target}, which has no such heading"

    def test_every_page_is_linked_to(self) -> None:
        text = "\n".join(page.read_text() for page in PAGES)
        for page in DOCS.rglob("*.md"):
            assert re.search(rf"\([^)]*\b{re.escape(page.name)}", text), f"nothing links to {page.relative_to(ROOT)}"

    @pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
    def test_files_that_are_named_exist(self, page: Path) -> None:
        folders = ("include", "dags", "data_emulator", "docs", "docker", "tests", ".astro", ".ci", "benchmarks")
        for name in re.findall(rf"`((?:{'|'.join(map(re.escape, folders))})/[\w./-]*)`", page.read_text()):
            assert (ROOT / name).exists(), f"{page.name} names {name}, which is not there"


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


class TestServicePage:
    PAGE = DOCS / "service.md"

    def test_settings(self) -> None:
        rows = table_rows(self.PAGE, "## Settings")
        assert [name for name, *_ in rows] == [name.upper() for name in Settings.model_fields]
        for name, stated, *_ in rows:
            default = Settings.model_fields[name.lower()].default
            if name != "WORKERS":  # that one depends on the machine
                assert stated == ("none" if default is None else str(default).lower()), name

    def test_request_fields(self) -> None:
        rows = table_rows(self.PAGE, "$ curl -X POST http://127.0.0.1:8000/emulator/ ")
        fields = EmulationRequest.model_fields
        assert {name: stated for name, stated, _ in rows} == {
            name: "required" if field.is_required() else "optional" for name, field in fields.items()
        }

    def test_domains_and_destinations(self) -> None:
        text = self.PAGE.read_text()
        for domain in all_domains().values():
            assert f"`{domain.name}`" in text
            assert f"`{domain.destination}`" in text


@pytest.fixture(scope="module")
def service(supervisor: Supervisor, s3_store: SeaweedFS, kafka_broker: Tansu, tmp_path_factory: Any) -> Iterator[str]:
    """The URL of a service of its own, with a store and a broker."""
    folder = tmp_path_factory.mktemp("documented-service")
    with PortReservation(Service.PORT_COUNT) as reservation:
        ports = reservation.ports
    service = Service(
        supervisor,
        store=s3_store,
        bootstrap_servers=kafka_broker.bootstrap_servers,
        delivery="at-least-once",
        data_dir=folder,
        log_path=folder / "log",
        port=ports[0],
    )
    service.start()
    yield service.url
    service.stop()


def examples(page: Path) -> list[tuple[str, int, Any]]:
    """The requests that a page shows, with the answers' status and body."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", page.read_text(), flags=re.DOTALL):
        for example in re.findall(r"^\$ (curl .*)\n(\d{3})\n(.*)$", block, flags=re.MULTILINE):
            command, status, body = example
            found.append((command, int(status), json.loads(body)))
    return found


def send(command: str, base_url: str, emulation_id: str) -> httpx.Response:
    """Do what a curl command does, of which it may use -X, -H and -d."""
    words = iter(shlex.split(command.replace("$ID", emulation_id))[1:])
    method, url, headers, content = "GET", "", {}, None
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            content = next(words)
        else:
            assert word.startswith("http://127.0.0.1:8000/"), word
            url = word.replace("http://127.0.0.1:8000", base_url)
    return httpx.request(method, url, headers=headers, content=content, timeout=60, trust_env=False)


def shape(value: Any) -> Any:
    """A JSON value with its leaves replaced by their types."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    return type(value).__name__


# What is the same every time, wherever it stands in an answer.
FIXED = (
    "global_status",
    "state",
    "status",
    "records",
    "objects",
    "bucket",
    "topic",
    "sink",
    "title",
    "rate",
    "not_found",
)


def fixed(value: Any) -> Any:
    """Only those parts of a JSON value that do not depend on the run."""
    if isinstance(value, dict):
        return {
            name: each if not isinstance(each, dict | list) else fixed(each)
            for name, each in value.items()
            if name in FIXED or isinstance(each, dict | list)
        }
    return [fixed(each) for each in value] if isinstance(value, list) else None


@pytest.mark.integration
def test_the_requests_shown_get_the_answers_shown(service: str) -> None:
    page = DOCS / "service.md"
    shown = examples(page)
    assert len(shown) == page.read_text().count("$ curl") > 0
    emulation_id = ""
    for command, status, body in shown:
        answer = send(command, service, emulation_id)
        assert (answer.status_code, shape(answer.json())) == (status, shape(body)), command
        assert fixed(answer.json()) == fixed(body), command
        emulation_id = emulation_id or answer.json()["id"]


class TestAirflowPage:
    PAGE = DOCS / "airflow.md"

    def test_connection_fields(self) -> None:
        stated = {name: default for name, default, _ in table_rows(self.PAGE, "## Connection")}
        assert {name: stated[name] for name in OWN_FIELDS} == {
            name: "none" if default is None else f"{default:g}" if isinstance(default, float | int) else default
            for name, default in OWN_FIELDS.items()
        }

    def test_status_codes_that_are_tried_again(self) -> None:
        (row,) = (first for first, *_ in table_rows(self.PAGE, "## What is retried") if re.match(r"\d", first))
        assert {int(code) for code in row.split(", ")} == TRANSIENT_STATUS_CODES

    def test_fields_of_an_entry(self) -> None:
        rows = table_rows(self.PAGE, "## The Variable")
        named = {name for fields, _ in rows for name in re.findall(r"\w+", fields)}
        assert named == set(FIELDS) - {"emulation_domain"}

    def test_lists_shown_are_accepted(self) -> None:
        shown = re.findall(r"```json\n(.*?)```", self.PAGE.read_text(), flags=re.DOTALL)
        lists = [block for block in shown if block.startswith("[")]
        assert lists
        for block in lists:
            parse_domain_list(block)
        (settings,) = (json.loads(block)["json.schemas"][0] for block in shown if block.startswith("{"))
        assert (ROOT / settings["url"]).is_file()

    def test_consoles_are_accepted(self) -> None:
        for _, url in table_rows(self.PAGE, "**Consoles.**"):
            name = "kafka_console_url" if "{topic}" in url else "s3_console_url"
            assert "{" in url
            ConnectionSettings.of(Connection(conn_id="c", host="emulator", extra=json.dumps({name: url})))


class TestReadme:
    PAGE = ROOT / "README.md"

    def test_domain_list_shown_is_accepted(self) -> None:
        (shown,) = re.findall(r"```json\n(.*?)```", self.PAGE.read_text(), flags=re.DOTALL)
        assert len(parse_domain_list(shown)) == 2

    def test_variables_named_are_settings(self) -> None:
        for page in PAGES:
            for name in re.findall(r"\bDATA_EMULATOR_([A-Z0-9_]*[A-Z0-9])\b", page.read_text()):
                assert name.lower() in Settings.model_fields, f"{page.name} names DATA_EMULATOR_{name}"

    def test_make_targets_named_are_there(self) -> None:
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
        for page in PAGES:
            commands = re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), flags=re.MULTILINE)
            assert set(commands) <= targets, page.name

    def test_the_image_is_built_as_the_recipe_says(self) -> None:
        build = re.compile(r"docker build --file \S+ --tag \S+ \.")
        (shown,) = build.findall(self.PAGE.read_text())
        assert shown in (ROOT / "docker" / "service.Dockerfile").read_text()

    def test_published_ports(self) -> None:
        compose = yaml.safe_load((ROOT / "docker-compose.override.yml").read_text())
        ports = [port.split(":")[1] for service in compose["services"].values() for port in service["ports"]]
        first, *others = ports
        stated = f"`127.0.0.1:{first}`, " + " and ".join(f"`:{port}`" for port in others)
        assert stated in self.PAGE.read_text().replace("\n", " ")

    @pytest.mark.parametrize("page", ["README.md", "docs/airflow.md"])
    def test_the_pool_is_the_one_that_make_up_makes(self, page: str) -> None:
        description = f'"{airflow_setup.POOL_DESCRIPTION}"'
        command = f"pools set --include-deferred {airflow_setup.POOL} {airflow_setup.POOL_SLOTS} {description}"
        assert command in (ROOT / page).read_text()
        assert airflow_setup.POOL == DEFAULT_POOL

    def test_entry_point_group_of_domains(self) -> None:
        assert f"\n{ENTRY_POINT_GROUP} =\n" in self.PAGE.read_text()


def test_the_runtime_version_named_is_the_images() -> None:
    (stage,) = dockerfile.read(ROOT / "Dockerfile")
    version, _, python = stage.image.rpartition(":")[2].partition("-python-")
    page = (DOCS / "adr" / "0006-images-and-lock.md").read_text()
    assert f"Runtime {version} has Airflow" in page
    assert f"names the Python ({python})" in page


def test_every_dependency_has_its_reason() -> None:
    extras: dict[str, set[str]] = {}
    for text in importlib.metadata.requires("lakehouse-data-emulator") or []:
        requirement = Requirement(text)
        for extra in ("airflow", "bronze", "service", "embedded", "verify", "bench", "spark", "dev"):
            if requirement.marker and requirement.marker.evaluate({"extra": extra}):
                extras.setdefault(requirement.name, set()).add(extra)
    rows = table_rows(DOCS / "adr" / "0002-dependencies.md", "**Decision.**")
    assert {name: set(stated.split(", ")) for name, stated, *_ in rows} == extras
    assert all(all(row) for row in rows)
