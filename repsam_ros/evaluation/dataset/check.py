"""What ``repsam data check`` finds in a data set: counts, a verified sample, a contact sheet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros import __version__
from repsam_ros.datasets import Dataset, Sample, dataset_format, dataset_splits, open_dataset
from repsam_ros.errors import DatasetError, RepsamError
from repsam_ros.evaluation.dataset.tile import draw_tile
from repsam_ros.images import write_png
from repsam_ros.paths import write_text
from repsam_ros.presentation.contact_sheet import join_tiles
from repsam_ros.progress import track
from repsam_ros.structures import Intrinsics

# Wider than any scene on a table, narrower than a wrong unit (a factor of 10 or 1000).
_PLAUSIBLE_MEDIAN_M = (0.15, 8.0)
_MIN_VALID_SHARE = 0.05
_PLAUSIBLE_VIEW_DEG = (20.0, 120.0)
_MAX_FOCAL_RATIO = 1.1
_MAX_INSTANCE_SHARE = 0.75
_NEAR_FAR_QUANTILES = (0.01, 0.99)
_TILES_PER_ROW = 3


@dataclass(frozen=True)
class FrameCheck:
    """What one frame holds, and what looks wrong about it.

    Attributes:
        near_m: First percentile of the valid depth, None where there is none.
        median_m: Median of it.
        far_m: 99th percentile of it.
        valid_share: Pixels with depth.
        ids: The instances.
        ignored_share: Pixels without truth.
        warnings: Values that are possible but rarely right.
    """

    name: str
    split: str
    width: int
    height: int
    near_m: float | None
    median_m: float | None
    far_m: float | None
    valid_share: float
    ids: list[int]
    ignored_share: float
    fx: float
    fy: float
    cx: float
    cy: float
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class DatasetCheck:
    """The result of :func:`check_dataset`.

    Attributes:
        counts: Frames of each split; None where the split is not there.
        absent: Why a split is not there.
        official: What the release holds, as far as the format says.
        frames: The sampled frames that could be read.
        broken: What is wrong with each of the others, by name.
    """

    dataset: str
    root: str
    counts: dict[str, int | None]
    absent: dict[str, str]
    official: dict[str, int]
    frames: list[FrameCheck]
    broken: dict[str, str]

    @property
    def problems(self) -> list[str]:
        """What makes the data set unusable as it is."""
        return list(self.broken.values())

    @property
    def warnings(self) -> list[str]:
        """Everything that looks wrong but could be read."""
        found = [f"{frame.name}: {text}" for frame in self.frames for text in frame.warnings]
        if self.frames and not any(frame.ids for frame in self.frames):
            found.append("no sampled frame has an instance")
        return found


def check_dataset(
    name: str,
    root: Path,
    split: str | None,
    samples: int,
    out: Path,
    options: Mapping[str, Any] | None = None,
) -> DatasetCheck:
    """Counts the frames, reads ``samples`` of them spread evenly over the splits.

    Written are ``contact_sheet.png`` and, last, ``check.json``, into ``out``.

    Args:
        options: Of the format.

    Raises:
        ConfigError: No such format, split or option.
        DatasetError: No split can be opened.
    """
    (out / "check.json").unlink(missing_ok=True)
    datasets, absent = _open_splits(name, root, split, options or {})
    frames: list[FrameCheck] = []
    broken: dict[str, str] = {}
    tiles = []
    chosen = _spread(datasets, samples)
    for dataset, index in track(chosen, len(chosen), "check"):
        try:
            sample = dataset[index]
        except RepsamError as error:
            broken[dataset.names[index]] = str(error)
            continue
        frames.append(check_frame(sample))
        tiles.append(draw_tile(sample))
    counts = {key: len(datasets[key]) if key in datasets else None for key in _splits(name, split)}
    official: dict[str, int] = getattr(dataset_format(name), "OFFICIAL_COUNTS", {})
    check = DatasetCheck(name, str(root), counts, absent, official, frames, broken)
    if tiles:
        write_png(out / "contact_sheet.png", join_tiles(tiles, min(_TILES_PER_ROW, len(tiles))))
    else:
        (out / "contact_sheet.png").unlink(missing_ok=True)
    _write_json(out / "check.json", check)
    return check


def check_frame(sample: Sample) -> FrameCheck:
    """The figures of one frame, with warnings."""
    depth_m, camera = sample.frame.depth_m, sample.frame.intrinsics
    valid = depth_m[(depth_m > 0) & np.isfinite(depth_m)]
    near, median, far = (
        (float(np.quantile(valid, q)) if valid.size else None)
        for q in (_NEAR_FAR_QUANTILES[0], 0.5, _NEAR_FAR_QUANTILES[1])
    )
    ids, areas_px = np.unique(sample.labels[sample.labels > 0], return_counts=True)
    share = valid.size / depth_m.size
    warnings = [
        *_depth_warnings(depth_m, median, share),
        *_camera_warnings(camera),
        *_label_warnings(sample, ids, areas_px),
    ]
    return FrameCheck(
        name=sample.name,
        split=sample.split,
        width=camera.width,
        height=camera.height,
        near_m=near,
        median_m=median,
        far_m=far,
        valid_share=share,
        ids=[int(k) for k in ids],
        ignored_share=float(sample.ignore.mean()),
        fx=camera.fx,
        fy=camera.fy,
        cx=camera.cx,
        cy=camera.cy,
        warnings=warnings,
    )


def text_report(check: DatasetCheck) -> str:
    """Counts, frames and findings for a terminal."""
    width = max(map(len, (*check.counts, *(frame.name for frame in check.frames), "split")))
    lines = [f"{'split':<{width}}  frames"]
    for split, count in check.counts.items():
        known = check.official.get(split)
        note = "" if known in (None, count) else f"  (the release has {known})"
        lines.append(f"{split:<{width}}  {'-' if count is None else count:>6}{note}")
        if split in check.absent:
            lines[-1] += f"  {check.absent[split].removeprefix(check.root).lstrip(':/ ')}"
    if check.frames:
        head = f"{'frame':<{width}}  {'pixels':>9}  depth m (1 %, median, 99 %)  valid  instances"
        lines += ["", f"{head}  ignored  {'fx':>6}  view"]
    lines += [_frame_line(frame, width) for frame in check.frames]
    lines += ["", *(f"warning: {text}" for text in check.warnings)] if check.warnings else []
    return "\n".join(lines)


def _frame_line(frame: FrameCheck, width: int) -> str:
    if frame.near_m is None or frame.median_m is None or frame.far_m is None:
        depth = "none"
    else:
        depth = f"{frame.near_m:.2f}, {frame.median_m:.2f}, {frame.far_m:.2f}"
    view_deg = _view_deg(frame.fx, frame.width)
    return (
        f"{frame.name:<{width}}  {f'{frame.width}x{frame.height}':>9}  {depth:>27}  "
        f"{frame.valid_share:>5.0%}  {len(frame.ids):>9}  {frame.ignored_share:>7.0%}  "
        f"{frame.fx:>6.1f}  {view_deg:.0f} deg"
    )


def _splits(name: str, split: str | None) -> tuple[str, ...]:
    return dataset_splits(name) if split is None else (split,)


def _open_splits(
    name: str, root: Path, split: str | None, options: Mapping[str, Any]
) -> tuple[dict[str, Dataset], dict[str, str]]:
    datasets: dict[str, Dataset] = {}
    absent: dict[str, str] = {}
    for each in _splits(name, split):
        try:
            datasets[each] = open_dataset(name, root, each, **options)
        except DatasetError as error:
            absent[each] = str(error)
    if not datasets:
        open_dataset(name, root, split, **options)  # says what is wrong with the whole of it
        raise DatasetError(next(iter(absent.values())))
    return datasets, absent


def _spread(datasets: dict[str, Dataset], samples: int) -> list[tuple[Dataset, int]]:
    """About the same number from each split, evenly spaced, first and last among them."""
    share, extra = divmod(samples, len(datasets))
    chosen = []
    for k, dataset in enumerate(datasets.values()):
        count = min(len(dataset), share + (k < extra))
        indices = np.linspace(0, len(dataset) - 1, count).round().astype(int)
        chosen += [(dataset, int(index)) for index in indices]
    return chosen


def _depth_warnings(
    depth_m: NDArray[np.float32], median_m: float | None, valid_share: float
) -> Iterator[str]:
    if not np.isfinite(depth_m).all() or (depth_m < 0).any():
        yield "some depth is negative or not finite"
    if valid_share < _MIN_VALID_SHARE:
        yield f"only {valid_share:.1%} of the pixels have depth"
    low, high = _PLAUSIBLE_MEDIAN_M
    if median_m is not None and not low <= median_m <= high:
        yield f"median depth is {median_m:.3g} m; is the unit right?"


def _camera_warnings(camera: Intrinsics) -> Iterator[str]:
    low, high = _PLAUSIBLE_VIEW_DEG
    view_deg = _view_deg(camera.fx, camera.width)
    if not low <= view_deg <= high:
        yield f"the camera sees {view_deg:.0f} deg"
    if not 0 < camera.cx < camera.width or not 0 < camera.cy < camera.height:
        yield f"the principal point ({camera.cx:g}, {camera.cy:g}) is outside of the image"
    if not 1 / _MAX_FOCAL_RATIO <= camera.fx / camera.fy <= _MAX_FOCAL_RATIO:
        yield f"focal lengths {camera.fx:g} and {camera.fy:g} differ much"


def _label_warnings(
    sample: Sample, ids: NDArray[np.uint16], areas_px: NDArray[np.intp]
) -> Iterator[str]:
    if (sample.labels[sample.ignore] > 0).any():
        yield "ignored pixels have labels"
    for k, area_px in zip(ids, areas_px, strict=True):
        if area_px > _MAX_INSTANCE_SHARE * sample.labels.size:
            yield f"instance {k} covers {area_px / sample.labels.size:.0%} of the image"


def _view_deg(focal_px: float, width_px: int) -> float:
    return float(np.degrees(2 * np.arctan(width_px / (2 * focal_px))))


def _write_json(path: Path, check: DatasetCheck) -> None:
    content: dict[str, Any] = {
        **asdict(check),
        "problems": check.problems,
        "warnings": check.warnings,
        "version": __version__,
    }
    write_text(path, json.dumps(content, indent=2) + "\n")
