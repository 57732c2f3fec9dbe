"""Holds a backend against another one on a fixed scene, before it may serve.

Compilers of networks have produced fused attention that was plainly wrong while their own tools
reported success, so each engine is checked on the machine that runs it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from repsam_ros.backends import Backend, Decoded

# Relative error of heatmap and mask logits, and IoU of the masks, by precision.
_LIMITS = {"fp32": (1e-3, 0.999), "bf16": (0.1, 0.99), "fp16": (0.05, 0.99)}


@dataclass(frozen=True)
class FixedScene:
    """A canvas with boxes on a tilted table, and a point on each box and on the table.

    Attributes:
        color: (H, W, 3) uint8 RGB.
        depth_m: (H, W) float32, with a hole.
        intrinsics: (4,) float32 fx fy cx cy.
        points_px: (5, 2) float32 x y.
    """

    color: NDArray[np.uint8]
    depth_m: NDArray[np.float32]
    intrinsics: NDArray[np.float32]
    points_px: NDArray[np.float32]


@dataclass(frozen=True)
class CheckReport:
    """How far a backend is from the reference.

    Attributes:
        finite: Whether every output is.
        relative_error: |a - b| / |b|, the larger of heatmap's and mask logits'.
        mask_iou: Of all masks together.
        passed: Whether this is within the limits of the precision.
    """

    finite: bool
    relative_error: float
    mask_iou: float
    passed: bool

    def __str__(self) -> str:
        if not self.finite:
            return "outputs are not finite"
        return f"relative error {self.relative_error:.2g}, mask IoU {self.mask_iou:.4f}"


def fixed_scene(canvas_px: tuple[int, int]) -> FixedScene:
    """The scene on a canvas of (height, width)."""
    height, width = canvas_px
    y, x = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    depth = 1.1 - 0.3 * y
    color = np.stack([90 + 40 * x, 80 + 60 * y, 110 - 30 * x], -1)
    boxes = ((0.15, 0.3), (0.45, 0.55), (0.75, 0.4), (0.5, 0.2))  # left and upper edge
    for index, (left, top) in enumerate(boxes):
        inside = (abs(x - left - 0.08) < 0.08) & (abs(y - top - 0.1) < 0.1)
        depth[inside] -= 0.08 + 0.02 * index
        color[inside] = (60 + 50 * index, 200 - 40 * index, 40 + 30 * index)
    depth[(abs(x - 0.9) < 0.04) & (abs(y - 0.8) < 0.05)] = 0
    noise = np.random.default_rng(0)
    color += noise.normal(0, 4, color.shape)
    depth += noise.normal(0, 1e-3, depth.shape) * (depth > 0)
    points = [(left + 0.08, top + 0.1) for left, top in boxes] + [(0.3, 0.85)]
    return FixedScene(
        color.clip(0, 255).astype(np.uint8),
        depth.astype(np.float32),
        np.array([0.9 * width, 0.9 * width, 0.5 * width, 0.5 * height], np.float32),
        (np.array(points) * (width, height)).astype(np.float32),
    )


def check_backend(candidate: Backend, reference: Backend) -> CheckReport:
    """Runs both on the fixed scene; the candidate's precision sets the limits."""
    scene = fixed_scene(reference.canvas_px)
    heatmap, masks = _run(candidate, scene)
    wanted_heatmap, wanted_masks = _run(reference, scene)
    outputs = (heatmap, masks.mask_logits, masks.predicted_iou)
    if not all(np.isfinite(output).all() for output in outputs):
        return CheckReport(False, float("inf"), 0.0, False)
    error = max(
        relative_error(heatmap, wanted_heatmap),
        relative_error(masks.mask_logits, wanted_masks.mask_logits),
    )
    got, wanted = masks.mask_logits > 0, wanted_masks.mask_logits > 0
    union = int(np.count_nonzero(got | wanted))
    iou = int(np.count_nonzero(got & wanted)) / union if union else 1.0
    most_error, least_iou = _LIMITS[candidate.info().precision]
    return CheckReport(True, error, iou, error <= most_error and iou >= least_iou)


def _run(backend: Backend, scene: FixedScene) -> tuple[NDArray[np.float32], Decoded]:
    encoded = backend.encode(scene.color, scene.depth_m, scene.intrinsics)
    return encoded.heatmap, backend.decode(encoded, scene.points_px)


def relative_error(got: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """|got - wanted| / |wanted|; NaN where an output is not finite."""
    norm = float(np.linalg.norm(wanted.astype(np.float64)))
    return float(np.linalg.norm(got.astype(np.float64) - wanted)) / max(norm, 1e-12)
