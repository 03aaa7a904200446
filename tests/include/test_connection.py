from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock

import pytest
from airflow.sdk import Connection

from include.connection import (
    CONN_NAME_ATTR,
    CONN_TYPE,
    HOOK_NAME,
    OWN_FIELDS,
    ConnectionSettings,
)
from include.defaults import DEFAULT_CONN_NAME
from include.exceptions import DataEmulatorConfigError
from include.hooks.data_emulator import DataEmulatorHook
from include.provider_info import get_provider_info
from include.retry import TRANSIENT_STATUS_CODES, RetryPolicy


def settings_of(extra: Any, **fields: Any) -> ConnectionSettings:
    connection = {"conn_id": "c", "conn_type": CONN_TYPE, "host": "emulator", "port": 8000, **fields}
    return ConnectionSettings.of(Connection(extra=extra if isinstance(extra, str) else json.dumps(extra), **connection))


def test_defaults() -> None:
    settings = settings_of({"retry_attempts": None, "backoff_cap": ""})
    assert (settings.base_url, settings.service_url) == ("http://emulator:8000", "http://emulator:8000")
    assert (settings.connect_timeout_s, settings.read_timeout_s) == (5.0, 30.0)
    assert settings.retry == RetryPolicy()
    assert settings.retry.status_codes == {429, 500, 502, 503, 504}
    assert (settings.http.authorization, settings.http.verify, settings.http.trust_env) == (None, True, True)
    assert (settings.bucket_url("b"), settings.topic_url("t")) == (None, None)


def test_a_connection_given_as_a_uri_has_text_in_its_fields() -> None:
    """Booleans, numbers and lists, too: a URI has no types."""
    query = "connect_timeout=2.5&retry_attempts=3&verify=false&trust_env=no&cert=%5B%22a.pem%22%2C%22b.pem%22%5D"
    query += "&retry_status_codes=%5B429%5D&proxies=%7B%22https%22%3A%22http%3A%2F%2Fproxy%3A3128%22%7D&X-Team=data"
    connection = Connection(conn_id="c", uri=f"data-emulator://:t@host:1/https?{query}")
    settings = ConnectionSettings.of(connection)
    assert (settings.base_url, settings.connect_timeout_s, settings.retry.attempts) == ("https://host:1", 2.5, 3)
    assert settings.retry.status_codes == {429}
    assert settings.http.authorization == "Bearer t"
    assert (settings.http.verify, settings.http.trust_env, settings.http.cert) == (False, False, ("a.pem", "b.pem"))
    assert settings.http.proxies == {"https": "http://proxy:3128"}
    assert settings.http.headers == {"Accept": "application/json", "X-Team": "data"}


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        ("{", "Extra must be a JSON object, but is not valid JSON"),
        ("[1]", "Extra must be a JSON object"),
        ("7", "Extra must"),
    ],
)
def test_an_extra_that_is_no_object_is_refused(extra: str, problem: str) -> None:
    with pytest.raises(DataEmulatorConfigError, match=problem):
        settings_of(extra)


def test_a_connection_that_does_not_exist_is_refused_with_what_to_do() -> None:
    with pytest.raises(DataEmulatorConfigError, match="no connection 'nowhere': create it with type Data Emulator"):
        ConnectionSettings.read("nowhere")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("connect_timeout", 0),
        ("connect_timeout", "fast"),
        ("read_timeout", -1),
        ("read_timeout", True),
        ("retry_attempts", 0),
        ("retry_attempts", 1.5),
        ("backoff_base", -0.1),
        ("backoff_cap", "NaN"),
        ("backoff_cap", [1]),
        ("retry_status_codes", "soon"),
        ("retry_status_codes", "429; 503"),
        ("retry_status_codes", ","),
        ("retry_status_codes", "200"),
        ("retry_status_codes", [302]),
        ("retry_status_codes", [429, "busy"]),
        ("retry_status_codes", [True]),
        ("retry_status_codes", 429),
        ("retry_status_codes", {"429": True}),
    ],
)
def test_a_field_that_cannot_be_used_is_named(name: str, value: object) -> None:
    with pytest.raises(DataEmulatorConfigError, match=rf"Connection 'c': {name} must be .*, got") as caught:
        settings_of({name: value}, password="hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "codes"),
    [
        ("429, 503", {429, 503}),
        ("408 429", {408, 429}),
        ([429, "599"], {429, 599}),
        ([], set()),
        ("", set(TRANSIENT_STATUS_CODES)),
    ],
)
def test_the_status_codes_to_retry_are_a_text_or_a_list(value: object, codes: set[int]) -> None:
    settings = settings_of({"retry_status_codes": value})
    assert settings.retry.status_codes == codes


CONSOLES = {
    "s3_console_url": "https://minio.example.com/browser/{bucket}/{prefix}",
    "kafka_console_url": "https://kafka-ui.example.com:8443/#/topics/{topic}?from={topic}",
}


