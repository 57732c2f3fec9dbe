"""The pictures of each scene by number, ready for the encoder: made in worker processes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repsam_ros.adaptation.cka.configuration import (
    DatasetPictures,
    PictureSettings,
    SimulatedPictures,
)
from repsam_ros.adaptation.pictures import open_once
from repsam_ros.datasets import Dataset
from repsam_ros.errors import DatasetError
from repsam_ros.metrics.statistics import scene_groups
from repsam_ros.perception.canvas import fit
from repsam_ros.simulation.frames import to_sample
from repsam_ros.simulation.rendering import FastRenderer, RenderSettings
from repsam_ros.simulation.scenes import settle_scene
from repsam_ros.simulation.sensor import SensorSettings, load_sensor
from repsam_ros.simulation.source import source_picture
from repsam_ros.simulation.twins import Twin, TwinRenderer, twin_of
from repsam_ros.simulation.views import draw_view
from repsam_ros.structures import Intrinsics, RgbdFrame

# Between the scenes of trainings and those of simulated data sets, which begin at 1e9.
FIRST_SCENE, _SCENES_PER_SEED = 100_000_000, 1_000_000


@dataclass(frozen=True)
class ScenePictures(ABC):
    """Makes the V pictures of scene ``number``; the same scenes come again after the last.

    Attributes:
        scenes: Their number.
    """

    canvas_px: tuple[int, int]
    scenes: int

    @abstractmethod
    def frames(self, number: int) -> list[RgbdFrame]:
        """The pictures of one scene."""

    def __call__(self, number: int) -> dict[str, Tensor]:
        """``color`` (V, H, W, 3) uint8, ``depth_m`` (V, H, W), ``intrinsics`` (V, 4) and
        ``inner_px`` (V, 2), the height and width that no padding covers."""
        canvases = [fit(frame, self.canvas_px) for frame in self.frames(number % self.scenes)]
        columns: dict[str, list[Any]] = {
            "color": [canvas.color for canvas in canvases],
            "depth_m": [canvas.depth_m for canvas in canvases],
            "intrinsics": [canvas.intrinsics.values for canvas in canvases],
            "inner_px": [np.array(canvas.inner_px) for canvas in canvases],
        }
        return {name: torch.from_numpy(np.stack(column)) for name, column in columns.items()}


@dataclass(frozen=True)
class TwinPictures(ScenePictures):
    """The robot's view of a scene, then its twins."""

    settings: SimulatedPictures
    sensor: SensorSettings
    factors: tuple[str, ...]

    def frames(self, number: int) -> list[RgbdFrame]:
        settings = self.settings
        seed = FIRST_SCENE + settings.seed * _SCENES_PER_SEED + number
        height, width = self.canvas_px
        size = (min(height, 3 * width // 4), width)
        scene = settle_scene(seed, settings.scene)
        view = draw_view(scene, (seed, 2), settings.view, size)
        twins = [Twin(view), *(twin_of(name, view, seed) for name in self.factors)]
        renderer = _renderer(settings.render)
        made = [renderer.render(twin, self.sensor, seed)[1] for twin in twins]
        return [to_sample(str(seed), pictures).frame for pictures in made]


@dataclass(frozen=True)
class FramePictures(ScenePictures):
    """Frames of a data set."""

    settings: DatasetPictures
    members: tuple[tuple[int, ...], ...]

    def frames(self, number: int) -> list[RgbdFrame]:
        samples = _samples(self.settings)
        return [samples[index].frame for index in self.members[number]]


@dataclass(frozen=True)
class StreamPictures(ScenePictures):
    """Source pictures, which have no depth."""

    seed: int

    def frames(self, number: int) -> list[RgbdFrame]:
        height, width = self.canvas_px
        color = source_picture((self.seed, 0, number), self.canvas_px).color
        # Any camera does: without depth nothing is measured in metres.
        camera = Intrinsics(0.9 * width, 0.9 * width, width / 2, height / 2, width, height)
        return [RgbdFrame(color, np.zeros((height, width), np.float32), camera)]


def open_pictures(
    settings: PictureSettings,
    canvas_px: tuple[int, int],
    scenes: int,
    seed: int,
    factors: tuple[str, ...] = (),
) -> ScenePictures:
    """The pictures that ``settings`` ask for, of ``scenes`` scenes or as many as there are.

    Raises:
        DatasetError: The data set cannot be opened.
    """
    if settings.simulated is not None:
        sensor = load_sensor(settings.simulated.sensor)
        return TwinPictures(canvas_px, scenes, settings.simulated, sensor, factors)
    if settings.source_stream is not None:
        return StreamPictures(canvas_px, scenes, settings.source_stream.seed)
    assert settings.dataset is not None
    chosen = settings.dataset
    scene_of = [sample.scene for sample in _samples(chosen)]
    members = _members(scene_of, chosen.images_per_scene, np.random.default_rng(seed))[:scenes]
    if not members:
        raise DatasetError(f"{chosen.root}: no scene has {chosen.images_per_scene} images")
    return FramePictures(canvas_px, len(members), chosen, members)


def _samples(settings: DatasetPictures) -> Dataset:
    options = tuple(settings.options.items())
    return open_once(settings.name, Path(settings.root), settings.split, options)


def _members(
    scene_of: list[str], count: int, rng: np.random.Generator
) -> tuple[tuple[int, ...], ...]:
    """``count`` random images of each scene that has so many, scenes in random order."""
    groups = scene_groups(scene_of)
    scenes: dict[int, list[int]] = {}
    for index in range(len(scene_of)):
        scenes.setdefault(index if groups is None else int(groups[index]), []).append(index)
    kept = [images for images in scenes.values() if len(images) >= count]
    return tuple(
        tuple(rng.choice(kept[scene], count, replace=False).tolist())
        for scene in rng.permutation(len(kept))
    )


@lru_cache(maxsize=2)
def _renderer(settings: RenderSettings) -> TwinRenderer:
    return TwinRenderer(FastRenderer(settings), settings)
