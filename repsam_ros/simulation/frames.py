"""Simulated camera frames with truth, as a data set gives real ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from repsam_ros.datasets import Sample
from repsam_ros.datasets.simulated import without_slivers
from repsam_ros.simulation.cameras import CameraRig
from repsam_ros.simulation.rendering import FastRenderer, Pictures, color_bytes, expose
from repsam_ros.simulation.scenes import settle_scene
from repsam_ros.simulation.sensor import SensorSettings
from repsam_ros.simulation.views import ViewSettings, draw_view
from repsam_ros.simulation.workers import one_thread
from repsam_ros.structures import Intrinsics, RgbdFrame

# Seen by no training: the scenes of config/experiments/ have seeds below this.
FIRST_SCENE = 10_000_000
# A camera that a person would set up over a table.
DESK = ViewSettings(
    glass_scene_share=0.0, rigs={"stand": CameraRig((0.6, 0.95), (35.0, 60.0), (0.8, 0.85))}
)
CALM = SensorSettings(axial_scale=(0.6, 1.0), lateral_px=(0.4, 0.9), speckle_holes=1.0)


def to_sample(name: str, pictures: Pictures) -> Sample:
    """The first of ``pictures`` as a frame with truth; slivers of objects are to be ignored."""
    depth_m = pictures.depth_m[0].numpy()
    fx, fy, cx, cy = (float(value) for value in pictures.intrinsics[0])
    height, width = depth_m.shape
    camera = Intrinsics(fx, fy, cx, cy, width, height)
    frame = RgbdFrame(color_bytes(pictures.color[0]), depth_m, camera)
    labels, ignore = without_slivers(pictures.ids[0].numpy().astype(np.uint16))
    return Sample(name, frame, labels, ignore)


def render_frames(seed: int, count: int, width: int, height: int) -> Iterator[Sample]:
    """``count`` frames of opaque tabletop scenes, each scene and each camera once.

    The same seed gives the same frames. Scenes with fewer than three objects are passed over.
    """
    renderer = FastRenderer()
    scene_seed = FIRST_SCENE + 1000 * seed
    for index in range(count):
        scene = settle_scene(scene_seed)
        while not 3 <= len(scene.objects) <= 12:
            scene_seed += 1
            scene = settle_scene(scene_seed)
        size = (height, width)
        with one_thread():
            rendered = renderer.render([draw_view(scene, (scene_seed, 2), DESK, size)])
            pictures = expose(rendered, CALM, scene_seed)
        yield to_sample(f"scene{index:03d}", pictures)
        scene_seed += 1
