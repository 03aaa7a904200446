"""What the demo ends with can be read on narrow terminals, and its commands are commands that there are."""

import io
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from data_emulator import console as console_module
from data_emulator.demo import showcase
from data_emulator.domains import all_domains
from data_emulator.settings import Settings
from data_emulator.stack.folders import project_dir
from data_emulator.verify import receipt as receipt_module
from data_emulator.verify.compare import Receipt
from data_emulator.verify.readback import Counted
from data_emulator.verify.receipt import print_receipts
from tests.support.making import content, plan
from tests.support.receipts import manifest

widths = pytest.mark.parametrize("width", [60, 80])


@pytest.fixture
def console(width: int, monkeypatch: pytest.MonkeyPatch) -> Console:
    console = Console(width=width, record=True, file=io.StringIO(), highlight=False)
    for module in (showcase, receipt_module, console_module):
        monkeypatch.setattr(module, "console", console)
    return console


@widths
def test_a_record_of_each_domain_is_shown_as_json(
    console: Console, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = {name: json.loads(content(plan(domain=name), 1)) for name in all_domains()}
    manifests = [
        manifest("e", topic=domain.destination, emulation_domain=name) for name, domain in all_domains().items()
    ]
    monkeypatch.setattr(showcase, "first_records", lambda of, *_: [records[of.emulation_domain]])

    showcase.show_records(manifests, Settings())

    printed = console.export_text()
    for name, record in records.items():
        shown = printed.partition(f"\n{name}, from ")[2].partition("\n")[2].partition("\n\n")[0]
        assert json.loads(shown) == record
        # Of what three domains have, only a browser's name is longer than a line.
        assert [line for line in shown.splitlines() if len(line) > 60 and "user_agent" not in line] == []


@widths
def test_the_next_steps_fit_and_stay_whole_commands(console: Console, width: int) -> None:
    showcase.show_next_steps()
    printed = console.export_text()
    assert max(map(len, printed.splitlines())) <= width
    commands = [shlex.split(line) for line in printed.replace("\\\n", "").splitlines() if line.startswith("  ")]
    assert commands == [shlex.split(command) for _, command in showcase.NEXT_STEPS]


def test_the_next_steps_work(tmp_path: Path) -> None:
    of_make = {
        target for line in (project_dir() / "Makefile").read_text().splitlines() for target in line.split(":")[:1]
    }
    for _, command in showcase.NEXT_STEPS:
        program, *arguments = shlex.split(command)
        if program == "make":
            assert set(arguments) <= of_make
            continue
        assert program == ".venv/bin/data-emulator"
        subprocess.run([sys.executable, "-m", "data_emulator", *arguments], cwd=tmp_path, check=True)
    assert len(list(tmp_path.glob("data/transactions/*/*"))) == 1


@widths
def test_the_receipt_fits(console: Console, width: int) -> None:
    partitions: list[dict[str, Any]] = [
        {"partition": number, "first_offset": 0, "next_offset": 9, "records": 12_345_678, "bytes": 333_333_333}
        for number in range(3)
    ]
    stated = manifest("e", topic="transactions", partitions=partitions)
    receipt = Receipt(stated, Counted(3, stated.totals.records, stated.totals.bytes), ())
    assert print_receipts([receipt], {"e": [stated.totals.records]})
    printed = console.export_text()
    assert max(map(len, printed.splitlines())) <= width
    assert printed.count("equal") == 2
    assert "in bronze" in printed


@pytest.mark.parametrize("width", [60])
def test_a_clock_is_before_every_line_and_long_ones_are_wrapped_on_a_terminal(
    console: Console, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_force_terminal", True)
    clock = console_module.Clock()
    clock.say("a short one")
    clock.say(f"{'long ' * 15}\nhttp://127.0.0.1:40001/dags/all_emulations_dag/{'x' * 30}")
    lines = console.export_text().splitlines()
    assert [line[:10] for line in lines] == ["[  0.0 s] ", "[  0.0 s] ", " " * 10, " " * 10]
    assert max(map(len, lines[:3])) <= width
    assert lines[3].endswith("x" * 30)
