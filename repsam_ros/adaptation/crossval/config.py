"""What ``repsam crossval`` can be told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from repsam_ros.adaptation.picture_sources import DatasetSettings
from repsam_ros.adaptation.simulated_frames import SimulatedFrames
from repsam_ros.adaptation.training_config import TrainConfig, refuse_set
from repsam_ros.config import check_name
from repsam_ros.errors import ConfigError
from repsam_ros.evaluation.modality import RGBD, check_modality
from repsam_ros.metrics.labels import SCORE_NAMES
from repsam_ros.metrics.statistics import BootstrapSettings
from repsam_ros.perception.pipeline import PipelineSettings

ZERO_SHOT, FULL = "zero_shot", "full_finetuning"


@dataclass(frozen=True)
class ArmSettings:
    """One way to adapt.

    Attributes:
        name: Of results and files; letters, digits, underscores and hyphens.
        method: A file of ``repsam_ros/methods``.
        options: Of the method.
        see: What it gets of a frame, in training and in scoring: ``rgbd``, ``rgb`` or ``depth``.
        learning_rates: Of several the best one is chosen for each fold on an inner split of the
            frames that are trained on; one alone is taken as it is.
    """

    name: str
    method: str
    options: dict[str, Any] = field(default_factory=dict)
    see: str = RGBD
    learning_rates: tuple[float, ...] = (1e-3,)

    def __post_init__(self) -> None:
        check_name("arm", self.name)
        check_modality(self.see)
        if not self.learning_rates or len(set(self.learning_rates)) < len(self.learning_rates):
            raise ConfigError(f"arm {self.name}: learning_rates must be given, each once")

    @property
    def trains(self) -> bool:
        """Whether there is anything to train."""
        return self.method != ZERO_SHOT


@dataclass(frozen=True)
class CrossvalConfig:
    """The whole experiment.

    Attributes:
        base: Weight file or model name that every arm starts from.
        data: The labelled frames. Each run trains on the frames of all folds but one.
        train: Of every run, network included; method, options, seed, learning rate, base, data and
            validation are the experiment's.
        arms: What is compared. The one of the method ``full_finetuning`` that sees the most is
            what shares are of; differences to zero-shot are to the arm of that method that sees
            the same.
        folds: Parts of the frames; frames of one scene stay together where scenes are known.
        fold_seed: Other seeds, other parts.
        seeds: Trainings of each arm and fold, with seeds 0, 1, ...
        metric: Score by which learning rates are chosen and differences shown.
        simulated: Further frames that every network is scored on, made for the experiment.
        pipeline: How masks become instances, the same for all.
    """

    base: str
    data: DatasetSettings
    train: TrainConfig
    arms: tuple[ArmSettings, ...]
    folds: int = 5
    fold_seed: int = 0
    seeds: int = 1
    metric: str = "strict_miou"
    simulated: SimulatedFrames | None = None
    pipeline: PipelineSettings = field(default_factory=PipelineSettings)
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)

    def __post_init__(self) -> None:
        if not self.arms or self.seeds < 1:
            raise ConfigError("arms and seeds must not be empty")
        if twice := [k for k, n in Counter(arm.name for arm in self.arms).items() if n > 1]:
            raise ConfigError(f"arm {twice[0]} is given twice")
        least = 3 if any(arm.trains and len(arm.learning_rates) > 1 for arm in self.arms) else 2
        if self.folds < least:
            raise ConfigError(f"folds must be at least {least}, got {self.folds}")
        if self.metric not in SCORE_NAMES:
            raise ConfigError(f"unknown metric {self.metric!r}; there are {', '.join(SCORE_NAMES)}")
        if self.data.frames is not None:
            raise ConfigError("data.frames is the experiment's: leave it out")
        refuse_set(
            self.train,
            ("method", "options", "seed", "learning_rate", "start_from", "data", "validation"),
        )

    def full_arm(self) -> ArmSettings | None:
        """What shares are of."""
        full = [arm for arm in self.arms if arm.method == FULL]
        return min(full, key=lambda arm: arm.see != RGBD, default=None)

    def zero_shot_arm(self, see: str) -> ArmSettings | None:
        """The base as it is, on the same input."""
        found = (arm for arm in self.arms if not arm.trains and arm.see == see)
        return next(found, None)
