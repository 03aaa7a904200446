"""Errors are problem documents, with the detail where clients of the original look; guards come before all else."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from data_emulator.api.app import create_app
from data_emulator.domains import all_domains
from data_emulator.settings import Settings
from tests.support.running_service import request

MAX_BODY_BYTES = 2000
TOKEN = "correct-horse-battery"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(database_url=f"sqlite:///{tmp_path / 'state.db'}", max_body_bytes=MAX_BODY_BYTES)


@pytest.fixture
def http(settings: Settings) -> TestClient:
    """The application without its workers: no request here starts anything."""
    return TestClient(create_app(settings), raise_server_exceptions=False)


@pytest.fixture
def guarded(settings: Settings) -> TestClient:
    """The same with a token."""
    return TestClient(create_app(settings.model_copy(update={"token": SecretStr(TOKEN)})))


def assert_problem(answer: httpx.Response, status: int) -> Any:
    """Check that an answer is a problem document (RFC 9457), and return its detail."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == {"type", "title", "status", "detail"}
    assert body["status"] == status
    assert body["title"]
    return body["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/nowhere", 404, "Not Found"),
        ("GET", "/emulator/x/status", 404, "Emulation ID x not found."),
        ("GET", "/emulator/x/manifest", 404, "Emulation ID x not found."),
        ("DELETE", "/emulator/x", 404, "Emulation ID x not found."),
        ("DELETE", "/emulator/", 405, "Method Not Allowed"),
        ("PUT", "/emulator/x/status", 405, "Method Not Allowed"),
        ("GET", "/emulator/status", 405, "Method Not Allowed"),
    ],
)
def test_errors_of_every_kind_are_problems(http: TestClient, method: str, path: str, status: int, detail: str) -> None:
    answer = http.request(method, path)
    assert assert_problem(answer, status) == detail
    if status == 405:
        assert answer.headers["allow"]


def test_a_body_that_makes_no_sense_is_a_problem_with_a_list(http: TestClient) -> None:
    (problem,) = assert_problem(http.post("/emulator/", json=request(timeout="soon")), 422)
    assert problem["loc"] == ["body", "timeout"]
    for content in (b"", b"[]", b"5", b"\xff\xfe"):
        headers = {"Content-Type": "application/json"}
        assert isinstance(assert_problem(http.post("/emulator/", content=content, headers=headers), 422), list)


def test_an_unsupported_value_is_a_problem_with_a_text(http: TestClient) -> None:
    answer = http.post("/emulator/", json=request(emulation_domain="orders"))
    assert assert_problem(answer, 400) == f"Domain not supported: orders; there are {', '.join(all_domains())}"


def test_a_sink_that_is_not_configured_is_a_problem_that_says_how(http: TestClient) -> None:
    answer = http.post("/emulator/", json=request(emulator_sync="kafka"))
    assert "DATA_EMULATOR_KAFKA_BOOTSTRAP_SERVERS" in assert_problem(answer, 400)


def test_a_defect_of_ours_is_a_problem_that_tells_the_client_nothing(
    http: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(http.app.state.emulations, "cancel", broken)  # type: ignore[attr-defined]
    answer = http.delete("/emulator/x")
    assert assert_problem(answer, 500) == "internal error: RuntimeError"


def test_a_body_of_too_great_a_length_is_refused(http: TestClient) -> None:
    detail = assert_problem(http.post("/emulator/", content=b"x" * (MAX_BODY_BYTES + 1)), 413)
    assert str(MAX_BODY_BYTES) in detail


def test_a_body_in_chunks_is_refused_once_it_is_too_long(http: TestClient) -> None:

    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 100

    assert_problem(http.post("/emulator/", content=chunks()), 413)


def test_a_body_of_the_greatest_length_passes_in_one_piece_or_in_chunks(http: TestClient) -> None:
    body = b'{"a":"' + b"x" * (MAX_BODY_BYTES - 8) + b'"}'
    assert len(body) == MAX_BODY_BYTES
    headers = {"Content-Type": "application/json"}
    for content in (body, (body[start : start + 99] for start in range(0, len(body), 99))):
        assert_problem(http.post("/emulator/", content=content, headers=headers), 422)


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer wrong", f"Bearer {TOKEN}x", f"bearer{TOKEN}", f"Basic {TOKEN}", TOKEN, "Bearer é"],
)
def test_without_the_token_nothing_is_answered(guarded: TestClient, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    for method, path in (
        ("POST", "/emulator/"),
        ("GET", "/emulator/"),
        ("GET", "/emulator/x/status"),
        ("DELETE", "/emulator/x"),
        ("GET", "/"),
        ("GET", "/domains"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/docs"),
        ("GET", "/nowhere"),
    ):
        answer = guarded.request(method, path, headers=headers)
        assert TOKEN not in assert_problem(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"


def test_with_the_token_all_is_answered(guarded: TestClient) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert guarded.get("/emulator/", headers=headers).status_code == 200
    assert guarded.get("/domains", headers=headers).status_code == 200
    assert guarded.get("/openapi.json", headers=headers).status_code == 200


def test_probes_need_no_token(guarded: TestClient) -> None:
    assert guarded.get("/healthz").json() == {"status": "ok"}
