"""The pictures of a training by number: the same for a seed whoever makes them.

Picture ``n`` of a training follows from the seed and ``n`` alone, and step ``k`` takes pictures
``k * batch_size`` and on. Workers import this module and no renderer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import get_worker_info

from repsam_ros.adaptation.augmentation import (
    IGNORED,
    AugmentationSettings,
    Picture,
    plain_picture,
    varied_picture,
    vary_color,
)
from repsam_ros.datasets import Dataset, open_dataset, select_frames
from repsam_ros.simulation.source import source_picture

_SHUFFLE, _VARY = 0, 1


class PictureMaker(Protocol):
    """Makes picture ``number`` of a training; travels to the worker processes."""

    def __call__(self, number: int) -> Picture: ...


@lru_cache(maxsize=4)
def open_once(
    name: str,
    root: Path,
    split: str | None,
    options: tuple[tuple[str, Any], ...],
    frames: tuple[str, ...] | None = None,
) -> Dataset:
    """As :func:`open_dataset`, which each process that makes pictures calls once.

    Args:
        options: Names and values of options of the format.
        frames: Names of the samples; all of them without it.
    """
    dataset = open_dataset(name, root, split, **dict(options))
    return dataset if frames is None else select_frames(dataset, frames)


@dataclass(frozen=True)
class SamplePictures:
    """Samples of a data set, each once an epoch, in an order that is new every epoch.

    Each process opens the data set for itself. Without ``augmentation`` pictures are not varied.

    Attributes:
        options: Names and values of options of the format.
        frames: Names of the samples; all of them without it.

    Raises:
        DatasetError: The data set cannot be opened, or lacks one of the frames.
    """

    dataset: str
    root: Path
    split: str | None
    canvas_px: tuple[int, int]
    seed: int
    augmentation: AugmentationSettings | None
    options: tuple[tuple[str, Any], ...] = ()
    frames: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        self._samples()  # what is wrong with it shows now

    def __call__(self, number: int) -> Picture:
        samples = self._samples()
        epoch, place = divmod(number, len(samples))
        sample = samples[int(_order(self.seed, epoch, len(samples))[place])]
        if self.augmentation is None:
            return plain_picture(sample, self.canvas_px)
        rng = np.random.default_rng([self.seed, number, _VARY])
        return varied_picture(sample, self.canvas_px, self.augmentation, rng)

    def _samples(self) -> Dataset:
        return open_once(self.dataset, self.root, self.split, self.options, self.frames)


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, length: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch, _SHUFFLE]).permutation(length)


@dataclass(frozen=True)
class SourcePictures:
    """The endless stream of source pictures; they have no depth.

    Shapes that are small or too many are background unless ``ignore_rest`` says to ignore them.
    """

    canvas_px: tuple[int, int]
    seed: int
    augmentation: AugmentationSettings | None
    ignore_rest: bool

    def __call__(self, number: int) -> Picture:
        # The zero gives the pictures that published weights were trained on.
        source = source_picture((self.seed, 0, number), self.canvas_px)
        truth = source.ids
        if self.ignore_rest:
            truth = np.where(source.ignore, np.uint8(IGNORED), truth)
        height, width = self.canvas_px
        # Any camera does: without depth nothing is measured in metres.
        intrinsics = np.array([0.9 * width, 0.9 * width, width / 2, height / 2], np.float32)
        color = source.color
        if self.augmentation is not None:
            rng = np.random.default_rng([self.seed, number, _VARY])
            color = vary_color(color, self.augmentation, rng)
        return Picture(color, None, truth, intrinsics)


@dataclass(frozen=True)
class StepPictures:
    """The pictures of a step, or the part of them that one of several processes trains on.

    Attributes:
        batch_size: Pictures a step, over all processes that train.
        share: (rank, number) of the processes that train together.
    """

    maker: PictureMaker
    batch_size: int
    share: tuple[int, int]

    def __call__(self, step: int) -> dict[str, Tensor]:
        rank, size = self.share
        numbers = range(step * self.batch_size + rank, (step + 1) * self.batch_size, size)
        return _stacked(self.maker(number) for number in numbers)


def _stacked(pictures: Iterator[Picture]) -> dict[str, Tensor]:
    """(B, ...) tensors, in shared memory where another process will read them."""
    columns = list(zip(*pictures, strict=True))
    batch = {}
    for name, column in zip(Picture._fields, columns, strict=True):
        if column[0] is None:
            continue
        tensor = torch.from_numpy(np.empty((len(column), *column[0].shape), column[0].dtype))
        if get_worker_info() is not None:
            tensor.share_memory_()
        np.stack(column, out=tensor.numpy())
        batch[name] = tensor
    return batch