class TestLinks:
    def test_what_stands_in_a_link_is_quoted(self) -> None:
        settings = settings_of(CONSOLES)
        assert settings.emulation_url("e1") == "http://emulator:8000/emulator/e1/status"
        assert settings.emulation_url("../x?y#z") == "http://emulator:8000/emulator/..%2Fx%3Fy%23z/status"
        assert settings.bucket_url("b", "e1/part 1") == "https://minio.example.com/browser/b/e1/part%201"
        assert settings.bucket_url("b?{prefix}", "é#") == "https://minio.example.com/browser/b%3F%7Bprefix%7D/%C3%A9%23"
        assert settings.bucket_url("b") == "https://minio.example.com/browser/b/"
        assert settings.topic_url("a&b") == "https://kafka-ui.example.com:8443/#/topics/a%26b?from=a%26b"

    def test_a_console_without_placeholders_is_linked_to_as_it_is(self) -> None:
        settings = settings_of({"kafka_console_url": "https://kafka-ui"})
        assert settings.topic_url("t") == "https://kafka-ui"
        assert settings.bucket_url("b") is None

    def test_browsers_may_reach_the_service_at_another_address(self) -> None:
        extra = {"service_url": "https://lab.example.com/emulator-service/"}
        settings = settings_of(extra)
        assert settings.emulation_url("e1") == "https://lab.example.com/emulator-service/emulator/e1/status"

    @pytest.mark.parametrize(
        ("name", "value", "problem"),
        [
            (
                "service_url",
                "emulator:8000",
                "must be a URL that begins with http:// or https:// and a host, got 'emul",
            ),
            ("service_url", "ftp://emulator", "must be a URL that begins with http:// or https:// and a host"),
            ("service_url", "http://", "must be a URL that begins with http:// or https:// and a host"),
            ("service_url", "http://emulator:port", "must be a URL, got 'http://emulator:port': Port could not be"),
            ("service_url", "http://[::1", "must be a URL, got 'http://[::1'"),
            ("service_url", 8000, "must be a URL, got 8000"),
            ("service_url", "http://emulator /x", "must be a URL without spaces, got"),
            ("service_url", "javascript:alert(1)", "must be a URL that begins with http"),
            ("service_url", "http://me:hunter2@emulator", "must not contain a user or password, got 'http://***@emul"),
            ("service_url", "http://me:hunter2@emu lator", "must be a URL without spaces, got 'http://***@emu lator'"),
            ("service_url", "http://emulator/{id}", "has the placeholder {id}; allowed: none"),
            (
                "service_url",
                "http://emulator/?a=b",
                "must have no query (?) and no fragment (#), got 'http://emulator/?a",
            ),
            ("s3_console_url", "http://m/{topic}", "has the placeholder {topic}; allowed: {bucket} and {prefix}"),
            ("s3_console_url", "http://m/{bucket!r}", "has the placeholder {bucket!r}; allowed"),
            ("s3_console_url", "http://m/{}", "has the placeholder {}; allowed"),
            ("s3_console_url", "http://m/{bucket", "has a brace that is not part of a placeholder, got"),
            ("s3_console_url", "http://{bucket}.m/", "must have its placeholders after the host, got"),
            ("kafka_console_url", "http://k/{bucket}", "has the placeholder {bucket}; allowed: {topic}"),
            ("kafka_console_url", ["http://k"], "must be a URL, got ['http://k']"),
        ],
    )
    def test_a_url_that_cannot_be_used_is_named(self, name: str, value: Any, problem: str) -> None:
        with pytest.raises(DataEmulatorConfigError, match=re.escape(f"Connection 'c': {name} {problem}")) as caught:
            settings_of({name: value})
        assert "hunter2" not in str(caught.value)


def test_the_form_in_the_ui_is_of_this_connection_and_has_its_fields_and_defaults() -> None:
    (form,) = get_provider_info()["connection-types"]
    assert form["connection-type"] == CONN_TYPE == DataEmulatorHook.conn_type
    assert form["hook-name"] == HOOK_NAME == DataEmulatorHook.hook_name
    assert (DataEmulatorHook.conn_name_attr, DataEmulatorHook.default_conn_name) == (CONN_NAME_ATTR, DEFAULT_CONN_NAME)
    defaults = {name: field["schema"]["default"] for name, field in form["conn-fields"].items()}
    assert defaults == OWN_FIELDS
    assert all(field["label"] and field["description"].endswith(".") for field in form["conn-fields"].values())


@pytest.fixture
def no_mocks_left() -> Iterator[None]:
    """Take away the stand-ins that Airflow leaves among the modules for those that it does not find."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if isinstance(sys.modules[name], MagicMock):
            del sys.modules[name]


@pytest.mark.usefixtures("no_mocks_left")
def test_the_form_is_what_the_ui_gets() -> None:
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    (form,) = (each for each in HookMetaService.hook_meta_data() if each.connection_type == CONN_TYPE)
    fields = {name: dict(field) for name, field in (form.extra_fields or {}).items()}
    assert {name: field["value"] for name, field in fields.items()} == OWN_FIELDS
    assert all(field["schema"]["title"] and field["description"] for field in fields.values())
    assert form.standard_fields is not None
    fields_of_every_connection = form.standard_fields
    for shown in (
        fields_of_every_connection.host,
        fields_of_every_connection.port,
        fields_of_every_connection.login,
        fields_of_every_connection.password,
    ):
        assert shown is not None
        assert shown.placeholder


def test_airflow_finds_the_connection_type_through_the_packages_metadata() -> None:
    from airflow.providers_manager import ProvidersManager
    from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

    manager = ProvidersManager()
    hook = ProvidersManagerTaskRuntime().hooks[CONN_TYPE]
    assert hook is not None
    assert hook.hook_class_name == f"{DataEmulatorHook.__module__}.{DataEmulatorHook.__qualname__}"
    assert hook.connection_id_attribute_name == CONN_NAME_ATTR
    widgets = {name for name in manager.connection_form_widgets if name.startswith(f"extra__{CONN_TYPE}__")}
    assert widgets == {f"extra__{CONN_TYPE}__{name}" for name in OWN_FIELDS}
    assert manager.field_behaviours[CONN_TYPE]["relabeling"]["password"] == "Token or password"
