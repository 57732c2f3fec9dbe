"""Pictures of an attempt while it is going on: objects and hand from the side."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from repsam_ros.simulation import view_changes, views
from repsam_ros.simulation.cameras import CameraRig
from repsam_ros.simulation.rendering import FastRenderer, color_bytes
from repsam_ros.simulation.workers import one_thread
from repsam_ros.trials.scene import TrialScene
from repsam_ros.trials.sensing import as_now
from repsam_ros.trials.world import World

SIZE = (240, 320)
# The camera stands to the side of the closing direction and looks a little down.
DISTANCE_M, ELEVATION_RAD, FOCAL_PX = 0.75, 0.35, 380.0
# Of the scene's middle: between the table and the end of the lift.
HEIGHT_M = 0.12
# See the columns of materials in ``views``: plain grey, slightly glossy.
STEEL = np.array([0, 1.0, 0.25, 0.28, 0.32, 1.0, 0.2, 20.0, 0, 0], np.float32)


@lru_cache(maxsize=1)
def _renderer() -> FastRenderer:
    return FastRenderer()


class SideCamera:
    """A camera that stands still to the side of a hand.

    Args:
        scene: In its own look, but for the light.
        rotation: (3, 3) of the hand.
        grasp_m: (3,) where it will grasp.
    """

    def __init__(
        self, scene: TrialScene, rotation: NDArray[np.float64], grasp_m: NDArray[np.float64]
    ) -> None:
        rig = CameraRig((DISTANCE_M, DISTANCE_M), (30.0, 30.0))
        settings = views.ViewSettings(glass_scene_share=0.0, rigs={"side": rig})
        view = views.draw_view(scene.start, scene.look_seed, settings, SIZE)
        view = view_changes.seen_from(view, _camera(rotation, grasp_m), _intrinsics())
        self._view = view_changes.changed(view, light=_daylight(view.arrays["light"]))

    def picture(self, world: World) -> NDArray[np.uint8]:
        """(H, W, 3) RGB of objects and hand."""
        view = as_now(self._view, world.scene.moved(world.placed()))
        view = view_changes.with_boxes(view, world.hand_boxes(), STEEL, views.HAND)
        with one_thread():
            return color_bytes(_renderer().render([view]).color[0])


def _daylight(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """A lamp over the middle, and as much light from everywhere."""
    result = light.copy()
    result[views.LAMP : views.LAMP + 3] = 0.4, 0.3, 2.0
    result[[views.AMBIENT, views.LAMP_STRENGTH, views.FILL_STRENGTH]] = 0.55, 0.5, 0.1
    result[views.LAMP_COLOR : views.LAMP_COLOR + 3] = 1.0
    result[views.SKY : views.SKY + 3] = 0.8
    return result


def _camera(rotation: NDArray[np.float64], grasp_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 4) world_from_camera that sees the fingers close from left and right."""
    closing = rotation[:, 1]
    side = np.array([-closing[1], closing[0], 0.0])
    length = float(np.linalg.norm(side))
    side = side / length if length > 1e-3 else np.array([1.0, 0.0, 0.0])
    offset = np.cos(ELEVATION_RAD) * side + np.sin(ELEVATION_RAD) * np.array([0.0, 0.0, 1.0])
    target = np.array([grasp_m[0], grasp_m[1], HEIGHT_M])
    right = np.cross(-offset, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.column_stack([right, np.cross(-offset, right), -offset])
    return np.column_stack([rotation, target + DISTANCE_M * offset])


def _intrinsics() -> NDArray[np.float64]:
    height, width = SIZE
    return np.array([FOCAL_PX, FOCAL_PX, 0.5 * width, 0.5 * height])
