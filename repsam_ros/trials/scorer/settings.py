"""What ``repsam scorer`` can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from repsam_ros.errors import ConfigError
from repsam_ros.perception.pipeline import PipelineSettings
from repsam_ros.trials.configuration import (
    FIRST_HELD_OUT_SEED,
    TUNING_SEEDS,
    Stratum,
    check_strata,
)
from repsam_ros.trials.execution import ExecutionSettings
from repsam_ros.trials.sensing import CameraSettings

# Scenes that scorers learn from: neither tuned on nor held out.
LEARNING_SEEDS = range(TUNING_SEEDS.stop, FIRST_HELD_OUT_SEED)


@dataclass(frozen=True)
class SamplingSettings:
    """Which grasps are executed on a scene.

    Attributes:
        attempts: On each scene.
        offers: Settings of the antipodal planner, from whose grasps examples are drawn.
        random: Settings of the random planner, likewise.
        random_share: Of the examples, drawn from the random planner.
        moved_share: Of the examples, moved and opened at random.
        moved_m: Deviations by which they are moved along x, y, z of the grasp frame.
    """

    attempts: int = 36
    offers: dict[str, Any] = field(default_factory=dict)
    random: dict[str, Any] = field(default_factory=dict)
    random_share: float = 0.3
    moved_share: float = 0.4
    moved_m: tuple[float, float, float] = (0.004, 0.008, 0.006)

    def __post_init__(self) -> None:
        if self.attempts < 1 or min(self.moved_m) < 0:
            raise ConfigError("attempts must be at least 1 and moved_m not negative")
        if not 0 <= self.random_share <= 1 or not 0 <= self.moved_share <= 1:
            raise ConfigError("random_share and moved_share must lie between 0 and 1")


@dataclass(frozen=True)
class TrainingSettings:
    """How the network is fitted.

    Attributes:
        channels: Of its three convolutions.
        hidden: Units of the layer that joins picture and numbers.
        epochs: Passes over the examples.
        batch: Examples a step.
        learning_rate: At its highest; it rises for a twentieth of the steps and falls to 0.
        weight_decay: Of AdamW.
        dropout: Before the last layer.
        validation_every: Every so manyth scene of each stratum is kept for validation.
        seed: Of the weights and the order of examples.
    """

    channels: tuple[int, int, int] = (32, 48, 64)
    hidden: int = 96
    epochs: int = 12
    batch: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    dropout: float = 0.2
    validation_every: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if min(*self.channels, self.hidden, self.epochs, self.batch) < 1:
            raise ConfigError("channels, hidden, epochs and batch must be at least 1")
        if self.learning_rate <= 0 or self.weight_decay < 0 or not 0 <= self.dropout < 1:
            raise ConfigError("learning_rate, weight_decay or dropout is out of range")
        if self.validation_every < 2:
            raise ConfigError("validation_every must be at least 2")


@dataclass(frozen=True, kw_only=True)
class ScorerConfig:
    """The whole training of a scorer.

    Attributes:
        scenes: Of each stratum. May grow later.
        objects_sha256: Of the set of objects, see :class:`repsam_ros.trials.configuration`.
        strata: By name, on seeds of ``LEARNING_SEEDS``.
        model: Whose masks make up the third of the clouds of each scene; the first two have true
            masks, with depth as it is and as the sensor gives it.
        min_iou: An instance stands for an object from this IoU of their masks on.
    """

    scenes: int
    objects_sha256: str
    strata: dict[str, Stratum]
    model: str = "repsam_tiny"
    min_iou: float = 0.25
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    camera: CameraSettings = field(default_factory=CameraSettings)
    pipeline: PipelineSettings = field(default_factory=PipelineSettings)
    execution: ExecutionSettings = field(default_factory=ExecutionSettings)

    def __post_init__(self) -> None:
        if self.scenes < 1 or not self.strata or not 0 < self.min_iou <= 1:
            raise ConfigError("scenes and strata must not be empty, min_iou between 0 and 1")
        seeds = {name: self.seeds(name) for name in self.strata}
        check_strata(seeds)
        for name, some in seeds.items():
            if some[0] not in LEARNING_SEEDS or some[-1] not in LEARNING_SEEDS:
                raise ConfigError(
                    f"{name}: seeds {some[0]} to {some[-1]} are not all for learning "
                    f"({LEARNING_SEEDS[0]} to {LEARNING_SEEDS[-1]})"
                )

    def seeds(self, stratum: str) -> range:
        """Scene seeds of a stratum."""
        return self.strata[stratum].seeds(self.scenes)
