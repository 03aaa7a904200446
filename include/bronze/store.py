"""The client of the S3 store, and the meaning of its errors."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from ..exceptions import DataEmulatorConfigError, DataEmulatorError, StorageUnavailableError
from .s3_connection import S3Connection

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_TIMEOUT = timedelta(seconds=60)
#: How long obstore retries; after that Airflow does.
_RETRIES: RetryConfig = {"max_retries": 5, "retry_timeout": timedelta(seconds=20)}

#: What obstore raises when the store or the network fails.
STORE_ERRORS = (BaseError, OSError)


def open_bucket(connection: S3Connection, bucket: str) -> S3Store:
    """Return a client for a bucket, without sending a request.

    Only the connection determines store and credentials, so everything that obstore would read from the environment is
    set.

    :raises DataEmulatorConfigError: when the connection's certificates cannot be used
    """
    options: dict[str, Any] = {}
    client_options: ClientConfig = {
        "allow_http": True,
        "connect_timeout": timedelta(seconds=5),
        "timeout": _TIMEOUT,
        "allow_invalid_certificates": not connection.verify,
    }
    if connection.ca_pem is not None:
        client_options["root_certificate"] = connection.ca_pem
    if connection.credentials is not None:
        # With the key pair as an option, AWS_SESSION_TOKEN would join it.
        options = {"credential_provider": connection.credentials, "skip_signature": False}
    try:
        return S3Store(
            bucket,
            region=connection.region_name,
            endpoint=connection.endpoint_url,
            aws_endpoint_url_s3=connection.endpoint_url,
            virtual_hosted_style_request=False,
            s3_express=False,
            unsigned_payload=False,
            client_options=client_options,
            retry_config=_RETRIES,
            **options,
        )
    except (BaseError, ValueError):
        # Without its text, which is a dump of the configuration.
        raise DataEmulatorConfigError(
            f"Connection {connection.conn_id!r}: its endpoint_url, region_name or verify cannot be used"
        ) from None


def is_missing(error: Exception) -> bool:
    """Return whether an error means that the object or its bucket does not exist."""
    return isinstance(error, NotFoundError | FileNotFoundError)


def store_error(connection: S3Connection, doing: str, error: Exception) -> DataEmulatorError:
    """Return the error to raise for an error of obstore.

    :param doing: what was tried, such as ``reading s3://user-profiles/k``
    :return: DataEmulatorConfigError where a retry cannot help, else StorageUnavailableError
    """
    # The first line: the rest is a dump of the client's own source, with its whole configuration.
    reason = str(error).split("\n\nDebug source", 1)[0].strip()
    if isinstance(error, UnauthenticatedError) and "External AWS credential provider" in reason:
        return StorageUnavailableError(f"Connection {connection.conn_id!r}: its credentials cannot be renewed for now")
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return DataEmulatorConfigError(
            f"Connection {connection.conn_id!r}: {doing} was refused; check its credentials and their permissions"
        )
    if "NoSuchBucket" in reason or is_missing(error):
        return DataEmulatorConfigError(f"Connection {connection.conn_id!r}: {doing}: there is no such bucket")
    return StorageUnavailableError(f"{doing[:1].upper()}{doing[1:]} failed: {reason}")
