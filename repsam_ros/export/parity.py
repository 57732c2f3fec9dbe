"""Whether exported graphs compute what the network computes.

Pictures are noise over boxes, without depth, with all of it, and with holes; prompts lie on a grid,
on the borders and beside the picture, one, seven and forty at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.backends import Backend
from repsam_ros.backends._check import fixed_scene, relative_error
from repsam_ros.errors import BackendError

PROMPT_COUNTS = (1, 7, 40)
# Relative error, and IoU of each mask.
LIMITS = {"fp32": (1e-5, 0.999), "fp16": (0.05, 0.99)}


@dataclass(frozen=True)
class Parity:
    """Worst values over all cases.

    Attributes:
        heatmap, mask_logits: |a - b| / |b|.
        predicted_iou: Largest |a - b|, since these lie in [0, 1] and may all be near 0.
        mask_iou_min: Over single masks, in each of which one pixel may differ.
        cases: Pictures times sets of prompts.
    """

    heatmap: float
    mask_logits: float
    predicted_iou: float
    mask_iou_min: float
    cases: int

    def to_plain(self) -> dict[str, Any]:
        """As the manifest has it."""
        plain = asdict(self)
        return {
            "relative_error": {
                name: plain[name] for name in ("heatmap", "mask_logits", "predicted_iou")
            },
            "mask_iou_min": self.mask_iou_min,
            "cases": self.cases,
        }


def measure_parity(candidate: Backend, reference: Backend) -> Parity:
    """Runs both on every case."""
    heatmaps: list[float] = []
    masks: list[tuple[float, float, float]] = []
    scene = fixed_scene(reference.canvas_px)
    for color, depth_m in _pictures(scene.color, scene.depth_m):
        got, wanted = (
            backend.encode(color, depth_m, scene.intrinsics) for backend in (candidate, reference)
        )
        heatmaps.append(relative_error(got.heatmap, wanted.heatmap))
        for points_px in _prompts(reference.canvas_px):
            ours = candidate.decode(got, points_px)
            theirs = reference.decode(wanted, points_px)
            error = relative_error(ours.mask_logits, theirs.mask_logits)
            quality = abs(ours.predicted_iou - theirs.predicted_iou).max()
            iou = _least_iou(ours.mask_logits, theirs.mask_logits)
            masks.append((error, float(quality), -iou))
    logits, quality, iou = np.max(masks, axis=0)  # NaN stays NaN
    return Parity(float(np.max(heatmaps)), float(logits), float(quality), -float(iou), len(masks))


def check_parity(parity: Parity, precision: str) -> None:
    """Refuses graphs that compute something else.

    Raises:
        BackendError: A value lies beyond the limits of the precision, or is not a number.
    """
    error = float(np.max([parity.heatmap, parity.mask_logits, parity.predicted_iou]))
    most, least = LIMITS[precision]
    if not (error <= most and parity.mask_iou_min >= least):
        raise BackendError(
            f"the {precision} graphs do not compute what the network computes: relative error "
            f"{error:.2g} (at most {most:g}), mask IoU {parity.mask_iou_min:.4f} (at least {least})"
        )


def _pictures(
    color: NDArray[np.uint8], depth_m: NDArray[np.float32]
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    noise = np.random.default_rng(0)
    holes = noise.random((depth_m.shape[0] // 8, depth_m.shape[1] // 8)) < 0.3
    kept = ~np.kron(holes, np.ones((8, 8), bool))
    yield color, depth_m
    yield color, depth_m * kept
    yield color, np.zeros_like(depth_m)
    yield noise.integers(0, 256, color.shape, np.uint8), depth_m


def _prompts(canvas_px: tuple[int, int]) -> Iterator[NDArray[np.float32]]:
    height, width = canvas_px
    noise = np.random.default_rng(1)
    corners = [(0, 0), (width - 1, height - 1), (-0.5, height / 2), (width + 3, 0.5)]
    for count in PROMPT_COUNTS:
        inside = noise.uniform((0, 0), (width, height), (count, 2))
        edge = corners[: count // 2]
        inside[: len(edge)] = np.reshape(edge, (-1, 2))
        yield inside.astype(np.float32)


def _least_iou(got: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """Over (N, h, w) masks; one pixel of each may lie on its border within rounding."""
    ours, theirs = got > 0, wanted > 0
    union = (ours | theirs).sum((1, 2))
    differing = (ours ^ theirs).sum((1, 2))
    return float(1 - (np.maximum(differing - 1, 0) / np.maximum(union, 1)).max())
