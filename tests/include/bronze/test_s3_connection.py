"""What an ``aws`` connection says reaches the store, whatever the environment says; the rest is refused."""

from __future__ import annotations

import ssl
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import obstore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from obstore.exceptions import BaseError

from include.bronze.s3_connection import s3_connection
from include.bronze.store import STORE_ERRORS, open_bucket, store_error
from include.exceptions import StorageUnavailableError
from tests.support.connecting import SECRET, define, refused

CONN_ID = "data_emulator_s3"
S3 = {
    "conn_type": "aws",
    "login": "key",
    "password": SECRET,
    "extra": {"endpoint_url": "http://store:8333", "region_name": "eu-west-1"},
}
ROLE = "arn:aws:iam::123456789012:role/reader"


class Store(ThreadingHTTPServer):
    """Answers 404 to every look at an object, and as STS to every POST; remembers how it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.asked: list[dict[str, str]] = []
        self.sts_asked: list[dict[str, list[str]]] = []
        self.sts_says = 200, _ASSUMED


class _Handler(BaseHTTPRequestHandler):
    server: Store

    def do_HEAD(self) -> None:
        self.server.asked.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(404)
        self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.sts_asked.append(parse_qs(body))
        status, text = self.server.sts_says
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args: Any) -> None:
        pass


_ASSUMED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>role-key</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey><SessionToken>role-token</SessionToken>
<Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
_REFUSED = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"""


@pytest.fixture
def store() -> Iterator[Store]:
    with Store() as store:
        threading.Thread(target=store.serve_forever, args=(0.02,), daemon=True).start()
        yield store
        store.shutdown()


def ask(store: Store) -> dict[str, str]:
    """Look for an object by the connection; return the headers of the request."""
    with pytest.raises(FileNotFoundError):
        obstore.head(open_bucket(s3_connection(), "bucket"), "key")
    return store.asked[-1]


