"""Batches of pictures for training, made in worker processes.

Colour and truth stay bytes, in memory that workers and trainer share, until they are on the
device.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from repsam_ros.adaptation.augmentation import IGNORED
from repsam_ros.adaptation.pictures import PictureMaker, Steps, start_worker
from repsam_ros.errors import ConfigError, DatasetError
from repsam_ros.simulation.rendering import Pictures


@dataclass(frozen=True)
class TrainingPictures(Pictures):
    """Pictures of a data set.

    Attributes:
        ignore: (B, H, W) bool, pixels without truth; their id is 0.
    """

    ignore: Tensor


@dataclass(frozen=True)
class LoaderSettings:
    """How batches are made.

    Attributes:
        batch_size: Pictures a step, over all processes that train.
        workers: Processes that read or make pictures; 0 = the one that trains.
        ahead: Batches that each worker makes in advance.
    """

    batch_size: int = 32
    workers: int = 2
    ahead: int = 2

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.workers < 0 or self.ahead < 1:
            raise ConfigError("batch_size and ahead must be at least 1, workers at least 0")


def training_batches(
    maker: PictureMaker,
    settings: LoaderSettings,
    device: torch.device,
    first_step: int = 0,
    share: tuple[int, int] = (0, 1),
) -> Iterator[TrainingPictures]:
    """Endless batches on ``device`` from step ``first_step`` on.

    ``share`` is (rank, number) of the processes that train together; each gets its part of every
    batch.

    Raises:
        DatasetError: A sample cannot be read; it names the file.
    """
    parallel: dict[str, Any] = {}
    if settings.workers:
        parallel = {
            "num_workers": settings.workers,
            "prefetch_factor": settings.ahead,
            # A copy of a process that has threads may hang.
            "multiprocessing_context": "spawn",
            "worker_init_fn": start_worker,
        }
    loader: DataLoader[Any] = DataLoader(
        Steps(maker, settings.batch_size, share),
        batch_size=None,
        sampler=count(first_step),
        pin_memory=device.type == "cuda",
        # Else the loader would draw from the generator that the network is initialised with.
        generator=torch.Generator(),
        **parallel,
    )
    for item in loader:
        if isinstance(item, DatasetError):
            raise item
        yield _on_device(item, device)


def _on_device(batch: dict[str, Tensor], device: torch.device) -> TrainingPictures:
    moved = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
    truth, ignore = moved["truth"], moved["truth"] == IGNORED
    depth_m = moved.get("depth_m")
    if depth_m is None:
        depth_m = torch.zeros(truth.shape, device=device)
    return TrainingPictures(
        color=moved["color"].permute(0, 3, 1, 2).float().div_(255),
        depth_m=depth_m,
        ids=truth.long().masked_fill_(ignore, 0),
        intrinsics=moved["intrinsics"],
        ignore=ignore,
    )
