"""What to say to a name that there is not: the one that was probably meant, and all that there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(given: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like `given`, case aside; `None` when none is like it."""
    by_folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(given.casefold(), by_folded, n=1)
    return by_folded[close[0]] if close else None


def suggestion(given: str, known: Iterable[str]) -> str:
    """Return what an error about an unknown name ends with: ``did you mean 'gzip'? There are none, gzip, zstd``.

    When no known name is like it: ``there are none, gzip, zstd``.
    """
    names = list(known)
    there = f"{'is' if len(names) == 1 else 'are'} {', '.join(names)}"
    meant = did_you_mean(given, names)
    return f"did you mean {meant!r}? There {there}" if meant else f"there {there}"
