"""Shares of a whole as bars side by side, one a row: an SVG file of its own."""

from __future__ import annotations

from collections.abc import Mapping

from repsam_ros.presentation.html_page import text
from repsam_ros.presentation.palette import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY_BLUE,
    VERMILION,
    YELLOW,
)

_WIDTH, _LEFT, _RIGHT, _ROW, _BAR = 900, 190, 76, 26, 18
_LEGEND, _LETTER = 24, 6.4
_GREY, _DARK_GREY = "#999999", "#444444"
COLORS = (GREEN, VERMILION, ORANGE, PURPLE, SKY_BLUE, BLUE, YELLOW, _GREY, _DARK_GREY)
# White is read on these.
_DARK = (BLUE, _DARK_GREY, GREEN, VERMILION)


def stacked_bars(
    parts: Mapping[str, str],
    rows: Mapping[str, Mapping[str, float]],
    ends: Mapping[str, str] | None = None,
) -> str:
    """The file's text.

    Args:
        parts: Colour by name, in the order in which they stand.
        rows: Size of each part, by the name of the row; each row fills the whole width.
        ends: What stands behind each row.
    """
    legend, top = _legend(parts)
    height = top + _ROW * len(rows) + 8
    shapes = [legend]
    for number, (name, sizes) in enumerate(rows.items()):
        y = top + number * _ROW
        shapes.append(_text(_LEFT - 8, y + 13, name, "end"))
        shapes.append(_row(parts, name, sizes, y))
        shapes.append(_text(_WIDTH - _RIGHT + 8, y + 13, (ends or {}).get(name, "")))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="system-ui, sans-serif" font-size="12" '
        f'fill="#1d2430"><rect width="100%" height="100%" fill="#fff"/>{"".join(shapes)}</svg>\n'
    )


def _legend(parts: Mapping[str, str]) -> tuple[str, int]:
    """Names of the parts, as many to a line as fit, and where what follows may begin."""
    shapes, x, y = [], 12.0, 8
    for name, color in parts.items():
        width = 18 + _LETTER * len(name) + 10
        if x + width > _WIDTH - 8:
            x, y = 12.0, y + _LEGEND
        shapes.append(f'<rect x="{x:.0f}" y="{y}" width="12" height="12" fill="{color}"/>')
        shapes.append(_text(x + 18, y + 10, name))
        x += width
    return "".join(shapes), y + _LEGEND + 4


def _row(parts: Mapping[str, str], name: str, sizes: Mapping[str, float], y: int) -> str:
    total = sum(sizes.values())
    scale = (_WIDTH - _LEFT - _RIGHT) / total if total else 0.0
    x, shapes = float(_LEFT), []
    for part, color in parts.items():
        if size := sizes.get(part, 0.0):
            width, percent = size * scale, f"{100 * size / total:.0f} %"
            shapes.append(
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{color}">'
                f"<title>{text(f'{name}, {part}: {percent}')}</title></rect>"
            )
            if width > 36:
                ink = "#fff" if color in _DARK else "#1d2430"
                shapes.append(_text(x + width / 2, y + 13, percent, "middle", ink))
            x += width
    return "".join(shapes)


def _text(x: float, y: float, words: str, anchor: str = "start", ink: str = "#1d2430") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{ink}"'
    return f"<text {place}>{text(words)}</text>"
