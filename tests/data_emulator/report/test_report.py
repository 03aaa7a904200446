"""The report is one page that needs nothing but itself, for any domain, and says what does not hold."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

from data_emulator import domains
from data_emulator.domains.base import Domain
from data_emulator.domains.randomness import Index
from data_emulator.report import write_report
from data_emulator.report.checks import Check
from data_emulator.report.page import page
from data_emulator.report.sample import Sample
from data_emulator.report.svg import Axis, Plot, number

RECORDS = 50_000


class Page(HTMLParser):
    """Counts elements, and keeps what refers to other files."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}
        self.references: list[str | None] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.references += [value for name, value in attrs if name in ("src", "href")]


@pytest.mark.parametrize(("domain", "plots"), [("transaction", 11), ("device-log", 9), ("user-profile", 8)])
def test_a_page_shows_all_plots_and_checks(tmp_path: Path, domain: str, plots: int) -> None:
    path = tmp_path / "report.html"
    found = write_report(domain, 20, RECORDS, path)
    text = path.read_text("utf-8")
    shown = Page(text)
    assert shown.counts["svg"] == shown.counts["figure"] == plots
    assert shown.counts["tr"] == len(found) + 1 > 10
    assert shown.references == []
    assert re.search(r"\bnan\b", text) is None
    for part in text.split("<svg")[1:]:
        ET.fromstring("<svg" + part.partition("</svg>")[0] + "</svg>")


def test_the_same_seed_gives_the_same_page(tmp_path: Path) -> None:
    write_report("device-log", 7, 10_000, tmp_path / "one.html")
    write_report("device-log", 7, 10_000, tmp_path / "two.html")
    write_report("device-log", 8, 10_000, tmp_path / "three.html")
    one, two, three = (path.read_bytes() for path in sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime))
    assert one == two != three


def test_what_does_not_hold_is_marked() -> None:
    sample = Sample.draw("device-log", 20, 5000, 100, 0.005)
    good, bad = Check("one", 1, 0, 2, "a source"), Check("<two>", 3, 0, 2, "a source")
    text = page(sample, 20, [good, bad])
    assert "1 of 2 checks hold" in text
    assert text.count('<tr class="wrong">') == 1
    assert "<td>&lt;two&gt;</td>" in text


@pytest.mark.parametrize(
    ("low", "high", "value", "holds"),
    [(0, 1, 0, True), (0, 1, 1, True), (0, 1, 1.01, False), (0, 1, -0.01, False), (0, 1, float("nan"), False)],
)
def test_bounds_are_included(low: float, high: float, value: float, holds: bool) -> None:
    assert Check("any", value, low, high, "").holds is holds


def test_an_unknown_domain_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="weather"):
        write_report("weather", 1, 10, tmp_path / "report.html")


class Visits(Domain):
    """A domain that some package might add."""

    name: ClassVar[str] = "visit"
    destination: ClassVar[str] = "visits"
    description: ClassVar[str] = "Visits."
    schema: ClassVar[pa.Schema] = pa.schema(
        [pa.field("visit_id", pa.int64(), nullable=False), pa.field("user_id", pa.string(), nullable=False)]
    )

    def columns(self, index: Index, time_us: Index) -> list[Any]:
        return [pa.array(index), self.world.user_ids(index % self.world.users)]


def test_a_domain_of_another_package_has_its_times_and_integrity_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {**domains.all_domains(), "visit": Visits}
    monkeypatch.setattr("data_emulator.report.sample.all_domains", lambda: known)
    found = write_report("visit", 20, 200_000, tmp_path / "report.html", users=50)
    assert [check for check in found if not check.holds] == []
    assert len(found) == 7
    assert Page((tmp_path / "report.html").read_text()).counts["svg"] == 3


def test_logarithmic_axes_put_decades_at_equal_distances() -> None:
    axis = Axis(1, 1000, log=True)
    assert [axis.share(value) for value in (1, 10, 100, 1000)] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert [label for _, label in axis.marks()] == ["1", "10", "100", "1,000"]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 7), (0.8, 1.0), (0, 123_456), (-130, 160), (300, 860)])
def test_ticks_are_few_and_round(low: float, high: float) -> None:
    ticks = [value for value, _ in Axis(low, high).marks()]
    assert 2 <= len(ticks) <= 7
    assert np.allclose(np.diff(ticks), ticks[1] - ticks[0])


def test_texts_are_escaped() -> None:
    plot = Plot("<b>", Axis(0, 1, "a & b"), Axis(0, 1))
    plot.text(0.5, 0.5, "<i>")
    assert "<b>" not in plot.svg()
    assert "<i>" not in plot.svg()
    assert "a &amp; b" in plot.svg()


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (12_000, "12,000"), (0.005, "0.005"), (1.1e-5, "1.1e-05"), (float("inf"), "∞")]
)
def test_numbers_are_written_as_people_do(value: float, text: str) -> None:
    assert number(value) == text
