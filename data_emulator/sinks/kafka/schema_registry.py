"""The schema registry: which schema a topic's Avro values are written with, under the id that it gives it."""

from __future__ import annotations

from typing import Final

import httpx

from data_emulator.errors import ConfigurationError, SinkUnavailable
from data_emulator.settings import Settings

_TIMEOUT_S: Final = 10.0
_MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_MAX_ID: Final = 2**32 - 1
_SHOWN_CHARS: Final = 300


class SchemaRegistry:
    """A registry that speaks the REST API of Confluent's.

    :raises ConfigurationError: when its URL is none, or holds credentials, which errors would show; or when there is a
        user and no password, or a password and no user.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            parsed = httpx.URL()
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ConfigurationError("DATA_EMULATOR_SCHEMA_REGISTRY_URL must be the URL of a schema registry")
        if parsed.userinfo:
            raise ConfigurationError(
                "DATA_EMULATOR_SCHEMA_REGISTRY_URL must hold no credentials: set "
                "DATA_EMULATOR_SCHEMA_REGISTRY_USER and DATA_EMULATOR_SCHEMA_REGISTRY_PASSWORD"
            )
        self._url = url.rstrip("/")
        user, password = settings.schema_registry_user, settings.schema_registry_password
        if (user is None) != (password is None):
            raise ConfigurationError(
                "DATA_EMULATOR_SCHEMA_REGISTRY_USER and DATA_EMULATOR_SCHEMA_REGISTRY_PASSWORD go together: set both"
            )
        self._auth = httpx.BasicAuth(user, password.get_secret_value()) if user is not None and password else None

    def register(self, topic: str, schema: str) -> int:
        """Return the id of the schema of a topic's values; a new schema gets one, a known one has it already. Blocks.

        :param schema: in Avro, as JSON.
        :raises SinkUnavailable: when the registry does not answer, refuses the service, or refuses the schema because
            the topic's earlier one is incompatible.
        """
        doing = f"registering the schema of {topic}-value"
        answer = self._answer(doing, "POST", f"/subjects/{topic}-value/versions", {"schema": schema})
        schema_id = self._field(doing, answer, "id")
        if not isinstance(schema_id, int) or not 0 <= schema_id <= _MAX_ID:
            raise self._unavailable(doing, f"an answer without an id: {answer.text[:_SHOWN_CHARS]}")
        return schema_id

    def schema(self, schema_id: int) -> str | None:
        """Return the schema with this id, as JSON; `None` if the registry has none of this id. Blocks.

        :raises SinkUnavailable: when the registry does not answer, or refuses to.
        """
        doing = f"asking for schema {schema_id}"
        answer = self._answer(doing, "GET", f"/schemas/ids/{schema_id}", None)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        schema = self._field(doing, answer, "schema")
        if not isinstance(schema, str):
            raise self._unavailable(doing, f"an answer without a schema: {answer.text[:_SHOWN_CHARS]}")
        return schema

    def _answer(self, doing: str, method: str, path: str, body: dict[str, str] | None) -> httpx.Response:
        try:
            return httpx.request(
                method,
                self._url + path,
                json=body,
                headers={"Accept": _MEDIA_TYPE} | ({"Content-Type": _MEDIA_TYPE} if body else {}),
                auth=self._auth,
                timeout=_TIMEOUT_S,
            )
        except httpx.HTTPError as error:
            raise self._unavailable(doing, type(error).__name__) from None

    def _field(self, doing: str, answer: httpx.Response, name: str) -> object:
        """Return what an answer has under this name; `None` if it has nothing."""
        if answer.status_code != httpx.codes.OK:
            raise self._unavailable(doing, f"{answer.status_code} {answer.text[:_SHOWN_CHARS]}")
        try:
            body = answer.json()
        except ValueError:
            return None
        return body.get(name) if isinstance(body, dict) else None

    def _unavailable(self, doing: str, why: str) -> SinkUnavailable:
        return SinkUnavailable(f"Schema registry at {self._url}, {doing}: {why}")
