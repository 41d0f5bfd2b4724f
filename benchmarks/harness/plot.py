"""A plot of curves as SVG: both axes logarithmic, drawn with nothing but strings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from benchmarks.harness.curves import Curve

WIDTH, HEIGHT = 800, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 270, 24, 48
COLOURS = (
    *("#0b6e99", "#d9730d", "#0f7b6c", "#ad1a72", "#6940a5"),
    *("#dfab01", "#e03e3e", "#64473a", "#8a8a8a"),
)


class _Axis:
    """Maps values to pixels, decade by decade."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self.low = math.floor(math.log10(min(values)))
        self.high = max(math.ceil(math.log10(max(values))), self.low + 1)
        self._start, self._end = start, end

    def at(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self._start + share * (self._end - self._start)

    @property
    def decades(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]


def svg(title: str, curves: Sequence[Curve]) -> str:
    """The whole picture; every point carries its figure as a tooltip."""
    drawn = [curve for curve in curves if curve.points]
    x = _Axis([size for c in drawn for size, _ in c.points], LEFT, WIDTH - RIGHT)
    y = _Axis([s.median for c in drawn for _, s in c.points], HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f'<title>{escape(title)}</title><g font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        *_grid(x, y),
    ]
    for index, curve in enumerate(drawn):
        parts += _curve(curve, x, y, COLOURS[index % len(COLOURS)], index)
    return "\n".join([*parts, "</g></svg>", ""])


def _grid(x: _Axis, y: _Axis) -> list[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    lines = []
    for value in x.decades:
        lines.append(_line(x.at(value), TOP, x.at(value), bottom))
        lines.append(_text(x.at(value), bottom + 18, f"{value:,.0f}", "middle"))
    for value in y.decades:
        lines.append(_line(LEFT, y.at(value), right, y.at(value)))
        lines.append(_text(LEFT - 8, y.at(value) + 4, f"{value:g}", "end"))
    lines.append(_text((LEFT + right) / 2, HEIGHT - 8, "how many there are", "middle"))
    lines.append(
        f'<text transform="translate(16 {HEIGHT / 2}) rotate(-90)" text-anchor="middle" '
        f'fill="#37352f">CPU µs per operation</text>'
    )
    return lines


def _curve(curve: Curve, x: _Axis, y: _Axis, colour: str, index: int) -> list[str]:
    dots = [(x.at(size), y.at(spread.median)) for size, spread in curve.points]
    path = " ".join(f"{across:.1f},{down:.1f}" for across, down in dots)
    label = f"{curve.name}, {curve.against}"
    row = TOP + 12 + index * 22
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        *(
            f'<circle cx="{across:.1f}" cy="{down:.1f}" r="3.5" fill="{colour}"><title>'
            f"{escape(label)}: {size:,}: {spread.median:.2f} µs</title></circle>"
            for (across, down), (size, spread) in zip(dots, curve.points, strict=True)
        ),
        f'<rect x="{WIDTH - RIGHT + 18}" y="{row - 9}" width="10" height="10" fill="{colour}"/>',
        _text(WIDTH - RIGHT + 34, row, label, "start"),
    ]


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#e3e2e0"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#37352f">{escape(text)}</text>'
    )
