"""Where the hand may go: known points, and space that the camera has seen to be free."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from repsam_ros.grasping.gripper import Gripper
from repsam_ros.structures import Plane, SceneCloud


def hits_points(
    positions_m: NDArray[np.float64],
    rotations: NDArray[np.float64],
    widths_m: NDArray[np.float64],
    points_m: NDArray[np.float32],
    gripper: Gripper,
    approach_m: float,
) -> NDArray[np.bool_]:
    """(C,) whether a point lies in the open hand or in what it sweeps on its straight approach.

    Args:
        widths_m: (C,) opening between the fingers while approaching.
        points_m: (M, 3) in the frame of the grasps.
    """
    if not len(points_m):
        return np.zeros(len(positions_m), bool)
    # Relative to a nearby origin, single precision is good for micrometres.
    origin = positions_m.mean(axis=0)
    axes = rotations.transpose(1, 0, 2).reshape(3, -1).astype(np.float32)
    shift = np.einsum("ci,cij->cj", positions_m - origin, rotations).astype(np.float32)
    local = ((points_m - origin.astype(np.float32)) @ axes).reshape(len(points_m), -1, 3) - shift
    along_x, along_y, along_z = np.abs(local[..., 0]), np.abs(local[..., 1]), local[..., 2]
    inner = (widths_m / 2).astype(np.float32)
    front = gripper.palm_front_m
    back = front - gripper.palm_length_m - approach_m
    in_fingers = (along_x < gripper.finger_width_m / 2) & (along_y > inner)
    in_fingers &= along_y < inner + np.float32(gripper.finger_thickness_m)
    in_fingers &= (along_z > front) & (along_z < gripper.tip_m)
    in_palm = (along_x < gripper.palm_depth_m / 2) & (along_y < gripper.palm_width_m / 2)
    in_palm &= (along_z > back) & (along_z <= front)
    hit: NDArray[np.bool_] = (in_fingers | in_palm).any(axis=0)
    return hit


def least_height_m(
    positions_m: NDArray[np.float64],
    rotations: NDArray[np.float64],
    widths_m: NDArray[np.float64],
    plane: Plane,
    gripper: Gripper,
) -> NDArray[np.float64]:
    """(C,) least height over the plane of fingers, opened by ``widths_m``, and palm."""
    axes = np.einsum("i,cij->cj", plane.normal, rotations)
    tcp_m = plane.height_m(positions_m)
    span_m = widths_m / 2 + gripper.finger_thickness_m
    fingers = np.abs(axes[:, 0]) * gripper.finger_width_m / 2 + np.abs(axes[:, 1]) * span_m
    palm = np.abs(axes[:, 0]) * gripper.palm_depth_m / 2
    palm += np.abs(axes[:, 1]) * gripper.palm_width_m / 2
    back_m = gripper.palm_front_m - gripper.palm_length_m
    tips = np.minimum(gripper.tip_m * axes[:, 2], gripper.palm_front_m * axes[:, 2])
    ends = np.minimum(back_m * axes[:, 2], gripper.palm_front_m * axes[:, 2])
    lowest: NDArray[np.float64] = tcp_m + np.minimum(tips - fingers, ends - palm)
    return lowest


def _image_axes(rays: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) columns right, down, forward; they turn with the (N, 3) unit rays."""
    if not len(rays):
        return np.eye(3)
    forward = rays.mean(axis=0)
    forward /= max(float(np.linalg.norm(forward)), 1e-9)
    outermost = rays[np.argmin(rays @ forward)]
    right = outermost - (outermost @ forward) * forward
    if np.linalg.norm(right) < 1e-6:
        right = np.cross(forward, np.eye(3)[np.argmin(np.abs(forward))])
    right /= np.linalg.norm(right)
    return np.stack((right, np.cross(forward, right), forward), axis=1)


