"""Asking a server by HTTP whether it is ready, many times a second until it is."""

from functools import cache

import httpx


def probe(url: str, *, timeout_s: float) -> httpx.Response | None:
    """Return what the server answers to a GET of `url`, whatever its status, or None when there is no answer."""
    try:
        return _client().get(url, timeout=timeout_s)
    except httpx.TransportError:
        return None


@cache
def _client() -> httpx.Client:
    # One for all: a client takes 25 ms to be made, as it reads the certificates of all authorities, and a request 1 ms.
    return httpx.Client(trust_env=False)
