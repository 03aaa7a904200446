"""Check and fill URLs with placeholders, like ``https://kafka-ui.example.com/topics/{topic}``.

Links in Airflow's UI lead to them, so they contain no credentials, and no filled-in value can change the host.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any
from urllib.parse import quote, urlsplit

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_NOT_IN_A_URL = re.compile(r"[\s\x00-\x1f\x7f]")


def problem_with_url(value: Any, placeholders: Collection[str] = ()) -> str | None:
    """Return what is wrong with a URL, to follow the field's name in a sentence; None if it is valid.

    :param value: what was given
    :param placeholders: the names that may stand in braces, in the path or behind it
    """
    if not isinstance(value, str):
        return f"must be a URL, got {value!r}"
    shown = repr(re.sub(r"(?<=//)[^/?#]*@", "***@", value))
    if _NOT_IN_A_URL.search(value):
        return f"must be a URL without spaces, got {shown}"
    try:
        parts = urlsplit(value)
        host = parts.hostname
        _ = parts.port
    except ValueError as error:
        return f"must be a URL, got {shown}: {error}"
    if parts.scheme not in ("http", "https") or not host:
        return f"must be a URL that begins with http:// or https:// and a host, got {shown}"
    if parts.username is not None or parts.password is not None:
        return f"must not contain a user or password, got {shown}"
    if "{" in parts.netloc or "}" in parts.netloc:
        return f"must have its placeholders after the host, got {shown}"
    allowed = " and ".join(f"{{{name}}}" for name in placeholders) or "none"
    for name in _PLACEHOLDER.findall(value):
        if name not in placeholders:
            return f"has the placeholder {{{name}}}; allowed: {allowed}"
    if re.search(r"[{}]", _PLACEHOLDER.sub("", value)):
        return f"has a brace that is not part of a placeholder, got {shown}; allowed placeholders: {allowed}"
    return None


def fill(template: str, **values: str) -> str:
    """Return the URL with its placeholders replaced; characters special in URLs are quoted, except ``/``.

    :param template: one with which :func:`problem_with_url` finds nothing wrong
    :param values: for each placeholder what stands in its place
    """
    return _PLACEHOLDER.sub(lambda match: quote(values[match[1]], safe="/"), template)
