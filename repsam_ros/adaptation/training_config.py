"""What a training run is told, and its learning rate."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from repsam_ros.adaptation.picture_sources import DataSettings
from repsam_ros.errors import ConfigError
from repsam_ros.evaluation.modality import DEPTH, RGB
from repsam_ros.network.build import NetworkConfig
from repsam_ros.simulation.pool import PoolSettings


@dataclass(frozen=True)
class LossWeights:
    """Weights of the losses; the first three are Segment Anything's."""

    focal: float = 20.0
    dice: float = 1.0
    quality: float = 1.0
    heatmap: float = 0.5
    foreground: float = 1.0


@dataclass(frozen=True)
class ValidationSettings:
    """How well the averaged weights do during the training, on pictures that it does not see.

    Attributes:
        data: Where the pictures come from.
        batches: Of ``batch_size`` pictures, the same ones each time.
        every: Steps between two looks.
    """

    data: DataSettings
    batches: int = 8
    every: int = 500

    def __post_init__(self) -> None:
        if min(self.batches, self.every) < 1:
            raise ConfigError("validation: batches and every must be at least 1")


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    Attributes:
        method: What is trained and how, a file of ``repsam_ros/methods``.
        options: Of the method.
        steps: Optimiser steps of the whole run, which the learning-rate schedule spans.
        batch_size: Pictures a step.
        accumulate: Parts into which each process cuts its pictures of a step, one after the other
            to save memory; losses are means over a part.
        checkpointing: Computes the encoder's trained blocks twice instead of keeping their
            activations.
        look_batches: Batches that methods see which look at data before the first step.
        prompts_per_image: Prompts a picture.
        background_prompts: Share of prompts put where nothing should be found.
        learning_rate: Peak of the warm-up and cosine schedule.
        ema_decay: Of the exponential moving average of the weights, which is what is saved.
        precision: ``bf16`` (autocast) or ``fp32``.
        depth_dropout: Share of pictures that lose all depth.
        color_dropout: Share of pictures that lose all colour.
        start_from: Weight file or model name to start from, fresh weights without it.
        cka_report: The ``cka.json`` that ranks come from, kept with the adapter.
        save_every: Steps between checkpoints.
        log_every: Steps between rows of ``metrics.jsonl``.
        tensorboard: Writes the rows for TensorBoard too; needs the package ``tensorboard``.
        validation: Without it the last weights are the only ones.
    """

    method: str = "full_finetuning"
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    steps: int = 10000
    batch_size: int = 32
    accumulate: int = 1
    checkpointing: bool = False
    look_batches: int = 4
    prompts_per_image: int = 8
    background_prompts: float = 0.08
    learning_rate: float = 8e-4
    weight_decay: float = 0.05
    warmup_steps: int = 500
    ema_decay: float = 0.999
    precision: str = "bf16"
    depth_dropout: float = 0.1
    color_dropout: float = 0.08
    start_from: str | None = None
    cka_report: str | None = None
    save_every: int = 1000
    log_every: int = 50
    tensorboard: bool = False
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataSettings = field(default_factory=lambda: DataSettings(pool=PoolSettings()))
    losses: LossWeights = field(default_factory=LossWeights)
    validation: ValidationSettings | None = None

    def __post_init__(self) -> None:
        if self.precision not in ("bf16", "fp32"):
            raise ConfigError(f"precision must be bf16 or fp32, got {self.precision!r}")
        positive = (
            "steps",
            "batch_size",
            "accumulate",
            "look_batches",
            "prompts_per_image",
            "save_every",
            "log_every",
        )
        if min(getattr(self, name) for name in positive) < 1:
            raise ConfigError(f"{', '.join(positive)} must be at least 1")
        for name in ("background_prompts", "ema_decay", "depth_dropout", "color_dropout"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ConfigError(f"{name} must lie in 0..1, got {value:g}")
        if self.depth_dropout + self.color_dropout > 1 + 1e-9:
            raise ConfigError(
                "depth_dropout and color_dropout must leave each picture one of both, got "
                f"{self.depth_dropout:g} and {self.color_dropout:g}"
            )
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate must be positive, got {self.learning_rate:g}")
        if not 0 <= self.warmup_steps <= self.steps:
            raise ConfigError(
                f"warmup_steps {self.warmup_steps} must lie in 0..steps, steps {self.steps}: "
                "the learning rate would never be reached"
            )


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up, then a cosine down to 1 % of the peak."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def seeing(config: TrainConfig, modality: str) -> TrainConfig:
    """The training on pictures that lack all depth (``rgb``) or all colour (``depth``)."""
    if modality == RGB:
        return replace(config, depth_dropout=1.0, color_dropout=0.0)
    if modality == DEPTH:
        return replace(config, depth_dropout=0.0, color_dropout=1.0)
    return config


def refuse_set(train: TrainConfig, names: tuple[str, ...]) -> None:
    """What an experiment decides is not to be set, or it would be ignored.

    Raises:
        ConfigError: One of ``names`` is set.
    """
    plain = TrainConfig()
    for name in names:
        if getattr(train, name) != getattr(plain, name):
            raise ConfigError(f"train.{name} is the experiment's: leave it out")
