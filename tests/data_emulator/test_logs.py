"""The log must never stop the work: a service goes on when nobody can read what it says."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable

import pytest
import structlog

from data_emulator import logs


def closed() -> tuple[io.TextIOBase, Callable[[], None]]:
    stream = io.StringIO()
    return stream, stream.close


def left_by_its_reader() -> tuple[io.TextIOBase, Callable[[], None]]:
    reader, writer = os.pipe()
    return os.fdopen(writer, "w"), lambda: os.close(reader)


@pytest.mark.parametrize("make_stream", [closed, left_by_its_reader])
def test_a_stream_that_takes_nothing_any_more_stops_nobody(
    make_stream: Callable[[], tuple[io.TextIOBase, Callable[[], None]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, break_it = make_stream()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure()
    break_it()
    structlog.get_logger().error("nobody reads this")


def test_a_line_goes_to_standard_error_as_it_is_then(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    structlog.get_logger().info("for somebody")
    assert "for somebody" in capsys.readouterr().err
