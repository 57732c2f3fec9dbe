"""Whether exported graphs compute what the network computes.

Pictures are noise over boxes, without depth, with all of it, and with holes; prompts lie on boxes,
on the borders, beside the picture and anywhere, one, seven and as many as are decoded at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.backends import Backend
from repsam_ros.backends._check import FixedScene, fixed_scene, relative_error
from repsam_ros.backends._prompt_batches import most_prompts
from repsam_ros.errors import BackendError

# Relative error, and IoU of masks.
LIMITS = {"fp32": (1e-5, 0.999), "fp16": (0.05, 0.99)}
# On which side of 0 a logit lies is rounding below this share of the root mean square of its mask.
_ROUNDING = {"fp32": 1e-5, "fp16": 1e-3}


@dataclass(frozen=True)
class Parity:
    """Worst values over all cases.

    Attributes:
        heatmap, mask_logits: |a - b| / |b|.
        predicted_iou: Largest |a - b|, since these lie in [0, 1] and may all be near 0.
        mask_iou: Of all masks of all cases together, every pixel counted.
        mask_iou_min: Of single masks, without pixels that lie on their border within rounding: in
            a mask of a few hundred pixels one of these would be too many.
        cases: Pictures times sets of prompts.
    """

    heatmap: float
    mask_logits: float
    predicted_iou: float
    mask_iou: float
    mask_iou_min: float
    cases: int

    def to_plain(self) -> dict[str, Any]:
        """As the manifest has it."""
        plain = asdict(self)
        return {
            "relative_error": {
                name: plain[name] for name in ("heatmap", "mask_logits", "predicted_iou")
            },
            "mask_iou": self.mask_iou,
            "mask_iou_min": self.mask_iou_min,
            "cases": self.cases,
        }


def measure_parity(candidate: Backend, reference: Backend) -> Parity:
    """Runs both on every case."""
    heatmaps: list[float] = []
    masks: list[tuple[float, float, float]] = []
    differing = union = 0
    scene, rounding = fixed_scene(reference.canvas_px), _ROUNDING[candidate.info().precision]
    for color, depth_m in _pictures(scene):
        got, wanted = (
            backend.encode(color, depth_m, scene.intrinsics) for backend in (candidate, reference)
        )
        heatmaps.append(relative_error(got.heatmap, wanted.heatmap))
        for points_px in _prompts(scene):
            ours = candidate.decode(got, points_px)
            theirs = reference.decode(wanted, points_px)
            error = relative_error(ours.mask_logits, theirs.mask_logits)
            quality = abs(ours.predicted_iou - theirs.predicted_iou).max()
            iou = _least_iou(ours.mask_logits, theirs.mask_logits, rounding)
            masks.append((error, float(quality), -iou))
            inside = ours.mask_logits > 0, theirs.mask_logits > 0
            differing += int(np.count_nonzero(inside[0] ^ inside[1]))
            union += int(np.count_nonzero(inside[0] | inside[1]))
    logits, quality, iou = np.max(masks, axis=0)  # NaN stays NaN
    return Parity(
        heatmap=float(np.max(heatmaps)),
        mask_logits=float(logits),
        predicted_iou=float(quality),
        mask_iou=1 - differing / max(union, 1),
        mask_iou_min=-float(iou),
        cases=len(masks),
    )


def check_parity(parity: Parity, precision: str) -> None:
    """Refuses graphs that compute something else.

    Raises:
        BackendError: A value lies beyond the limits of the precision, or is not a number.
    """
    error = float(np.max([parity.heatmap, parity.mask_logits, parity.predicted_iou]))
    most, least = LIMITS[precision]
    iou = min(parity.mask_iou, parity.mask_iou_min)
    if not (error <= most and iou >= least):
        raise BackendError(
            f"the {precision} graphs do not compute what the network computes: relative error "
            f"{error:.2g} (at most {most:g}), mask IoU {iou:.4f} (at least {least})"
        )


def _pictures(scene: FixedScene) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    noise, color, depth_m = np.random.default_rng(0), scene.color, scene.depth_m
    holes = noise.random((depth_m.shape[0] // 8, depth_m.shape[1] // 8)) < 0.3
    kept = ~np.kron(holes, np.ones((8, 8), bool))
    yield color, depth_m
    yield color, depth_m * kept
    yield color, np.zeros_like(depth_m)
    yield noise.integers(0, 256, color.shape, np.uint8), depth_m


def _prompts(scene: FixedScene) -> Iterator[NDArray[np.float32]]:
    height, width = scene.depth_m.shape
    noise = np.random.default_rng(1)
    corners = [(0, 0), (width - 1, height - 1), (-0.5, height / 2), (width + 3, 0.5)]
    first, *others = scene.points_px
    chosen = np.array([first, *corners, *others])
    for count in (1, 7, most_prompts(scene.depth_m.shape)):
        anywhere = noise.uniform((0, 0), (width, height), (count, 2))
        yield np.concatenate([chosen, anywhere])[:count].astype(np.float32)


def _least_iou(got: NDArray[np.float32], wanted: NDArray[np.float32], rounding: float) -> float:
    """Over (N, h, w) logits of masks."""
    sizes = np.sqrt(np.mean(np.square(wanted), axis=(1, 2), keepdims=True))
    counts = np.abs(wanted) > rounding * sizes
    ours, theirs = got > 0, wanted > 0
    union = ((ours | theirs) & counts).sum((1, 2))
    differing = ((ours ^ theirs) & counts).sum((1, 2))
    return float(1 - (differing / np.maximum(union, 1)).max())
