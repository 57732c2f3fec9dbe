"""The trainer: resumable at any step, deterministic by seed, mixed precision, EMA."""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from repsam_ros.adaptation.distributed import Team
from repsam_ros.adaptation.losses import heatmap_loss, mask_losses
from repsam_ros.adaptation.picture_sources import DataSettings, PictureSource, open_source
from repsam_ros.adaptation.targets import centre_targets, prompt_masks, sample_prompts
from repsam_ros.config import to_plain
from repsam_ros.errors import CheckpointError, ConfigError
from repsam_ros.network.build import NetworkConfig, build_network
from repsam_ros.network.weights import load_weights, save_weights
from repsam_ros.paths import atomic_path
from repsam_ros.simulation.pool import PoolSettings
from repsam_ros.simulation.rendering import Pictures
from repsam_ros.simulation.views import MAX_OBJECTS

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LossWeights:
    """Weights of the losses; the first three are Segment Anything's."""

    focal: float = 20.0
    dice: float = 1.0
    quality: float = 1.0
    heatmap: float = 0.5
    foreground: float = 1.0


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    Attributes:
        steps: Optimiser steps of the whole run, which the learning-rate schedule spans.
        batch_size: Pictures a step.
        prompts_per_image: Prompts a picture.
        background_prompts: Share of prompts put where nothing should be found.
        learning_rate: Peak of the warm-up and cosine schedule.
        ema_decay: Of the exponential moving average of the weights, which is what is saved.
        precision: ``bf16`` (autocast) or ``fp32``.
        depth_dropout: Share of pictures that lose all depth.
        color_dropout: Share of pictures that lose all colour.
        compile: Fuse the network's kernels with ``torch.compile``; pays on a GPU.
        start_from: Weight file or model name to start from, fresh weights without it.
        frozen: Names of modules that keep the weights they start with.
        save_every: Steps between checkpoints.
    """

    seed: int = 0
    steps: int = 10000
    batch_size: int = 32
    prompts_per_image: int = 8
    background_prompts: float = 0.08
    learning_rate: float = 8e-4
    weight_decay: float = 0.05
    warmup_steps: int = 500
    ema_decay: float = 0.999
    precision: str = "bf16"
    depth_dropout: float = 0.1
    color_dropout: float = 0.08
    compile: bool = False
    start_from: str | None = None
    frozen: tuple[str, ...] = ()
    save_every: int = 1000
    log_every: int = 50
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataSettings = field(default_factory=lambda: DataSettings(pool=PoolSettings()))
    losses: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        if self.precision not in ("bf16", "fp32"):
            raise ConfigError(f"precision must be bf16 or fp32, got {self.precision!r}")
        if min(self.steps, self.batch_size, self.prompts_per_image) < 1:
            raise ConfigError("steps, batch_size and prompts_per_image must be at least 1")


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up, then a cosine down to 1 % of the peak."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


class Trainer:
    """Trains one network on the stream of simulated pictures.

    Every random choice of step ``n`` follows from the seed and ``n`` alone, so a run that is
    killed and resumed goes on as if nothing had happened. Under ``torchrun`` each process takes
    its share of every batch; gradients and norm statistics are averaged.
    """

    def __init__(self, config: TrainConfig, out: Path, device: torch.device) -> None:
        self.config, self.out, self.device = config, out, device
        self.team = Team(device)
        if config.batch_size % self.team.size:
            raise ConfigError(
                f"batch_size {config.batch_size} does not divide among {self.team.size} processes"
            )
        torch.manual_seed(config.seed)
        self.network = build_network(config.network).to(device).train()
        if device.type == "cuda":  # convolutions in bfloat16 are made for it
            self.network = self.network.to(memory_format=torch.channels_last)
        if config.start_from is not None:
            load_weights(self.network, config.start_from)
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self._freeze(config.frozen)
        trained = [p for p in self.network.parameters() if p.requires_grad]
        decayed = [p for p in trained if p.ndim > 1]
        plain = [p for p in trained if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": config.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            betas=(0.9, 0.98),
            fused=device.type == "cuda",
        )
        self.step, self.seconds = 0, 0.0
        self._source: PictureSource | None = None
        self._encode, self._decode = self.network.encode, self.network.decode
        if config.compile:
            self._encode = torch.compile(self._encode)
            self._decode = torch.compile(self._decode)

    def _freeze(self, names: tuple[str, ...]) -> None:
        for name in names:
            try:
                part = self.network.get_submodule(name)
            except AttributeError as error:
                raise ConfigError(f"frozen: the network has no module {name!r}") from error
            part.requires_grad_(False)

    @property
    def source(self) -> PictureSource:
        """Where the pictures come from; opened at the step that is trained next."""
        if self._source is None:
            self._source = open_source(
                self.config.data,
                self.config.batch_size,
                self.network.spec.canvas_px,
                self.out / "data",
                self.team,
                self.step,
            )
        return self._source

    @property
    def checkpoint_path(self) -> Path:
        """Where the state of the run is kept."""
        return self.out / "last.pt"

    def save(self) -> None:
        """Writes the state to resume from and the averaged weights."""
        if not self.team.leads:
            return
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "config": json.dumps(to_plain(self.config)),
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }
        with atomic_path(self.checkpoint_path) as temporary:
            torch.save(state, temporary)
        note = {"config": to_plain(self.config), "step": self.step}
        save_weights(self.out / "weights.safetensors", self.average, self.config.network, note)

    def resume(self) -> None:
        """Goes on from the last checkpoint.

        Raises:
            CheckpointError: There is none, it is broken, or it belongs to another configuration.
        """
        try:
            state = torch.load(self.checkpoint_path, map_location=self.device, weights_only=True)
        except Exception as error:  # torch.load raises whatever its readers raise
            raise CheckpointError(f"{self.checkpoint_path}: cannot resume: {error}") from error
        if json.loads(state["config"]) != to_plain(self.config):
            raise CheckpointError(f"{self.checkpoint_path} was written with another configuration")
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])

    def run(self, max_seconds: float = math.inf) -> None:
        """Trains to the last step, or until ``max_seconds`` have passed; saves in both cases."""
        config, start, before = self.config, time.monotonic(), self.seconds
        while self.step < config.steps:
            metrics = self._train_step()
            self.step += 1
            self.seconds = before + time.monotonic() - start
            if self.step % config.log_every == 0 or self.step == config.steps:
                self._log(metrics)
            if self.step % config.save_every == 0:
                self.save()
            if self.team.any(time.monotonic() - start > max_seconds):
                break
        self.save()

    def _log(self, metrics: dict[str, Tensor]) -> None:
        row = {"step": self.step, "seconds": round(self.seconds, 1)}
        row.update({name: round(float(value), 5) for name, value in metrics.items()})
        if not math.isfinite(row["loss"]):
            raise CheckpointError(
                f"loss is {row['loss']} at step {self.step}; {self.checkpoint_path} "
                "holds the last good state: lower learning_rate or use precision fp32"
            )
        if self.team.leads:
            with (self.out / "metrics.jsonl").open("a") as log:
                log.write(json.dumps(row) + "\n")
            logger.info("%s", row)

    def _train_step(self) -> dict[str, Tensor]:
        config = self.config
        seed = (config.seed * 1_000_003 + self.step) % 2**32
        # Each process draws for its own share of the batch.
        draw = torch.Generator(self.device).manual_seed(seed * self.team.size + self.team.rank)
        pictures = self.source.batch(self.step, draw)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        loss, metrics = self._loss(pictures, draw)
        loss.backward()
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        self.team.average(gradients)
        self.team.average([b for b in self.network.buffers() if b.is_floating_point()])
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self._update_average()
        return {"loss": loss.detach(), "gradient_norm": norm, **metrics}

    def _loss(self, pictures: Pictures, draw: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        config, weights = self.config, self.config.losses
        color, depth_m = self._drop_modalities(pictures, draw)
        centres = centre_targets(pictures.ids, MAX_OBJECTS)
        prompts = sample_prompts(centres, config.prompts_per_image, config.background_prompts, draw)
        target = prompt_masks(pictures.ids, prompts)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            encoded = self._encode(color, depth_m, pictures.intrinsics)
            decoded = self._decode(encoded, prompts.image_index, prompts.points_px)
        masks = mask_losses(decoded.logits, decoded.predicted_iou, target)
        heatmap = heatmap_loss(encoded.heatmap, centres.heatmap, centres.weight)
        foreground = nn.functional.binary_cross_entropy_with_logits(
            encoded.foreground.float(), centres.foreground
        )
        loss = (
            weights.focal * masks.focal
            + weights.dice * masks.dice
            + weights.quality * masks.quality
            + weights.heatmap * heatmap
            + weights.foreground * foreground
        )
        wanted = prompts.object_ids > 0
        parts = {
            "focal": masks.focal,
            "dice": masks.dice,
            "quality": masks.quality,
            "heatmap": heatmap,
            "foreground": foreground,
            "iou": (masks.iou * wanted).sum() / wanted.sum().clamp(min=1),
        }
        return loss, {name: value.detach() for name, value in parts.items()}

    def _drop_modalities(self, pictures: Pictures, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        """Colour in 0..255 and depth, each missing from some pictures, never both."""
        chance = torch.rand(len(pictures.color), generator=draw, device=self.device)
        blind = chance < self.config.depth_dropout
        dark = chance > 1 - self.config.color_dropout
        depth_m = torch.where(blind[:, None, None], 0.0, pictures.depth_m)
        color = torch.where(dark[:, None, None, None], 0.45, pictures.color) * 255
        return color, depth_m

    @torch.no_grad()
    def _update_average(self) -> None:
        # A short memory at first, else the average would keep the random start for long.
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        state = self.network.state_dict()
        floating = [name for name, value in state.items() if value.is_floating_point()]
        torch._foreach_lerp_(
            [self.average[name] for name in floating], [state[name] for name in floating], 1 - decay
        )
        for name, value in state.items():
            if not value.is_floating_point():
                self.average[name].copy_(value)


def train(config: TrainConfig, out: Path, device: str, resume: bool, max_seconds: float) -> Path:
    """Runs or resumes a training; returns the path of the averaged weights."""
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / "config.json") as temporary:
        temporary.write_text(json.dumps(to_plain(config), indent=2) + "\n")
    trainer = Trainer(config, out, torch.device(device))
    if resume:
        trainer.resume()
    trainer.run(max_seconds)
    return out / "weights.safetensors"
