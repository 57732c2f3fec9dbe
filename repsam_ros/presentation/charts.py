"""Charts over the blocks of a network, drawn with OpenCV: no plotting package on a robot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.presentation.palette import BLUE, GREEN, ORANGE, PURPLE, VERMILION, rgb

_WIDTH, _HEIGHT = 900, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 16, 52, 44
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_BLACK, _GRAY = (40, 40, 40), (215, 215, 215)
_COLORS = tuple(map(rgb, (BLUE, VERMILION, GREEN, PURPLE, ORANGE)))


def draw_chart(
    title: str,
    y_label: str,
    values: Mapping[str, Sequence[float]],
    intervals: Mapping[str, Sequence[tuple[float, float]]] | None = None,
    *,
    x_label: str = "block",
    ticks: Sequence[str] | None = None,
    bars: bool = False,
) -> NDArray[np.uint8]:
    """Lines, or bars side by side, over 0 .. L - 1; (H, W, 3) RGB.

    Charts of one width: ``np.concatenate`` puts them below each other, ``write_png`` saves them.

    Args:
        title: Stands above.
        y_label: What is drawn, with its unit.
        values: L values a series, by the name in the legend; NaN is left out.
        intervals: (low, high) of each value, for the series that have them.
        x_label: What is counted from 0.
        ticks: What stands below each of the L places; its number without them.
        bars: Bars from zero instead of lines.
    """
    image = np.full((_HEIGHT, _WIDTH, 3), 255, np.uint8)
    given = dict(intervals or {})
    numbers = [v for series in values.values() for v in series]
    numbers += [v for series in given.values() for pair in series for v in pair]
    count = max((len(series) for series in values.values()), default=0)
    axes = _Axes(count, _ticks(numbers))
    _draw_axes(image, axes, ticks or [str(index) for index in range(count)])
    _write(image, title, (8, 18), 0.5)
    _write(image, y_label, (8, 38))
    _write(image, x_label, (_WIDTH - _RIGHT - _text_width(x_label), _HEIGHT - 8))
    _draw_legend(image, list(values))
    width = 0.8 / max(1, len(values))
    for number, (name, series) in enumerate(values.items()):
        color = _COLORS[number % len(_COLORS)]
        offset = (number + 0.5) * width - 0.4 if bars else 0.0
        if bars:
            _draw_bars(image, axes, series, color, offset, width)
        else:
            _draw_line(image, axes, series, color)
        for index, pair in enumerate(given.get(name, ())):
            if all(map(math.isfinite, pair)):
                x, low, high = axes.x_px(index + offset), *map(axes.y_px, pair)
                cv2.line(image, (x, low), (x, high), _BLACK if bars else color)
    return image


@dataclass(frozen=True)
class _Axes:
    """``count`` slots from left to right, ``ticks`` from the bottom to the top."""

    count: int
    ticks: list[float]

    def x_px(self, index: float) -> int:
        """Middle of a slot; fractions lie between slots."""
        return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) / max(1, self.count) * (index + 0.5))

    def y_px(self, value: float) -> int:
        share = (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0])
        return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM))


def _draw_axes(image: NDArray[np.uint8], axes: _Axes, labels: Sequence[str]) -> None:
    for tick in axes.ticks:
        y = axes.y_px(tick)
        cv2.line(image, (_LEFT, y), (_WIDTH - _RIGHT, y), _GRAY, 1)
        label = f"{tick:.10g}"
        _write(image, label, (_LEFT - 6 - _text_width(label), y + 4))
    widest = max(map(_text_width, labels), default=0)
    labels_that_fit = (_WIDTH - _LEFT - _RIGHT) // max(24, widest + 8)
    for index in range(0, axes.count, max(1, math.ceil(axes.count / labels_that_fit))):
        label = labels[index]
        place = (axes.x_px(index) - _text_width(label) // 2, _HEIGHT - _BOTTOM + 16)
        _write(image, label, place)


def _draw_bars(
    image: NDArray[np.uint8],
    axes: _Axes,
    series: Sequence[float],
    color: tuple[int, int, int],
    offset: float,
    width: float,
) -> None:
    for index, value in enumerate(series):
        if math.isfinite(value):
            left = axes.x_px(index + offset - width / 2)
            right = max(left, axes.x_px(index + offset + width / 2) - 1)
            corners = (left, axes.y_px(value)), (right, axes.y_px(0.0))
            cv2.rectangle(image, *corners, color, cv2.FILLED)


def _draw_line(
    image: NDArray[np.uint8], axes: _Axes, series: Sequence[float], color: tuple[int, int, int]
) -> None:
    before = None
    for index, value in enumerate(series):
        place = (axes.x_px(index), axes.y_px(value)) if math.isfinite(value) else None
        if place:
            cv2.circle(image, place, 3, color, cv2.FILLED, cv2.LINE_AA)
        if place and before:
            cv2.line(image, before, place, color, 1, cv2.LINE_AA)
        before = place


def _ticks(numbers: Sequence[float]) -> list[float]:
    """Round levels from below the lowest number (or 0) to above the highest."""
    finite = [0.0, *(v for v in numbers if math.isfinite(v))]
    low, high = min(finite), max(finite)
    if high - low < 1e-9:
        high = low + 1.0
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(power * k for k in (1, 2, 5, 10) if power * k * 5 >= high - low)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [k * step for k in range(first, last + 1)]


def _draw_legend(image: NDArray[np.uint8], names: Sequence[str]) -> None:
    x = _WIDTH - _RIGHT
    for number in reversed(range(len(names))):
        x -= _text_width(names[number])
        _write(image, names[number], (x, 38))
        x -= 16
        corner = (x + 10, 38)
        cv2.rectangle(image, (x, 29), corner, _COLORS[number % len(_COLORS)], cv2.FILLED)
        x -= 14


def _text_width(text: str, scale: float = 0.42) -> int:
    return int(cv2.getTextSize(text, _FONT, scale, 1)[0][0])


def _write(
    image: NDArray[np.uint8], text: str, place: tuple[int, int], scale: float = 0.42
) -> None:
    cv2.putText(image, text, place, _FONT, scale, _BLACK, 1, cv2.LINE_AA)
