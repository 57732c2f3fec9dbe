"""Where a training's pictures come from; every source is a function of the seed and the step.

- ``pool``: rendered once onto disk, drawn from with fresh sensor noise: what a CPU can afford.
- ``stream``: scenes settled, rendered and thrown away while the GPU trains; none comes back.
- ``source``: the flat source pictures on which a base is pretrained, which know no robot.
"""

from __future__ import annotations

import itertools
import math
import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from repsam_ros.adaptation.distributed import Team
from repsam_ros.errors import ConfigError
from repsam_ros.simulation.pool import PicturePool, PoolSettings, make_pool
from repsam_ros.simulation.rendering import (
    FastRenderer,
    Pictures,
    Rendered,
    RenderSettings,
    expose,
    stack_views,
)
from repsam_ros.simulation.scenes import SceneSettings, settle_scene
from repsam_ros.simulation.sensor import SensedScene, SensorSettings
from repsam_ros.simulation.source import source_picture
from repsam_ros.simulation.views import ViewSettings, draw_view


# Render batches before the first step of a stream.
FIRST_BATCHES = 4


@dataclass(frozen=True)
class StreamSettings:
    """An endless stream of scenes that are rendered where the network trains.

    Attributes:
        seed: Of the first scene; a scene is settled once and seen from ``views_per_scene`` places.
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


@dataclass(frozen=True)
class SourceSettings:
    """The endless stream of source pictures.

    Attributes:
        seed: Of all pictures.
        workers: Processes that draw them.
    """

    seed: int = 0
    workers: int = 2


@dataclass(frozen=True)
class DataSettings:
    """Training data: one of the three sources, and the sensor through which scenes are seen."""

    pool: PoolSettings | None = None
    stream: StreamSettings | None = None
    source: SourceSettings | None = None
    sensor: SensorSettings = field(default_factory=SensorSettings)

    def __post_init__(self) -> None:
        if sum(source is not None for source in (self.pool, self.stream, self.source)) != 1:
            raise ConfigError("data: give exactly one of pool, stream and source")


class PictureSource(Protocol):
    """Batches of pictures by step."""

    def batch(self, step: int, draw: torch.Generator) -> Pictures:
        """This process's share of the batch of ``step``, on the device that trains."""


def open_source(
    settings: DataSettings,
    batch_size: int,
    size: tuple[int, int],
    folder: Path,
    team: Team,
    first_step: int,
) -> PictureSource:
    """The source that ``settings`` ask for.

    Args:
        size: (height, width) of the pictures.
        folder: Where a pool is kept that has no folder of its own.
        first_step: Step that the first batch will be asked for.
    """
    share = batch_size // team.size
    if settings.pool is not None:
        return _Pool(settings.pool, settings.sensor, batch_size, size, folder, team)
    if settings.stream is not None:
        return _Stream(settings.stream, settings.sensor, share, size, team, first_step)
    assert settings.source is not None
    return _Source(settings.source, share, size, team, first_step)


class _Pool:
    def __init__(
        self,
        settings: PoolSettings,
        sensor: SensorSettings,
        batch_size: int,
        size: tuple[int, int],
        folder: Path,
        team: Team,
    ) -> None:
        self._sensor, self._batch_size, self._team = sensor, batch_size, team
        folder = folder if settings.folder is None else Path(settings.folder)
        if team.leads:
            make_pool(folder, settings, size)
        team.wait()
        self._pool = PicturePool(folder)

    def batch(self, step: int, draw: torch.Generator) -> Pictures:
        # All processes draw the same numbers and take their share of them.
        common = torch.Generator().manual_seed(step)
        numbers = torch.randint(len(self._pool), (self._batch_size,), generator=common).tolist()
        mine = self._pool.batch(numbers[self._team.rank :: self._team.size])
        return expose(mirrored(moved(mine, self._team.device), draw), self._sensor, draw)


class _Stream:
    """Keeps the newest pictures in a ring on the device."""

    def __init__(
        self,
        settings: StreamSettings,
        sensor: SensorSettings,
        share: int,
        size: tuple[int, int],
        team: Team,
        first_step: int,
    ) -> None:
        self._settings, self._sensor, self._share = settings, sensor, share
        self._size, self._device = size, team.device
        self._on_gpu = team.device.type != "cpu"
        self._renderer = FastRenderer(settings.render, team.device) if self._on_gpu else None
        self._ring: dict[str, Tensor] = {}
        # Whatever an unbroken run would still hold at this step is rendered anew.
        self._next = max(0, self._needed(first_step) - settings.kept)
        scenes = _SettledViews(settings, size, team.rank, not self._on_gpu)
        self._arrays = _in_order(
            scenes, self._next * settings.batch_scenes, settings.batch_scenes, settings.workers
        )

    def batch(self, step: int, draw: torch.Generator) -> Pictures:
        settings = self._settings
        while self._next < self._needed(step):
            self._add(next(self._arrays))
        held = min(self._next, settings.kept) * settings.batch_scenes * settings.views_per_scene
        chosen = torch.randint(held, (self._share,), generator=draw, device=draw.device)
        planes = {name: value.index_select(0, chosen) for name, value in self._ring.items()}
        return expose(mirrored(from_planes(planes), draw), self._sensor, draw)

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


