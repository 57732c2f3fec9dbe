"""What the scorer sees of a grasp: a picture in the hand's frame and a few numbers.

The picture lies in the plane of the fingers: columns along the closing axis, rows along the
approach. Its channels are slices across the fingers (of the object to be picked, of everything
else, of what is known to be free), the hand itself, and the height over the table. The frame is
mirrored so that the camera looks along positive x and y: a half turn of the hand is the same
grasp, and the physics of a mirrored scene is mirrored too.

Everything follows from cloud and grasp alone, and moves with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.grasping.collisions import SeenSpace
from repsam_ros.grasping.gripper import Gripper
from repsam_ros.structures import Grasp, Plane, SceneCloud

CELL_M = 0.004
ROWS, COLUMNS = 24, 32
_LOW_M = np.array([-COLUMNS / 2, -ROWS / 2]) * CELL_M  # of the closing axis and of the approach
_OBJECT_EDGES_M = np.array([-0.032, -0.02, -0.01, -0.004, 0.004, 0.01, 0.02, 0.032])
_OTHER_EDGES_M = np.array([-0.032, -0.01, 0.01, 0.032])
_SEEN_AT_M = (-0.02, 0.0, 0.02)
# Whether space was seen to be free is asked at one in so many cells each way.
_SEEN_STEP = 2
_OBJECTS = len(_OBJECT_EDGES_M) - 1
_OTHERS = len(_OTHER_EDGES_M) - 1
_SEEN = len(_SEEN_AT_M)
CHANNELS = _OBJECTS + _OTHERS + _SEEN + 3
NUMBERS = 18
# Lower points are the table's, which has a channel of its own.
_TABLE_M = 0.005
# So many points fill a cell.
_FULL_POINTS = 3
# Places farther than this behind a seen point are unknown.
_MARGIN_M = 0.01
_SCALE_M = 0.05


@dataclass(frozen=True)
class Crops:
    """What is seen of G grasps.

    Attributes:
        pictures: (G, ROWS, COLUMNS, CHANNELS) uint8, 255 = full.
        numbers: (G, NUMBERS) float32, about -1 to 1.
    """

    pictures: NDArray[np.uint8]
    numbers: NDArray[np.float32]


class Cropper:
    """Crops of one cloud.

    Args:
        cloud: What the grasps were planned on.
        gripper: The hand.
    """

    def __init__(self, cloud: SceneCloud, gripper: Gripper) -> None:
        self._cloud = cloud
        self._gripper = gripper
        self._seen = SeenSpace(cloud, _MARGIN_M)
        plane = cloud.support_plane
        self._standing = np.ones(len(cloud.points_m), bool)
        if plane is not None:
            self._standing = plane.height_m(cloud.points_m) > _TABLE_M

    def __call__(self, grasps: Sequence[Grasp]) -> Crops:
        """Crops of grasps on one and the same instance; there must be one, and points of it."""
        instance_id = grasps[0].instance_id
        positions_m = np.array([grasp.position_m for grasp in grasps])
        rotations, down, view = self._frames(grasps, positions_m)
        widths_m = np.array([grasp.width_m for grasp in grasps])
        own = self._cloud.instance_ids == instance_id
        pictures = np.concatenate(
            (
                self._occupied(own, own, positions_m, rotations, _OBJECT_EDGES_M),
                self._occupied(own, ~own & self._standing, positions_m, rotations, _OTHER_EDGES_M),
                self._known(positions_m, rotations, instance_id),
                _hand(widths_m, self._gripper),
                _height(positions_m, rotations, self._cloud.support_plane),
            ),
            axis=-1,
        )
        numbers = self._numbers(own, positions_m, rotations, widths_m)
        return Crops(pictures, np.concatenate((numbers, down, view), axis=1).astype(np.float32))

    def _frames(
        self, grasps: Sequence[Grasp], positions_m: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """(G, 3, 3) axes as columns, mirrored; down and view in them, (G, 3) each."""
        rotations = np.array([grasp.rotation for grasp in grasps])
        view = positions_m - self._cloud.viewpoint_m
        view /= np.maximum(np.linalg.norm(view, axis=1, keepdims=True), 1e-9)
        local = np.einsum("gi,gij->gj", view, rotations)
        signs = np.where(local < 0, -1.0, 1.0)
        signs[:, 2] = 1.0
        rotations = rotations * signs[:, None]
        plane = self._cloud.support_plane
        down = np.zeros_like(view) if plane is None else -(plane.normal @ rotations)
        return rotations, down, local * signs

    def _occupied(
        self,
        own: NDArray[np.bool_],
        mask: NDArray[np.bool_],
        positions_m: NDArray[np.float64],
        rotations: NDArray[np.float64],
        edges_m: NDArray[np.float64],
    ) -> NDArray[np.uint8]:
        """(G, ROWS, COLUMNS, slices) how full cells are with the points in ``mask``."""
        # Of the object, so that what else is asked in the same call changes no digit.
        origin = self._cloud.points_m[own].mean(axis=0).astype(np.float64)
        offsets_m = (self._cloud.points_m[mask] - origin.astype(np.float32)).astype(np.float32)
        reach_m = np.abs(positions_m - origin).max() + np.linalg.norm([*_LOW_M, edges_m[-1]])
        offsets_m = offsets_m[np.abs(offsets_m).max(axis=1, initial=0) < reach_m]
        shift = np.einsum("gi,gij->gj", positions_m - origin, rotations)
        across, along, below = (
            offsets_m @ rotations[:, :, axis].T.astype(np.float32)
            - shift[:, axis].astype(np.float32)
            for axis in range(3)
        )
        column = np.floor((along - _LOW_M[0]) / CELL_M)
        inside = (np.abs(across) < edges_m[-1]) & (column >= 0) & (column < COLUMNS)
        point, grasp = np.nonzero(inside & (np.abs(below) < -_LOW_M[1]))
        row = ((below[point, grasp] - _LOW_M[1]) / CELL_M).astype(np.intp)
        part = np.searchsorted(edges_m, across[point, grasp], side="right") - 1
        place = (grasp * ROWS + np.clip(row, 0, ROWS - 1)) * COLUMNS
        place = (place + column[point, grasp].astype(np.intp)) * (len(edges_m) - 1) + part
        shape = (len(positions_m), ROWS, COLUMNS, len(edges_m) - 1)
        counts = np.bincount(place, minlength=int(np.prod(shape))).reshape(shape)
        return _as_bytes(np.minimum(counts / _FULL_POINTS, 1))

    def _known(
        self,
        positions_m: NDArray[np.float64],
        rotations: NDArray[np.float64],
        instance_id: int,
    ) -> NDArray[np.uint8]:
        """(G, ROWS, COLUMNS, slices + 1) seen to be free; last, in the middle, behind others."""
        local = np.stack(
            np.meshgrid(
                np.array(_SEEN_AT_M),
                _centres_m(COLUMNS, _SEEN_STEP),
                _centres_m(ROWS, _SEEN_STEP),
                indexing="ij",
            ),
            axis=-1,
        )
        places = np.einsum("gij,xyzj->gzyxi", rotations, local) + positions_m[:, None, None, None]
        known, instance = self._seen.look_up(places)
        behind = ~known & (instance >= 0) & (instance != instance_id)
        both = np.concatenate((known, behind[..., _SEEN // 2, None]), axis=-1)
        both = both.repeat(_SEEN_STEP, axis=1).repeat(_SEEN_STEP, axis=2)
        return _as_bytes(both)

    def _numbers(
        self,
        own: NDArray[np.bool_],
        positions_m: NDArray[np.float64],
        rotations: NDArray[np.float64],
        widths_m: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """(G, NUMBERS - 6): where the seen object lies, how wide the hand is and how high."""
        points_m = self._cloud.points_m[own].astype(np.float64)
        middle_m = points_m.mean(axis=0)
        local_m = (points_m - middle_m) @ rotations  # (G, N, 3)
        low_m, high_m = np.percentile(local_m, (3, 97), axis=1)
        offset_m = np.einsum("gi,gij->gj", middle_m - positions_m, rotations)
        plane = self._cloud.support_plane
        height_m = np.full(len(widths_m), np.inf) if plane is None else plane.height_m(positions_m)
        others = (
            np.full(len(widths_m), np.log10(len(points_m)) / 3),
            widths_m / _SCALE_M - 1,
            np.minimum(height_m / _SCALE_M, 4.0) - 1,
        )
        places = np.concatenate((offset_m, low_m + offset_m, high_m + offset_m), axis=1) / _SCALE_M
        numbers: NDArray[np.float64] = np.column_stack((np.clip(places, -3, 3), *others))
        return numbers


def _centres_m(count: int, step: int = 1) -> NDArray[np.float64]:
    """Middles of ``count`` cells, or of blocks of ``step`` of them, about 0."""
    return np.asarray((np.arange(count // step) + 0.5) * (step * CELL_M) - count * CELL_M / 2)


def _hand(widths_m: NDArray[np.float64], gripper: Gripper) -> NDArray[np.uint8]:
    """(G, ROWS, COLUMNS, 1) where the fingers and the palm are."""
    along_m, below_m = np.abs(_centres_m(COLUMNS)), _centres_m(ROWS)
    inner_m = widths_m[:, None] / 2
    finger = (along_m > inner_m) & (along_m < inner_m + gripper.finger_thickness_m)
    beside = (below_m > gripper.palm_front_m) & (below_m < gripper.tip_m)
    palm = (below_m <= gripper.palm_front_m)[:, None] & (along_m < gripper.palm_width_m / 2)
    covered = (finger[:, None] & beside[:, None]) | palm
    return _as_bytes(covered[..., None])


def _height(
    positions_m: NDArray[np.float64], rotations: NDArray[np.float64], plane: Plane | None
) -> NDArray[np.uint8]:
    """(G, ROWS, COLUMNS, 1) height of each cell over the table, full from 6 cm on."""
    if plane is None:
        return np.full((len(positions_m), ROWS, COLUMNS, 1), 255, np.uint8)
    along_m, below_m = _centres_m(COLUMNS), _centres_m(ROWS)
    axes = plane.normal @ rotations
    height_m = np.asarray(plane.height_m(positions_m))[:, None, None]
    height_m = height_m + axes[:, 1, None, None] * along_m + (axes[:, 2, None] * below_m)[..., None]
    share = np.clip((height_m + 0.02) / 0.08, 0, 1)
    return _as_bytes(share[..., None])


def _as_bytes(shares: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(shares * 255.0), np.uint8)
