"""Where a training's pictures come from; every source is a function of the seed and the step.

- ``pool``: rendered once onto disk, drawn from with fresh sensor noise: what a CPU can afford.
- ``stream``: scenes settled, rendered and thrown away while the GPU trains; none comes back.
- ``source``: the flat source pictures on which a base is pretrained, which know no robot.
- ``dataset``: frames of a data set, real or simulated, read and varied while the network trains.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch

from repsam_ros.adaptation.augmentation import AugmentationSettings
from repsam_ros.adaptation.batches import LoaderSettings, training_batches
from repsam_ros.adaptation.distributed import Team
from repsam_ros.adaptation.pictures import PictureMaker, SamplePictures, SourcePictures
from repsam_ros.adaptation.planes import mirrored, moved
from repsam_ros.adaptation.scene_stream import SceneStream, StreamSettings
from repsam_ros.datasets import DatasetPlace
from repsam_ros.errors import ConfigError
from repsam_ros.simulation.pool import PicturePool, PoolSettings, make_pool
from repsam_ros.simulation.rendering import Pictures, expose
from repsam_ros.simulation.sensor import SensorSettings


@dataclass(frozen=True)
class SourceSettings:
    """The endless stream of source pictures.

    Attributes:
        seed: Of all pictures.
        workers: Processes that draw them.
        augmentation: How their colours are varied further; not at all without it.
        ignore_rest: Whether shapes that are too small or too many to be instances are ignored;
            else they are background.
    """

    seed: int = 0
    workers: int = 2
    augmentation: AugmentationSettings | None = None
    ignore_rest: bool = False


@dataclass(frozen=True)
class DatasetSettings(DatasetPlace):
    """Frames of a data set.

    Attributes:
        frames: Names of those that are used; all of them without it.
        seed: Of order and augmentation.
        workers: Processes that read.
        augmentation: How frames are varied; null leaves them as they are.
    """

    frames: tuple[str, ...] | None = None
    seed: int = 0
    workers: int = 2
    augmentation: AugmentationSettings | None = field(default_factory=AugmentationSettings)


@dataclass(frozen=True)
class DataSettings:
    """Training data: one of the four sources, and the sensor through which scenes are seen.

    The sensor belongs to ``pool`` and ``stream``; frames of a data set have their own.
    """

    pool: PoolSettings | None = None
    stream: StreamSettings | None = None
    source: SourceSettings | None = None
    dataset: DatasetSettings | None = None
    sensor: SensorSettings = field(default_factory=SensorSettings)

    def __post_init__(self) -> None:
        kinds = (self.pool, self.stream, self.source, self.dataset)
        if sum(kind is not None for kind in kinds) != 1:
            raise ConfigError("data: give exactly one of pool, stream, source and dataset")


class PictureSource(Protocol):
    """Batches of pictures by step."""

    def batch(self, step: int, draw: torch.Generator) -> Pictures:
        """This process's share of the batch of ``step``, on the device that trains.

        Steps are asked for one after the other; ``draw`` is for what is drawn on that device.
        """

    def close(self) -> None:
        """Ends the processes that make pictures."""


def open_source(
    settings: DataSettings,
    batch_size: int,
    size: tuple[int, int],
    folder: Path,
    team: Team,
    steps: range,
    seed: int,
) -> PictureSource:
    """The source that ``settings`` ask for.

    Args:
        size: (height, width) of the pictures.
        folder: Where a pool is kept that has no folder of its own.
        steps: Those whose batches will be asked for.
        seed: Of the order in which a pool is drawn from; the other sources have their own.

    Raises:
        ConfigError: A stream would come to the scenes of ``repsam simulate``.
    """
    if settings.pool is not None:
        return _Pool(settings.pool, settings.sensor, batch_size, size, folder, team, seed)
    if settings.stream is not None:
        return SceneStream(settings.stream, settings.sensor, batch_size, size, team, steps)
    maker: PictureMaker
    if settings.source is not None:
        source = settings.source
        workers = source.workers
        maker = SourcePictures(size, source.seed, source.augmentation, source.ignore_rest)
    else:
        assert settings.dataset is not None
        frames = settings.dataset
        workers, root = frames.workers, Path(frames.root)
        options = tuple(frames.options.items())
        maker = SamplePictures(
            frames.name,
            root,
            frames.split,
            size,
            frames.seed,
            frames.augmentation,
            options,
            frames.frames,
        )
    return _Made(maker, LoaderSettings(batch_size, workers), team, steps.start)


class _Pool:
    def __init__(
        self,
        settings: PoolSettings,
        sensor: SensorSettings,
        batch_size: int,
        size: tuple[int, int],
        folder: Path,
        team: Team,
        seed: int,
    ) -> None:
        self._sensor, self._batch_size, self._team = sensor, batch_size, team
        self._seed = seed
        folder = folder if settings.folder is None else Path(settings.folder)
        if team.leads:
            make_pool(folder, settings, size)
        team.wait()
        self._pool = PicturePool(folder)

    def batch(self, step: int, draw: torch.Generator) -> Pictures:
        # All processes draw the same numbers and take their share of them.
        common = torch.Generator().manual_seed((self._seed * 1_000_003 + step) % 2**32)
        numbers = torch.randint(len(self._pool), (self._batch_size,), generator=common).tolist()
        mine = self._pool.batch(numbers[self._team.rank :: self._team.size])
        return expose(mirrored(moved(mine, self._team.device), draw), self._sensor, draw)

    def close(self) -> None:
        """Nothing runs beside the training."""


class _Made:
    """Pictures that worker processes make by number."""

    def __init__(
        self, maker: PictureMaker, settings: LoaderSettings, team: Team, first_step: int
    ) -> None:
        share = (team.rank, team.size)
        self._batches = training_batches(maker, settings, team.device, first_step, share)

    def batch(self, step: int, draw: torch.Generator) -> Pictures:
        return next(self._batches)

    def close(self) -> None:
        self._batches.close()
