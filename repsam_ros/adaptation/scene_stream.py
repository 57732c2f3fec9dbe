"""Scenes that are settled, rendered and thrown away while the network trains; none comes back."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from repsam_ros.adaptation.distributed import Team
from repsam_ros.adaptation.loader import made_in_order
from repsam_ros.adaptation.planes import from_planes, mirrored, to_planes
from repsam_ros.errors import ConfigError
from repsam_ros.simulation.configuration import FIRST_SCENE_SEED
from repsam_ros.simulation.rendering import (
    FastRenderer,
    Pictures,
    RenderSettings,
    expose,
    stack_views,
)
from repsam_ros.simulation.scenes import SceneSettings, settle_scene
from repsam_ros.simulation.sensor import SensorSettings
from repsam_ros.simulation.views import View, ViewSettings, draw_view

# Render batches before the first step.
FIRST_BATCHES = 4
# Render batches that each worker settles in advance; some scenes take long.
AHEAD = 4


@dataclass(frozen=True)
class StreamSettings:
    """An endless stream of scenes that are rendered where the network trains.

    Attributes:
        seed: Of the first scene, the others follow; with several processes they take turns. A
            scene is settled once and seen from ``views_per_scene`` places.
        workers: Processes that settle scenes.
        batch_scenes: Scenes whose views are rendered together.
        reuse: How often a picture is drawn on average, each time with another sensor noise.
        kept: Render batches that a training batch is drawn from, the newest ones.
    """

    seed: int = 1_000_000
    workers: int = 2
    views_per_scene: int = 4
    batch_scenes: int = 8
    reuse: float = 4.0
    kept: int = 256
    scenes: SceneSettings = field(default_factory=SceneSettings)
    views: ViewSettings = field(default_factory=ViewSettings)
    render: RenderSettings = field(default_factory=RenderSettings)


class SceneStream:
    """Keeps the newest pictures in a ring on the device."""

    def __init__(
        self,
        settings: StreamSettings,
        sensor: SensorSettings,
        batch_size: int,
        size: tuple[int, int],
        team: Team,
        steps: range,
    ) -> None:
        """Starts the workers.

        Args:
            size: (height, width) of the pictures.
            steps: Those whose batches will be asked for.

        Raises:
            ConfigError: The training would see scenes of ``repsam simulate``.
        """
        self._settings, self._sensor = settings, sensor
        self._share = batch_size // team.size
        self._size, self._device = size, team.device
        self._on_gpu = team.device.type != "cpu"
        self._renderer = FastRenderer(settings.render, team.device) if self._on_gpu else None
        self._ring: dict[str, Tensor] = {}
        # Whatever an unbroken run would still hold at this step is rendered anew.
        self._next = max(0, self._needed(steps.start) - settings.kept)
        scenes = self._needed(steps.stop) * settings.batch_scenes * team.size
        if settings.seed < 0 or settings.seed + scenes > FIRST_SCENE_SEED:
            raise ConfigError(
                f"data.stream: {scenes} scenes from seed {settings.seed} on; those of trainings"
                f" lie between 0 and {FIRST_SCENE_SEED}, where those of repsam simulate begin"
            )
        views = SettledViews(settings, size, (team.rank, team.size), not self._on_gpu)
        self._arrays = made_in_order(views, self._next, settings.workers, AHEAD, self._on_gpu)

    def batch(self, step: int, draw: torch.Generator) -> Pictures:
        """This process's share of the batch of ``step``."""
        settings = self._settings
        while self._next < self._needed(step):
            self._add(next(self._arrays))
        held = min(self._next, settings.kept) * settings.batch_scenes * settings.views_per_scene
        chosen = torch.randint(held, (self._share,), generator=draw, device=draw.device)
        planes = {name: value.index_select(0, chosen) for name, value in self._ring.items()}
        return expose(mirrored(from_planes(planes), draw), self._sensor, draw)

    def close(self) -> None:
        """Ends the workers."""
        self._arrays.close()

    def _needed(self, step: int) -> int:
        """Render batches that are made before ``step``: some to begin with, then a steady flow."""
        views = self._settings.batch_scenes * self._settings.views_per_scene
        return FIRST_BATCHES + math.ceil(step * self._share / (views * self._settings.reuse))

    def _add(self, arrays: dict[str, Tensor]) -> None:
        if self._renderer is not None:
            arrays = {name: v.to(self._device, non_blocking=True) for name, v in arrays.items()}
            arrays = to_planes(self._renderer.render_arrays(arrays, self._size))
        count = len(arrays["ids"])
        if not self._ring:
            self._ring = {
                name: value.new_empty((self._settings.kept * count, *value.shape[1:]))
                for name, value in arrays.items()
            }
        first = self._next % self._settings.kept * count
        for name, value in arrays.items():
            self._ring[name][first : first + count] = value
        self._next += 1


class SettledViews:
    """The scenes of one render batch: the arrays of their views, or pictures without a GPU."""

    def __init__(
        self,
        settings: StreamSettings,
        size: tuple[int, int],
        share: tuple[int, int],
        renders: bool,
    ) -> None:
        """``share`` is (rank, number) of the processes that train together."""
        self._settings, self._size, self._renders = settings, size, renders
        self._rank, self._processes = share
        self._renderer: FastRenderer | None = None

    def __call__(self, number: int) -> dict[str, Tensor]:
        count = self._settings.batch_scenes
        views = [v for n in range(number * count, (number + 1) * count) for v in self._views(n)]
        if not self._renders:
            return stack_views(views)
        if self._renderer is None:
            self._renderer = FastRenderer(self._settings.render)
        return to_planes(self._renderer.render(views))

    def _views(self, number: int) -> list[View]:
        seed = self._settings.seed + number * self._processes + self._rank
        scene = settle_scene(seed, self._settings.scenes)
        return [
            draw_view(scene, (seed, view), self._settings.views, self._size)
            for view in range(self._settings.views_per_scene)
        ]
