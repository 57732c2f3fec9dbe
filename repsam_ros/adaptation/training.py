"""The trainer of all methods: resumable at any step, deterministic by seed."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from repsam_ros.adaptation.distributed import Team
from repsam_ros.adaptation.fixed_batches import FixedLosses
from repsam_ros.adaptation.objective import Objective
from repsam_ros.adaptation.picture_sources import DataSettings, PictureSource, open_source
from repsam_ros.adaptation.training_config import TrainConfig, learning_rate
from repsam_ros.adaptation.training_log import TrainingLog, Waiting
from repsam_ros.adaptation.training_state import adapter_record, read_state
from repsam_ros.backends.torch import find_device
from repsam_ros.config import to_plain
from repsam_ros.errors import CheckpointError, ConfigError, DivergedError
from repsam_ros.methods import Training, open_method, resolved_config
from repsam_ros.network.adapter_files import save_adapter, set_training_mode, tuned_tensors
from repsam_ros.network.build import build_network
from repsam_ros.network.weights import ModelFile, load_weights, save_weights
from repsam_ros.paths import atomic_path, write_text
from repsam_ros.simulation.rendering import Pictures


class Trainer:
    """Trains one network on simulated or real pictures, by any method.

    Every random choice of step ``n`` follows from the seed and ``n`` alone, so a run that is
    killed and resumed goes on as if nothing had happened. Under ``torchrun`` each process takes
    its share of every batch; gradients, norm statistics and logged losses are averaged. Then a
    step sees the pictures that one process with the same batch size would see. What differs is
    what each process draws for its share (prompts, sensor noise, lost modalities), and that norms
    and the means of losses are taken over shares.
    """

    def __init__(
        self, config: TrainConfig, out: Path, device: torch.device, resume: bool = False
    ) -> None:
        """Starts anew, or where the last checkpoint in ``out`` stands.

        Raises:
            CheckpointError: The base, or the checkpoint to resume from, is missing, broken or
                belongs to another configuration.
            ConfigError: Values that do not go together, or ``out`` holds a training that is not
                to be resumed.
        """
        self.config, self.out = config, out
        if not resume and self.checkpoint_path.exists():
            raise ConfigError(f"{out} holds a training: --resume goes on with it")
        state = read_state(self.checkpoint_path, config) if resume else None
        self.team = Team(device)
        self.device = self.team.device
        shares = self.team.size * config.accumulate
        if config.batch_size % shares:
            raise ConfigError(
                f"batch_size {config.batch_size} does not divide among {self.team.size} processes "
                f"with accumulate {config.accumulate}"
            )
        torch.manual_seed(config.seed)
        self.network = build_network(config.network).to(self.device)
        self.network.checkpointing = config.checkpointing
        if self.device.type == "cuda":  # convolutions in bfloat16 are made for it
            self.network = self.network.to(memory_format=torch.channels_last)
        self.base: ModelFile | None = None
        if config.start_from is not None:
            self.base = load_weights(self.network, config.start_from)
        if state is not None:
            self._check_origin(state)
        self._prepare_method(None if state is None else json.loads(state["method"]))
        set_training_mode(self.network)
        self.objective = self.team.share(Objective(self.network, config, self.method))
        self._groups = () if self.base is None else self.base.groups
        # All that the base does not bring. References, as training changes it in place; sharing
        # moves it once, before.
        self._tuned = tuned_tensors(self.network, self._groups)
        self.average = {name: value.detach().clone() for name, value in self._tuned.items()}
        parameters = {name for name, _ in self.network.named_parameters()}
        # Running means of norms that are trained.
        self._statistics = [
            value
            for name, value in self._tuned.items()
            if value.is_floating_point() and name not in parameters
        ]
        self.optimizer = self.method.optimizer(
            self.network, config.learning_rate, config.weight_decay
        )
        self.step, self.seconds, self.best_loss = 0, 0.0, math.inf
        self._saved_step: int | None = None
        self._waiting = Waiting()
        if state is not None:
            self._take(state)
        self._held_out = None
        if (held := config.validation) is not None:
            self._held_out = self._fixed(held.data, held.batches, "validation")

    def _check_origin(self, state: dict[str, Any]) -> None:
        base = None if self.base is None else self.base.sha256
        for what, before, now in (
            ("base", state["base_sha256"], base),
            ("number of processes", state["processes"], self.team.size),
        ):
            if before != now:
                raise CheckpointError(
                    f"{self.checkpoint_path} was written with another {what}: {before}, now {now}"
                )

    def _prepare_method(self, resolved: dict[str, Any] | None) -> None:
        """Puts the method's layers in; a resolved configuration needs no look at data."""
        config, plain = self.config, self.network.state_dict().keys()
        looks = self._fixed(config.data, config.look_batches, "data") if resolved is None else ()
        self.method = open_method(config.method, config.options if resolved is None else resolved)
        self.groups = self.method.prepare(self.network, Training(config.steps, looks))
        if not any(self.groups.values()):
            raise ConfigError(f"method {config.method} trains nothing")
        self.record = None
        if self.network.state_dict().keys() != plain:
            self.record = adapter_record(config, self.method, self.base)

    def _fixed(self, data: DataSettings, count: int, name: str) -> FixedLosses:
        size = self.network.spec.canvas_px
        return FixedLosses(self.config, data, count, size, self.out / name, self.team)

    def open_source(self) -> PictureSource:
        """Where the pictures come from, at the step that is trained next."""
        return open_source(
            self.config.data,
            self.config.batch_size,
            self.network.spec.canvas_px,
            self.out / "data",
            self.team,
            range(self.step, self.config.steps),
            self.config.seed,
        )

    @property
    def checkpoint_path(self) -> Path:
        """Where the state of the run is kept."""
        return self.out / "last.pt"

    @property
    def result_path(self) -> Path:
        """The averaged weights: of the whole network, or of what the method has added."""
        return self.out / f"{'weights' if self.record is None else 'adapter'}.safetensors"

    @property
    def best_path(self) -> Path:
        """As ``result_path``, of the step with the lowest loss in validation."""
        return self.out / "best.safetensors"

    def save(self) -> None:
        """Writes the state to resume from and the averaged weights."""
        self._saved_step = self.step
        if not self.team.leads:
            return
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "best_loss": self.best_loss,
            "config": json.dumps(to_plain(self.config)),
            "base_sha256": None if self.base is None else self.base.sha256,
            "processes": self.team.size,
            "method": json.dumps(resolved_config(self.method)),
            "method_state": self.method.state(),
            "tuned": self._tuned,
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }
        # Weights first: a run that ends between the two writes them once more when it goes on.
        with self.averaged():
            self._write_result(self.result_path)
        with atomic_path(self.checkpoint_path) as temporary:
            torch.save(state, temporary)

    def _write_result(self, path: Path) -> None:
        if self.record is not None:
            save_adapter(path, self.network, self.record, self._groups)
            return
        note = {"config": to_plain(self.config), "step": self.step}
        save_weights(path, self.network.state_dict(), self.config.network, note)

    @torch.no_grad()
    def _take(self, state: dict[str, Any]) -> None:
        for name, value in self._tuned.items():
            value.copy_(state["tuned"][name])
        for name, value in self.average.items():
            value.copy_(state["average"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.method.load_state(state["method_state"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        self.best_loss = float(state["best_loss"])
        self._saved_step = self.step

    def run(self, max_seconds: float = math.inf) -> None:
        """Trains to the last step, or until ``max_seconds`` have passed; saves in both cases.

        Raises:
            DivergedError: The loss or the gradients became infinite or NaN; nothing of that is
                saved.
        """
        with ExitStack() as stack:
            log = None
            if self.team.leads:
                log = TrainingLog(self.out, self.step, self.config.tensorboard)
                stack.enter_context(log)
            source = self.open_source()
            stack.callback(source.close)
            self._run(source, log, max_seconds)

    def _run(self, source: PictureSource, log: TrainingLog | None, max_seconds: float) -> None:
        config, start, before = self.config, time.monotonic(), self.seconds
        held = config.validation
        ends = self.step >= config.steps
        while not ends:
            metrics = self.train_step(source)
            self.step += 1
            elapsed = time.monotonic() - start
            self.seconds = before + elapsed
            ends = self.team.any(elapsed > max_seconds) or self.step == config.steps
            logs, saves = (
                ends or self.step % n == 0 for n in (config.log_every, config.save_every)
            )
            # A stop is no reason for a look: a run that is resumed must not have had one more.
            is_last = self.step == config.steps
            validates = held is not None and (is_last or self.step % held.every == 0)
            if logs or saves or validates:
                row = self._checked(metrics)
            if validates:
                row["validation_loss"] = self._validate()
            if (logs or validates) and log is not None:
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
                raise DivergedError(
                    f"{name} is {row[name]} at step {self.step}; "
                    f"{'nothing was saved' if self._saved_step is None else kept}: "
                    "lower learning_rate or use precision fp32"
                )
        return row

    def train_step(self, source: PictureSource) -> dict[str, Tensor]:
        """One optimiser step; the loss, its parts and the norm of the gradients."""
        config = self.config
        seed = (config.seed * 1_000_003 + self.step) % 2**32
        # Each process draws for its own share of the batch.
        draw = torch.Generator(self.device).manual_seed(seed * self.team.size + self.team.rank)
        with self._waiting:
            pictures = source.batch(self.step, draw)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        metrics = self._add_gradients(_parts(pictures, config.accumulate), draw)
        self.team.average(self._statistics)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.method.after_step(self.network, self.step)
        self._update_average()
        return {"gradient_norm": norm, **metrics}

    def _add_gradients(self, parts: list[Pictures], draw: torch.Generator) -> dict[str, Tensor]:
        """Backward passes of all parts; means over them."""
        sums: dict[str, Tensor] = {}
        for index, part in enumerate(parts):
            with ExitStack() as stack:
                if index + 1 < len(parts):
                    stack.enter_context(self.team.keep_apart(self.objective))
                loss, metrics = self.objective(part, draw)
                (loss / len(parts)).backward()
            for name, value in {"loss": loss.detach(), **metrics}.items():
                sums[name] = sums.get(name, 0) + value / len(parts)
        return sums

    @torch.no_grad()
    def _validate(self) -> float:
        """Mean loss of the averaged weights on the held-out pictures; keeps the best ones."""
        assert self._held_out is not None
        with self.averaged():
            self.network.eval()
            loss = sum(float(loss(self.network)) for loss in self._held_out) / len(self._held_out)
            if loss < self.best_loss:
                self.best_loss = loss
                if self.team.leads:
                    self._write_result(self.best_path)
        set_training_mode(self.network)
        return round(loss, 5)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The network has the averaged weights inside."""
        with torch.no_grad():
            tuned = self._tuned
            kept = {name: value.detach().clone() for name, value in tuned.items()}
            try:
                for name, value in tuned.items():
                    value.copy_(self.average[name])
                yield
            finally:
                for name, value in tuned.items():
                    value.copy_(kept[name])

    @torch.no_grad()
    def _update_average(self) -> None:
        # A short memory at first, else the average would keep the random start for long.
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        tuned = self._tuned
        floating = [name for name, value in tuned.items() if value.is_floating_point()]
        torch._foreach_lerp_(
            [self.average[name] for name in floating], [tuned[name] for name in floating], 1 - decay
        )
        for name, value in tuned.items():
            if not value.is_floating_point():
                self.average[name].copy_(value)


def _parts(pictures: Pictures, count: int) -> list[Pictures]:
    """The batch in ``count`` equal parts."""
    if count == 1:
        return [pictures]
    known = {name: value for name, value in vars(pictures).items() if value is not None}
    chunks = {name: value.chunk(count) for name, value in known.items()}
    return [Pictures(**{name: values[k] for name, values in chunks.items()}) for k in range(count)]


def train(config: TrainConfig, out: Path, device: str, resume: bool, max_seconds: float) -> Path:
    """Runs or resumes a training; returns the path of the averaged weights."""
    out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(config, out, find_device(device), resume)
    if trainer.team.leads:
        write_text(out / "config.json", json.dumps(to_plain(config), indent=2) + "\n")
    trainer.run(max_seconds)
    trainer.team.close()
    return trainer.result_path
