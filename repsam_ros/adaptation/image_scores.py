"""Scores of networks, image by image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from repsam_ros.datasets import Dataset, Sample
from repsam_ros.errors import DatasetError, shortened
from repsam_ros.evaluation.evaluate import Predict
from repsam_ros.metrics.labels import SCORE_NAMES, score_labels

# Of all scores, those that pages show.
SHOWN_SCORES = ("strict_miou", "overlap_f", "boundary_f", "pct75")


@dataclass(frozen=True)
class Scores:
    """Scores of N images of one data set.

    Attributes:
        names: Images, each once.
        scenes: Scene of each image, "" = not known.
        values: N percentages by names of ``SCORE_NAMES``.

    Raises:
        DatasetError: Lengths differ, a name occurs twice, or a score is unknown or not finite.
    """

    names: tuple[str, ...]
    scenes: tuple[str, ...]
    values: dict[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        if not self.names:
            raise DatasetError("no images")
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            raise DatasetError(f"{shortened(twice)} more than once")
        if unknown := [name for name in self.values if name not in SCORE_NAMES]:
            raise DatasetError(f"unknown score {unknown[0]!r}; there are {', '.join(SCORE_NAMES)}")
        for what, given in {"scenes": self.scenes, **self.values}.items():
            if len(given) != len(self.names):
                raise DatasetError(f"{what}: expected {len(self.names)} like names, {len(given)}")
        for name, values in self.values.items():
            if not np.all(np.isfinite(values)):
                raise DatasetError(f"{name} is not finite")


def score_images(dataset: Dataset, predict: Predict) -> Scores:
    """Scores of each sample."""
    names, scenes = [], []
    values: dict[str, list[float]] = {name: [] for name in SCORE_NAMES}
    samples: Iterable[Sample] = dataset
    for sample in samples:
        found = score_labels(predict(sample).labels, sample.labels, sample.ignore)
        names.append(sample.name)
        scenes.append(sample.scene)
        for name in SCORE_NAMES:
            values[name].append(round(100 * getattr(found, name), 4))
    return Scores(
        tuple(names), tuple(scenes), {name: tuple(column) for name, column in values.items()}
    )
