"""Data sets: one file per format on disk, and its file name is its name.

A new format is a new file here with a ``Config`` dataclass that has ``root: Path`` and a
``build(config) -> Dataset``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import ConfigError, DatasetError
from repsam_ros.structures import RgbdFrame


@dataclass(frozen=True)
class Sample:
    """One frame with its truth.

    Attributes:
        name: Unique in the data set; file names of results are made from it.
        labels: (H, W) uint16 instance ids, 0 = background.
        ignore: (H, W) bool, pixels without truth; ``labels`` is 0 there.

    Raises:
        DatasetError: Truth and frame differ in size.
    """

    name: str
    frame: RgbdFrame
    labels: NDArray[np.uint16]
    ignore: NDArray[np.bool_]

    def __post_init__(self) -> None:
        size = self.frame.depth_m.shape
        if self.labels.shape != size or self.ignore.shape != size:
            raise DatasetError(
                f"{self.name}: labels {self.labels.shape} and ignore {self.ignore.shape} "
                f"do not fit the frame {size}"
            )


class Dataset(Protocol):
    """A sequence of samples that are read when they are asked for."""

    @property
    def names(self) -> list[str]:
        """Names of the samples, in order."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def __iter__(self) -> Iterator[Sample]: ...


def dataset_names() -> list[str]:
    """What :func:`open_dataset` knows."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def open_dataset(name: str, root: Path) -> Dataset:
    """The data set of format ``name`` under ``root``.

    Raises:
        ConfigError: No such format.
        DatasetError: ``root`` is missing or not in that format.
    """
    known = dataset_names()
    if name not in known:
        raise ConfigError(f"unknown data set {name!r}; there are: {', '.join(known)}")
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder")
    module = importlib.import_module(f"{__name__}.{name}")
    dataset: Dataset = module.build(module.Config(root=root))
    return dataset
