"""Where the hand may go: known points, and space that the camera has seen to be free."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
        return self._take(np.flatnonzero(squares < reach_m**2))

    def others(self, instance_id: int) -> Obstacles:
        """All but the points of an object."""
        return self._take(np.flatnonzero(self.ids != instance_id))

    def thinned(self, step: int) -> Obstacles:
        """Every ``step``-th point, the whole plane."""
        return replace(self, points_m=self.points_m[::step], ids=self.ids[::step])

    def _take(self, rows: NDArray[np.intp]) -> Obstacles:
        return replace(self, points_m=self.points_m.take(rows, axis=0), ids=self.ids.take(rows))

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
        axes = np.empty((3, count, 4), np.float32)  # axis of the hand, homogeneous coordinate
        axes[..., :3] = rotations.transpose(2, 0, 1)
        axes[..., 3] = -np.einsum("ci,cij->jc", positions_m - origin, rotations)
        points_m = np.ones((4, len(self.points_m)), np.float32)
        points_m[:3] = (self.points_m - origin.astype(np.float32)).T
        across, along, below = axes @ points_m  # (C, M) each
        front = gripper.palm_front_m
        back = front - gripper.palm_length_m - self.settings.approach_m
        outside_m = gripper.opening_m / 2 + gripper.finger_thickness_m
        half_m = max(gripper.palm_depth_m, gripper.finger_width_m) / 2
        near = np.flatnonzero((np.abs(across) < half_m) & (below < gripper.tip_m))
        off_m, below = np.abs(along.take(near)), below.take(near)
        beside = (off_m < max(gripper.palm_width_m / 2, outside_m)) & (below > back)
        some = np.flatnonzero(beside)
        near, along, below = near.take(some), off_m.take(some), below.take(some)
        across = np.abs(across.take(near))
        hand = near // len(self.points_m)
        point = near - hand * len(self.points_m)
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
        cells, ranges_m, ids = cells[:, ahead], ranges_m[ahead], ids[ahead]
        self._low = cells.min(axis=1) if len(ids) else np.zeros(2, np.intp)
        self._shape = tuple(cells.max(axis=1) - self._low + 1) if len(ids) else (1, 1)
        place = (cells[0] - self._low[0]) * self._shape[1] + cells[1] - self._low[1]
        self._nearest_m = np.full(np.prod(self._shape), np.inf, np.float32)
        np.minimum.at(self._nearest_m, place, ranges_m)
        self._nearest_id = np.full(len(self._nearest_m), -1, np.int64)
        nearest = np.flatnonzero(ranges_m == self._nearest_m.take(place))
        self._nearest_id[place.take(nearest)] = ids.take(nearest)
        self._nearest_m[self._nearest_id < 0] = -np.inf

    def _cells(
        self, offsets_m: NDArray[np.floating], ranges_m: NDArray[np.floating]
    ) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        right_m, below_m, depth_m = (
            offsets_m @ axis for axis in self._axes.T.astype(offsets_m.dtype)
        )
        # Wider than 80 degrees off the mean direction there is no image.
        ahead = depth_m > 0.17 * ranges_m
        scale = 1 / np.where(ahead, depth_m * self._cell, np.inf)
        return np.floor(np.stack((right_m * scale, below_m * scale))).astype(np.intp), ahead

    def look_up(self, points_m: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Whether (..., 3) places are known, and the instance in their line of sight.

        The instance is 0 for context and -1 where nothing was measured. A place at a surface
        or before it is known.
        """
        offsets_m = points_m - self._viewpoint_m
        ranges_m = np.linalg.norm(offsets_m, axis=-1)
        cells, ahead = self._cells(offsets_m, ranges_m)
        column, row = cells[0] - self._low[0], cells[1] - self._low[1]
        columns, rows = self._shape
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
        each = len(sides) * len(depths)
        shape = (len(widths_m), 2, each)
        local = np.empty((*shape, 3))
        local[..., 0], local[..., 2] = np.repeat(sides, len(depths)), np.tile(depths, len(sides))
        local[..., 1] = np.array((-0.5, 0.5))[:, None]
        local[..., 1] *= (widths_m + gripper.finger_thickness_m)[:, None, None]
        places = local.reshape(-1, 2 * each, 3) @ rotations.transpose(0, 2, 1)
        known, instance = self.look_up(places + positions_m[:, None])
        behind = ~known & (instance >= 0) & (instance != instance_id)
        return known.reshape(shape).mean(axis=2), behind.reshape(shape).mean(axis=2)
