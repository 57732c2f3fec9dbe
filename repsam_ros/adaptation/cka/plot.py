"""The values of all blocks as a picture, drawn with OpenCV."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.adaptation.cka.report import ROWS, CkaReport, LayerValues
from repsam_ros.presentation.palette import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY_BLUE,
    VERMILION,
    rgb,
)

_PANEL_PX, _LEFT_PX, _TOP_PX, _BOTTOM_PX, _LEGEND_PX = (520, 420), 60, 50, 60, 150
# Drawn at twice the size and scaled down: thin lines and small text stay smooth.
_SCALE = 2
_COLORS = tuple(map(rgb, (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY_BLUE)))
_GREY, _BLACK = (210, 210, 210), (40, 40, 40)
_TITLES = {"image_mean": "mean over each picture", "tokens": "random tokens"}


def layer_plot(report: CkaReport) -> NDArray[np.uint8]:
    """(H, W, 3) RGB: a panel for each row definition, a line with its interval for each factor."""
    lines = report.factors or {report.comparison: report.rows}
    ordered = list(lines.values())
    bounds = [low for line in ordered for rows in ROWS for low, _ in line[rows].ci95]
    bottom = min(0.0, np.floor(5 * min(bounds)) / 5)
    panels = [
        _panel(f"{report.measure}: {_TITLES[rows]}", [line[rows] for line in ordered], bottom)
        for rows in ROWS
    ]
    sheet = np.concatenate([*panels, _legend(list(lines), panels[0].shape[0])], axis=1)
    size = (sheet.shape[1] // _SCALE, sheet.shape[0] // _SCALE)
    return np.asarray(cv2.resize(sheet, size, interpolation=cv2.INTER_AREA), np.uint8)


def _panel(title: str, lines: Sequence[LayerValues], bottom: float) -> NDArray[np.uint8]:
    width, height = (_SCALE * side for side in _PANEL_PX)
    image = np.full((height, width, 3), 255, np.uint8)
    blocks = len(lines[0].cka)
    left, right = _SCALE * _LEFT_PX, width - _SCALE * 20
    top, low = _SCALE * _TOP_PX, height - _SCALE * _BOTTOM_PX
    x = np.linspace(left, right, blocks + 2)[1:-1]

    def y_of(values: Sequence[float]) -> NDArray[np.float64]:
        return low - (np.asarray(values) - bottom) / (1 - bottom) * (low - top)

    for level in np.arange(round(5 * bottom), 6) / 5:
        y = round(float(y_of([level])[0]))
        cv2.line(image, (left, y), (right, y), _BLACK if level == 0 else _GREY, _SCALE)
        _text(image, f"{level:.1f}", (left - _SCALE * 34, y + _SCALE * 4))
    for block in range(0, blocks, -(-blocks // 16)):
        _text(image, str(block), (round(x[block]) - _SCALE * 4, low + _SCALE * 20))
    _text(image, "block", ((left + right) // 2 - _SCALE * 20, height - _SCALE * 14))
    _text(image, title, (left, _SCALE * 26))
    for k, line in enumerate(lines):
        lower, upper = (
            np.clip(y_of([ci for ci, _ in line.ci95]), top, low),
            y_of([ci for _, ci in line.ci95]),
        )
        outline = np.stack([np.r_[x, x[::-1]], np.r_[lower, upper[::-1]]], 1)
        band = image.copy()
        cv2.fillPoly(band, [outline.round().astype(np.int32)], _color(k), cv2.LINE_AA)
        image = np.asarray(cv2.addWeighted(band, 0.15, image, 0.85, 0), np.uint8)
    for k, line in enumerate(lines):
        points = np.stack([x, y_of(line.cka)], 1).round().astype(np.int32)
        cv2.polylines(image, [points], False, _color(k), 2 * _SCALE, cv2.LINE_AA)
        for point in points.tolist():
            cv2.circle(image, point, 3 * _SCALE, _color(k), -1, cv2.LINE_AA)
    return image


def _legend(names: Sequence[str], height: int) -> NDArray[np.uint8]:
    image = np.full((height, _SCALE * _LEGEND_PX, 3), 255, np.uint8)
    for k, name in enumerate(names):
        y = _SCALE * (_TOP_PX + 22 * k + 10)
        cv2.line(image, (0, y), (_SCALE * 24, y), _color(k), 2 * _SCALE, cv2.LINE_AA)
        _text(image, name, (_SCALE * 32, y + _SCALE * 4))
    return image


def _color(line: int) -> tuple[int, int, int]:
    return _COLORS[line % len(_COLORS)]


def _text(image: NDArray[np.uint8], words: str, at: tuple[int, int]) -> None:
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(image, words, at, font, 0.42 * _SCALE, _BLACK, _SCALE, cv2.LINE_AA)
