from __future__ import annotations

import json

import pytest
from airflow.sdk import Connection

from include.connection import (
    CONN_NAME_ATTR,
    CONN_TYPE,
    DEFAULT_CONN_NAME,
    HOOK_NAME,
    OWN_FIELDS,
    ConnectionSettings,
    plain_http_connection,
)
from include.exceptions import DataEmulatorConfigError
from include.hooks.data_emulator import DataEmulatorHook
from include.provider_info import get_provider_info
from include.retry import RetryPolicy


def test_defaults() -> None:
    settings = ConnectionSettings.from_connection("c", None, {"retry_attempts": None, "backoff_cap": ""})
    assert settings == ConnectionSettings(None, 5.0, 30.0, RetryPolicy(5, 1.0, 30.0))


def test_fields_of_a_connection_given_as_a_uri_are_strings() -> None:
    connection = Connection(conn_id="c", uri="data-emulator://:t@host:1/http?connect_timeout=2.5&retry_attempts=3")
    settings = ConnectionSettings.from_connection("c", connection.password, connection.extra_dejson)
    assert (settings.token, settings.connect_timeout_s, settings.retry.attempts) == ("t", 2.5, 3)


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
    ],
)
def test_a_field_that_cannot_be_used_is_named(name: str, value: object) -> None:
    with pytest.raises(DataEmulatorConfigError, match=rf"Connection 'my_conn': {name} must be .*, got") as caught:
        ConnectionSettings.from_connection("my_conn", "hunter2", {name: value})
    assert "hunter2" not in str(caught.value)


def test_the_token_is_not_shown() -> None:
    assert "hunter2" not in repr(ConnectionSettings.from_connection("c", "hunter2", {}))


def test_the_http_hooks_see_headers_and_http_options_only() -> None:
    connection = Connection(conn_id="c", conn_type="data_emulator", host="h", login="me", password="hunter2")
    extra = {**dict.fromkeys(OWN_FIELDS, 5), "X-Team": "data", "X-Level": 7, "verify": False, "timeout": 3}
    plain = plain_http_connection(connection, extra)
    assert json.loads(plain.extra or "") == {"X-Team": "data", "X-Level": "7", "verify": False, "timeout": 3}
    assert (plain.login, plain.password) == (None, None)


def test_an_extra_that_cannot_be_a_header_is_named() -> None:
    with pytest.raises(DataEmulatorConfigError, match="'X-Team' would be sent as a header"):
        plain_http_connection(Connection(conn_id="c"), {"X-Team": {"a": 1}})


def test_the_form_in_the_ui_is_of_this_connection_and_has_its_fields_and_defaults() -> None:
    (form,) = get_provider_info()["connection-types"]
    assert form["connection-type"] == CONN_TYPE == DataEmulatorHook.conn_type
    assert form["hook-name"] == HOOK_NAME == DataEmulatorHook.hook_name
    assert (DataEmulatorHook.conn_name_attr, DataEmulatorHook.default_conn_name) == (CONN_NAME_ATTR, DEFAULT_CONN_NAME)
    defaults = {name: field["schema"]["default"] for name, field in form["conn-fields"].items()}
    assert defaults == {name: default for name, (default, _, _) in OWN_FIELDS.items()}


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
    assert manager.field_behaviours[CONN_TYPE]["relabeling"]["password"] == "Token"
