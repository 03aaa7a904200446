"""Plots as SVG, for a page that needs no other file: bars, lines, points, on linear or logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final

Numbers = Any
"""A sequence of numbers, or a numpy array of them."""

WIDTH: Final = 460
HEIGHT: Final = 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 14, 12, 48
OBSERVED: Final = "#2b6cb0"
EXPECTED: Final = "#dd6b20"
MORE_COLOURS: Final = ("#2b6cb0", "#b83280", "#2f855a", "#b7791f", "#718096")


@dataclass(frozen=True)
class Axis:
    """An axis of a plot.

    :param ticks: positions and labels; `None`: round numbers.
    """

    low: float
    high: float
    label: str = ""
    log: bool = False
    ticks: Sequence[tuple[float, str]] | None = None

    def share(self, value: float) -> float:
        """Return how far along the axis a value lies: 0 at its start, 1 at its end."""
        low, high, at = (self._scaled(each) for each in (self.low, self.high, value))
        return (at - low) / (high - low) if high > low else 0.5

    def marks(self) -> Iterable[tuple[float, str]]:
        """Return the ticks that lie on the axis."""
        ticks = self.ticks
        if ticks is None:
            ticks = [(value, number(value)) for value in (self._decades() if self.log else self._steps())]
        return [(value, label) for value, label in ticks if -1e-9 <= self.share(value) <= 1 + 1e-9]

    def _scaled(self, value: float) -> float:
        return math.log10(max(value, self.low * 1e-3)) if self.log else value

    def _decades(self) -> list[float]:
        return [10.0**power for power in range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)]

    def _steps(self) -> list[float]:
        span = self.high - self.low
        unit = 10.0 ** math.floor(math.log10(span / 4)) if span > 0 else 1.0
        step = next(unit * factor for factor in (1, 2, 5, 10) if span / (unit * factor) <= 6)
        first = math.ceil(self.low / step - 1e-9)
        return [position * step for position in range(first, math.floor(self.high / step + 1e-9) + 1)]


@dataclass
class Plot:
    """A plot that is drawn mark by mark. `svg` returns it."""

    title: str
    x: Axis
    y: Axis
    height: int = HEIGHT
    legend: list[tuple[str, str]] = field(default_factory=list)
    _marks: list[str] = field(default_factory=list)

    def bars(self, bounds: Numbers, values: Numbers, colour: str = OBSERVED, name: str = "") -> None:
        """Draw a bar for each value, from one bound to the next: there is one bound more than values."""
        self._named(name, colour)
        base = self._y(self.y.low)
        for left, right, value in zip(bounds, bounds[1:], values, strict=False):
            x, end, top = self._x(left), self._x(right), self._y(value)
            size = f'width="{max(end - x - 0.6, 0.4):.1f}" height="{max(base - top, 0):.1f}"'
            self._marks.append(f'<rect x="{x:.1f}" y="{top:.1f}" {size} fill="{colour}" fill-opacity=".8"/>')

    def line(self, x: Numbers, y: Numbers, colour: str = EXPECTED, name: str = "") -> None:
        """Draw a line through points."""
        self._named(name, colour)
        points = " ".join(f"{self._x(a):.1f},{self._y(b):.1f}" for a, b in zip(x, y, strict=True))
        self._marks.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')

    def points(self, x: Numbers, y: Numbers, radii: Numbers, colour: str = OBSERVED, name: str = "") -> None:
        """Draw circles with these radii, in pixels."""
        self._named(name, colour)
        for a, b, radius in zip(x, y, radii, strict=True):
            place = f'cx="{self._x(a):.1f}" cy="{self._y(b):.1f}" r="{radius:.1f}"'
            self._marks.append(f'<circle {place} fill="{colour}" fill-opacity=".6"/>')

    def text(self, x: float, y: float, text: str, anchor: str = "middle", dy: float = 0) -> None:
        """Write a text at a place, moved down by pixels."""
        place = f'x="{self._x(x):.1f}" y="{self._y(y) + dy:.1f}" text-anchor="{anchor}"'
        self._marks.append(f'<text {place} class="mark">{escape(text)}</text>')

    def svg(self) -> str:
        """Return the plot, with its title and legend, as a figure of HTML."""
        legend = "".join(
            f'<span><i style="background:{colour}"></i>{escape(name)}</span>' for name, colour in self.legend
        )
        return (
            f'<figure><figcaption>{escape(self.title)}<div class="legend">{legend}</div></figcaption>'
            f'<svg viewBox="0 0 {WIDTH} {self.height}" role="img" aria-label="{escape(self.title)}">'
            f"{self._grid()}{''.join(self._marks)}</svg></figure>"
        )

    def _named(self, name: str, colour: str) -> None:
        if name:
            self.legend.append((name, colour))

    def _x(self, value: float) -> float:
        return _LEFT + self.x.share(value) * (WIDTH - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        return self.height - _BOTTOM - self.y.share(value) * (self.height - _TOP - _BOTTOM)

    def _grid(self) -> str:
        bottom, right = self.height - _BOTTOM, WIDTH - _RIGHT
        parts = []
        for value, label in self.y.marks():
            y = self._y(value)
            parts.append(f'<line x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
            parts.append(f'<text x="{_LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{escape(label)}</text>')
        for value, label in self.x.marks():
            x = self._x(value)
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}" class="tick"/>')
            for line, words in enumerate(label.split(" ")):
                y = bottom + 16 + 11 * line
                parts.append(f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{escape(words)}</text>')
        parts.append(f'<line x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}" class="tick"/>')
        middle = f'x="{(_LEFT + right) / 2}" y="{self.height - 6}"'
        parts.append(f'<text {middle} text-anchor="middle" class="axis">{escape(self.x.label)}</text>')
        centre = (_TOP + bottom) / 2
        parts.append(
            f'<text x="11" y="{centre}" text-anchor="middle" class="axis" transform="rotate(-90 11 {centre})">'
            f"{escape(self.y.label)}</text>"
        )
        return "".join(parts)


def number(value: float) -> str:
    """Return a number as people write it on axes and in tables: ``12,000``, ``0.005``."""
    if value == 0:
        return "0"
    if math.isinf(value):
        return "∞"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 1e-4 else f"{value:.1e}"


def categories(names: Sequence[str]) -> Any:
    """Return ticks in the middle of bars with these names, the first bar going from 0 to 1."""
    return [(position + 0.5, name) for position, name in enumerate(names)]
