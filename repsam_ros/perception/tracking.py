"""Keeps the ids of instances the same from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from repsam_ros.errors import ConfigError
from repsam_ros.perception.pipeline import Scene
from repsam_ros.structures import Instances

# Width at which masks are compared: enough to tell objects apart, and quick.
_COMPARED_WIDTH_PX = 160
_FORBIDDEN = 1e6


@dataclass(frozen=True)
class TrackingSettings:
    """When a mask is that of an object seen before.

    Attributes:
        enabled: Without it the ids of a frame are 1, 2 ... by score, whatever was before.
        min_iou: Overlap from which two masks can be of one object.
        max_shift: Without such overlap, how far apart their centres may lie, relative to the
            square root of their area.
        memory_frames: Frames for which a lost object is looked for, and its id not given away.
    """

    enabled: bool = False
    min_iou: float = 0.1
    max_shift: float = 0.5
    memory_frames: int = 30

    def __post_init__(self) -> None:
        if not 0 < self.min_iou <= 1 or self.max_shift < 0 or self.memory_frames < 1:
            raise ConfigError(
                "tracking: min_iou must lie in (0, 1], max_shift be at least 0 and"
                " memory_frames at least 1"
            )


@dataclass(frozen=True)
class _Masks:
    """Masks of one coarse size: (N, P) float32 of 0 and 1, their areas and centres (N, 2)."""

    pixels: NDArray[np.float32]
    areas: NDArray[np.float32]
    centres: NDArray[np.float32]


class InstanceTracker:
    """Gives each object the id that it had before.

    Masks of a frame are assigned to the objects of the frames before so that overlaps are
    largest and moves smallest, all at once (Kuhn 1955). An object that is not found keeps its
    last mask for a while; then its id is free again.
    """

    def __init__(self, settings: TrackingSettings) -> None:
        self.settings = settings
        self._masks: dict[int, NDArray[np.bool_]] = {}
        self._missed: dict[int, int] = {}

    def reset(self) -> None:
        """Forgets all objects."""
        self._masks.clear()
        self._missed.clear()

    def update(self, labels: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """(N,) ids of the instances 1 ... N of a label map (H, W), in their order."""
        step = max(1, labels.shape[1] // _COMPARED_WIDTH_PX)
        coarse = labels[::step, ::step]
        found = [coarse == k for k in range(1, int(labels.max(initial=0)) + 1)]
        if self._masks and next(iter(self._masks.values())).shape != coarse.shape:
            self.reset()  # another picture size: nothing can be compared
        known = list(self._masks)
        ids = np.zeros(len(found), np.uint16)
        for old, new in self._matches([self._masks[k] for k in known], found):
            ids[new] = known[old]
        self._forget(set(known) - set(ids.tolist()))
        for index in np.flatnonzero(ids == 0):
            ids[index] = self._free_id(ids)
        for k, mask in zip(ids.tolist(), found, strict=True):
            self._masks[k], self._missed[k] = mask, 0
        return ids

    def _matches(
        self, old: list[NDArray[np.bool_]], new: list[NDArray[np.bool_]]
    ) -> list[tuple[int, int]]:
        if not old or not new:
            return []
        costs = self._costs(_measured(old), _measured(new))
        rows, columns = linear_sum_assignment(costs)
        return [
            (int(i), int(j)) for i, j in zip(rows, columns, strict=True) if costs[i, j] < _FORBIDDEN
        ]

    def _costs(self, old: _Masks, new: _Masks) -> NDArray[np.float64]:
        shared = old.pixels @ new.pixels.T
        iou = shared / np.maximum(old.areas[:, None] + new.areas[None] - shared, 1)
        moved_px = np.linalg.norm(old.centres[:, None] - new.centres[None], axis=2)
        size_px = np.sqrt(np.maximum((old.areas[:, None] + new.areas[None]) / 2, 1))
        shift = moved_px / size_px
        possible = (iou >= self.settings.min_iou) | (shift <= self.settings.max_shift)
        possible &= (old.areas[:, None] > 0) & (new.areas[None] > 0)
        return np.where(possible, 1 - iou + shift, _FORBIDDEN)

    def _forget(self, lost: set[int]) -> None:
        for k in lost:
            self._missed[k] += 1
            if self._missed[k] > self.settings.memory_frames:
                del self._masks[k], self._missed[k]

    def _free_id(self, taken: NDArray[np.uint16]) -> int:
        """The least id that no object has, nor had lately."""
        used = self._masks.keys() | set(taken.tolist())
        return next(k for k in range(1, len(used) + 2) if k not in used)


def renumbered(scene: Scene, ids: NDArray[np.uint16]) -> Scene:
    """A scene whose instances 1 ... N have the given ids; see :func:`with_ids`."""
    cloud = scene.cloud
    instance_ids = _lookup(ids)[cloud.instance_ids].astype(np.uint32)
    return Scene(with_ids(scene.instances, ids), replace(cloud, instance_ids=instance_ids))


def with_ids(instances: Instances, ids: NDArray[np.uint16]) -> Instances:
    """The instances 1 ... N with the given ids.

    Ids between them that no instance has get the score 0.
    """
    count = int(ids.max(initial=0))
    scores = np.zeros(count, np.float32)
    prompts_px = np.zeros((count, 2), np.float32)
    scores[ids - 1] = instances.scores[: len(ids)]
    prompts_px[ids - 1] = instances.prompts_px[: len(ids)]
    return Instances(_lookup(ids)[instances.labels], scores, prompts_px)


def _lookup(ids: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """(N + 1,) new id by old one; 0 stays."""
    return np.concatenate((np.zeros(1, np.uint16), ids))


def _measured(masks: list[NDArray[np.bool_]]) -> _Masks:
    stack = np.stack(masks)
    rows, columns = np.indices(stack.shape[1:], np.float32).reshape(2, -1)
    pixels = stack.reshape(len(stack), -1).astype(np.float32)
    areas = pixels.sum(axis=1)
    centres = np.stack((pixels @ columns, pixels @ rows), axis=1) / np.maximum(areas, 1)[:, None]
    return _Masks(pixels, areas, centres)
