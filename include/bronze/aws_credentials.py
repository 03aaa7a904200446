"""Credentials of an ``aws`` connection by a role or a profile, as Airflow's Amazon provider gets them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ..exceptions import DataEmulatorConfigError, DataEmulatorError, StorageUnavailableError

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from obstore.store import S3Credential, S3CredentialProvider

#: boto3 renews a role's credentials while they are good for another 15 minutes, so what it gives is good for this long.
_GOOD_FOR = timedelta(minutes=10)


def credentials_of(connection: Connection, field: str) -> S3CredentialProvider:
    """Get the credentials once, so that errors show at once, and return a provider that renews them when they expire.

    :param field: of the extra, which asks for them; named in errors
    :raises DataEmulatorConfigError: when the Amazon provider is not installed, or there are no such credentials
    :raises StorageUnavailableError: when Amazon's token service (STS) does not answer just now
    """
    what = f"Connection {connection.conn_id!r}: extra field {field}"
    try:
        from airflow.providers.amazon.aws.hooks.base_aws import BaseSessionFactory
    except ImportError:
        raise DataEmulatorConfigError(
            f"{what} needs Airflow's Amazon provider: install apache-airflow-providers-amazon"
        ) from None
    try:
        # From the connection that was read: a hook would read it again, and take one that it cannot read for empty.
        credentials = BaseSessionFactory(conn=connection).create_session().get_credentials()
        if credentials is None:
            raise DataEmulatorConfigError(f"{what}: there are no credentials")
        credentials.get_frozen_credentials()
    except DataEmulatorError:
        raise
    except Exception as error:  # boto3, the token loaders and the SAML client each have their own
        raise _error(what, error) from None

    def renewed() -> S3Credential:
        frozen = credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _GOOD_FOR,
        }

    return renewed


def _error(what: str, error: Exception) -> DataEmulatorError:
    """Return the error to raise: permanent for a wrong setting or a refusal, otherwise transient."""
    from botocore.exceptions import ClientError, ParamValidationError, ProfileNotFound

    if isinstance(error, ClientError):
        status, code = error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
        reason = f"{code}: {error.response['Error'].get('Message')}"
        if 400 <= status < 500 and status != 429 and "Throttl" not in code:
            return DataEmulatorConfigError(f"{what}: the credentials were refused: {reason}")
        return StorageUnavailableError(f"{what}: the credentials are temporarily unavailable: {reason}")
    # Other errors may quote a secret.
    if isinstance(error, ParamValidationError | ProfileNotFound | NotImplementedError):
        return DataEmulatorConfigError(f"{what}, or a field related to it, cannot be used: {type(error).__name__}")
    return StorageUnavailableError(f"{what}: the credentials are temporarily unavailable: {type(error).__name__}")
