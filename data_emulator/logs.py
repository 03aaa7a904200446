"""Logging: one event a line, readable on a terminal and JSON elsewhere."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog


class StandardError:
    """Standard error as it is at each line. A line that it cannot take is dropped: work goes on without a log."""

    def write(self, text: str) -> None:
        """Write `text`, unless the stream is closed or its reader is gone."""
        with suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        """Flush the stream, unless it is closed or its reader is gone."""
        with suppress(OSError, ValueError):
            sys.stderr.flush()


def configure() -> None:
    """Set structlog up for this process, on standard error."""
    on_terminal = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if on_terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, StandardError())),
        cache_logger_on_first_use=True,
    )
