"""Format quantities and reasons for people, in logs and errors."""

from __future__ import annotations

import re

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
_MAX_SENTENCE_CHARS = 200


def size(n_bytes: int) -> str:
    """Return a number of bytes with a decimal unit: ``999 bytes``, ``12.3 MB``."""
    value, unit = float(n_bytes), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{n_bytes:,} bytes" if unit == 0 else f"{value:.3g} {_UNITS[unit]}"


def first_sentence(text: str) -> str:
    """Return the first sentence of a reason, in one line, without its full stop; a long one is cut at a word."""
    line = " ".join(text.split())
    sentence = re.split(r"(?<=[.!?])\s+(?=[A-Z0-9<{'\"])", line, maxsplit=1)[0].rstrip(".")
    if len(sentence) <= _MAX_SENTENCE_CHARS:
        return sentence
    return sentence[:_MAX_SENTENCE_CHARS].rsplit(" ", 1)[0].rstrip(" ,;:") + " ..."
