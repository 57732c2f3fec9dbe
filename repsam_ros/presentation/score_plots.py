"""Plots of a report as SVG; their colours are those of the page that they stand in."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from repsam_ros.presentation.html_page import text

_WIDTH, _HEIGHT = 380, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 8, 16, 34
_LEVELS = (0, 25, 50, 75, 100)
_MAX_NAMED_BARS = 400
# Classes of an object's area as a share of the image's, each about three times the one before.
_SIZE_EDGES = (0.001, 0.003, 0.01, 0.03)


def sorted_bars(title: str, values: Sequence[tuple[str, float]]) -> str:
    """Named percentages, best first, with their mean."""
    ordered = sorted(values, key=lambda pair: (-pair[1], pair[0]))
    mean = sum(value for _, value in ordered) / len(ordered)
    width = (_WIDTH - _LEFT - _RIGHT) / len(ordered)
    if len(ordered) <= _MAX_NAMED_BARS:
        gap = 1.0 if width > 3 else 0.0
        shapes = "".join(
            _bar(_LEFT + k * width, width - gap, value, f"{name}: {value:.1f}")
            for k, (name, value) in enumerate(ordered)
        )
    else:
        steps = (f"V{_y(value):.1f}h{width:.3f}" for _, value in ordered)
        shapes = f'<path class="bar" d="M{_LEFT} {_y(0)}{"".join(steps)}V{_y(0)}z"/>'
    return _figure(
        f"{title}, mean {mean:.1f}",
        f"Bars of {title} of {len(ordered)} images, best first, from {ordered[0][1]:.1f} down to "
        f"{ordered[-1][1]:.1f} percent; the line is the mean, {mean:.1f}",
        f"{_percent_grid()}{shapes}{_mark(_LEFT, _y(mean), _WIDTH - _RIGHT, _y(mean))}"
        f"{_x_title('images, best first')}",
    )


def score_against_count(title: str, points: Sequence[tuple[str, int, float]]) -> str:
    """Named percentages against whole numbers, with the mean of each number."""
    most = max(1, *(count for _, count, _ in points))
    dots = "".join(
        _dot(_x(count, most), _y(value), f"{name}: {value:.1f}, {count} objects")
        for name, count, value in points
    )
    counts = sorted({count for _, count, _ in points})
    means = {n: np.mean([v for _, count, v in points if count == n]) for n in counts}
    line = " ".join(f"{_x(count, most):.1f},{_y(float(means[count])):.1f}" for count in counts)
    return _figure(
        f"{title} against true objects",
        f"{title} of each image against its number of true objects; mean by number: "
        + ", ".join(f"{count} objects {means[count]:.0f}" for count in counts),
        f'{_percent_grid()}{_count_ticks(most)}{dots}<polyline class="mark" points="{line}"/>'
        f"{_x_title('true objects in the image; line: mean')}",
    )


def found_against_true(counts: Sequence[tuple[int, int]]) -> str:
    """Number of true and of predicted instances of each image: above the diagonal is too many."""
    most = max(1, *(max(pair) for pair in counts))
    pairs = Counter(counts)
    # The area of a dot is its number of images; neighbours touch at most.
    largest = min(10.0, (_x(1, most) - _x(0, most)) / 2)
    scale = largest / math.sqrt(max(pairs.values()))
    dots = "".join(
        _dot(
            _x(true, most),
            _y(100 * found / most),
            f"{images} images with {true} true and {found} predicted",
            radius=max(1.5, scale * math.sqrt(images)),
        )
        for (true, found), images in sorted(pairs.items())
    )
    grid = "".join(_grid_line(100 * level / most, str(level)) for level in _ticks(most))
    more = sum(found > true for true, found in counts)
    fewer = sum(found < true for true, found in counts)
    return _figure(
        "Predicted against true objects",
        f"Predicted against true instances of each image: {more} images have too many, {fewer} too "
        f"few, {len(counts) - more - fewer} as many as are true",
        f"{grid}{_count_ticks(most)}{_mark(_x(0, most), _y(0), _x(most, most), _y(100))}{dots}"
        f"{_x_title('true objects; line: as many as are true')}",
    )


def iou_by_size(objects: Sequence[tuple[float, float]]) -> str:
    """Mean IoU in classes of object size.

    Args:
        objects: Share of the image's area and IoU, each in [0, 1], of true objects.
    """
    classes = np.searchsorted(_SIZE_EDGES, [share for share, _ in objects], side="right")
    edges = [f"{100 * edge:g} %" for edge in _SIZE_EDGES]
    between = (f"{low[:-2]} to {high}" for low, high in zip(edges, edges[1:], strict=False))
    names = [f"< {edges[0]}", *between, f"> {edges[-1]}"]
    width = (_WIDTH - _LEFT - _RIGHT) / len(names)
    shapes, told = [], []
    for k, name in enumerate(names):
        ious = [100 * iou for (_, iou), chosen in zip(objects, classes, strict=True) if chosen == k]
        mean = float(np.mean(ious)) if ious else 0.0
        told.append(f"{name}: {mean:.1f} of {len(ious)} objects" if ious else f"{name}: no object")
        middle = _LEFT + (k + 0.5) * width
        shapes.append(_bar(middle - 0.36 * width, 0.72 * width, mean, told[-1]))
        shapes.append(_label(middle, _y(0) + 13, name, "middle"))
        shapes.append(_label(middle, _HEIGHT - 5, f"n = {len(ious)}", "middle"))
        if ious:
            shapes.append(_label(middle, _y(mean) - 4, f"{mean:.0f}", "middle"))
    return _figure(
        "Mean IoU by object size, share of the image",
        f"Mean IoU of true objects by size: {'; '.join(told)}",
        f"{_percent_grid()}{''.join(shapes)}",
    )


def interval(mean: float, low: float, high: float) -> str:
    """A mean and its interval on an axis from 0 to 100; the numbers stand beside it."""
    return (
        '<svg width="160" height="14" viewBox="-4 0 168 14" aria-hidden="true">'
        '<line class="grid" x1="0" x2="160" y1="7" y2="7"/>'
        f'<line class="range" x1="{1.6 * low:.1f}" x2="{1.6 * high:.1f}" y1="7" y2="7"/>'
        f'<circle class="bar" cx="{1.6 * mean:.1f}" cy="7" r="4"/></svg>'
    )


def _figure(caption: str, description: str, shapes: str) -> str:
    return (
        f"<figure><figcaption>{text(caption)}</figcaption>"
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{text(description)}">{shapes}</svg></figure>'
    )


def _bar(left: float, width: float, percent: float, name: str) -> str:
    return (
        f'<rect class="bar" x="{left:.2f}" y="{_y(percent):.2f}" width="{width:.2f}" '
        f'height="{_y(0) - _y(percent):.2f}"><title>{text(name)}</title></rect>'
    )


def _dot(x: float, y: float, name: str, radius: float = 3) -> str:
    place = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"'
    return f'<circle class="dot" {place}><title>{text(name)}</title></circle>'


def _mark(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="mark" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _label(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text(words)}</text>'


def _x_title(words: str) -> str:
    return _label((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 5, words, "middle")


def _percent_grid() -> str:
    return "".join(_grid_line(level, str(level)) for level in _LEVELS)


def _grid_line(percent: float, words: str) -> str:
    y = _y(percent)
    return (
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f"{_label(_LEFT - 6, y + 4, words, 'end')}"
    )


def _count_ticks(most: int) -> str:
    return "".join(_label(_x(n, most), _y(0) + 13, str(n), "middle") for n in _ticks(most))


def _ticks(most: int) -> Iterable[int]:
    step = max(1, math.ceil(most / 8))
    return range(0, most + 1, step)


def _x(count: float, most: int) -> float:
    inset = 8
    return _LEFT + inset + (_WIDTH - _LEFT - _RIGHT - 2 * inset) * count / most


def _y(percent: float) -> float:
    bottom = _HEIGHT - _BOTTOM
    return bottom - (bottom - _TOP) * percent / 100
