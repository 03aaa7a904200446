"""S3: a bucket, and how the store looks from the service's front."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any, Final

import httpx
import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from data_emulator.errors import ConfigurationError, SinkUnavailable
from data_emulator.settings import Settings
from data_emulator.sinks.base import Target
from data_emulator.sinks.bucket import Bucket
from data_emulator.sinks.configured import s3_configuration
from data_emulator.sinks.s3.reason import is_permanent, reason
from data_emulator.sinks.s3.uploads import abort_uploads

_PROBE_TIMEOUT: Final = timedelta(seconds=5)


def open_bucket(settings: Settings, bucket: str, timeout: timedelta, url: str | None = None) -> S3Store:
    """Return a client of a bucket. No request is made.

    :param timeout: how long a request may take, its retries included.
    :param url: where all of its requests go, in place of the bucket's address.
    :raises ConfigurationError: when no S3 store is configured; obstore would ask an instance's metadata service.
    """
    configuration = s3_configuration(settings)
    if not configuration.is_configured:
        raise ConfigurationError(str(configuration))
    credentials: dict[str, Any] = {}
    if settings.s3_access_key_id and settings.s3_secret_access_key:
        credentials = {
            "access_key_id": settings.s3_access_key_id.get_secret_value(),
            "secret_access_key": settings.s3_secret_access_key.get_secret_value(),
        }
    if url or settings.s3_endpoint:
        credentials["endpoint"] = url or settings.s3_endpoint
    return S3Store(
        bucket,
        region=settings.s3_region,
        virtual_hosted_style_request=url is not None,
        client_options={"allow_http": True, "connect_timeout": timedelta(seconds=5), "timeout": timeout},
        retry_config={"max_retries": 10, "retry_timeout": timeout},
        **credentials,
    )


class S3Bucket(Bucket):
    """A bucket in S3. What its store has acknowledged is there for good."""

    title = "S3"
    is_local = False

    def __init__(self, settings: Settings, name: str, timeout: timedelta) -> None:
        store = open_bucket(settings, name, timeout)
        open_at = partial(open_bucket, settings, name, timeout)
        self.store = store
        self._name = name
        self._abort_uploads = partial(abort_uploads, store, open_at, timeout_s=timeout.total_seconds())

    def __str__(self) -> str:
        return f"bucket {self._name}"

    def named(self, key: str) -> str:
        """Return what to call an object in an error."""
        return f"S3 object {key}"

    def reason(self, error: Exception) -> str:
        """Return why a request failed, in one line."""
        return reason(error)

    def is_permanent(self, error: Exception) -> bool:
        """Tell whether trying again cannot help: the store refuses the request, the credentials or the bucket."""
        return is_permanent(error)

    async def abort_uploads(self, prefix: str) -> None:
        """Abort the uploads in parts under a prefix."""
        await asyncio.to_thread(self._abort_uploads, prefix)


class S3Target(Target):
    """An S3 store, seen from the service's front."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._at = settings.s3_endpoint or "Amazon S3"

    def prepare(self, destination: str) -> None:
        """Make sure that the bucket exists and can be listed, creating it where it is missing."""
        store = open_bucket(self._settings, destination, _PROBE_TIMEOUT)
        try:
            obstore.list_with_delimiter(store, prefix="data-emulator-probe")
        except (BaseError, OSError) as error:
            if "NoSuchBucket" not in str(error):
                raise SinkUnavailable(f"S3 at {self._at}, bucket {destination}: {reason(error)}") from None
            self._create(store, destination)

    def check(self) -> None:
        """Make sure that the store answers and accepts the credentials. The bucket asked for need not exist."""
        store = open_bucket(self._settings, "data-emulator-probe", _PROBE_TIMEOUT)
        try:
            obstore.list_with_delimiter(store)
        except (BaseError, OSError) as error:
            if "NoSuchBucket" not in str(error):
                raise SinkUnavailable(f"S3 at {self._at}: {reason(error)}") from None

    def _create(self, store: S3Store, bucket: str) -> None:
        # obstore has no call for this. CreateBucket is a PUT of the bucket's own URL, which obstore can sign.
        url = obstore.sign(store, "PUT", "", expires_in=timedelta(minutes=1))
        try:
            answer = httpx.put(url, timeout=_PROBE_TIMEOUT.total_seconds())
        except httpx.HTTPError as error:
            # The URL is signed, so it must not be shown.
            raise SinkUnavailable(f"S3 at {self._at}, creating bucket {bucket}: {type(error).__name__}") from None
        if answer.status_code not in (200, 409):  # 409: somebody else was faster
            raise SinkUnavailable(
                f"S3 at {self._at}, creating bucket {bucket}: {answer.status_code} {answer.text[:300]}"
            )
