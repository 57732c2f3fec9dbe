"""What ``repsam robustness`` can be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from repsam_ros.errors import ConfigError
from repsam_ros.evaluation.config import EvaluationConfig
from repsam_ros.evaluation.robustness.disturbances import check_levels


def _levels() -> dict[str, tuple[float, ...]]:
    return {
        "depth_lost": (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0),
        "depth_noise": (0.0, 1.0, 2.0, 4.0, 8.0),
        "light": (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0),
        "blur": (0.0, 1.0, 2.0, 4.0, 8.0),
        "color_noise": (0.0, 5.0, 10.0, 20.0, 40.0),
    }


@dataclass(frozen=True, kw_only=True)
class RobustnessConfig(EvaluationConfig):
    """A pipeline is scored on ever worse frames of a data set.

    Attributes:
        levels: Levels of each disturbance, keys of ``disturbances.DISTURBANCES``.
        seed: Of the noise; each frame and each level has its own.
        objects: Largest number of true objects of each class but the last, of images that are
            compared by how many objects they show.
    """

    levels: Mapping[str, tuple[float, ...]] = field(default_factory=_levels)
    seed: int = 0
    objects: tuple[int, ...] = (1, 3, 6, 10, 15)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, levels in self.levels.items():
            check_levels(name, tuple(levels))
            if list(levels) != sorted(set(levels)):
                raise ConfigError(f"levels.{name} must rise, got {list(levels)}")
        if list(self.objects) != sorted({*self.objects, 1} - {0}):
            raise ConfigError(f"objects must rise from 1, got {list(self.objects)}")
