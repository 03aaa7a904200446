"""Host, Schema and Port in every form in which people write them: right, or one sentence that names the field."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import Connection

from include.service_address import base_url_of


def address(**fields: Any) -> tuple[str, list[str]]:
    problems: list[str] = []
    return base_url_of(Connection(conn_id="c", conn_type="data_emulator", **fields), problems), problems


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "emulator"}, "http://emulator"),
        ({"host": "emulator", "schema": ""}, "http://emulator"),
        ({"host": " emulator ", "schema": "HTTPS", "port": 8443}, "https://emulator:8443"),
        ({"host": "https://emulator", "schema": "http", "port": 1}, "https://emulator:1"),
        ({"host": "emulator:8000"}, "http://emulator:8000"),
        ({"host": "emulator:8000", "port": 8000}, "http://emulator:8000"),
        ({"host": "https://gateway.example.com/emulator/", "port": 8443}, "https://gateway.example.com:8443/emulator"),
        ({"host": "gateway/a/b%20c"}, "http://gateway/a/b%20c"),
        ({"host": "emulator/"}, "http://emulator"),
        ({"host": "127.0.0.1", "port": 80}, "http://127.0.0.1:80"),
        ({"host": "::1", "port": 8000}, "http://[::1]:8000"),
        ({"host": "[::1]", "port": 8000}, "http://[::1]:8000"),
        ({"host": "[2001:db8::7]:8000"}, "http://[2001:db8::7]:8000"),
        ({"host": "http://[::1]:8000/base"}, "http://[::1]:8000/base"),
        ({"host": "my_service.namespace.svc.cluster.local."}, "http://my_service.namespace.svc.cluster.local."),
        ({"host": "bücher.example"}, "http://bücher.example"),
    ],
)
def test_the_url_is_put_together(fields: dict[str, Any], url: str) -> None:
    assert address(**fields) == (url, [])


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "Host must name the service's host"),
        ({"host": "https://"}, "Host must name the service's host"),
        ({"host": "emu lator"}, "Host must be a name or an address, without spaces"),
        ({"host": "emulator\nhunter2"}, "Host must be a name or an address, without spaces"),
        ({"host": "emulator?token=hunter2"}, "Host must be a name or an address, without spaces, ? and #"),
        ({"host": "http://me:hunter2@emulator"}, "Host must not contain a user or password"),
        ({"host": "emulator:port"}, "Host must be a name or an address, optionally with a port"),
        ({"host": "emulator:99999"}, "Host must be a name or an address, optionally with a port"),
        ({"host": "[::1"}, "Host must be a name or an address"),
        ({"host": "::hunter2"}, "Host must be a name or an address"),
        ({"host": "a..b"}, "Host must be a name or an address"),
        ({"host": "-"}, "Host must be a name or an address"),
        ({"host": "x" * 64}, "Host must be a name or an address"),
        ({"host": "emulator/{hunter2}"}, "Host has a path with characters"),
        ({"host": "emulator:1", "port": 2}, "Host includes port 1, but Port is 2"),
        ({"host": "emulator", "port": 70000}, "Port must be from 1 to 65535"),
        ({"host": "emulator", "port": -1}, "Port must be from 1 to 65535"),
        ({"host": "emulator", "schema": "ftp"}, "Schema must be http or https"),
        ({"host": "ftp://emulator"}, "Schema must be http or https"),
        ({"host": "emulator", "schema": "hunter2"}, "Schema must be http or https"),
    ],
)
def test_what_makes_no_url_is_named_and_not_repeated(fields: dict[str, Any], problem: str) -> None:
    url, problems = address(**fields)
    assert url == ""
    assert len(problems) == 1
    assert problems[0].startswith(problem)
    assert "hunter2" not in problems[0]


def test_a_uri_whose_scheme_has_an_underscore_is_told_to_have_a_dash() -> None:
    """It is our connection type, but no URI's scheme: Airflow puts all of it, the token too, into Schema."""
    problems: list[str] = []
    assert base_url_of(Connection(conn_id="c", uri="data_emulator://:hunter2@emulator:8000/http"), problems) == ""
    assert any("must begin with data-emulator://, with a dash" in problem for problem in problems)
    assert "hunter2" not in str(problems)
