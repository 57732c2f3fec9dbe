"""What someone outside says about a frame: what is no part of it, and what alone is wanted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import FrameError
from repsam_ros.structures import RgbdFrame

# Points that a polygon is prompted with, spread over it.
_POLYGON_POINTS = 5


@dataclass(frozen=True)
class Guidance:
    """Hints for one frame.

    Attributes:
        ignored: (H, W) bool, pixels that belong to no object and no surroundings, such as the
            robot's own; None = all are looked at.
        outline_px: (K, 2) float32, x and y in pixels of the frame: a point on the one object that
            is wanted (K = 1), or a polygon round it (K >= 3); None = all objects are wanted.
    """

    ignored: NDArray[np.bool_] | None = None
    outline_px: NDArray[np.float32] | None = None

    def check(self, frame_px: tuple[int, ...]) -> None:
        """Whether it fits a frame of (height, width).

        Raises:
            FrameError: ``ignore_mask_size``, ``bad_prompt``.
        """
        if self.ignored is not None and self.ignored.shape != frame_px:
            raise FrameError(
                "ignore_mask_size",
                f"ignore mask: {self.ignored.shape[1]}x{self.ignored.shape[0]}, expected"
                f" {frame_px[1]}x{frame_px[0]} of the color image",
            )
        if self.outline_px is not None:
            _check_outline(self.outline_px, frame_px)


def _check_outline(outline_px: NDArray[np.float32], frame_px: tuple[int, ...]) -> None:
    if len(outline_px) == 2:
        raise FrameError("bad_prompt", "prompt: a polygon has three corners or more, got 2")
    inside = (outline_px > -0.5) & (outline_px < np.array([frame_px[1], frame_px[0]]) - 0.5)
    # A polygon may reach beyond the picture, a point not.
    if not np.isfinite(outline_px).all() or not inside.all(axis=1).any():
        raise FrameError(
            "bad_prompt",
            f"prompt: ({outline_px[0, 0]:g}, {outline_px[0, 1]:g}) ... lies outside the"
            f" {frame_px[1]}x{frame_px[0]} pixels that are segmented",
        )


def without_ignored(
    frame: RgbdFrame, ignored: NDArray[np.bool_] | None, margin_px: int
) -> RgbdFrame:
    """The frame without depth at ignored pixels and within ``margin_px`` of them.

    Depth mixes along the outline of what is ignored; without one of both sides a pixel between
    them no longer shows as such.
    """
    if ignored is None or not ignored.any():
        return frame
    window = np.ones((2 * margin_px + 1,) * 2, np.uint8)
    hidden = cv2.dilate(ignored.astype(np.uint8), window) > 0
    return replace(frame, depth_m=np.where(hidden, np.float32(0), frame.depth_m))


def filled(outline_px: NDArray[np.float32], size_px: tuple[int, int]) -> NDArray[np.bool_]:
    """(height, width) mask of a polygon's pixels."""
    mask = np.zeros(size_px, np.uint8)
    # Far outside, OpenCV's fixed-point numbers would wrap round.
    corners = np.clip(np.rint(outline_px), -1e4, 1e4).astype(np.int32)
    cv2.fillPoly(mask, [corners], 1)
    return mask > 0


def points_inside(outline_px: NDArray[np.float32], size_px: tuple[int, int]) -> NDArray[np.float32]:
    """(N, 2) points to prompt for one object: the point itself, or some far inside the polygon.

    Each further point lies as far as it can from the polygon's border and from those before.

    Args:
        size_px: (height, width) of the picture that ``outline_px`` is in.
    """
    if len(outline_px) == 1:
        return outline_px
    mask = filled(outline_px, size_px)
    distance = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    rows, columns = np.mgrid[: size_px[0], : size_px[1]]
    points = []
    for _ in range(_POLYGON_POINTS):
        y, x = np.unravel_index(int(distance.argmax()), distance.shape)
        if distance[y, x] <= 0:
            break
        points.append((x, y))
        distance = np.minimum(distance, np.hypot(columns - x, rows - y).astype(np.float32))
    return np.array(points, np.float32).reshape(-1, 2)


def wanted_mask(
    masks: NDArray[np.bool_], scores: NDArray[np.float32], outline_px: NDArray[np.float32]
) -> int:
    """Index of the mask that a prompt means: the surest, of a polygon's the one that also fits it.

    Args:
        masks: (N, h, w), N > 0.
        outline_px: In pixels of the masks.
    """
    if len(outline_px) < 3:
        return int(scores.argmax())
    inside = filled(outline_px, (masks.shape[1], masks.shape[2]))
    shared = (masks & inside).sum(axis=(1, 2))
    union = (masks | inside).sum(axis=(1, 2))
    return int((scores * shared / np.maximum(union, 1)).argmax())
