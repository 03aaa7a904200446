"""The Airflow connection of the S3 store: an ``aws`` connection whose fields are all used or refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .connections import extra_of, refuse, required_connection, unread_fields

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from obstore.store import S3Credential, S3CredentialProvider

S3_CONN_ID = "data_emulator_s3"

_DEFAULT_REGION = "us-east-1"
_TEXTS = ("endpoint_url", "region_name", "aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_READ = (*_TEXTS, "service_config", "verify")
#: Ways to credentials that the Amazon provider knows, and what it needs for them.
_WAYS = ("role_arn", "profile_name")
_FOR_A_ROLE = (
    "assume_role_method",
    "assume_role_kwargs",
    "assume_role_with_saml",
    "assume_role_with_web_identity_federation",
    "assume_role_with_web_identity_federation_audience",
    "assume_role_with_web_identity_token_file",
)


@dataclass(frozen=True)
class S3Connection:
    """An S3 store.

    :param conn_id: named in errors
    :param endpoint_url: the store's URL, Amazon's own for the region if the connection has none
    :param region_name: its region
    :param credentials: provides key pair and session token; None for what obstore finds by itself
    :param verify: check the store's certificate
    :param ca_pem: certificates to trust besides the usual ones
    """

    conn_id: str
    endpoint_url: str
    region_name: str
    credentials: S3CredentialProvider | None = field(repr=False)
    verify: bool = True
    ca_pem: bytes | None = field(default=None, repr=False)


def s3_connection(conn_id: str = S3_CONN_ID) -> S3Connection:
    """Read the connection of the S3 store: login and password are the key pair, the rest is in the extra.

    :raises DataEmulatorConfigError: naming the connection and each field that is missing or cannot be used
    :raises AirflowUnavailableError: when the connection is temporarily unreadable
    :raises StorageUnavailableError: when a role's credentials are temporarily unavailable
    """
    connection = required_connection(conn_id, "with type aws, and with the S3 store's key pair and endpoint_url")
    extra = {name: value for name, value in extra_of(connection).items() if value not in (None, "", {})}
    problems = unread_fields(connection, "host", "port", "schema") + _problems_of_extra(extra)
    refuse(conn_id, problems)

    # As in the Amazon provider, settings of one service override those of all.
    endpoint_url = extra.get("service_config", {}).get("s3", {}).get("endpoint_url") or extra.get("endpoint_url")
    key = connection.login or extra.get("aws_access_key_id")
    secret = connection.password or extra.get("aws_secret_access_key")
    token = extra.get("aws_session_token")
    way = next((name for name in _WAYS if name in extra), None)
    if endpoint_url is not None and not _is_url(endpoint_url):
        problems.append("extra field endpoint_url must be a URL that begins with http:// or https://")
    has_own_keys = bool(key or secret or token or (endpoint_url and not way))
    if has_own_keys and not secret:
        problems.append("the password, the secret access key, is missing")
    if has_own_keys and not key:
        problems.append("the login, the access key id, is missing")
    ca_pem = None
    verify = _as_verify(extra.get("verify", True))
    if isinstance(verify, str):
        try:
            ca_pem = Path(verify).read_bytes()
        except OSError as error:
            problems.append(f"extra field verify: {verify} cannot be read: {error.strerror}")
    refuse(conn_id, problems)

    region_name = extra.get("region_name") or _DEFAULT_REGION
    return S3Connection(
        conn_id,
        endpoint_url or f"https://s3.{region_name}.amazonaws.com",
        region_name,
        _credentials(connection, way, key, secret, token),
        bool(verify),
        ca_pem,
    )


def _credentials(
    connection: Connection, way: str | None, key: str | None, secret: str | None, token: str | None
) -> S3CredentialProvider | None:
    if way:
        from .aws_credentials import credentials_of

        return credentials_of(connection, way)
    if not key or not secret:
        return None
    credential: S3Credential = {
        "access_key_id": key,
        "secret_access_key": secret,
        "token": token,
        "expires_at": None,
    }
    return lambda: credential


def _problems_of_extra(extra: dict[str, Any]) -> list[str]:
    problems = [
        f"extra field {name} must be a string, not {type(extra[name]).__name__}"
        for name in (*_TEXTS, *_WAYS)
        if not isinstance(extra.get(name), str | None)
    ]
    services = extra.get("service_config", {})
    if not isinstance(services, dict) or not all(isinstance(service, dict) for service in services.values()):
        problems.append("extra field service_config must be an object with an object for each service")
    else:
        problems += [
            f"extra field service_config.s3.{name} is not supported"
            for name in services.get("s3", {})
            if name not in ("endpoint_url", "bucket_name")  # Of the second the manifest and bronze_bucket decide.
        ]
    if not isinstance(extra.get("verify", True), bool | str):
        problems.append("extra field verify must be true, false or the path of a file with certificates")
    problems += [
        f"extra field {name} needs role_arn" for name in _FOR_A_ROLE if name in extra and "role_arn" not in extra
    ]
    known = {*_READ, *_WAYS, *_FOR_A_ROLE}
    problems += [f"extra field {name} is not supported" for name in extra if name not in known]
    return problems


def _as_verify(value: bool | str) -> bool | str:
    """Return ``verify`` from the extra; in a connection URI every value is text."""
    return {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value


def _is_url(text: object) -> bool:
    if not isinstance(text, str):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
