"""From a simulated picture to grasps."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from repsam_ros.config import to_plain
from repsam_ros.grasping.planners import open_planner
from repsam_ros.perception.clouds import build_cloud
from repsam_ros.structures import Grasp
from repsam_ros.trials.configuration import TrialsConfig, VariantSettings
from repsam_ros.trials.segmenters import given_frame, open_segmenter
from repsam_ros.trials.sensing import View

# Given the label map, the instances that grasps are wanted on, None = all.
Wanted = Callable[[NDArray[np.integer]], Collection[int] | None]


@dataclass(frozen=True)
class Answer:
    """What came of a picture.

    Attributes:
        labels: (H, W) ids, 0 = background.
        grasps: In the camera's optical frame, best first; at least those that were wanted.
    """

    labels: NDArray[np.uint16]
    grasps: list[Grasp]
    segment_s: float
    plan_s: float


class Chain(Protocol):
    """Segments a picture and plans grasps on it; equal pictures give equal answers."""

    def __call__(self, view: View, wanted: Wanted, /) -> Answer: ...


class OfflineChain:
    """The pipeline and a planner, which knows the hand of the trials, in this process.

    Raises:
        BackendError, CheckpointError, ConfigError: Model or planner cannot be opened.
    """

    def __init__(self, variant: VariantSettings, config: TrialsConfig, device: str = "cpu") -> None:
        self._variant, self._cloud = variant, config.pipeline.cloud
        self._segment = open_segmenter(variant, config.pipeline, device)
        hand = {"gripper": to_plain(config.execution.hand.shape)}
        self._plan = open_planner(variant.planner, hand | variant.planner_settings)

    def __call__(self, view: View, wanted: Wanted, /) -> Answer:
        start_s = time.perf_counter()
        instances = self._segment(view)
        segmented_s = time.perf_counter()
        ids = wanted(instances.labels)
        grasps: list[Grasp] = []
        if ids is None or ids:
            cloud = build_cloud(given_frame(view, self._variant), instances, self._cloud)
            grasps = self._plan(cloud, ids).grasps
        planned_s = time.perf_counter()
        return Answer(instances.labels, grasps, segmented_s - start_s, planned_s - segmented_s)
