"""The page ``/docs``, which has to work where there is no internet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from data_emulator.api.app import create_app
from data_emulator.settings import Settings


@pytest.fixture
def http(tmp_path: Path) -> Iterator[TestClient]:
    client = TestClient(create_app(Settings(database_url=f"sqlite:///{tmp_path / 'state.db'}", file_root=tmp_path)))
    yield client
    client.app.state.emulations.close()  # type: ignore[attr-defined]


def test_the_page_and_all_that_it_loads_come_from_the_service(http: TestClient) -> None:
    page = http.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "//" not in page.text
    loaded = re.findall(r'(?:src|href)="(docs/[^"]+)"', page.text)
    assert len(loaded) == 3
    for path in loaded:
        answer = http.get(f"/{path}")
        assert answer.status_code == 200, path
        expected = "text/css" if path.endswith(".css") else "text/javascript"
        assert answer.headers["content-type"].startswith(expected)
    start = http.get("/docs/start.js").text
    assert "//" not in start
    (document,) = re.findall(r'url: "([^"]+)"', start)
    assert http.get(f"/{document}").json()["info"]["title"] in page.text


def test_the_browser_is_told_to_load_from_nowhere_else(http: TestClient) -> None:
    policy = http.get("/docs").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "http" not in policy
    assert "<script>" not in http.get("/docs").text


def test_no_other_page_takes_its_assets_from_elsewhere(http: TestClient) -> None:
    assert http.get("/redoc").status_code == 404
    assert not [path for path in http.get("/openapi.json").json()["paths"] if "docs" in path]
