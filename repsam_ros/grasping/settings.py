"""Settings of the antipodal planner."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import ConfigError
from repsam_ros.grasping.gripper import Gripper


@dataclass(frozen=True)
class ScoreWeights:
    """Weights of the score's terms; only their ratios matter.

    Attributes:
        antipodal: Both contacts inside the friction cone.
        centroid: Closing line passes near the middle of the object.
        vertical: Approach along gravity (along the view where no plane is known).
        clearance: Finger tips well above the table.
        depth: Object reaches well in between the fingers.
        narrow: Small opening.
        known: Fingers end in space that the camera has seen to be free.
    """

    antipodal: float = 0.45
    centroid: float = 0.2
    vertical: float = 0.1
    clearance: float = 0.05
    depth: float = 0.1
    narrow: float = 0.05
    known: float = 0.15

    def __post_init__(self) -> None:
        values = [getattr(self, item.name) for item in fields(self)]
        if min(values) < 0 or sum(values) <= 0:
            raise ConfigError("score weights must be at least 0 and not all 0")


@dataclass(frozen=True)
class PlannerSettings:
    """How grasps are sought.

    Attributes:
        samples_per_object: Surface points that candidates start from.
        samples_sharing: Each fixed orientation is tried at one in so many samples.
        max_points_per_object: Denser objects are thinned to this many points.
        rolls: Closing directions per approach, evenly over half a turn.
        depths_m: How far the finger tips reach beyond the sampled point.
        max_tilt_rad: Largest angle between approach and down.
        max_width_m: Widest part that is grasped.
        finger_clearance_m: Room left on either side of the part, as far as the hand opens.
        table_clearance_m: Least height of any part of the hand over the support plane.
        approach_m: Length of the straight approach that is checked for collisions.
        friction: Coefficient of friction (mu) at the fingers.
        unseen_credit: What a contact counts whose surface the camera cannot see.
        min_contact: Candidates with a worse contact on either side are no grasps.
        min_points: Least number of points between the fingers.
        normal_radius_m: Neighbourhood of a surface normal.
        occlusion_margin_m: Space farther than this behind a seen point is unknown.
        max_behind_share: Share of a finger that may end in the shadow of something else than
            the object.
        similar_distance_m: Grasps closer than this and turned less than
            ``similar_angle_rad`` count as one.
        similar_angle_rad: See ``similar_distance_m``.
        max_grasps_per_object: Best ones returned.
        max_checked_per_object: Best candidates that are checked for collisions.
        seed: Of the sampling.
        gripper: The hand.
        weights: Of the score.
    """

    samples_per_object: int = 36
    samples_sharing: int = 3
    max_points_per_object: int = 1200
    rolls: int = 8
    depths_m: tuple[float, ...] = (0.01, 0.02, 0.03)
    max_tilt_rad: float = 1.309
    max_width_m: float = 0.072
    finger_clearance_m: float = 0.008
    table_clearance_m: float = 0.006
    approach_m: float = 0.1
    friction: float = 0.5
    unseen_credit: float = 0.5
    min_contact: float = 0.25
    min_points: int = 10
    normal_radius_m: float = 0.012
    occlusion_margin_m: float = 0.02
    max_behind_share: float = 0.5
    similar_distance_m: float = 0.015
    similar_angle_rad: float = 0.35
    max_grasps_per_object: int = 8
    max_checked_per_object: int = 256
    seed: int = 0
    gripper: Gripper = field(default_factory=Gripper)
    weights: ScoreWeights = field(default_factory=ScoreWeights)

    def __post_init__(self) -> None:
        counts = (self.samples_per_object, self.samples_sharing, self.max_points_per_object)
        if min(*counts, self.rolls) < 1:
            raise ConfigError("samples, points and rolls must be at least 1")
        if not self.depths_m or min(self.depths_m) <= 0:
            raise ConfigError(f"depths_m must be positive, got {self.depths_m}")
        if max(self.depths_m) >= self.gripper.finger_length_m:
            raise ConfigError("depths_m must be shorter than the fingers")
        if not 0 < self.max_width_m < self.gripper.opening_m:
            raise ConfigError("max_width_m must be positive and below the gripper's opening_m")
        if self.friction <= 0 or self.normal_radius_m <= 0:
            raise ConfigError("friction and normal_radius_m must be positive")

    def opening_m(self, parts_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """(...,) opening with which the hand goes round parts of these widths."""
        return np.minimum(parts_m + 2 * self.finger_clearance_m, self.gripper.opening_m)