class SeenSpace:
    """The space between the camera and what it saw, as a coarse range image.

    The range image is rebuilt from the cloud, in a plane perpendicular to the mean direction of
    sight. A place is known when it is nearer than the nearest point of its cell plus a margin.
    Behind seen points, where depth is missing and outside the cloud, it is unknown.
    """

    def __init__(self, cloud: SceneCloud, margin_m: float) -> None:
        offsets = cloud.points_m.astype(np.float64) - cloud.viewpoint_m
        ranges = np.linalg.norm(offsets, axis=1)
        usable = ranges > 1e-6
        offsets, ranges, ids = offsets[usable], ranges[usable], cloud.instance_ids[usable]
        self._axes = _image_axes(offsets / ranges[:, None])
        self._viewpoint_m = cloud.viewpoint_m
        self._margin_m = margin_m
        # Points lie a context voxel (some 6 mm) apart, on slanted surfaces half as much again.
        self._cell = 0.010 / float(np.median(ranges)) if len(ranges) else 1.0
        cells, ahead = self._cells(offsets)
        cells, ranges, ids = cells[ahead], ranges[ahead], ids[ahead]
        self._low = cells.min(axis=0) if len(cells) else np.zeros(2, np.intp)
        shape = cells.max(axis=0) - self._low + 1 if len(cells) else np.ones(2, np.intp)
        self._nearest_m = np.full(tuple(shape), -np.inf)
        self._nearest_id = np.full(tuple(shape), -1, np.int64)
        if len(cells):
            # Written from far to near, so the nearest point of a cell stays.
            order = np.argsort(-ranges, kind="stable")
            place = tuple((cells - self._low)[order].T)
            self._nearest_m[place] = ranges[order]
            self._nearest_id[place] = ids[order]

    def _cells(self, offsets_m: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        local = offsets_m @ self._axes
        # Wider than 80 degrees off the mean direction there is no image.
        ahead = local[..., 2] > 0.17 * np.linalg.norm(local, axis=-1)
        depth = np.where(ahead, local[..., 2], 1.0)
        cells = np.floor(local[..., :2] / depth[..., None] / self._cell)
        return np.where(ahead[..., None], cells, 0).astype(np.intp), ahead

    def look_up(self, points_m: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Whether (..., 3) places are known, and the instance in their line of sight.

        The instance is 0 for context and -1 where nothing was measured. A place at a surface
        or before it is known.
        """
        offsets = points_m - self._viewpoint_m
        cells, ahead = self._cells(offsets)
        cells = cells - self._low
        inside = ahead & np.all((cells >= 0) & (cells < self._nearest_m.shape), axis=-1)
        cells = np.where(inside[..., None], cells, 0)
        place = cells[..., 0], cells[..., 1]
        ranges = np.linalg.norm(offsets, axis=-1)
        known = inside & (ranges <= self._nearest_m[place] + self._margin_m)
        return known, np.where(inside, self._nearest_id[place], -1)

    def finger_shares(
        self,
        positions_m: NDArray[np.float64],
        rotations: NDArray[np.float64],
        widths_m: NDArray[np.float64],
        gripper: Gripper,
        instance_id: int,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(C, 2) shares of each finger of the open hand: in known space, and behind others.

        "Behind others" is unknown because something else than the object to be picked is in the
        line of sight: there the object's visible end need not be its real end.
        """
        depths = np.linspace(gripper.palm_front_m, gripper.tip_m, 4)
        sides = (-gripper.finger_width_m / 3, gripper.finger_width_m / 3)
        sign, x, z = np.meshgrid((-1.0, 1.0), sides, depths, indexing="ij")
        local = np.empty((len(widths_m), *x.shape, 3))
        local[..., 0], local[..., 2] = x, z
        centre_m = (widths_m + gripper.finger_thickness_m) / 2
        local[..., 1] = sign * centre_m[:, None, None, None]
        places = np.einsum("cij,cfxzj->cfxzi", rotations, local)
        known, instance = self.look_up(places + positions_m[:, None, None, None])
        behind = ~known & (instance >= 0) & (instance != instance_id)
        return known.mean(axis=(2, 3)), behind.mean(axis=(2, 3))
