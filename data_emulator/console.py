"""Where the stack, the demo and the receipt print to."""

import textwrap
import time

from rich.console import Console

console = Console(highlight=False)


class Clock:
    """Prints lines, each with the seconds since the clock was made. May be used from several threads."""

    def __init__(self) -> None:
        self._started_at = time.monotonic()

    def __str__(self) -> str:
        return f"[{time.monotonic() - self._started_at:5.1f} s]"

    def say(self, text: str) -> None:
        """Print a text of one or more lines. On a terminal it is wrapped, and what follows a line is indented."""
        clock = f"{self} "
        lines = text.splitlines()
        if console.is_terminal:
            width = max(console.width - len(clock), 20)
            lines = [part for line in lines for part in wrapped(line, width)]
        console.print(clock + f"\n{' ' * len(clock)}".join(lines), markup=False, soft_wrap=True)


def wrapped(line: str, width: int) -> list[str]:
    """Return a line in parts of at most `width` characters; a word that is longer stays whole, as an address must."""
    parts = textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False, drop_whitespace=True)
    return parts or [""]
