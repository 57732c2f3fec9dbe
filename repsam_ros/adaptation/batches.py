"""Batches of numbered pictures on the device that trains.

Colour and truth stay bytes, in memory that workers and trainer share, until they are there.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from repsam_ros.adaptation.augmentation import IGNORED
from repsam_ros.adaptation.loader import made_in_order
from repsam_ros.adaptation.pictures import PictureMaker, StepPictures
from repsam_ros.errors import ConfigError
from repsam_ros.simulation.rendering import Pictures


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
) -> Generator[Pictures, None, None]:
    """Endless batches on ``device`` from step ``first_step`` on; closing it ends the workers.

    ``share`` is (rank, number) of the processes that train together; each gets its part of every
    batch.

    Raises:
        DatasetError: A sample cannot be read; it names the file.
    """
    steps = StepPictures(maker, settings.batch_size, share)
    pinned = device.type == "cuda"
    made = made_in_order(steps, first_step, settings.workers, settings.ahead, pinned)
    try:
        for arrays in made:
            yield _on_device(arrays, device)
    finally:
        made.close()


def _on_device(batch: dict[str, Tensor], device: torch.device) -> Pictures:
    moved = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
    truth, ignore = moved["truth"], moved["truth"] == IGNORED
    depth_m = moved.get("depth_m")
    if depth_m is None:
        depth_m = torch.zeros(truth.shape, device=device)
    return Pictures(
        color=moved["color"].permute(0, 3, 1, 2).float().div_(255),
        depth_m=depth_m,
        ids=truth.long().masked_fill_(ignore, 0),
        intrinsics=moved["intrinsics"],
        ignore=ignore,
    )