def test_login_and_password_are_the_key_pair(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    define(monkeypatch, CONN_ID, {**S3, "extra": {"endpoint_url": store.url, "region_name": "eu-west-1"}})
    headers = ask(store)
    assert "Credential=key/" in headers["authorization"]
    assert "/eu-west-1/s3/" in headers["authorization"]
    assert "x-amz-security-token" not in headers


def test_nothing_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    define(monkeypatch, CONN_ID, S3)
    shown = repr(s3_connection())
    assert SECRET not in shown
    assert "key" not in shown.replace("access_key", "")


def test_keys_and_session_token_in_the_extra_count(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"aws_access_key_id": "k", "aws_secret_access_key": SECRET, "aws_session_token": "token"}
    define(monkeypatch, CONN_ID, {"conn_type": "aws", "extra": {**extra, "endpoint_url": store.url}})
    headers = ask(store)
    assert "Credential=k/" in headers["authorization"]
    assert headers["x-amz-security-token"] == "token"


def test_the_endpoint_of_s3_comes_before_that_of_all_services(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    services = {"s3": {"endpoint_url": store.url}, "sqs": {"endpoint_url": "http://elsewhere"}}
    define(monkeypatch, CONN_ID, {**S3, "extra": {"endpoint_url": "http://elsewhere", "service_config": services}})
    assert ask(store)


@pytest.mark.parametrize(
    "environment",
    [
        {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT": "http://127.0.0.1:1"},
        {"AWS_SESSION_TOKEN": "others", "AWS_TOKEN": "others"},
        {"AWS_ACCESS_KEY_ID": "others", "AWS_SECRET_ACCESS_KEY": "others"},
        {"AWS_SKIP_SIGNATURE": "true"},
        {"AWS_REGION": "ap-south-1", "AWS_DEFAULT_REGION": "ap-south-1"},
        {"AWS_S3_EXPRESS": "true", "AWS_UNSIGNED_PAYLOAD": "true", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true"},
        {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": "/none"},
        {"AWS_ALLOW_HTTP": "false", "AWS_BUCKET": "others"},
    ],
    ids=lambda environment: next(iter(environment)),
)
def test_the_connection_wins_over_the_environment(
    store: Store, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    define(monkeypatch, CONN_ID, {**S3, "extra": {"endpoint_url": store.url, "region_name": "eu-west-1"}})
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    headers = ask(store)
    assert "Credential=key/" in headers["authorization"]
    assert "/eu-west-1/s3/" in headers["authorization"]
    assert "x-amz-security-token" not in headers
    assert headers["x-amz-content-sha256"] != "UNSIGNED-PAYLOAD"


def test_without_an_endpoint_it_is_amazons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://elsewhere")
    define(monkeypatch, CONN_ID, {"conn_type": "aws"})
    found = s3_connection()
    assert (found.endpoint_url, found.region_name) == ("https://s3.us-east-1.amazonaws.com", "us-east-1")
    assert found.credentials is None, "obstore finds them"


def test_a_connection_in_the_form_of_a_uri_is_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"aws://key:{SECRET}@/?region_name=eu-west-1&verify=false&endpoint_url={quote(store.url, safe='')}"
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", uri)
    assert s3_connection().verify is False
    assert "Credential=key/" in ask(store)["authorization"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"password": None}, "the password, the secret access key, is missing"),
        ({"login": None}, "the login, the access key id, is missing"),
        ({"login": None, "password": None}, "key, is missing; the login"),
        ({"login": None, "password": None, "extra": {"aws_session_token": SECRET}}, "the login, the access key id, is"),
        ({"host": "store"}, "host is not used: leave it empty"),
        ({"schema": "bucket", "port": 1}, "port is not used: leave it empty; schema is not used"),
        ({"extra": {"endpoint_url": "store:8333"}}, "endpoint_url must be a URL that begins with http:// or https://"),
        ({"extra": {"endpoint_url": "http://"}}, "endpoint_url must be a URL"),
        ({"extra": {"endpoint_url": "http://store:port"}}, "endpoint_url must be a URL"),
        ({"extra": {"region_name": 1}}, "extra field region_name must be a string, not int"),
        ({"extra": {"endpoint_url": ["x"]}}, "extra field endpoint_url must be a string, not list"),
        ({"extra": {"verify": 1.5}}, "extra field verify must be true, false or the path"),
        ({"extra": {"verify": "/no/such.pem"}}, "extra field verify: /no/such.pem cannot be read: No such file"),
        ({"extra": {"config_kwargs": {"signature_version": "unsigned"}}}, "extra field config_kwargs is not supported"),
        ({"extra": {"endpoint": "http://store"}}, "extra field endpoint is not supported"),
        ({"extra": {"service_config": []}}, "service_config must be an object with an object for each service"),
        ({"extra": {"service_config": {"s3": {"endpoint_url": 8333}}}}, "endpoint_url must be a URL"),
        ({"extra": {"service_config": {"s3": {"x": 1}}}}, "extra field service_config.s3.x is not supported"),
        ({"extra": {"assume_role_kwargs": {"ExternalId": "x"}}}, "extra field assume_role_kwargs needs role_arn"),
        ({"extra": {"role_arn": 1}}, "extra field role_arn must be a string, not int"),
    ],
)
def test_what_cannot_be_honoured_is_refused(changes: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    define(monkeypatch, CONN_ID, {**S3, **changes})
    refused(s3_connection, CONN_ID, message)


def test_certificates_that_are_none_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n")
    define(monkeypatch, CONN_ID, {**S3, "extra": {**S3["extra"], "verify": str(tmp_path / "ca.pem")}})  # type: ignore[dict-item]
    refused(lambda: open_bucket(s3_connection(), "bucket"), CONN_ID, "verify cannot be used")


def test_credentials_that_cannot_be_renewed_are_transient(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise OSError(SECRET)

    define(monkeypatch, CONN_ID, {**S3, "extra": {"endpoint_url": store.url}})
    connection = replace(s3_connection(), credentials=broken)
    with pytest.raises(STORE_ERRORS) as caught:
        obstore.head(open_bucket(connection, "bucket"), "key")
    error = store_error(connection, "reading", caught.value)
    assert isinstance(error, StorageUnavailableError)
    assert SECRET not in str(error)


def test_verify_is_the_path_of_certificates_to_trust(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = tmp_path / "store.pem"
    pem.write_bytes(key_and_certificate())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    store.socket = context.wrap_socket(store.socket, server_side=True)
    for verify, is_trusted in ((str(pem), True), (False, True), (True, False)):
        extra = {"endpoint_url": store.url.replace("http:", "https:"), "verify": verify}
        define(monkeypatch, CONN_ID, {**S3, "extra": extra})
        monkeypatch.setattr("include.bronze.store._RETRIES", {"max_retries": 0})
        with pytest.raises(FileNotFoundError if is_trusted else BaseError):
            obstore.head(open_bucket(s3_connection(), "bucket"), "key")


def key_and_certificate() -> bytes:
    """A server's key and its certificate, signed by itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "store")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)


@pytest.mark.parametrize("field", ["role_arn", "profile_name"])
def test_a_role_without_the_amazon_provider_is_refused(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "airflow.providers.amazon.aws.hooks.base_aws", None)
    define(monkeypatch, CONN_ID, {"conn_type": "aws", "extra": {field: ROLE}})
    refused(s3_connection, CONN_ID, f"extra field {field} needs Airflow's Amazon provider: install apache-airflow-")


class TestARole:
    """With Airflow's Amazon provider, against a server that answers as STS does: ``make test-aws``."""

    @pytest.fixture(autouse=True)
    def connection(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("airflow.providers.amazon", reason="the Amazon provider is not installed: make test-aws")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        extra = {
            "role_arn": ROLE,
            "region_name": "eu-west-1",
            "assume_role_kwargs": {"ExternalId": "us"},
            "service_config": {"s3": {"endpoint_url": store.url}, "sts": {"endpoint_url": store.url}},
        }
        define(monkeypatch, CONN_ID, {"conn_type": "aws", "login": "key", "password": SECRET, "extra": extra})

    def test_is_assumed(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SESSION_TOKEN", "others")
        headers = ask(store)
        assert "Credential=role-key/" in headers["authorization"]
        assert headers["x-amz-security-token"] == "role-token"
        (asked,) = store.sts_asked
        assert (asked["RoleArn"], asked["ExternalId"]) == ([ROLE], ["us"])

    def test_that_is_refused_is_permanent(self, store: Store) -> None:
        store.sts_says = 403, _REFUSED.format(code="AccessDenied", message="not you")
        refused(s3_connection, CONN_ID, "role_arn: the credentials were refused: AccessDenied: not you")

    @pytest.mark.parametrize("answer", [(503, "ServiceUnavailable"), (400, "Throttling"), (500, "InternalFailure")])
    def test_that_cannot_be_had_just_now_is_transient(self, store: Store, answer: tuple[int, str]) -> None:
        store.sts_says = answer[0], _REFUSED.format(code=answer[1], message="later")
        with pytest.raises(StorageUnavailableError, match=f"are temporarily unavailable: {answer[1]}: later"):
            s3_connection()

    def test_without_an_answer_is_transient(self, store: Store) -> None:
        store.sts_says = 200, "no XML"
        with pytest.raises(
            StorageUnavailableError, match="the credentials are temporarily unavailable: ResponseParserError"
        ):
            s3_connection()
