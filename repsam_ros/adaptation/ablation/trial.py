"""One run of the ablation: a training, then the scores of what came out."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from repsam_ros.adaptation.ablation.config import NONE, AblationConfig
from repsam_ros.adaptation.ablation.plan import PlannedRun
from repsam_ros.adaptation.ablation.results import RunResult
from repsam_ros.adaptation.image_scores import Scores, score_images
from repsam_ros.adaptation.training import Trainer
from repsam_ros.adaptation.training_config import TrainConfig, seeing
from repsam_ros.backends.torch import TorchBackend, find_device
from repsam_ros.datasets import open_dataset
from repsam_ros.evaluation.evaluate import predict_with
from repsam_ros.evaluation.modality import RGB, RGBD
from repsam_ros.methods import PARTS, resolved_config
from repsam_ros.perception.pipeline import Pipeline
from repsam_ros.simulation.workers import one_thread

ADAPTERS, FULL = "adapters", "full_finetuning"


@dataclass(frozen=True)
class Trial:
    """What a process needs to know to make one run.

    Attributes:
        frames: Folder of simulated frames, by the name that results give them.
        real: Whether real frames are scored too.
    """

    config: AblationConfig
    run: PlannedRun
    learning_rate: float
    frames: Mapping[str, Path]
    real: bool
    device: str


def run_trial(trial: Trial) -> RunResult:
    """Trains and scores; on a CPU with one thread, so that the numbers do not depend on it."""
    start_s = time.monotonic()
    config = training_config(trial)
    with one_thread(), tempfile.TemporaryDirectory(prefix="ablate-") as folder:
        trainer = Trainer(config, Path(folder), find_device(trial.device))
        trainer.run()
        scores = _scores(trial, trainer)
    options = resolved_config(trainer.method)
    trained = [p.numel() for p in trainer.network.parameters() if p.requires_grad]
    adapters = trainer.groups.get(ADAPTERS, [])
    return RunResult(
        arm=trial.run.arm,
        mean_rank=trial.run.mean_rank,
        fusion=trial.run.fusion,
        seed=trial.run.seed,
        ranks=tuple(options.get("ranks", ())),
        adapter_params=sum(p.numel() for p in adapters),
        trainable_params=sum(trained),
        learning_rate=config.learning_rate,
        steps=config.steps,
        seconds=round(time.monotonic() - start_s, 1),
        scores=scores,
    )


def training_config(trial: Trial) -> TrainConfig:
    """The training of a run: all of them alike but for what the arms differ in."""
    config, run = trial.config, trial.run
    parts = config.parts + (config.fusion_parts if run.fusion else ())
    if run.method == FULL:
        without = () if run.fusion else config.fusion_parts
        options: dict[str, object] = {"parts": tuple(p for p in PARTS if p not in without)}
    elif run.arm == NONE:
        options = {"parts": parts}
    else:
        adapters = {"modules": config.modules, "alpha_per_rank": config.alpha_per_rank}
        size = {"ranks": run.ranks} if run.ranks else {"rank": run.mean_rank}
        options = {**adapters, **size, "parts": parts}
    changed = replace(
        config.train,
        method=run.method,
        options=options,
        seed=run.seed,
        start_from=config.base,
        learning_rate=trial.learning_rate,
        save_every=config.train.steps,
    )
    return seeing(changed, _modality(run))


def _modality(run: PlannedRun) -> str:
    return RGBD if run.fusion else RGB


def _scores(trial: Trial, trainer: Trainer) -> dict[str, Scores]:
    assert trainer.base is not None
    with trainer.averaged():
        trainer.network.eval()
        backend = TorchBackend(trainer.network, trainer.base, trial.config.train.precision)
        pipeline = Pipeline(backend, trial.config.pipeline)
        predict = predict_with(pipeline.segment, _modality(trial.run))
        sets = {name: open_dataset("simulated", root) for name, root in trial.frames.items()}
        if trial.real and (real := trial.config.real) is not None:
            sets["real"] = real.open()
        return {name: score_images(dataset, predict) for name, dataset in sets.items()}
