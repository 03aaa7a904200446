"""Headers, login, TLS and proxies of a connection: read as meant, or refused by name."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from airflow.sdk import Connection

from include.http_options import HttpOptions


def options(extra: dict[str, Any], **fields: Any) -> tuple[HttpOptions, list[str]]:
    problems: list[str] = []
    connection = Connection(conn_id="c", host="h", extra=json.dumps(extra), **fields)
    return HttpOptions.of(connection, extra, problems), problems


def problem(extra: dict[str, Any], **fields: Any) -> str:
    _, problems = options(extra, **fields)
    assert len(problems) == 1, problems
    return problems[0]


class TestLogin:
    def test_a_password_alone_is_a_bearer_token(self) -> None:
        assert options({}, password="hunter2")[0].authorization == "Bearer hunter2"
        assert options({}, password="hunter2", login="")[0].authorization == "Bearer hunter2"  # as from a URI

    def test_a_login_and_a_password_are_basic_authentication(self) -> None:
        authorization = options({}, login="me", password="påss: word")[0].authorization or ""
        scheme, _, encoded = authorization.partition(" ")
        assert (scheme, base64.b64decode(encoded).decode()) == ("Basic", "me:påss: word")
        assert options({}, login="me")[0].authorization == "Basic " + base64.b64encode(b"me:").decode()

    def test_an_authorization_of_the_users_own_is_sent_as_it_is(self) -> None:
        read, problems = options({"authorization": "Negotiate abcdef"})
        assert (read.authorization, dict(read.headers), problems) == (
            "Negotiate abcdef",
            {"Accept": "application/json"},
            [],
        )

    @pytest.mark.parametrize(
        "token", ["hunter2\n", " hunter2", "hunter2 ", "hun ter2", "hunter2\r\nX-Evil: 1", "hünter2", "hunter2\x00"]
    )
    def test_a_token_that_a_header_cannot_carry_is_refused_and_not_shown(self, token: str) -> None:
        told = problem({}, password=token)
        assert told.startswith("Token must consist of visible ASCII characters")
        assert "ter2" not in told

    @pytest.mark.parametrize(("login", "password"), [("a:b", "x"), ("a\n", "x"), ("a", "hunter2\n")])
    def test_a_login_that_basic_authentication_cannot_carry_is_refused(self, login: str, password: str) -> None:
        assert problem({}, login=login, password=password).startswith("Login must not contain a colon")

    @pytest.mark.parametrize("fields", [{"password": "hunter2"}, {"login": "me", "password": "hunter2"}])
    def test_two_ways_to_log_in_are_refused(self, fields: dict[str, str]) -> None:
        assert problem({"Authorization": "Bearer x"}, **fields).startswith("Authorization is given both as a header")


class TestHeaders:
    def test_what_is_no_option_is_a_header(self) -> None:
        read, problems = options({"X-Team": "data", "X-Level": 7, "headers": {"X-Nested": "n"}, "X-None": None})
        assert problems == []
        assert dict(read.headers) == {
            "Accept": "application/json",
            "X-Team": "data",
            "X-Level": "7",
            "X-Nested": "n",
        }

    def test_headers_may_come_as_json_text(self) -> None:
        assert options({"headers": '{"X-Team": "data"}'})[0].headers["X-Team"] == "data"

    @pytest.mark.parametrize(
        ("extra", "says"),
        [
            ({"X-Team": {"a": 1}}, "'X-Team' would be sent as a header, so it must be a string or a number, not dict"),
            ({"X-Team": True}, "'X-Team' would be sent as a header, so it must be a string or a number, not bool"),
            ({"X Team": "data"}, "'X Team' would be sent as a header, but a header's name cannot contain"),
            ({"X-Tëam": "data"}, "header's name cannot contain"),
            ({"": "data"}, "header's name cannot contain"),
            ({"X-Team": "hunter2\n"}, "header 'X-Team' has a value that HTTP cannot carry"),
            ({"X-Team": " hunter2"}, "header 'X-Team' has a value that HTTP cannot"),
            ({"X-Team": "hunter2 €"}, "header 'X-Team' has a value that HTTP cannot"),
            ({"headers": ["X-Team"]}, "headers must be an object of names and values"),
            ({"headers": "X-Team: data"}, "headers must be an object of names and values"),
        ],
    )
    def test_what_http_cannot_carry_is_refused(self, extra: dict[str, Any], says: str) -> None:
        told = problem(extra)
        assert says in told
        assert "hunter2" not in told


class TestOptions:
    @pytest.mark.parametrize("name", ["verify", "verify_ssl"])
    @pytest.mark.parametrize(
        ("value", "read"),
        [(True, True), (False, False), ("False", False), ("0", False), ("yes", True), ("/a/ca.pem", "/a/ca.pem")],
    )
    def test_verify(self, name: str, value: Any, read: Any) -> None:
        assert options({name: value})[0].verify == read

    @pytest.mark.parametrize("value", ["", " ", 1, [], {"a": 1}])
    def test_a_verify_that_says_nothing_is_refused(self, value: Any) -> None:
        assert problem({"verify": value}).startswith("verify must be true, false, or the path")

    @pytest.mark.parametrize(
        ("value", "read"),
        [
            ("/c.pem", ("/c.pem", None)),
            (["/c.pem", "/k.pem"], ("/c.pem", "/k.pem")),
            (["/c.pem"], ("/c.pem", None)),
            ('["/c.pem", "/k.pem"]', ("/c.pem", "/k.pem")),
            ("", None),
        ],
    )
    def test_cert_is_a_path_or_two(self, value: Any, read: Any) -> None:
        assert options({"cert": value})[0].cert == read

    @pytest.mark.parametrize("value", [7, ["a", "b", "c"], ["a", 1], {"cert": "a"}, ["a", ""], True])
    def test_a_cert_that_is_no_path_is_refused(self, value: Any) -> None:
        assert problem({"cert": value}).startswith(
            "cert must be the path of the client's certificate, or a list of two"
        )

    @pytest.mark.parametrize(
        ("value", "read"),
        [
            ("http://proxy:3128", {"all": "http://proxy:3128"}),
            ("proxy:3128", {"all": "proxy:3128"}),
            ({"https": "http://proxy:3128", "http": None}, {"https": "http://proxy:3128"}),
            ({"https": "proxy:1", "no_proxy": "a, .b"}, {"https": "proxy:1", "no_proxy": "a, .b"}),
            ('{"https": "http://proxy:3128"}', {"https": "http://proxy:3128"}),
            ({}, {}),
        ],
    )
    @pytest.mark.parametrize("name", ["proxies", "proxy"])
    def test_proxies_are_one_url_or_urls_by_scheme(self, name: str, value: Any, read: Any) -> None:
        assert options({name: value})[0].proxies == read

    @pytest.mark.parametrize(
        "value", [7, ["http://p"], "socks5://p:1", {"https": 7}, "http://", "http://p:x", {"http": "https://p"}]
    )
    def test_a_proxy_that_not_both_hooks_can_use_is_refused(self, value: Any) -> None:
        assert problem({"proxies": value}).startswith("proxies must be the URL of an HTTP proxy")

    @pytest.mark.parametrize(("value", "read"), [(False, False), ("false", False), (True, True), ("on", True)])
    def test_trust_env(self, value: Any, read: bool) -> None:
        assert options({"trust_env": value})[0].trust_env is read

    @pytest.mark.parametrize("value", ["maybe", 1, []])
    def test_a_trust_env_that_is_no_boolean_is_refused(self, value: Any) -> None:
        assert problem({"trust_env": value}) == "trust_env must be true or false"

    @pytest.mark.parametrize(
        "name",
        ["allow_redirects", "auth_type", "check_response", "max_redirects", "srv_lookup", "stream", "timeout"],
    )
    def test_an_option_of_the_http_connection_that_not_both_hooks_have_is_refused(self, name: str) -> None:
        assert problem({name: "x"}).startswith(f"{name} is not supported: ")
        assert options({name: None})[1] == []


def test_no_secret_is_in_the_representation() -> None:
    read, _ = options(
        {"X-Api-Key": "hunter2", "proxies": "http://me:hunter2@proxy:3128", "Authorization": "Bearer hunter2"}
    )
    assert "hunter2" not in repr(read)
    assert read.secrets == ("hunter2", "hunter2", "hunter2")
    assert "hunter2" not in repr(options({}, login="me", password="hunter2")[0])
