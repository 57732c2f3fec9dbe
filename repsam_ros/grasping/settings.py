"""What planners share: the hand and its limits, and how candidates are sought."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import ConfigError
from repsam_ros.grasping.gripper import Gripper

_ANYWHERE_M = 100.0


@dataclass(frozen=True)
class HandSettings:
    """How any planner may use the hand.

    Attributes:
        gripper: The hand.
        width_reserve_m: The hand opens at least this much wider than any part it grasps.
        finger_clearance_m: Room left on either side of the part, as far as the hand opens.
        openings: Openings that are tried, from that up to the widest; the widest free one is
            taken, since parts often go on where the camera does not see them.
        table_clearance_m: Least height of any part of the hand over the support plane.
        approach_m: Length of the straight approach that is checked for collisions.
        min_points: Least number of points that make an object, and of points between the fingers.
        max_grasps_per_object: Best ones returned.
        workspace_low_m: Least x, y, z of the tool centre point in the cloud's frame.
        workspace_high_m: Greatest x, y, z of the tool centre point in the cloud's frame.
        deadline_s: Return the best found by then, 0 = no limit. Objects are planned from the
            highest down; the one that is being planned then may take some milliseconds more.
        seed: Of whatever is drawn at random.
    """

    gripper: Gripper = field(default_factory=Gripper)
    width_reserve_m: float = 0.008
    finger_clearance_m: float = 0.008
    openings: int = 4
    table_clearance_m: float = 0.006
    approach_m: float = 0.1
    min_points: int = 10
    max_grasps_per_object: int = 8
    workspace_low_m: tuple[float, float, float] = (-_ANYWHERE_M,) * 3
    workspace_high_m: tuple[float, float, float] = (_ANYWHERE_M,) * 3
    deadline_s: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.width_reserve_m < self.gripper.opening_m:
            raise ConfigError("width_reserve_m must be positive and below the gripper's opening_m")
        if self.finger_clearance_m < 0 or self.approach_m < 0 or self.deadline_s < 0:
            raise ConfigError("finger_clearance_m, approach_m and deadline_s must not be negative")
        if min(self.min_points, self.max_grasps_per_object, self.openings) < 1:
            raise ConfigError("min_points, max_grasps_per_object, openings must be at least 1")
        if not np.all(np.less(self.workspace_low_m, self.workspace_high_m)):
            raise ConfigError("workspace_low_m must lie below workspace_high_m")

    @property
    def max_width_m(self) -> float:
        """Widest part that is grasped."""
        return self.gripper.opening_m - self.width_reserve_m

    def opening_m(self, parts_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """(...,) opening with which the hand goes round parts of these widths."""
        return np.minimum(parts_m + 2 * self.finger_clearance_m, self.gripper.opening_m)

    def openings_m(self, parts_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """(C, openings) openings to try on parts of these (C,) widths, in rising order."""
        least_m = self.opening_m(parts_m)[:, None]
        shares = np.linspace(0, 1, self.openings)
        return least_m + (self.gripper.opening_m - least_m) * shares

    def in_workspace(self, positions_m: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(...,) whether (..., 3) tool centre points lie within the limits."""
        inside = (positions_m >= self.workspace_low_m) & (positions_m <= self.workspace_high_m)
        return np.asarray(inside.all(axis=-1))


@dataclass(frozen=True)
class SearchSettings(HandSettings):
    """How candidates are sought on surfaces.

    Attributes:
        samples_per_object: Surface points that candidates start from.
        samples_sharing: Each fixed orientation is tried at one in so many samples.
        max_points_per_object: Denser objects are thinned to this many points.
        rolls: Closing directions per approach, evenly over half a turn.
        depths_m: How far the finger tips reach beyond the sampled point.
        max_tilt_rad: Largest angle between approach and down.
        friction: Coefficient of friction (mu) at the fingers.
        unseen_credit: What a contact counts whose surface the camera cannot see.
        min_contact: Candidates with a worse contact on either side are no grasps.
        normal_radius_m: Neighbourhood of a surface normal.
        occlusion_margin_m: Space farther than this behind a seen point is unknown.
        max_behind_share: Share of a finger that may end in the shadow of something else than
            the object.
        similar_distance_m: Grasps closer than this and turned less than
            ``similar_angle_rad`` count as one.
        similar_angle_rad: See ``similar_distance_m``.
        max_checked_per_object: Best candidates that are checked for collisions.
    """

    samples_per_object: int = 36
    samples_sharing: int = 3
    max_points_per_object: int = 1200
    rolls: int = 8
    depths_m: tuple[float, ...] = (0.01, 0.02, 0.03)
    max_tilt_rad: float = 1.309
    friction: float = 0.5
    unseen_credit: float = 0.5
    min_contact: float = 0.25
    normal_radius_m: float = 0.012
    occlusion_margin_m: float = 0.02
    max_behind_share: float = 0.5
    similar_distance_m: float = 0.015
    similar_angle_rad: float = 0.35
    max_checked_per_object: int = 1024

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = (
            self.samples_per_object,
            self.samples_sharing,
            self.max_points_per_object,
            self.max_checked_per_object,
        )
        if min(*counts, self.rolls) < 1:
            raise ConfigError("samples, points, rolls and checked ones must be at least 1")
        if not self.depths_m or min(self.depths_m) <= 0:
            raise ConfigError(f"depths_m must be positive, got {self.depths_m}")
        if max(self.depths_m) >= self.gripper.finger_length_m:
            raise ConfigError("depths_m must be shorter than the fingers")
        if self.friction <= 0 or self.normal_radius_m <= 0:
            raise ConfigError("friction and normal_radius_m must be positive")
