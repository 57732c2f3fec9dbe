"""Data sets: one file per format on disk, and its file name is its name.

A new format is a new file here with a ``Config`` dataclass that has ``root: Path`` and
``split: str | None``, a tuple ``SPLITS`` of the official splits, and a
``build(config) -> Dataset``. Further fields of ``Config`` are options of the format. The file may
also say ``OFFICIAL_COUNTS`` (frames of a split in the release), ``PARTLY_LABELLED = True`` (objects
without a label lie among the labelled ones) and ``NO_INSTANCES`` (why its labels are none). Files
that begin with an underscore are no formats.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from repsam_ros.config import build_config
from repsam_ros.errors import ConfigError, DatasetError, shortened
from repsam_ros.plugins import load_plugin, plugin_names
from repsam_ros.structures import RgbdFrame


@dataclass(frozen=True)
class Sample:
    """One frame with its truth.

    Attributes:
        name: Unique in the data set; file names of results are made from it. A slash in it
            stands for a folder.
        labels: (H, W) uint16 instance ids, 0 = background.
        ignore: (H, W) bool, pixels without truth; ``labels`` is 0 there.
        split: One of the format's ``SPLITS``.
        transparent: (H, W) bool, glass and clear plastic; None where the data set does not say.
        true_depth_m: (H, W) float32 metres, 0 = unknown, of the first surface that light meets,
            transparent or not; None where the data set has no such truth.
        scene: Frames of one scene are alike, so they are no evidence each; "" = not known.

    Raises:
        DatasetError: Truth and frame differ in size.
    """

    name: str
    frame: RgbdFrame
    labels: NDArray[np.uint16]
    ignore: NDArray[np.bool_]
    split: str = "test"
    transparent: NDArray[np.bool_] | None = None
    true_depth_m: NDArray[np.float32] | None = None
    scene: str = ""

    def __post_init__(self) -> None:
        size = self.frame.depth_m.shape
        for each in ("labels", "ignore", "transparent", "true_depth_m"):
            value = getattr(self, each)
            if value is not None and value.shape != size:
                raise DatasetError(
                    f"{self.name}: {each} {value.shape} does not fit the frame {size}"
                )


class Dataset(Protocol):
    """A sequence of samples that are read when they are asked for."""

    @property
    def names(self) -> list[str]:
        """Names of the samples, in order."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def __iter__(self) -> Iterator[Sample]: ...


class LazyDataset:
    """A :class:`Dataset` from names and a function that reads the sample of one index."""

    def __init__(self, names: Sequence[str], read: Callable[[int], Sample]) -> None:
        self._names, self._read = list(names), read

    @property
    def names(self) -> list[str]:
        return list(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> Sample:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        return self._read(index % len(self))

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


def dataset_names() -> tuple[str, ...]:
    """What :func:`open_dataset` knows."""
    return plugin_names(__name__)


def dataset_splits(name: str) -> tuple[str, ...]:
    """The official splits of format ``name``."""
    splits: tuple[str, ...] = dataset_format(name).SPLITS
    return splits


def dataset_options(name: str) -> tuple[str, ...]:
    """What format ``name`` can be told beside its root and split."""
    every = (field.name for field in fields(dataset_format(name).Config))
    return tuple(field for field in every if field not in ("root", "split"))


def open_dataset(name: str, root: Path, split: str | None = None, **options: Any) -> Dataset:
    """The data set of format ``name`` under ``root``: one split of it, or all of them.

    Args:
        options: Some of :func:`dataset_options`.

    Raises:
        ConfigError: No such format, split or option.
        DatasetError: ``root`` is missing, not in that format or without frames, or frames share
            a name.
    """
    module = dataset_format(name)
    if split is not None and split not in module.SPLITS:
        raise ConfigError(
            f"unknown split {split!r} of {name}; there are: {', '.join(module.SPLITS)}"
        )
    known = dataset_options(name)
    if unknown := [option for option in options if option not in known]:
        there = ", ".join(known) or "none"
        raise ConfigError(f"unknown option {unknown[0]!r} of {name}; there are: {there}")
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder")
    config = build_config(module.Config, {"root": root, "split": split, **options}, name)
    dataset: Dataset = module.build(config)
    names = dataset.names
    if not names:
        raise DatasetError(f"{root}: no frames" + (f" of split {split}" if split else ""))
    if shared := [each for each, count in Counter(names).items() if count > 1]:
        raise DatasetError(f"{root}: several frames named {shared[0]}")
    return dataset


@dataclass(frozen=True)
class DatasetPlace:
    """Where frames of a data set lie, for the configurations that name some.

    Attributes:
        name: Format, a file of ``repsam_ros/datasets``.
        root: Folder.
        split: One of the format's; all of them without it.
        options: Of the format, such as the camera of graspnet.
    """

    name: str
    root: str
    split: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def open(self) -> Dataset:
        """As :func:`open_dataset`."""
        return open_dataset(self.name, Path(self.root), self.split, **self.options)


def select_frames(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """The samples of these names, in that order.

    Raises:
        DatasetError: There is none of a name.
    """
    places = {name: place for place, name in enumerate(dataset.names)}
    if missing := [name for name in names if name not in places]:
        raise DatasetError(f"no frame named {shortened(missing)}")
    chosen = [places[name] for name in names]
    return LazyDataset(names, lambda index: dataset[chosen[index]])


def dataset_format(name: str) -> ModuleType:
    """The file of format ``name``."""
    return load_plugin(__name__, "data set", name)
