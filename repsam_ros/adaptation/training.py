"""The trainer: resumable at any step, deterministic by seed, mixed precision, EMA."""

from __future__ import annotations

import json
import math
import time
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor, nn

from repsam_ros.adaptation.distributed import Team
from repsam_ros.adaptation.losses import foreground_loss, heatmap_loss, mask_losses
from repsam_ros.adaptation.picture_sources import PictureSource, open_source
from repsam_ros.adaptation.targets import centre_targets, prompt_masks, sample_prompts
from repsam_ros.adaptation.training_config import TrainConfig, learning_rate
from repsam_ros.adaptation.training_log import TrainingLog, Waiting
from repsam_ros.backends.torch import find_device
from repsam_ros.config import build_config, to_plain
from repsam_ros.errors import CheckpointError, ConfigError
from repsam_ros.network.build import build_network
from repsam_ros.network.weights import load_weights, save_weights
from repsam_ros.paths import atomic_path
from repsam_ros.simulation.rendering import Pictures
from repsam_ros.simulation.views import MAX_OBJECTS


class Trainer:
    """Trains one network on simulated or real pictures.

    Every random choice of step ``n`` follows from the seed and ``n`` alone, so a run that is
    killed and resumed goes on as if nothing had happened. Under ``torchrun`` each process takes
    its share of every batch; gradients, norm statistics and logged losses are averaged. Then a
    step sees the pictures that one process with the same batch size would see. What differs is
    what each process draws for its share (prompts, sensor noise, lost modalities), and that norms
    and the means of losses are taken over shares.
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
        self._saved_step: int | None = None
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

    def _open_source(self) -> PictureSource:
        """Where the pictures come from, at the step that is trained next."""
        return open_source(
            self.config.data,
            self.config.batch_size,
            self.network.spec.canvas_px,
            self.out / "data",
            self.team,
            self.step,
            self.config.seed,
        )

    @property
    def checkpoint_path(self) -> Path:
        """Where the state of the run is kept."""
        return self.out / "last.pt"

    def save(self) -> None:
        """Writes the state to resume from and the averaged weights."""
        self._saved_step = self.step
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
        # Keys that the configuration has got since then had their defaults.
        before = json.loads(state["config"])
        if build_config(TrainConfig, before, str(self.checkpoint_path)) != self.config:
            raise CheckpointError(f"{self.checkpoint_path} was written with another configuration")
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        self._saved_step = self.step

    def run(self, max_seconds: float = math.inf) -> None:
        """Trains to the last step, or until ``max_seconds`` have passed; saves in both cases.

        Raises:
            CheckpointError: The loss or the gradients became infinite or NaN; nothing of that is
                saved.
        """
        with ExitStack() as stack:
            log = None
            if self.team.leads:
                log = TrainingLog(self.out, self.step, self.config.tensorboard)
                stack.enter_context(log)
            source = self._open_source()
            stack.callback(source.close)
            self._run(source, log, max_seconds)

    def _run(self, source: PictureSource, log: TrainingLog | None, max_seconds: float) -> None:
        config, start, before = self.config, time.monotonic(), self.seconds
        self._waiting = Waiting()
        ends = self.step >= config.steps
        while not ends:
            metrics = self._train_step(source)
            self.step += 1
            elapsed = time.monotonic() - start
            self.seconds = before + elapsed
            ends = self.team.any(elapsed > max_seconds) or self.step == config.steps
            logs, saves = (
                ends or self.step % n == 0 for n in (config.log_every, config.save_every)
            )
            if logs or saves:
                row = self._checked(metrics)
            if logs and log is not None:
                clock = {"seconds": round(self.seconds, 1), "waiting": self._waiting.share()}
                log.add({"step": self.step, **clock, **row})
            if saves:
                self.save()

    def _checked(self, metrics: dict[str, Tensor]) -> dict[str, float]:
        """Means over the processes."""
        self.team.average(list(metrics.values()))
        row = {name: round(float(value), 5) for name, value in metrics.items()}
        for name in ("loss", "gradient_norm"):
            if not math.isfinite(row[name]):
                kept = f"{self.checkpoint_path} holds the state of step {self._saved_step}"
                raise CheckpointError(
                    f"{name} is {row[name]} at step {self.step}; "
                    f"{'nothing was saved' if self._saved_step is None else kept}: "
                    "lower learning_rate or use precision fp32"
                )
        return row

    def _train_step(self, source: PictureSource) -> dict[str, Tensor]:
        config = self.config
        seed = (config.seed * 1_000_003 + self.step) % 2**32
        # Each process draws for its own share of the batch.
        draw = torch.Generator(self.device).manual_seed(seed * self.team.size + self.team.rank)
        with self._waiting:
            pictures = source.batch(self.step, draw)
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
        centres = centre_targets(pictures.ids, MAX_OBJECTS, pictures.ignore)
        prompts = sample_prompts(centres, config.prompts_per_image, config.background_prompts, draw)
        target, counted = prompt_masks(pictures.ids, prompts, pictures.ignore)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            encoded = self._encode(color, depth_m, pictures.intrinsics)
            decoded = self._decode(encoded, prompts.image_index, prompts.points_px)
        masks = mask_losses(decoded.logits, decoded.predicted_iou, target, counted)
        heatmap = heatmap_loss(encoded.heatmap, centres.heatmap, centres.weight)
        foreground = foreground_loss(encoded.foreground, centres.foreground, centres.known)
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
    trainer = Trainer(config, out, find_device(device))
    if resume:
        trainer.resume()
    if trainer.team.leads:
        with atomic_path(out / "config.json") as temporary:
            temporary.write_text(json.dumps(to_plain(config), indent=2) + "\n")
    trainer.run(max_seconds)
    trainer.team.close()
    return out / "weights.safetensors"
