"""The S3 store: its client, and what its errors mean."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from include.bronze.connections import S3Connection
from include.exceptions import DataEmulatorConfigError, DataEmulatorError, StorageUnavailableError

if TYPE_CHECKING:
    from obstore.store import RetryConfig

_TIMEOUT = timedelta(seconds=60)
#: What fails in passing is tried again by obstore for that long, and then by Airflow.
_RETRIES: RetryConfig = {"max_retries": 5, "retry_timeout": timedelta(seconds=20)}

#: What a call of obstore raises when the store, or the way to it, fails.
STORE_ERRORS = (BaseError, OSError)


def open_bucket(connection: S3Connection, bucket: str) -> S3Store:
    """A client of a bucket. No request is made.

    :raises DataEmulatorConfigError: when the connection's endpoint is no URL
    """
    options: dict[str, Any] = {}
    if connection.access_key_id and connection.secret_access_key:
        options["access_key_id"] = connection.access_key_id
        options["secret_access_key"] = connection.secret_access_key
    if connection.endpoint_url:
        options["endpoint"] = connection.endpoint_url
    return S3Store(
        bucket,
        region=connection.region_name,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True, "connect_timeout": timedelta(seconds=5), "timeout": _TIMEOUT},
        retry_config=_RETRIES,
        **options,
    )


def is_missing(error: Exception) -> bool:
    """Whether an error says that the object, or its bucket, is not there."""
    return isinstance(error, NotFoundError | FileNotFoundError)


def store_error(connection: S3Connection, doing: str, error: Exception) -> DataEmulatorError:
    """The error to raise for one of obstore's.

    :param doing: what was tried, such as ``reading s3://user-profiles/k``
    :return: DataEmulatorConfigError where another try cannot help, else StorageUnavailableError
    """
    # The first line: the rest is a dump of the client's own source, with its whole configuration.
    reason = str(error).split("\n\nDebug source", 1)[0].strip()
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return DataEmulatorConfigError(
            f"Connection {connection.conn_id!r}: {doing} was refused; check its login and password, and what they may "
            "do there"
        )
    if "NoSuchBucket" in reason or is_missing(error):
        return DataEmulatorConfigError(f"Connection {connection.conn_id!r}: {doing}: there is no such bucket")
    return StorageUnavailableError(f"{doing[:1].upper()}{doing[1:]} failed: {reason}")
