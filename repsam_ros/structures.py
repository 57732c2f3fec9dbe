"""What the stages hand to each other.

Camera frames are optical frames (REP-103: x right, y down, z forward). Lengths are
metres unless a name ends in ``_px``. Arrays are never edited in place by a later stage.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import FrameError

# In true label maps that are kept without a mask of their own of what nobody labelled.
UNKNOWN_LABEL = 65535

# Depth with a greater median is taken to be in millimetres: no depth camera of a robot arm sees
# this far, and nearly every one reports more than 50 mm.
FARTHEST_MEDIAN_M = 50.0

# Bits of points; 1 is kept for depth that was completed, which nothing here does.
FLAG_LITTLE_DEPTH = 2
FLAG_MASK_EDGE = 4

# In image sizes, beyond what any lens (178 degrees wide at the least) or crop has: points stay
# finite and grids over them in memory.
_FOCAL_LENGTHS = (0.01, 1e4)
_MAX_CENTER = 1e4


def _require(name: str, array: NDArray[Any], shape: tuple[int | None, ...], dtype: type) -> None:
    matches = array.ndim == len(shape) and all(
        want is None or want == got for want, got in zip(shape, array.shape, strict=True)
    )
    if not matches or array.dtype != np.dtype(dtype):
        wanted = ", ".join("*" if want is None else str(want) for want in shape)
        raise FrameError(
            "size_mismatch",
            f"{name}: expected ({wanted}) {np.dtype(dtype)}, got {array.shape} {array.dtype}",
        )


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole intrinsics in pixels; pixel centres lie at integer coordinates.

    Raises:
        FrameError: ``bad_intrinsics`` when the size is empty, or no camera has such a focal
            length or principal point.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise FrameError("bad_intrinsics", f"empty image size {self.width}x{self.height}")
        size_px = max(self.width, self.height)
        for name, focal_px in (("fx", self.fx), ("fy", self.fy)):
            low_px, high_px = (bound * size_px for bound in _FOCAL_LENGTHS)
            if not low_px <= focal_px <= high_px:
                raise FrameError(
                    "bad_intrinsics",
                    f"{name} of {focal_px} px: a focal length must be positive, and at"
                    f" {self.width}x{self.height} from {low_px:g} to {high_px:g} px",
                )
        if not all(abs(value) <= _MAX_CENTER * size_px for value in (self.cx, self.cy)):
            raise FrameError("bad_intrinsics", f"principal point ({self.cx}, {self.cy}) px")

    @property
    def values(self) -> NDArray[np.float32]:
        """(4,) fx, fy, cx, cy, as networks take them."""
        return np.array((self.fx, self.fy, self.cx, self.cy), np.float32)

    def scaled(self, scale_x: float, scale_y: float, width: int, height: int) -> Intrinsics:
        """Intrinsics of the same view resampled to ``width`` x ``height`` pixels."""
        return Intrinsics(
            fx=self.fx * scale_x,
            fy=self.fy * scale_y,
            cx=(self.cx + 0.5) * scale_x - 0.5,
            cy=(self.cy + 0.5) * scale_y - 0.5,
            width=width,
            height=height,
        )


@dataclass(frozen=True)
class RgbdFrame:
    """One colour image with depth registered to it.

    Attributes:
        color: (H, W, 3) uint8, RGB.
        depth_m: (H, W) float32, metres along the optical axis, 0 = invalid.
        intrinsics: Of the colour camera, at H x W.
        stamp_ns: Stamp of the colour image in nanoseconds.
        frame_id: Optical frame of the colour camera.

    Raises:
        FrameError: ``size_mismatch`` when arrays and intrinsics disagree.
    """

    color: NDArray[np.uint8]
    depth_m: NDArray[np.float32]
    intrinsics: Intrinsics
    stamp_ns: int = 0
    frame_id: str = "camera_color_optical_frame"

    def __post_init__(self) -> None:
        shape = (self.intrinsics.height, self.intrinsics.width)
        _require("color", self.color, (*shape, 3), np.uint8)
        _require("depth_m", self.depth_m, shape, np.float32)


@dataclass(frozen=True)
class Prompts:
    """Point prompts on one image.

    Attributes:
        points_px: (N, 2) float32, x and y in pixels of the image.
        scores: (N,) float32 in [0, 1], confidence that an object is there.
    """

    points_px: NDArray[np.float32]
    scores: NDArray[np.float32]

    def __post_init__(self) -> None:
        _require("points_px", self.points_px, (None, 2), np.float32)
        _require("scores", self.scores, (len(self.points_px),), np.float32)


@dataclass(frozen=True)
class Instances:
    """Instances of one frame; instance ``k`` has id ``k + 1`` in the label map.

    Attributes:
        labels: (H, W) uint16 label map at the size of the frame, 0 = background.
        scores: (N,) float32 in [0, 1], N = number of instances.
        prompts_px: (N, 2) float32, the prompt that each instance came from.
    """

    labels: NDArray[np.uint16]
    scores: NDArray[np.float32]
    prompts_px: NDArray[np.float32]

    def __post_init__(self) -> None:
        _require("labels", self.labels, (None, None), np.uint16)
        _require("scores", self.scores, (None,), np.float32)
        _require("prompts_px", self.prompts_px, (len(self.scores), 2), np.float32)
        highest = int(self.labels.max(initial=0))
        if highest > len(self.scores):
            raise FrameError(
                "size_mismatch", f"label {highest} in a map of {len(self.scores)} instances"
            )

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class Plane:
    """The plane ``normal . p + offset_m = 0``; the unit normal points to the camera's side."""

    normal: NDArray[np.float64]
    offset_m: float

    def __post_init__(self) -> None:
        _require("normal", self.normal, (3,), np.float64)

    def height_m(self, points_m: NDArray[np.floating]) -> NDArray[np.floating]:
        """Signed height of (..., 3) points over the plane, metres."""
        return points_m @ self.normal + self.offset_m