class _SettledViews(Dataset[dict[str, Tensor]]):
    """Scene by scene: the arrays of its views, or their pictures where there is no GPU."""

    def __init__(
        self, settings: StreamSettings, size: tuple[int, int], rank: int, renders: bool
    ) -> None:
        self._settings, self._size, self._renders = settings, size, renders
        self._first_seed = settings.seed + rank * 500_000_000
        self._renderer: FastRenderer | None = None

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        seed = self._first_seed + index
        scene = settle_scene(seed, self._settings.scenes)
        views = [
            draw_view(scene, (seed, view), self._settings.views, self._size)
            for view in range(self._settings.views_per_scene)
        ]
        if not self._renders:
            return stack_views(views)
        if self._renderer is None:
            self._renderer = FastRenderer(self._settings.render)
        return to_planes(self._renderer.render(views))


class _Source:
    def __init__(
        self,
        settings: SourceSettings,
        share: int,
        size: tuple[int, int],
        team: Team,
        first_step: int,
    ) -> None:
        self._device = team.device
        pictures = _SourcePictures(settings, size, team.rank)
        self._batches = _in_order(pictures, first_step * share, share, settings.workers)

    def batch(self, step: int, draw: torch.Generator) -> Pictures:
        planes = {name: value.to(self._device) for name, value in next(self._batches).items()}
        color = planes["color"].permute(0, 3, 1, 2).float() / 255
        batch, _, height, width = color.shape
        # Any camera does: without depth nothing is measured in metres.
        camera = color.new_tensor([0.9 * width, 0.9 * width, 0.5 * width, 0.5 * height])
        depth_m = color.new_zeros((batch, height, width))
        return Pictures(color, depth_m, planes["ids"].long(), camera.expand(batch, 4))


class _SourcePictures(Dataset[dict[str, Tensor]]):
    def __init__(self, settings: SourceSettings, size: tuple[int, int], rank: int) -> None:
        self._seed, self._size, self._rank = settings.seed, size, rank

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        picture = source_picture((self._seed, self._rank, index), self._size)
        return {
            "color": torch.from_numpy(picture.color)[None],
            "ids": torch.from_numpy(picture.ids)[None],
        }


def _in_order(
    items: Dataset[dict[str, Tensor]], first: int, batch_size: int, workers: int
) -> Iterator[dict[str, Tensor]]:
    """Batches of the items from ``first`` on, without end, whatever the number of workers."""
    context = multiprocessing.get_context("forkserver") if workers else None
    if context is not None:  # importing torch once, not once a worker, saves half a minute
        context.set_forkserver_preload([__name__])
    loader = DataLoader(
        items,
        batch_size=batch_size,
        sampler=_From(first),
        num_workers=workers,
        collate_fn=_concatenated,
        multiprocessing_context=context,
        worker_init_fn=_calm_worker,
        prefetch_factor=4 if workers else None,
        pin_memory=torch.cuda.is_available(),
    )
    return iter(loader)


class _From(Sampler[int]):
    """first, first + 1, ..."""

    def __init__(self, first: int) -> None:
        self._first = first

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self._first)


def _calm_worker(_: int) -> None:
    torch.set_num_threads(1)


def _concatenated(items: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([item[name] for item in items]) for name in items[0]}


def to_planes(rendered: Rendered) -> dict[str, Tensor]:
    """Small arrays of a batch: colour in 8 bits, depth in full."""
    sight = rendered.sight
    small = {"incidence_rad": torch.float16, "dropout": torch.float16}
    planes = {name: value.to(small.get(name, value.dtype)) for name, value in vars(sight).items()}
    planes["color"] = (rendered.color * 255).round().to(torch.uint8)
    planes["ids"] = rendered.ids.to(torch.uint8)
    planes["intrinsics"] = rendered.intrinsics
    return planes


def from_planes(planes: dict[str, Tensor]) -> Rendered:
    """What :func:`to_planes` made small."""
    sight = {
        name: value.float() if value.is_floating_point() else value
        for name, value in planes.items()
        if name not in ("color", "ids", "intrinsics")
    }
    color, ids = planes["color"].float() / 255, planes["ids"].long()
    return Rendered(color, SensedScene(**sight), ids, planes["intrinsics"])


def moved(rendered: Rendered, device: torch.device) -> Rendered:
    """The batch on ``device``."""
    sight = SensedScene(**{name: value.to(device) for name, value in vars(rendered.sight).items()})
    return Rendered(
        rendered.color.to(device), sight, rendered.ids.to(device), rendered.intrinsics.to(device)
    )


def mirrored(rendered: Rendered, draw: torch.Generator) -> Rendered:
    """A random half of the batch is mirrored left to right, its cameras with it."""
    ids = rendered.ids
    flip = torch.rand(len(ids), generator=draw, device=ids.device) < 0.5

    def mirror(value: Tensor) -> Tensor:
        shape = (-1, *[1] * (value.ndim - 1))
        return torch.where(flip.reshape(shape), value.flip(-1), value)

    intrinsics = rendered.intrinsics.clone()
    width = ids.shape[-1]
    intrinsics[:, 2] = torch.where(flip, width - 1 - intrinsics[:, 2], intrinsics[:, 2])
    sight = SensedScene(**{name: mirror(value) for name, value in vars(rendered.sight).items()})
    return Rendered(mirror(rendered.color), sight, mirror(ids), intrinsics)
