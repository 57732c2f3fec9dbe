"""What the camera of a trial gets to see, and what is truly there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from repsam_ros.errors import ConfigError, DatasetError
from repsam_ros.simulation import view_changes, views
from repsam_ros.simulation.cameras import CameraRig, draw_camera
from repsam_ros.simulation.photorealistic import PhotorealisticRenderer
from repsam_ros.simulation.rendering import (
    FastRenderer,
    Renderer,
    amodal_masks,
    color_bytes,
    expose,
)
from repsam_ros.simulation.sensor import load_sensor
from repsam_ros.simulation.workers import one_thread
from repsam_ros.structures import Grasp, Intrinsics, RgbdFrame
from repsam_ros.trials.scene import TrialScene

RENDERERS = {"raster": FastRenderer, "photorealistic": PhotorealisticRenderer}
# Shares of what is hidden are counted on every fourth pixel each way.
_COARSE = 4
_SENSE, _NOISE = 5, 6
_RIG = "stand"


@dataclass(frozen=True)
class CameraSettings:
    """Camera and depth sensor.

    Attributes:
        size: (width, height), pixels.
        distance_m: From the middle of the objects.
        elevation_deg: Over the table.
        focal: Focal length over image width.
        sensor: Name of a file in config/sensors/, or the path of one.
    """

    size: tuple[int, int] = (640, 480)
    distance_m: tuple[float, float] = (0.55, 0.8)
    elevation_deg: tuple[float, float] = (40.0, 65.0)
    focal: tuple[float, float] = (0.9, 0.95)
    sensor: str = "realsense"

    def __post_init__(self) -> None:
        if min(self.size) < 16:
            raise ConfigError(f"size: expected 16 pixels or more each way, got {self.size}")
        self.rig()

    def rig(self) -> CameraRig:
        """The mount.

        Raises:
            ConfigError: A range is not one.
        """
        return CameraRig(self.distance_m, self.elevation_deg, self.focal)


@dataclass(frozen=True)
class View:
    """One picture with its truth.

    Attributes:
        frame: As camera and depth sensor give it.
        true_frame: The same colour with exact depth, that of glass being the glass.
        true_labels: (H, W) int32 ids of the visible objects, 0 = background.
        camera_from_world: (4, 4) float64, optical frame.
        visible_share: By id: pixels that nothing else hides, over all within the picture. Objects
            outside the picture lack.
    """

    frame: RgbdFrame
    true_frame: RgbdFrame
    true_labels: NDArray[np.int32]
    camera_from_world: NDArray[np.float64]
    visible_share: dict[int, float] = field(default_factory=dict)

    def in_world(self, grasp: Grasp) -> Grasp:
        """A grasp in the camera's frame as one in the world frame."""
        world_from_camera = np.linalg.inv(self.camera_from_world)
        turn = world_from_camera[:3, :3]
        return replace(
            grasp,
            position_m=turn @ grasp.position_m + world_from_camera[:3, 3],
            rotation=turn @ grasp.rotation,
        )


def sense(scene: TrialScene, camera: CameraSettings, seed: int, renderer: str = "raster") -> View:
    """One view of a scene; the same input gives the same bytes.

    Textures, room and light depend on the scene alone, camera and noise on ``seed`` as well.

    Raises:
        BackendError: What the renderer needs is not installed.
        ConfigError: No such renderer or sensor.
        DatasetError: The scene has more surfaces than a picture can hold.
    """
    view = view_of(scene, camera, seed)
    with one_thread():
        rendered = _opened(renderer).render([view])
        noise = np.random.SeedSequence([scene.seed, seed, _NOISE]).generate_state(1)
        pictures = expose(rendered, load_sensor(camera.sensor), int(noise[0]))
    width, height = camera.size
    fx, fy, cx, cy = (float(value) for value in pictures.intrinsics[0])
    intrinsics = Intrinsics(fx, fy, cx, cy, width, height)
    frame = RgbdFrame(color_bytes(pictures.color[0]), pictures.depth_m[0].numpy(), intrinsics)
    labels = _labels(view, rendered.ids[0])
    world_from_camera = np.eye(4)
    world_from_camera[:3] = view.world_from_camera
    return View(
        frame,
        replace(frame, depth_m=rendered.sight.depth_m[0].numpy()),
        labels,
        np.asarray(np.linalg.inv(world_from_camera), np.float64),
        _visible_share(view, labels),
    )


@lru_cache(maxsize=2)
def _opened(renderer: str) -> Renderer:
    if renderer not in RENDERERS:
        raise ConfigError(f"unknown renderer {renderer!r}; there are: {', '.join(RENDERERS)}")
    opened: Renderer = RENDERERS[renderer]()
    return opened


def view_of(scene: TrialScene, camera: CameraSettings, seed: int) -> views.View:
    """What is rendered: the scene's looks from a camera drawn with ``seed``."""
    size = camera.size[::-1]
    rig = camera.rig()
    settings = views.ViewSettings(glass_scene_share=0.0, rigs={_RIG: rig})
    view = views.draw_view(scene.start, scene.look_seed, settings, size)
    if (view.slots < 0).any():
        raise DatasetError(f"scene {scene.seed}: more surfaces than a picture can hold")
    rng = np.random.default_rng([scene.seed, seed, _SENSE])
    view = view_changes.seen_from(view, *draw_camera(rng, scene.start, rig, size))
    return as_now(view, scene)


def as_now(view: views.View, scene: TrialScene) -> views.View:
    """A view of ``scene.start`` with objects where they are now, of what they are made of."""
    view = view_changes.in_glass(view, scene.glass)
    view = view_changes.moved(view, scene.positions_m, scene.quaternions)
    gone = np.zeros(views.MATERIAL_COUNT, bool)
    gone[view.slots[~scene.present]] = True
    view = view_changes.hidden(view, gone)
    return replace(view, slots=np.where(scene.present, view.slots, -1))


def _labels(view: views.View, ids: torch.Tensor) -> NDArray[np.int32]:
    """(H, W) ids of objects from ids of a picture (H, W)."""
    table = np.zeros(views.MAX_OBJECTS + 1, np.int32)
    for row, slot in enumerate(view.slots):
        if slot >= 0:
            table[slot + 1] = row + 1
    return np.asarray(table[ids.numpy()])


def _visible_share(view: views.View, labels: NDArray[np.int32]) -> dict[int, float]:
    """Visible share of each object in the picture."""
    fx, fy, cx, cy = view.arrays["intrinsics"]
    # The same rays as those of every fourth pixel of ``labels``.
    first = _COARSE // 2
    intrinsics = np.array([fx, fy, cx - first, cy - first], np.float32) / _COARSE
    sampled = labels[first::_COARSE, first::_COARSE]
    coarse = replace(view_changes.changed(view, intrinsics=intrinsics), size=sampled.shape)
    with one_thread():
        masks = amodal_masks(coarse)
    return {
        row + 1: float((sampled == row + 1)[mask].mean())
        for row, mask in enumerate(masks)
        if view.slots[row] >= 0 and mask.any()
    }
