"""How certain a mean over images is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import ConfigError


@dataclass(frozen=True)
class BootstrapSettings:
    """Percentile bootstrap over images (Efron and Tibshirani 1993).

    Attributes:
        samples: Number of resamples.
        seed: Same seed, same interval.
    """

    samples: int = 5000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ConfigError(f"bootstrap.samples must be at least 1, got {self.samples}")


def bootstrap_intervals(
    values: NDArray[np.float64], settings: BootstrapSettings
) -> NDArray[np.float64]:
    """(2, K) bounds of the 95 % intervals of the column means of (images, K) values.

    All columns are resampled together, so their intervals belong to the same images.
    """
    count = len(values)
    rng = np.random.default_rng(settings.seed)
    means = np.empty((settings.samples, values.shape[1]))
    for sample in range(settings.samples):
        means[sample] = values[rng.integers(count, size=count)].mean(axis=0)
    return np.asarray(np.quantile(means, (0.025, 0.975), axis=0))
