"""Where the hand may go: known points, and space that the camera has seen to be free."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from repsam_ros.grasping.gripper import Gripper
from repsam_ros.grasping.settings import HandSettings
from repsam_ros.grasping.sight import image_axes
from repsam_ros.structures import Plane, SceneCloud

# Where there are more points than this, they are sorted into blocks of this edge length.
_FEW_POINTS = 1500
_BLOCK_M = 0.015
# More blocks than any scene has along one direction.
_MANY = 1 << 20
# So many rays are enough for the axes and the cell size of a range image.
_MOST_RAYS = 2000


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

    def others(self, instance_id: int) -> Obstacles:
        """All but the points of an object."""
        return self._take(np.flatnonzero(self.ids != instance_id))

    def thinned(self) -> Obstacles:
        """One point of each block of space that holds some, the whole plane."""
        return self._take(self._blocks.order.take(self._blocks.starts))

    def _take(self, rows: NDArray[np.intp]) -> Obstacles:
        return replace(self, points_m=self.points_m.take(rows, axis=0), ids=self.ids.take(rows))

    @cached_property
    def _blocks(self) -> _Blocks:
        return _blocks_of(self.points_m)

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
        hand, point, (across_m, along_m, below_m) = self._around(positions_m, rotations)
        beside_palm = below_m <= gripper.palm_front_m
        in_palm = beside_palm & (across_m < gripper.palm_depth_m / 2)
        in_palm &= along_m < gripper.palm_width_m / 2
        blocked = np.bincount(hand[in_palm], minlength=count) > 0
        some = np.flatnonzero(~beside_palm & (across_m < gripper.finger_width_m / 2))
        hand, off_m = hand.take(some), along_m.take(some)[:, None]
        foreign = self.ids.take(point.take(some)) != instance_id
        inner_m = (openings_m / 2).take(hand, axis=0)  # (E, K)
        hit = off_m < inner_m + gripper.finger_thickness_m
        hit &= foreign[:, None] | (off_m > inner_m)
        entry, opening = np.nonzero(hit)
        unfit = np.isnan(openings_m) | blocked[:, None]
        unfit[hand.take(entry), opening] = True
        best = np.where(unfit, -np.inf, openings_m).max(axis=1)
        return np.where(np.isinf(best), np.nan, best)

    def _around(
        self, positions_m: NDArray[np.float64], rotations: NDArray[np.float64]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
        """Points in the box round each hand and its approach.

        Returns:
            (E,) hands, (E,) points, and (3, E) where these are: their distances from the middle of
            the hand across the fingers and along the closing axis, and how far along the approach.
        """
        gripper, blocks = self.settings.gripper, self._blocks
        half_across_m = max(gripper.palm_depth_m, gripper.finger_width_m) / 2
        outside_m = gripper.opening_m / 2 + gripper.finger_thickness_m
        half_along_m = max(gripper.palm_width_m / 2, outside_m)
        back_m = gripper.palm_front_m - gripper.palm_length_m - self.settings.approach_m
        axes = np.empty((len(positions_m), 3, 4), np.float32)  # the last one is homogeneous
        axes[..., :3] = rotations.transpose(0, 2, 1)
        axes[..., 3] = -np.einsum("ci,cij->cj", positions_m - blocks.origin_m, rotations)

        # Whole blocks first.
        across_m, along_m, below_m = axes.transpose(1, 0, 2) @ blocks.centres_m  # (C, B) each
        near = np.abs(across_m) < half_across_m + blocks.radius_m
        near &= below_m < gripper.tip_m + blocks.radius_m
        met = np.flatnonzero(near)
        met = met[np.abs(along_m.take(met)) < half_along_m + blocks.radius_m]
        met = met[below_m.take(met) > back_m - blocks.radius_m]
        hand, block = np.divmod(met, max(len(blocks.sizes), 1))
        hand, row = np.repeat(hand, blocks.sizes.take(block)), blocks.rows(block)

        points_m = blocks.points_m.take(row, axis=0)
        places_m = np.einsum("eij,ej->ei", axes.take(hand, axis=0), points_m).T
        np.abs(places_m[:2], out=places_m[:2])
        across_m, along_m, below_m = places_m
        inside = (across_m < half_across_m) & (along_m < half_along_m)
        inside &= (below_m > back_m) & (below_m < gripper.tip_m)
        some = np.flatnonzero(inside)
        return hand.take(some), blocks.order.take(row.take(some)), places_m.take(some, axis=1)


@dataclass(frozen=True)
class _Blocks:
    """Points sorted by blocks of space, most of which can be ruled out as a whole.

    Attributes:
        origin_m: (3,) nearby, so that single precision is good for micrometres.
        order: (M,) number of each sorted point before it was sorted.
        points_m: (M, 4) float32 homogeneous, sorted, from the origin.
        starts: (B,) where the points of each block begin.
        sizes: (B,) how many each has.
        centres_m: (4, B) float32 homogeneous, from the origin.
        radius_m: No point is farther than this from the centre of its block.
    """

    origin_m: NDArray[np.float32]
    order: NDArray[np.intp]
    points_m: NDArray[np.float32]
    starts: NDArray[np.intp]
    sizes: NDArray[np.intp]
    centres_m: NDArray[np.float32]
    radius_m: float

    def rows(self, blocks: NDArray[np.intp]) -> NDArray[np.intp]:
        """The sorted points of some blocks, one block after the other."""
        sizes = self.sizes.take(blocks)
        before = np.cumsum(sizes) - sizes
        rows: NDArray[np.intp] = np.repeat(self.starts.take(blocks) - before, sizes)
        rows += np.arange(len(rows))
        return rows


def _blocks_of(points_m: NDArray[np.float32]) -> _Blocks:
    count = len(points_m)
    origin_m = np.ones(count, np.float32) @ points_m / np.float32(max(count, 1))
    offsets_m = np.ones((4, count), np.float32)
    offsets_m[:3] = points_m.T
    offsets_m[:3] -= origin_m[:, None]
    every = np.arange(count)
    if count <= _FEW_POINTS:  # each is a block of its own
        ones = np.ones(count, np.intp)
        return _Blocks(origin_m, every, offsets_m.T.copy(), every, ones, offsets_m, 0.0)
    cells = np.floor(offsets_m[:3] * np.float32(1 / _BLOCK_M))
    x, y, z = cells.astype(np.int64)
    key = (x * _MANY + y) * _MANY + z
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key.take(order), prepend=np.iinfo(np.int64).min))
    centres_m = np.ones((4, len(starts)), np.float32)
    centres_m[:3] = (cells.take(order.take(starts), axis=1) + np.float32(0.5)) * _BLOCK_M
    return _Blocks(
        origin_m,
        order,
        offsets_m.T.take(order, axis=0),
        starts,
        np.diff(starts, append=count),
        centres_m,
        # A little more than half a diagonal, for rounding.
        0.87 * _BLOCK_M,
    )


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
        usable, ids = ranges_m > 1e-6, cloud.instance_ids
        if not usable.all():
            offsets_m, ranges_m, ids = offsets_m[usable], ranges_m[usable], ids[usable]
        self._viewpoint_m = cloud.viewpoint_m
        self._margin_m = margin_m
        some = slice(None, None, 1 + len(ranges_m) // _MOST_RAYS)
        self._axes = image_axes(offsets_m[some].astype(np.float64) / ranges_m[some, None])
        # Points lie a context voxel (some 6 mm) apart, on slanted surfaces half as much again.
        self._cell = 0.010 / float(np.median(ranges_m[some])) if len(ranges_m) else 1.0
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
        """(2, C) shares of each finger of the open hand: in known space, and behind others.

        "Behind others" is unknown because something else than the object to be picked is in the
        line of sight: there the object's visible end need not be its real end.
        """
        below_m = np.linspace(gripper.palm_front_m, gripper.tip_m, 4)
        across_m = np.array((-1, 1)) * (gripper.finger_width_m / 3)
        out_m = np.array((-0.5, 0.5))[:, None] * (widths_m + gripper.finger_thickness_m)
        x, y, z = rotations.transpose(2, 0, 1)
        middle_m = positions_m + out_m[..., None] * y
        sides_m = middle_m + across_m[:, None, None, None] * x
        places_m = sides_m + below_m[:, None, None, None, None] * z  # (4, 2, 2, C, 3)
        known, instance = self.look_up(places_m)
        behind = ~known & (instance >= 0) & (instance != instance_id)
        return known.mean(axis=(0, 1)), behind.mean(axis=(0, 1))
