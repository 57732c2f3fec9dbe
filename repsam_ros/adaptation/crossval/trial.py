"""One run of a cross-validation: a training, then the scores of what came out."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from repsam_ros.adaptation.crossval.config import ArmSettings, CrossvalConfig
from repsam_ros.adaptation.crossval.folds import Folds
from repsam_ros.adaptation.crossval.results import HELD_OUT, SIMULATED, FoldResult
from repsam_ros.adaptation.image_scores import Scores, score_images
from repsam_ros.adaptation.picture_sources import DataSettings
from repsam_ros.adaptation.training import Trainer
from repsam_ros.adaptation.training_config import TrainConfig, seeing
from repsam_ros.backends.torch import find_device
from repsam_ros.config import to_plain
from repsam_ros.datasets import open_dataset, select_frames
from repsam_ros.evaluation.config import PipelineConfig
from repsam_ros.evaluation.evaluate import predict_with
from repsam_ros.methods import resolved_config
from repsam_ros.network.ranks import read_allocation
from repsam_ros.simulation.workers import one_thread


@dataclass(frozen=True)
class Trial:
    """What a process needs to know to make one run.

    Attributes:
        left_out: Folds whose frames are scored; the frames of the others are trained on.
        learning_rate: None where nothing is trained.
        simulated: Folder of further frames to score, if any.
    """

    config: CrossvalConfig
    arm: ArmSettings
    folds: Folds
    left_out: tuple[int, ...]
    seed: int
    learning_rate: float | None
    simulated: Path | None
    base_sha256: str
    device: str

    @property
    def key(self) -> str:
        """Names the run and its file, such as ``lora-f2-s0``."""
        return f"{self.arm.name}-f{'_'.join(map(str, self.left_out))}-s{self.seed}"

    def frames(self, *, held_out: bool) -> tuple[str, ...]:
        """Names of the frames that are scored, or of those that are trained on."""
        folds = enumerate(self.folds)
        return tuple(n for k, fold in folds if (k in self.left_out) == held_out for n in fold)

    @property
    def training(self) -> TrainConfig | None:
        """All arms alike but for method, options, what they see and learning rate."""
        if self.learning_rate is None:
            return None
        config, arm = self.config, self.arm
        frames = replace(
            config.data,
            frames=self.frames(held_out=False),
            seed=config.data.seed + self.seed,
        )
        changed = replace(
            config.train,
            method=arm.method,
            options=arm.options,
            seed=self.seed,
            start_from=config.base,
            learning_rate=self.learning_rate,
            save_every=config.train.steps,
            data=DataSettings(dataset=frames),
        )
        return seeing(changed, arm.see)

    @property
    def plan(self) -> dict[str, Any]:
        """Plain values of all that the result follows from, but for code and device."""
        config, training = self.config, self.training
        simulated = None if self.simulated is None else config.simulated
        ranks_file = self.arm.options.get("ranks_file")
        return {
            "base_sha256": self.base_sha256,
            "data": to_plain(config.data),
            "train": None if training is None else to_plain(training),
            "ranks": None if ranks_file is None else list(read_allocation(Path(ranks_file)).ranks),
            "see": self.arm.see,
            "pipeline": to_plain(config.pipeline),
            "scored": list(self.frames(held_out=True)),
            "simulated": None if simulated is None else to_plain(simulated),
        }


def run_trial(trial: Trial) -> FoldResult:
    """Trains and scores; on a CPU with one thread, so that the numbers do not depend on it."""
    start_s = time.monotonic()
    config, trained, ranks = trial.training, 0, ()
    trained_on: tuple[str, ...] = ()
    with one_thread(), tempfile.TemporaryDirectory(prefix="crossval-") as folder:
        model = trial.config.base
        if config is not None:
            trainer = Trainer(config, Path(folder), find_device(trial.device))
            trainer.run()
            assert config.data.dataset is not None
            trained_on = config.data.dataset.frames or ()
            trained = sum(p.numel() for p in trainer.network.parameters() if p.requires_grad)
            ranks = tuple(resolved_config(trainer.method).get("ranks", ()))
            model = str(trainer.result_path)
            del trainer
        scores = _scores(trial, model)
    return FoldResult(
        arm=trial.arm.name,
        left_out=trial.left_out,
        seed=trial.seed,
        learning_rate=trial.learning_rate,
        plan=trial.plan,
        ranks=ranks,
        trainable_params=trained,
        seconds=round(time.monotonic() - start_s, 1),
        trained_on=trained_on,
        scores=scores,
    )


def _scores(trial: Trial, model: str) -> dict[str, Scores]:
    """As ``repsam eval`` scores the file of weights."""
    config, data = trial.config, trial.config.data
    frames = data.open()
    sets = {HELD_OUT: select_frames(frames, trial.frames(held_out=True))}
    if trial.simulated is not None:
        sets[SIMULATED] = open_dataset("simulated", trial.simulated)
    pipeline = PipelineConfig(model=model, device=trial.device, pipeline=config.pipeline).open()
    predict = predict_with(pipeline.segment, trial.arm.see)
    try:
        return {name: score_images(dataset, predict) for name, dataset in sets.items()}
    finally:
        pipeline.close()
