"""Object clouds with their surroundings: the last stage before a grasp planner.

What happens to a frame, in order:

1. Pixels outside the depth range or not finite are left out.
2. Masks are made to end where depth does, if that is within ``outline_px``
   (:mod:`repsam_ros.perception.cloud_outlines`).
3. Where depth mixes, pixels are removed. Within ``edge_px`` of a pixel, ``near`` and ``far`` are
   the least and greatest depth. A pixel strictly between them is a flying pixel and goes. An
   object pixel at its mask's border goes when it lies on the far side of a jump: such pixels
   belong to whatever is behind, or to neither. A context pixel at a mask's border goes when it
   continues the object's surface: masks that end a pixel short would otherwise leave a rim of
   obstacles round every object.
4. The context is voxelised and the support plane fitted to it; object points closer to the plane
   than ``plane_margin_m`` are table that the mask caught and become context.
5. Objects are voxelised finely and cleaned of statistical outliers
   (:mod:`repsam_ros.perception.outliers`). Objects left with fewer than ``min_object_points``
   points become context.

What stays of an object within ``edge_px`` of its mask's border carries ``FLAG_MASK_EDGE``: its
position is measured, its membership is less certain. All points of an object that has little depth
of its own carry ``FLAG_LITTLE_DEPTH`` (:mod:`repsam_ros.perception.cloud_depth`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import ConfigError, FrameError
from repsam_ros.perception.cloud_depth import little_depth
from repsam_ros.perception.cloud_outlines import GRAZING_SLOPE, follow_depth
from repsam_ros.perception.outliers import are_inliers
from repsam_ros.perception.support_plane import PlaneSettings, fit_support_plane
from repsam_ros.perception.voxels import Points, gather, pixel_rays, voxelise
from repsam_ros.structures import (
    FLAG_LITTLE_DEPTH,
    Instances,
    Intrinsics,
    Plane,
    RgbdFrame,
    SceneCloud,
)


@dataclass(frozen=True)
class CloudSettings:
    """How a frame becomes a cloud.

    Attributes:
        object_voxel_m: Point spacing on objects, metres.
        context_voxel_m: Point spacing elsewhere, metres.
        min_depth_m: Nearer points are left out.
        max_depth_m: Farther points are left out.
        context_margin_m: Context farther than this from the box round all objects is left out.
        outline_px: How far the outlines of masks may lie from those of depth; 0 = masks are taken
            as they are.
        edge_px: Half width of the band in which mask borders and depth jumps act.
        edge_jump_m: Depth difference that counts as a jump, metres.
        plane_margin_m: Object points below this height over the support plane are context.
        outlier_radius_m: Reach of the outlier test; 0 switches it off.
        outlier_sigmas: Deviations above the mean spacing that make an outlier.
        min_object_points: Objects with fewer points become context.
        plane: How the support plane is found.
    """

    object_voxel_m: float = 0.003
    context_voxel_m: float = 0.006
    min_depth_m: float = 0.15
    max_depth_m: float = 2.5
    context_margin_m: float = 0.4
    outline_px: int = 6
    edge_px: int = 2
    edge_jump_m: float = 0.01
    plane_margin_m: float = 0.005
    outlier_radius_m: float = 0.015
    outlier_sigmas: float = 2.0
    min_object_points: int = 20
    plane: PlaneSettings = field(default_factory=PlaneSettings)

    def __post_init__(self) -> None:
        if min(self.object_voxel_m, self.context_voxel_m) < 0.0005:
            raise ConfigError("object_voxel_m and context_voxel_m must be at least 0.0005")
        if not 0 <= self.min_depth_m < self.max_depth_m:
            raise ConfigError("min_depth_m must be at least 0 and below max_depth_m")
        if min(self.outline_px, self.edge_px, self.outlier_radius_m) < 0:
            raise ConfigError("outline_px, edge_px and outlier_radius_m must not be negative")
        if self.min_object_points < 1:
            raise ConfigError("min_object_points must be at least 1")


def unproject(depth_m: NDArray[np.float32], intrinsics: Intrinsics) -> NDArray[np.float32]:
    """(H, W, 3) points in the camera's optical frame, metres; zeros where depth is invalid.

    Args:
        depth_m: (H, W) metres along the optical axis, 0 = invalid.
    """
    if depth_m.shape != (intrinsics.height, intrinsics.width):
        raise FrameError(
            "size_mismatch",
            f"depth_m: expected {(intrinsics.height, intrinsics.width)}, got {depth_m.shape}",
        )
    depth = np.where(np.isfinite(depth_m), depth_m, np.float32(0))
    columns, rows = pixel_rays(intrinsics)
    points = np.empty((*depth.shape, 3), np.float32)
    np.multiply(depth, columns, out=points[..., 0])
    np.multiply(depth, rows[:, None], out=points[..., 1])
    points[..., 2] = depth
    return points


def project(points_m: NDArray[np.floating], intrinsics: Intrinsics) -> NDArray[np.float64]:
    """(..., 2) pixels x, y of (..., 3) optical-frame points; NaN at or behind the lens."""
    points = np.asarray(points_m, np.float64)
    depth = np.where(points[..., 2] > 0, points[..., 2], np.nan)
    return np.stack(
        (
            points[..., 0] / depth * intrinsics.fx + intrinsics.cx,
            points[..., 1] / depth * intrinsics.fy + intrinsics.cy,
        ),
        axis=-1,
    )


def build_cloud(frame: RgbdFrame, instances: Instances, settings: CloudSettings) -> SceneCloud:
    """The objects of a frame and their surroundings, in the camera's optical frame.

    Objects come first, by id, then the context; within each, points are in a fixed order.

    Raises:
        FrameError: ``size_mismatch`` when the label map is not of the frame's size.
    """
    labels, depth_m = instances.labels, frame.depth_m
    if labels.shape != depth_m.shape:
        raise FrameError("size_mismatch", f"labels {labels.shape}, depth {depth_m.shape}")
    depth_m = np.where(np.isfinite(depth_m) & (depth_m > 0), depth_m, np.float32(0))
    little = little_depth(labels, depth_m, len(instances)) * np.uint8(FLAG_LITTLE_DEPTH)
    if settings.outline_px:
        labels, depth_m = follow_depth(
            labels, depth_m, frame.intrinsics, settings.outline_px, settings.edge_jump_m
        )
    object_px, context_px, edge_px = _classify(depth_m, labels, frame.intrinsics, settings)
    step = _context_step(depth_m, context_px, frame.intrinsics, settings.context_voxel_m)
    sparse_px = np.zeros_like(context_px)
    sparse_px[::step, ::step] = context_px[::step, ::step]
    context = gather(frame, labels, edge_px, sparse_px).as_context()
    context = voxelise(context, settings.context_voxel_m)
    objects = gather(frame, labels, edge_px, object_px)
    objects = voxelise(objects, settings.object_voxel_m)
    viewpoint_m = np.zeros(3)
    plane = fit_support_plane(
        context.points, objects.points, objects.ids, viewpoint_m, settings.plane
    )
    objects, fallen = _clean_objects(objects, plane, settings)
    context = _crop(context + fallen.as_context(), objects.points, settings.context_margin_m)
    everything = objects + context
    scores = np.concatenate((np.zeros(1, np.float32), instances.scores))
    return SceneCloud(
        points_m=everything.points,
        colors=everything.colors,
        instance_ids=everything.ids,
        scores=scores[everything.ids],
        flags=everything.flags | little[everything.ids],
        stamp_ns=frame.stamp_ns,
        frame_id=frame.frame_id,
        support_plane=plane,
        viewpoint_m=viewpoint_m,
    )


def _classify(
    depth_m: NDArray[np.float32],
    labels: NDArray[np.uint16],
    intrinsics: Intrinsics,
    settings: CloudSettings,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """(H, W) masks: object pixels, context pixels, pixels near a mask's border.

    Args:
        depth_m: (H, W) finite, 0 = invalid.
    """
    in_range = (depth_m >= settings.min_depth_m) & (depth_m <= settings.max_depth_m)
    in_range &= depth_m > 0
    is_object = labels > 0
    window = np.ones((2 * settings.edge_px + 1,) * 2, np.uint8)
    border = cv2.erode(labels, window) != cv2.dilate(labels, window)
    slope = GRAZING_SLOPE * settings.edge_px / min(intrinsics.fx, intrinsics.fy)
    jump = depth_m * np.float32(slope)
    np.maximum(jump, np.float32(settings.edge_jump_m), out=jump)
    known_m = np.where(depth_m > 0, depth_m, np.float32(np.inf))
    behind = depth_m > cv2.erode(known_m, window) + jump
    mixed = behind & (depth_m < cv2.dilate(depth_m, window) - jump)
    object_px = in_range & is_object & ~mixed & ~(border & behind)
    context_px = in_range & ~is_object & ~mixed
    # Few pixels are left to ask about, near objects alone.
    rim = np.flatnonzero(context_px & border)
    depth, step = depth_m.take(rim), jump.take(rim)
    near = cv2.erode(np.where(is_object, known_m, np.float32(np.inf)), window).take(rim)
    far = cv2.dilate(np.where(is_object, depth_m, np.float32(0)), window).take(rim)
    on_object = (depth >= near - step) & (depth <= far + step)
    context_px.reshape(-1)[rim[on_object]] = False
    return object_px, context_px, border


def _context_step(
    depth_m: NDArray[np.float32],
    context_px: NDArray[np.bool_],
    intrinsics: Intrinsics,
    voxel_m: float,
) -> int:
    """Pixel step that still puts about two samples along each voxel of the context."""
    depths = depth_m[::8, ::8][context_px[::8, ::8]]
    if not len(depths):
        return 1
    pitch_m = float(np.median(depths)) / min(intrinsics.fx, intrinsics.fy)
    return max(1, int(voxel_m / (2 * pitch_m)))


def _clean_objects(
    objects: Points, plane: Plane | None, settings: CloudSettings
) -> tuple[Points, Points]:
    """Objects without table and outliers, and the points that became context."""
    standing = np.ones(len(objects.points), bool)
    if plane is not None:
        standing = plane.height_m(objects.points) >= settings.plane_margin_m
    table, objects = objects.where(~standing), objects.where(standing)
    if settings.outlier_radius_m:
        objects = objects.where(
            are_inliers(
                objects.points, objects.ids, settings.outlier_radius_m, settings.outlier_sigmas
            )
        )
    counts = np.bincount(objects.ids, minlength=1)
    large = counts[objects.ids] >= settings.min_object_points
    return objects.where(large), table + objects.where(~large)


def _crop(context: Points, objects_m: NDArray[np.float32], margin_m: float) -> Points:
    if not len(objects_m):
        return context
    inside = np.ones(len(context.points), bool)
    for seen, column in zip(objects_m.T, context.points.T, strict=True):
        inside &= (column >= seen.min() - margin_m) & (column <= seen.max() + margin_m)
    return context.where(inside)
