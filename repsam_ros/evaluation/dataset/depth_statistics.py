"""``repsam data depth``: what the depth of a data set looks like, on glass, at edges, on planes.

The numbers of a real and of a simulated data set stand side by side in a table, which shows how
far the simulated sensor is like the real one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros import __version__
from repsam_ros.datasets import Sample
from repsam_ros.errors import DatasetError
from repsam_ros.evaluation.dataset.depth_edges import (
    SIDES,
    Edges,
    edges_by_side,
    plane_noise,
    summarise_edges,
    summarise_planes,
)
from repsam_ros.paths import write_text

CLOSE_M, WRONG_M = 0.01, 0.05
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# Errors kept of a frame, evenly spread, so that large data sets fit into memory.
_MAX_ERRORS = 20_000


@dataclass(frozen=True)
class DepthErrors:
    """Sensed against true depth on some pixels.

    Attributes:
        pixels: How many there are.
        missing_share: Those without sensed depth, of all.
        compared: Those with sensed and true depth; the rest is about them.
        median_abs_error_m: None, like all below, where none can be compared.
        close_share: Errors of at most ``CLOSE_M``.
        wrong_share: Errors over ``WRONG_M``.
        quantiles_m: ``QUANTILES`` of sensed minus true depth.
    """

    pixels: int
    missing_share: float
    compared: int
    median_abs_error_m: float | None = None
    close_share: float | None = None
    wrong_share: float | None = None
    quantiles_m: tuple[float, ...] | None = None


class _Pixels:
    """Collects pixels of one kind over frames."""

    def __init__(self) -> None:
        self._errors: list[NDArray[np.float64]] = []
        self._pixels = self._missing = self._compared = 0

    def add(self, sample: Sample, mask: NDArray[np.bool_]) -> DepthErrors:
        """Takes the pixels of a frame and gives their statistics."""
        truth = sample.true_depth_m
        assert truth is not None
        depth = sample.frame.depth_m
        both = mask & (depth > 0) & (truth > 0)
        errors = depth[both].astype(np.float64) - truth[both]
        pixels, missing = int(mask.sum()), int((mask & (depth == 0)).sum())
        self._errors.append(errors[:: 1 + len(errors) // _MAX_ERRORS])
        self._pixels += pixels
        self._missing += missing
        self._compared += len(errors)
        return _statistics(pixels, missing, len(errors), errors)

    def pooled(self) -> DepthErrors | None:
        if not self._pixels:
            return None
        errors = np.concatenate(self._errors)
        return _statistics(self._pixels, self._missing, self._compared, errors)


def _statistics(
    pixels: int, missing: int, compared: int, errors_m: NDArray[np.float64]
) -> DepthErrors:
    share = missing / max(pixels, 1)
    if not len(errors_m):
        return DepthErrors(pixels, share, compared)
    size = np.abs(errors_m)
    return DepthErrors(
        pixels,
        share,
        compared,
        float(np.median(size)),
        float((size <= CLOSE_M).mean()),
        float((size > WRONG_M).mean()),
        tuple(float(value) for value in np.quantile(errors_m, QUANTILES)),
    )


class _Extent:
    """Where in the picture and at what distances there is any depth."""

    def __init__(self) -> None:
        self._levels: set[int] = set()
        self._nearest_m = float("inf")
        self._borders_px = [float("inf")] * len(SIDES)

    def add(self, depth_m: NDArray[np.float32]) -> None:
        valid = depth_m > 0
        self._nearest_m = min(self._nearest_m, float(depth_m[valid].min(initial=np.inf)))
        about_1_m = depth_m[np.abs(depth_m - 1) < 0.05]
        self._levels |= set(np.unique(np.round(1000 * about_1_m).astype(int)).tolist())
        columns, rows = np.flatnonzero(valid.any(axis=0)), np.flatnonzero(valid.any(axis=1))
        if len(columns):
            height, width = valid.shape
            bands = (columns[0], width - 1 - columns[-1], rows[0], height - 1 - rows[-1])
            widths = [int(band) * 640 / width for band in bands]
            self._borders_px = [min(pair) for pair in zip(self._borders_px, widths, strict=True)]

    def summary(self) -> dict[str, Any]:
        """Values are None without any depth; levels are whole mm from 0.95 to 1.05 m."""
        empty = self._nearest_m == float("inf")
        borders = dict(zip(SIDES, self._borders_px, strict=True))
        return {
            "levels": len(self._levels),
            "nearest_m": None if empty else self._nearest_m,
            "border_px": None if empty else borders,
        }


def depth_statistics(samples: Iterable[Sample]) -> dict[str, Any]:
    """Statistics of each frame with glass and true depth, and of all frames together.

    Raises:
        DatasetError: There are no frames.
    """
    glass, opaque, extent = _Pixels(), _Pixels(), _Extent()
    frames, planes, scale, count = [], [], 1.0, 0
    sides: dict[str, list[Edges]] = {side: [] for side in SIDES}
    for sample in samples:
        count += 1
        scale = 640 / sample.frame.depth_m.shape[1]
        extent.add(sample.frame.depth_m)
        background = sample.labels == 0
        if sample.transparent is not None:
            background &= ~sample.transparent
            if sample.true_depth_m is not None:
                row = glass.add(sample, sample.transparent)
                opaque.add(sample, ~sample.transparent & (sample.true_depth_m > 0))
                if row.pixels:
                    frames.append({"name": sample.name, **asdict(row)})
        for side, edges in edges_by_side(sample.frame).items():
            sides[side].append(edges)
        planes.append(plane_noise(sample.frame.depth_m, background))
    if not count:
        raise DatasetError("no frames")
    pooled = {name: part.pooled() for name, part in (("glass", glass), ("opaque", opaque))}
    return {
        "count": count,
        **extent.summary(),
        "frames": frames,
        **{name: None if part is None else asdict(part) for name, part in pooled.items()},
        "edges": {side: summarise_edges(edges, scale) for side, edges in sides.items()},
        "planes": summarise_planes(np.concatenate(planes)),
    }


def write_statistics(path: Path, statistics: dict[str, Any], name: str) -> None:
    content = {"name": name, **statistics, "version": __version__}
    write_text(path, json.dumps(content, indent=1) + "\n")


def read_statistics(path: Path) -> dict[str, Any]:
    """What :func:`write_statistics` wrote.

    Raises:
        DatasetError: The file is missing or something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: {error}") from error
    if (
        not isinstance(content, dict)
        or not {"glass", "edges", "border_px", "planes"} <= content.keys()
    ):
        raise DatasetError(f"{path}: not written by repsam data depth")
    return content
