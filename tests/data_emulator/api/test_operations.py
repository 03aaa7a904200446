"""For those who run the service: health, readiness, metrics, and the OpenAPI document."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from fastapi.openapi.models import OpenAPI
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from data_emulator.api.app import create_app
from data_emulator.settings import Settings
from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.tansu import Tansu
from tests.data_emulator.conftest import ServiceFactory
from tests.support.running_service import RunningService, endless, request

pytestmark = pytest.mark.integration


def test_it_is_alive_and_ready(http: httpx.Client) -> None:
    assert http.get("/healthz").json() == {"status": "ok"}
    answer = http.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "ready": True,
        "checks": {"store": "ok", "minio": "ok", "kafka": "ok", "file": "not configured"},
        "missing": {"file": ["DATA_EMULATOR_FILE_ROOT"]},
    }


def test_it_is_not_ready_without_its_broker_and_says_so(running: RunningService, kafka_broker: Tansu) -> None:
    kafka_broker.stop()
    try:
        answer = running.http.get("/readyz")
        assert answer.status_code == 503
        body = answer.json()
        assert body["ready"] is False
        assert kafka_broker.bootstrap_servers in body["checks"]["kafka"]
        assert (body["checks"]["store"], body["checks"]["minio"]) == ("ok", "ok")
        assert running.http.get("/healthz").status_code == 200
    finally:
        kafka_broker.start()
    assert running.http.get("/readyz").status_code == 200


def test_it_is_not_ready_without_its_store_and_says_so(running: RunningService, s3_store: SeaweedFS) -> None:
    s3_store.stop()
    try:
        answer = running.http.get("/readyz")
        assert answer.status_code == 503
        assert s3_store.endpoint in answer.json()["checks"]["minio"]
    finally:
        s3_store.start()
    assert running.http.get("/readyz").status_code == 200


def test_a_sink_that_is_not_configured_does_not_hinder(s3_settings: Settings, tmp_path: Path) -> None:
    settings = s3_settings.model_copy(update={"database_url": f"sqlite:///{tmp_path / 'state.db'}"})
    answer = TestClient(create_app(settings)).get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["checks"]["kafka"] == "not configured"
    assert answer.json()["missing"] == {
        "kafka": ["DATA_EMULATOR_KAFKA_BOOTSTRAP_SERVERS"],
        "file": ["DATA_EMULATOR_FILE_ROOT"],
    }


def test_without_settings_the_missing_variables_are_named(serve: ServiceFactory) -> None:
    unset = ("S3_ENDPOINT", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY", "KAFKA_BOOTSTRAP_SERVERS")
    bare = serve(**dict.fromkeys(unset, ""))
    answer = bare.http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "ready": False,
        "checks": {"store": "ok", "minio": "not configured", "kafka": "not configured", "file": "not configured"},
        "missing": {
            "minio": [f"DATA_EMULATOR_{name}" for name in unset[:3]],
            "kafka": [f"DATA_EMULATOR_{unset[3]}"],
            "file": ["DATA_EMULATOR_FILE_ROOT"],
        },
    }
    refused = bare.http.post("/emulator/", json=request())
    assert refused.status_code == 400
    assert refused.json()["detail"] == (
        "S3 is not configured: set DATA_EMULATOR_S3_ENDPOINT, DATA_EMULATOR_S3_ACCESS_KEY_ID and "
        "DATA_EMULATOR_S3_SECRET_ACCESS_KEY in the service's environment"
    )


def samples(http: httpx.Client) -> dict[tuple[str, str], float]:
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, sample.labels["state"]): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_metrics_count_emulations_and_records_by_state(running: RunningService) -> None:
    before = samples(running.http)
    assert {state for _, state in before} == {"queued", "processing", "completed", "failed", "cancelled"}
    emulation_id, going = running.post(request(max_records=77)), running.post(endless())
    running.ended(emulation_id)
    size = running.manifest(emulation_id)["totals"]["bytes"]
    after = samples(running.http)
    grown = {key: after[key] - before[key] for key in after}
    assert grown["data_emulator_emulations", "completed"] == 1
    assert grown["data_emulator_emulations", "processing"] == 1
    assert grown["data_emulator_records", "completed"] == 77
    assert grown["data_emulator_bytes", "completed"] == size
    running.http.delete(f"/emulator/{going}")
    running.ended(going)


@pytest.fixture
def document(http: httpx.Client) -> Any:
    return http.get("/openapi.json").json()


def test_the_openapi_document_is_valid(document: Any) -> None:
    OpenAPI.model_validate(document)
    assert document["openapi"].startswith("3.1")
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for reference in references(document):
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = [*value.values()]
    if isinstance(value, list):
        for each in value:
            yield from references(each)


def test_the_openapi_document_describes_every_route_and_error(document: Any) -> None:
    routes = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert routes == {
        ("get", "/"),
        ("get", "/emulator/"),
        ("post", "/emulator/"),
        ("post", "/emulator/status"),
        ("get", "/emulator/{emulation_id}/status"),
        ("get", "/emulator/{emulation_id}/manifest"),
        ("delete", "/emulator/{emulation_id}"),
        ("get", "/domains"),
        ("get", "/healthz"),
        ("get", "/readyz"),
        ("get", "/metrics"),
    }
    start = document["paths"]["/emulator/"]["post"]
    assert set(start["responses"]) >= {"201", "400", "401", "413", "422", "429"}
    for status in ("400", "401", "413", "422", "429"):
        assert [*start["responses"][status]["content"]] == ["application/problem+json"]
    assert {each["name"] for each in start["parameters"]} == {"Idempotency-Key"}
    required = set(document["components"]["schemas"]["EmulationRequest"]["required"])
    assert required == {
        "emulator_sync",
        "emulation_domain",
        "format_type",
        "sync_type",
        "max_chunk_size",
        "timeout",
    }


def test_the_openapi_document_holds_no_secret(document: Any, sink_environment: dict[str, str]) -> None:
    text = json.dumps(document)
    for name in ("DATA_EMULATOR_S3_ACCESS_KEY_ID", "DATA_EMULATOR_S3_SECRET_ACCESS_KEY"):
        assert sink_environment[name] not in text
