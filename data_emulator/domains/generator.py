"""What tells the bytes that this installation makes of a seed from those that another one makes."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final

import numpy as np

from data_emulator.domains import elementary

GENERATION: Final = 1
"""Raise it with every change of the `data` that a seed gives, in any domain or format. A test has digests of them."""


@lru_cache(maxsize=1)
def arithmetic_digest() -> str:
    """Return a digest of how this machine and numpy compute: the same wherever arithmetic follows IEEE 754."""
    grid = np.arange(1, 4097) / 4096
    results = (elementary.exp(20.0 * grid - 10.0), elementary.log(grid), elementary.cos_of_turns(grid), np.sqrt(grid))
    return short_digest(b"".join(result.astype("<f8").tobytes() for result in results))


def short_digest(content: bytes) -> str:
    """Return eight hexadecimal digits that differ for other content."""
    return hashlib.sha256(content).hexdigest()[:8]
