"""What ``repsam benchmark`` can be told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from repsam_ros.config import build_config, read_yaml, to_plain
from repsam_ros.datasets import dataset_names, dataset_options, dataset_splits
from repsam_ros.errors import ConfigError
from repsam_ros.evaluation.config import PipelineConfig
from repsam_ros.evaluation.modality import MODALITIES, RGBD
from repsam_ros.metrics.statistics import BootstrapSettings


@dataclass(frozen=True)
class DatasetRoot:
    """Where a data set lies.

    Attributes:
        dataset: Format; None = the name that the table gives the data set.
        split: One of the format's splits, None = all frames.
        options: Of the format, such as the camera of graspnet.
    """

    root: str
    dataset: str | None = None
    split: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """What is measured.

    Attributes:
        roots: Data sets by the name that the table gives them.
        methods: Models, as names in ``models/manifest.yaml`` or paths of weights; ``:rgb`` or
            ``:depth`` behind one lets it see nothing else.
        full: The method that others are shares of, such as full fine-tuning; None = no shares.
        frames: Frames of each data set, spread evenly over it, None = all.
        seed: Of the jitter of boxes.
        run: How the models run; ``run.model`` is each of the methods in turn.
    """

    roots: dict[str, DatasetRoot]
    methods: tuple[str, ...]
    full: str | None = None
    frames: int | None = None
    seed: int = 0
    run: PipelineConfig = field(default_factory=PipelineConfig)
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)

    def __post_init__(self) -> None:
        if not self.roots or not self.methods:
            raise ConfigError("a benchmark needs data sets and methods")
        if len(set(self.methods)) < len(self.methods):
            raise ConfigError(f"a method is named twice: {', '.join(self.methods)}")
        if self.full is not None:
            _require_known("full: not among the methods:", self.full, self.methods)
        if self.frames is not None and self.frames < 1:
            raise ConfigError(f"frames must be at least 1, got {self.frames}")
        for name, place in self.roots.items():
            _require_known(f"{name}: unknown data set", self.format_of(name), dataset_names())
            if place.split is not None:
                splits = dataset_splits(self.format_of(name))
                _require_known(f"{name}: unknown split", place.split, splits)
            for option in place.options:
                known = dataset_options(self.format_of(name))
                _require_known(f"{name}: unknown option", option, known)

    def format_of(self, name: str) -> str:
        """The format of the data set that is listed as ``name``."""
        return self.roots[name].dataset or name


def model_and_modality(method: str) -> tuple[str, str]:
    """Model and what it sees of a method, ``MODEL`` or ``MODEL:MODALITY``."""
    model, colon, modality = method.rpartition(":")
    return (model, modality) if colon and modality in MODALITIES else (method, RGBD)


def read_roots(path: Path) -> dict[str, Any]:
    """The data sets in a roots file, as plain configuration values.

    Each is a folder by name, or a mapping of ``root``, ``dataset``, ``split`` and ``options``.
    Relative folders are relative to the file.

    Raises:
        ConfigError: The file is broken.
    """
    roots = {}
    for name, value in read_yaml(path).items():
        content = {"root": value} if isinstance(value, str) else value
        if not isinstance(content, dict):
            raise ConfigError(f"{path}: {name}: expected a folder or a mapping with root")
        place = build_config(DatasetRoot, content, f"{path}: {name}")
        roots[str(name)] = to_plain(replace(place, root=str(path.parent / place.root)))
    return roots


def _require_known(what: str, name: str, known: list[str] | tuple[str, ...]) -> None:
    if name not in known:
        raise ConfigError(f"{what} {name!r}; there are: {', '.join(known) or 'none'}")
