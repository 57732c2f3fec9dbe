"""Executed grasps of one scene with the clouds that show it, and the file that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.array_files import read_arrays
from repsam_ros.errors import DatasetError
from repsam_ros.paths import atomic_path
from repsam_ros.structures import Grasp, Plane, SceneCloud

_CLOUD = ("points_m", "instance_ids", "viewpoint_m", "plane")


@dataclass(frozen=True)
class ExampleScene:
    """G grasps executed on one scene from the same snapshot, and K clouds of one view of it.

    Attributes:
        clouds: In the frame of the camera; colours, scores and flags are not kept.
        instances: (K, G) int64, the instance in each cloud that stands for the object that the
            grasp was meant for, 0 where there is none.
        sources: (G,) int64, the cloud that the grasp was planned on.
        positions_m: (G, 3) float64.
        rotations: (G, 3, 3) float64.
        widths_m: (G,) float64.
        succeeded: (G,) bool.
        glass: (G,) bool, the object is of glass.
    """

    clouds: Sequence[SceneCloud]
    instances: NDArray[np.int64]
    sources: NDArray[np.int64]
    positions_m: NDArray[np.float64]
    rotations: NDArray[np.float64]
    widths_m: NDArray[np.float64]
    succeeded: NDArray[np.bool_]
    glass: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.succeeded)

    def shown(self, cloud: int) -> tuple[NDArray[np.intp], list[Grasp]]:
        """Rows of the grasps whose object a cloud shows, and these grasps on its instances."""
        rows = np.flatnonzero(self.instances[cloud])
        grasps = [
            Grasp(
                self.positions_m[row],
                self.rotations[row],
                float(self.widths_m[row]),
                0.0,
                int(self.instances[cloud, row]),
            )
            for row in rows
        ]
        return rows, grasps


def save_examples(path: Path, scene: ExampleScene) -> None:
    """Writes a scene as compressed npz."""
    arrays = {
        item.name: getattr(scene, item.name)
        for item in fields(ExampleScene)
        if item.name != "clouds"
    }
    for number, cloud in enumerate(scene.clouds):
        plane = cloud.support_plane
        kept = (
            cloud.points_m,
            cloud.instance_ids,
            cloud.viewpoint_m,
            np.zeros(0) if plane is None else np.append(plane.normal, plane.offset_m),
        )
        arrays |= {f"{name}_{number}": value for name, value in zip(_CLOUD, kept, strict=True)}
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def load_examples(path: Path) -> ExampleScene:
    """Reads what :func:`save_examples` wrote.

    Raises:
        DatasetError: The file is missing or damaged, or holds something else.
    """
    arrays = read_arrays(path)
    try:
        count = len(arrays["instances"])
        clouds = [_cloud(*(arrays.pop(f"{name}_{k}") for name in _CLOUD)) for k in range(count)]
        return ExampleScene(clouds, **arrays)
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: not a file of executed examples: {error}") from error


def _cloud(
    points_m: NDArray[np.float32],
    ids: NDArray[np.uint32],
    viewpoint_m: NDArray[np.float64],
    plane: NDArray[np.float64],
) -> SceneCloud:
    count = len(points_m)
    known: dict[str, Any] = {
        "support_plane": Plane(plane[:3], float(plane[3])) if len(plane) else None
    }
    return SceneCloud(
        points_m=points_m,
        colors=np.zeros((count, 3), np.uint8),
        instance_ids=ids,
        scores=np.zeros(count, np.float32),
        flags=np.zeros(count, np.uint8),
        stamp_ns=0,
        frame_id="camera",
        viewpoint_m=viewpoint_m,
        **known,
    )
