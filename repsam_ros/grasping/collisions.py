"""Where the hand may go: known points, and space that the camera has seen to be free."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.grasping.gripper import Gripper
from repsam_ros.grasping.settings import HandSettings
from repsam_ros.grasping.sight import image_axes
from repsam_ros.structures import Plane, SceneCloud


@dataclass(frozen=True)
class Obstacles:
    """What the hand may not hit: known points and the support plane.

    Attributes:
        points_m: (M, 3) float32, in the frame of the grasps.
        ids: (M,) instance of each point.
        plane: None where the cloud has none.
        settings: Of the hand.
    """

    points_m: NDArray[np.float32]
    ids: NDArray[np.uint32]
    plane: Plane | None
    settings: HandSettings

    def near(self, points_m: NDArray[np.float64]) -> Obstacles:
        """Those that a hand at an object of these points could meet."""
        hand = self.settings.gripper
        low_m, high_m = points_m.min(axis=0), points_m.max(axis=0)
        back_m = hand.palm_length_m - hand.palm_front_m + self.settings.approach_m
        corner_m = np.array([hand.palm_depth_m / 2, hand.palm_width_m / 2, back_m])
        # The tool centre point is no farther from some point of the object than this.
        off_m = hand.finger_length_m + hand.opening_m / 2
        reach_m = np.linalg.norm(high_m - low_m) / 2 + off_m + np.linalg.norm(corner_m)
        offsets_m = self.points_m - ((low_m + high_m) / 2).astype(np.float32)
        squares = np.einsum("nd,nd->n", offsets_m, offsets_m)
        return self._where(np.flatnonzero(squares < reach_m**2))

    def others(self, instance_id: int) -> Obstacles:
        """All but the points of an object."""
        return self._where(np.flatnonzero(self.ids != instance_id))

    def thinned(self, step: int) -> Obstacles:
        """Every ``step``-th point, the whole plane."""
        return self._where(slice(None, None, step))

    def _where(self, rows: Any) -> Obstacles:
        return replace(self, points_m=self.points_m[rows], ids=self.ids[rows])

    def openings_m(
        self,
        positions_m: NDArray[np.float64],
        rotations: NDArray[np.float64],
        parts_m: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """(C, K) openings to try round parts of these (C,) widths, NaN below the clearance."""
        openings_m = self.settings.openings_m(parts_m)
        if self.plane is None:
            return openings_m
        gripper, clearance_m = self.settings.gripper, self.settings.table_clearance_m
        most_m = greatest_opening_m(positions_m, rotations, self.plane, gripper, clearance_m)
        return np.where(openings_m <= most_m[:, None], openings_m, np.nan)

    def free_opening_m(
        self,
        positions_m: NDArray[np.float64],
        rotations: NDArray[np.float64],
        openings_m: NDArray[np.float64],
        instance_id: int,
    ) -> NDArray[np.float64]:
        """(C,) greatest opening with which the hand comes to its place freely, NaN where none.

        No point may lie in the open hand or in what it sweeps on its straight approach, and
        between the fingers none but of the object to be picked.

        Args:
            openings_m: (C, K) openings to try in rising order, NaN = none.
        """
        gripper, count = self.settings.gripper, len(positions_m)
        if not count:
            return np.zeros(0)
        # Relative to a nearby origin, single precision is good for micrometres.
        origin = positions_m.mean(axis=0)
        axes = np.empty((3, 4, count), np.float32)  # axis of the hand, homogeneous coordinate
        axes[:, :3] = rotations.transpose(2, 1, 0)
        axes[:, 3] = -np.einsum("ci,cij->jc", positions_m - origin, rotations)
        points_m = np.ones((len(self.points_m), 4), np.float32)
        points_m[:, :3] = self.points_m - origin.astype(np.float32)
        across, along, below = points_m @ axes  # (M, C) each
        across, along = np.abs(across), np.abs(along)
        front = gripper.palm_front_m
        back = front - gripper.palm_length_m - self.settings.approach_m
        outside_m = gripper.opening_m / 2 + gripper.finger_thickness_m
        near = across < max(gripper.palm_depth_m, gripper.finger_width_m) / 2
        near &= along < max(gripper.palm_width_m / 2, outside_m)
        near = np.flatnonzero(near & (below > back) & (below < gripper.tip_m))
        point = near // count
        hand = near - point * count
        across, along, below = across.take(near), along.take(near), below.take(near)
        in_palm = across < gripper.palm_depth_m / 2
        in_palm &= (along < gripper.palm_width_m / 2) & (below <= front)
        beside = (across < gripper.finger_width_m / 2) & (along < outside_m)
        beside &= below > front
        blocked = np.bincount(hand[in_palm], minlength=count) > 0
        hand, off_m = hand[beside], along[beside]
        foreign = self.ids[point[beside]] != instance_id
        best = np.full(count, np.nan)
        for opening_m in openings_m.T:
            inner_m = (opening_m / 2)[hand]
            hit = off_m < inner_m + gripper.finger_thickness_m
            hit &= foreign | (off_m > inner_m)
            hits = np.bincount(hand[hit], minlength=count) > 0
            best = np.where(hits | np.isnan(opening_m), best, opening_m)
        return np.where(blocked, np.nan, best)


def find_obstacles(cloud: SceneCloud, settings: HandSettings) -> Obstacles:
    """Points of the cloud that stand over its support plane, and the plane."""
    plane = cloud.support_plane
    if plane is None:
        return Obstacles(cloud.points_m, cloud.instance_ids, None, settings)
    # No part of the hand comes below the table clearance, so neither do its collisions.
    high = np.flatnonzero(plane.height_m(cloud.points_m) >= settings.table_clearance_m)
    return Obstacles(cloud.points_m[high], cloud.instance_ids[high], plane, settings)


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


def greatest_opening_m(
    positions_m: NDArray[np.float64],
    rotations: NDArray[np.float64],
    plane: Plane,
    gripper: Gripper,
    clearance_m: float,
) -> NDArray[np.float64]:
    """(C,) opening up to which the fingers stay ``clearance_m`` over the plane, may be below 0."""
    axes = np.einsum("i,cij->cj", plane.normal, rotations)
    ends = np.minimum(gripper.tip_m * axes[:, 2], gripper.palm_front_m * axes[:, 2])
    room_m = plane.height_m(positions_m) + ends - clearance_m
    room_m -= np.abs(axes[:, 0]) * gripper.finger_width_m / 2
    reach_m = room_m / np.maximum(np.abs(axes[:, 1]), 1e-9)
    result: NDArray[np.float64] = 2 * (reach_m - gripper.finger_thickness_m)
    return result


class SeenSpace:
    """The space between the camera and what it saw, as a coarse range image.

    The range image is rebuilt from the cloud, in a plane perpendicular to the mean direction of
    sight. A place is known when it is nearer than the nearest point of its cell plus a margin.
    Behind seen points, where depth is missing and outside the cloud, it is unknown.
    """

    def __init__(self, cloud: SceneCloud, margin_m: float) -> None:
        offsets_m = cloud.points_m - cloud.viewpoint_m.astype(np.float32)
        ranges_m = np.sqrt(np.einsum("nd,nd->n", offsets_m, offsets_m))
        usable = np.flatnonzero(ranges_m > 1e-6)
        offsets_m, ranges_m = offsets_m[usable], ranges_m[usable]
        ids = cloud.instance_ids[usable]
        self._viewpoint_m = cloud.viewpoint_m
        self._margin_m = margin_m
        self._axes = image_axes((offsets_m / ranges_m[:, None]).astype(np.float64))
        # Points lie a context voxel (some 6 mm) apart, on slanted surfaces half as much again.
        self._cell = 0.010 / float(np.median(ranges_m)) if len(ranges_m) else 1.0
        cells, ahead = self._cells(offsets_m, ranges_m)
        cells, ranges_m, ids = cells[ahead], ranges_m[ahead], ids[ahead]
        self._low = cells.min(axis=0) if len(cells) else np.zeros(2, np.intp)
        shape = tuple(cells.max(axis=0) - self._low + 1) if len(cells) else (1, 1)
        place = tuple((cells - self._low).T)
        self._nearest_m = np.full(shape, np.inf, np.float32)
        np.minimum.at(self._nearest_m, place, ranges_m)
        self._nearest_id = np.full(shape, -1, np.int64)
        nearest = ranges_m == self._nearest_m[place]
        self._nearest_id[tuple(axis[nearest] for axis in place)] = ids[nearest]
        self._nearest_m[self._nearest_id < 0] = -np.inf

    def _cells(
        self, offsets_m: NDArray[np.floating], ranges_m: NDArray[np.floating]
    ) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        local_m = offsets_m @ self._axes.astype(offsets_m.dtype)
        # Wider than 80 degrees off the mean direction there is no image.
        ahead = local_m[..., 2] > 0.17 * ranges_m
        depth_m = np.where(ahead, local_m[..., 2] * self._cell, 1)
        cells = np.floor(local_m[..., :2] / depth_m[..., None])
        return np.where(ahead[..., None], cells, 0).astype(np.intp), ahead

    def look_up(self, points_m: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Whether (..., 3) places are known, and the instance in their line of sight.

        The instance is 0 for context and -1 where nothing was measured. A place at a surface
        or before it is known.
        """
        offsets_m = points_m - self._viewpoint_m
        ranges_m = np.linalg.norm(offsets_m, axis=-1)
        cells, ahead = self._cells(offsets_m, ranges_m)
        column, row = np.moveaxis(cells - self._low, -1, 0)
        columns, rows = self._nearest_m.shape
        inside = ahead & (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        place = np.where(inside, column * rows + row, 0)
        known = inside & (ranges_m <= self._nearest_m.take(place) + self._margin_m)
        return known, np.where(inside, self._nearest_id.take(place), -1)

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