@dataclass(frozen=True)
class SceneCloud:
    """Objects and what surrounds them, from one frame: what a grasp planner needs.

    Attributes:
        points_m: (M, 3) float32, finite, in ``frame_id``.
        colors: (M, 3) uint8, RGB.
        instance_ids: (M,) uint32, 0 = scene context, else the id in the label map.
        scores: (M,) float32, score of the point's instance, 0 for context.
        flags: (M,) uint8, bits ``FLAG_LITTLE_DEPTH``, ``FLAG_MASK_EDGE``.
        support_plane: The plane under the objects, None when there is none.
        viewpoint_m: (3,) float64, camera position in ``frame_id``.
    """

    points_m: NDArray[np.float32]
    colors: NDArray[np.uint8]
    instance_ids: NDArray[np.uint32]
    scores: NDArray[np.float32]
    flags: NDArray[np.uint8]
    stamp_ns: int
    frame_id: str
    support_plane: Plane | None = None
    viewpoint_m: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))

    def __post_init__(self) -> None:
        count = len(self.points_m)
        _require("points_m", self.points_m, (None, 3), np.float32)
        _require("colors", self.colors, (count, 3), np.uint8)
        _require("instance_ids", self.instance_ids, (count,), np.uint32)
        _require("scores", self.scores, (count,), np.float32)
        _require("flags", self.flags, (count,), np.uint8)
        _require("viewpoint_m", self.viewpoint_m, (3,), np.float64)


@dataclass(frozen=True)
class Grasp:
    """A parallel-jaw grasp in the frame of the cloud it was planned on.

    The grasp frame is that of the Panda hand and of VGN: z approaches the object, y is the
    closing axis, the origin is the tool centre point between the finger tips.

    Attributes:
        position_m: (3,) float64, tool centre point.
        rotation: (3, 3) float64, columns are the grasp frame's x, y, z axes.
        width_m: Opening between the fingers before closing, metres.
        score: In [0, 1], higher is better.
        instance_id: Instance to be picked.
    """

    position_m: NDArray[np.float64]
    rotation: NDArray[np.float64]
    width_m: float
    score: float
    instance_id: int

    def __post_init__(self) -> None:
        _require("position_m", self.position_m, (3,), np.float64)
        _require("rotation", self.rotation, (3, 3), np.float64)
