"""The `Prefer` header (RFC 7240), of which the service knows `wait` and `return=minimal`."""

from __future__ import annotations

import re

_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?=[,;]|$)", re.IGNORECASE)
_MINIMAL = re.compile(r"(?:^|[,;])\s*return\s*=\s*\"?minimal\"?\s*(?=[,;]|$)", re.IGNORECASE)


def prefers_minimal(prefer: str | None) -> bool:
    """Return whether a client asks for a minimal answer."""
    return _MINIMAL.search(prefer or "") is not None


def wait_preference(prefer: str | None, longest_s: float) -> int | None:
    """Return the seconds that a client asks to wait, at most `longest_s`; `None` if it does not ask.

    A preference that makes no sense is ignored, as the RFC asks.
    """
    found = _WAIT.search(prefer or "")
    return min(int(found[1]), int(longest_s)) if found else None
