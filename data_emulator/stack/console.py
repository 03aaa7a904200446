"""Where the stack, the demo and the receipt print to."""

from rich.console import Console

console = Console(highlight=False)
