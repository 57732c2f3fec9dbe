"""The files of one simulated scene, as bytes: a function of config and scene number alone."""

from __future__ import annotations

import json
import logging
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from repsam_ros.datasets.simulated import (
    AMODAL,
    COLOR,
    DEPTH,
    DEPTH_SCALE_M,
    IDS,
    META,
    TRANSPARENT,
    TRUE_DEPTH,
    TWINS,
    frame_name,
    pack_masks,
    split_of,
)
from repsam_ros.errors import DatasetError, RepsamError
from repsam_ros.images import encode_png
from repsam_ros.simulation.configuration import SimulateConfig, open_renderer
from repsam_ros.simulation.photorealistic import TracingSettings
from repsam_ros.simulation.rendering import (
    Pictures,
    Rendered,
    Renderer,
    RenderSettings,
    amodal_masks,
    color_bytes,
    expose,
)
from repsam_ros.simulation.scenes import settle_scene
from repsam_ros.simulation.twins import TwinRenderer, twin_of
from repsam_ros.simulation.views import GLASS, View, draw_view
from repsam_ros.simulation.workers import one_thread

logger = logging.getLogger(__name__)

SceneFiles = dict[str, bytes]


def scene_files(config: SimulateConfig, scene_number: int) -> SceneFiles:
    """Every file of one scene by its path in the data set; the descriptions come last.

    Raises:
        DatasetError: The scene cannot be made; names its number and seed.
    """
    seed = config.scene_seed(scene_number)
    try:
        with one_thread():
            return _scene_files(config, scene_number, seed)
    except RepsamError as error:
        raise DatasetError(f"scene {scene_number} (seed {seed}): {error}") from error
    except Exception:
        logger.error("scene %d (seed %d) failed", scene_number, seed)
        raise


@lru_cache(maxsize=1)
def _renderer(name: str, settings: RenderSettings, tracing: TracingSettings) -> Renderer:
    return open_renderer(name, settings, tracing)


@lru_cache(maxsize=1)
def _twin_renderer(name: str, settings: RenderSettings, tracing: TracingSettings) -> TwinRenderer:
    return TwinRenderer(_renderer(name, settings, tracing), settings)


def _scene_files(config: SimulateConfig, scene_number: int, seed: int) -> SceneFiles:
    how = (config.renderer, config.render, config.tracing)
    renderer = _renderer(*how)
    scene = settle_scene(seed, config.scene)
    width, height = config.size
    images: SceneFiles = {}
    descriptions: SceneFiles = {}
    for number in range(config.views):
        name = frame_name(scene_number, number)
        view = draw_view(scene, (seed, number), config.view, (height, width))
        rendered = renderer.render([view])
        draw = int(np.random.SeedSequence([seed, number, 1]).generate_state(1)[0])
        pictures = expose(rendered, config.sensor, draw)
        masks = amodal_masks(view)
        for folder, image in _images(view, rendered, pictures, masks).items():
            images[f"{folder}/{name}.png"] = encode_png(image)
        for twin in config.twins:
            shown = twin_of(twin, view, draw)
            _, twins = _twin_renderer(*how).render(shown, config.sensor, draw)
            path = f"{TWINS}/{twin}"
            images[f"{path}/{COLOR}/{name}.png"] = encode_png(color_bytes(twins.color[0]))
            images[f"{path}/{DEPTH}/{name}.png"] = encode_png(_steps(twins.depth_m))
        description = {
            "frame": name,
            "scene": scene_number,
            "view": number,
            "split": split_of(scene_number),
            "seed": seed,
            "kind": scene.kind,
            "rig": view.rig,
            "renderer": config.renderer,
            "sensor": config.sensor_name,
            **_description(view, rendered, masks),
        }
        text = json.dumps(description, allow_nan=False) + "\n"
        descriptions[f"{META}/{name}.json"] = text.encode()
    return images | descriptions


def _images(
    view: View, rendered: Rendered, pictures: Pictures, masks: NDArray[np.bool_]
) -> dict[str, NDArray[Any]]:
    present = view.slots >= 0
    return {
        COLOR: color_bytes(pictures.color[0]),
        DEPTH: _steps(pictures.depth_m),
        TRUE_DEPTH: _steps(rendered.sight.depth_m),
        IDS: rendered.ids[0].numpy().astype(np.uint16),
        AMODAL: pack_masks(view.slots[present] + 1, masks[present]),
        TRANSPARENT: rendered.sight.glass[0].numpy().astype(np.uint8) * 255,
    }


def _steps(depth_m: Tensor) -> NDArray[np.uint16]:
    """Whole millimetres; 0 where there is no depth or more than 16 bits hold."""
    steps = np.round(depth_m[0].numpy().astype(np.float64) / DEPTH_SCALE_M)
    return np.where(steps <= np.iinfo(np.uint16).max, steps, 0).astype(np.uint16)


def _description(view: View, rendered: Rendered, masks: NDArray[np.bool_]) -> dict[str, Any]:
    height, width = view.size
    names = ("fx", "fy", "cx", "cy")
    camera = dict(zip(names, _floats(rendered.intrinsics[0].numpy()), strict=True))
    visible = np.bincount(rendered.ids[0].numpy().ravel(), minlength=int(view.slots.max()) + 2)
    objects = [
        _object(view, index, int(visible[view.slots[index] + 1]), int(masks[index].sum()))
        for index in np.argsort(view.slots)
        if view.slots[index] >= 0
    ]
    return {
        "intrinsics": {**camera, "width": width, "height": height, "depth_scale_m": DEPTH_SCALE_M},
        "world_from_camera": [_floats(row) for row in view.world_from_camera],
        "objects": objects,
        "fixtures": [
            {"half_sizes_m": _floats(row[:3]), "centre_m": _floats(row[3:])}
            for row in view.scene.fixtures
        ],
    }


def _object(view: View, index: int, visible_px: int, amodal_px: int) -> dict[str, Any]:
    item, slot = view.scene.objects[index], int(view.slots[index])
    rotation = Rotation.from_quat(np.roll(view.scene.quaternions[index], -1)).as_matrix()
    pose = np.column_stack([rotation, view.scene.positions_m[index]])
    mesh = (
        {} if item.mesh is None else {"mesh": {"name": item.mesh.name, "sha256": item.mesh.sha256}}
    )
    return {
        "id": slot + 1,
        "family": item.family,
        **mesh,
        "dimensions": _floats(item.dimensions),
        "half_extents_m": _floats(item.half_extents()),
        "mass_kg": _floats(np.array([item.mass_kg]))[0],
        "is_glass": bool(view.arrays["materials"][slot, GLASS] > 0.5),
        "world_from_object": [_floats(row) for row in pose],
        "visible_px": visible_px,
        "amodal_px": amodal_px,
    }


def _floats(values: NDArray[np.floating]) -> list[float]:
    """A nanometre is enough, and keeps files short."""
    return [round(float(value), 9) for value in values]
