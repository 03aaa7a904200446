"""The report as one HTML page, which needs nothing but itself."""

from __future__ import annotations

from html import escape
from typing import Final

from data_emulator.report.checks import Check
from data_emulator.report.plots import plots
from data_emulator.report.sample import YEAR_START, Sample
from data_emulator.report.svg import number

_STYLE: Final = """
:root { color-scheme: light; }
body { margin: 0; background: #f7fafc; color: #1a202c; font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 1480px; margin: 0 auto; padding: 28px 28px 48px; }
h1 { margin: 0; font-size: 28px; }
h2 { margin: 36px 0 12px; font-size: 19px; }
p { margin: 6px 0; color: #4a5568; }
.verdict { display: inline-block; margin-top: 10px; padding: 4px 14px; border-radius: 16px; font-weight: 600; }
.ok { background: #c6f6d5; color: #22543d; } .wrong { background: #fed7d7; color: #822727; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(420px, 1fr)); gap: 16px; }
figure, table { background: #fff; border: 1px solid #e2e8f0; border-radius: 8px; }
figure { margin: 0; padding: 12px 12px 4px; }
figcaption { font-weight: 600; font-size: 14px; min-height: 44px; }
.legend { font-weight: 400; font-size: 12px; color: #4a5568; }
.legend span { margin-right: 12px; white-space: nowrap; }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 4px; }
svg { width: 100%; height: auto; display: block; }
svg text { font-size: 10.5px; fill: #4a5568; }
svg .mark { font-size: 10px; fill: #1a202c; } svg .axis { fill: #718096; }
.grid { stroke: #edf2f7; } .tick { stroke: #a0aec0; }
table { border-collapse: separate; border-spacing: 0; width: 100%; }
th, td { padding: 6px 12px; text-align: left; border-top: 1px solid #edf2f7; }
thead th { border-top: 0; font-size: 12px; color: #718096; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.source { color: #718096; font-size: 13px; }
tr.wrong td { background: #fff5f5; }
.range { position: relative; width: 160px; height: 10px; border-radius: 5px; background: #edf2f7; }
.range b { position: absolute; top: 0; bottom: 0; left: 20%; right: 20%; background: #c6f6d5; }
.range i { position: absolute; top: -3px; width: 4px; height: 16px; margin-left: -2px; border-radius: 2px; }
"""


def page(sample: Sample, seed: int, found: list[Check]) -> str:
    """Return the page about a sample and its checks."""
    held = sum(check.holds for check in found)
    title = f"How realistic is {sample.domain}?"
    verdict = f"{held} of {len(found)} checks hold"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main><h1>{escape(title)}</h1>"
        f"<p>{len(sample):,} records of seed {seed}, backfilled over {YEAR_START.year}, about a world of "
        f"{sample.world.users:,} users. Computed again, they are the same to the byte.</p>"
        f'<div class="verdict {"ok" if held == len(found) else "wrong"}">{verdict}</div>'
        f'<h2>What it looks like</h2><div class="plots">{"".join(plot.svg() for plot in plots(sample))}</div>'
        f"<h2>What is checked</h2>{_table(found)}</main></body></html>\n"
    )


def _table(found: list[Check]) -> str:
    rows = "".join(
        f'<tr class="{"ok-row" if check.holds else "wrong"}"><td>{"✓" if check.holds else "✗"}</td>'
        f'<td>{escape(check.name)}</td><td class="number">{number(check.value)}</td><td>{_range(check)}</td>'
        f'<td class="number">{_bounds(check)}</td><td class="source">{escape(check.source)}</td></tr>'
        for check in found
    )
    head = "".join(f"<th>{name}</th>" for name in ("", "check", "observed", "", "bounds", "source"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _bounds(check: Check) -> str:
    return number(check.low) if check.low == check.high else f"{number(check.low)} to {number(check.high)}"


def _range(check: Check) -> str:
    """Return a bar whose green part are the bounds, with a mark where the value lies."""
    span = check.high - check.low
    share = 0.5 if check.holds else 1.2
    if 0 < span < float("inf"):
        share = (check.value - check.low) / span
    place = min(max(20 + 60 * share, 1), 99)
    colour = "#22543d" if check.holds else "#c53030"
    return f'<div class="range"><b></b><i style="left:{place:.1f}%;background:{colour}"></i></div>'
