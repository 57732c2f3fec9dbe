"""The cross-validation from its configuration to its report; it goes on where it stopped.

A folder holds ``tuning/`` and ``runs/`` (one JSON a run), ``frames/`` (simulated, where asked for),
and in the end the report.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from repsam_ros.adaptation.crossval.config import ArmSettings, CrossvalConfig
from repsam_ros.adaptation.crossval.folds import inner_pair, make_folds
from repsam_ros.adaptation.crossval.report import write_report
from repsam_ros.adaptation.crossval.results import HELD_OUT, FoldResult
from repsam_ros.adaptation.crossval.trial import Trial, run_trial
from repsam_ros.adaptation.kept_runs import check_plan, finish_runs
from repsam_ros.adaptation.learning_rates import RateScores, best_rate, check_rates
from repsam_ros.adaptation.simulated_frames import simulate_frames
from repsam_ros.backends.torch import find_device
from repsam_ros.config import to_plain
from repsam_ros.network.weights import find_model
from repsam_ros.simulation.workers import map_here

# Of the trainings that choose a learning rate.
_TUNING_SEED = 1000


def crossval(
    config: CrossvalConfig, out: Path, *, device: str, processes: int = 1
) -> dict[str, Any]:
    """Does what is left of the experiment and writes the report.

    Args:
        processes: Runs at a time.

    Returns:
        The content of ``crossval.json``.

    Raises:
        ConfigError: ``out`` holds runs of another experiment, or values do not go together.
        CheckpointError, DatasetError, BackendError: As training and evaluation.
    """
    find_device(device)
    here = _Experiment(config, out, device, processes)
    tuned = here.tune()
    results, missing = here.finish(tuned)
    about = {
        "config": to_plain(config),
        "base_sha256": here.base_sha256,
        "folds": [list(fold) for fold in here.folds],
        "tuning": {
            arm: [{f"{rate:g}": score for rate, score in fold.items()} for fold in folds]
            for arm, folds in tuned.items()
        },
        "missing": missing,
        "torch": str(torch.__version__),
        "device": device,
    }
    return write_report(out, config, results, about)


class _Experiment:
    def __init__(self, config: CrossvalConfig, out: Path, device: str, processes: int) -> None:
        self._config, self._out, self._device = config, out, device
        self._processes = processes
        self.base_sha256 = find_model(config.base).sha256
        data = config.data
        frames = data.open()
        scenes = [sample.scene for sample in frames]
        self.folds = make_folds(frames.names, scenes, config.folds, config.fold_seed)
        self._simulated = None
        if config.simulated is not None:
            self._simulated = out / "frames"
            simulate_frames(config.simulated, self._simulated, processes)

    def tune(self) -> dict[str, list[RateScores]]:
        """Scores of each learning rate by arm and fold, see :func:`inner_pair`.

        Raises:
            ConfigError: The training of an arm diverged at every rate.
        """
        trials, wanted = {}, {}
        for arm in self._config.arms:
            for fold in range(self._config.folds) if _chooses(arm) else ():
                pair = inner_pair(fold, self._config.folds)
                for rate in arm.learning_rates:
                    trial = self._trial(arm, tuple(sorted(pair)), _TUNING_SEED, rate, None)
                    path = self._out / "tuning" / f"{trial.key}-{rate:g}.json"
                    trials[path], wanted[arm.name, fold, rate] = trial, path
        done = self._finished(trials, "learning rates")
        scores: dict[str, list[RateScores]] = {}
        for (name, fold, rate), path in wanted.items():
            folds = scores.setdefault(name, [{} for _ in range(self._config.folds)])
            frames = self.folds[inner_pair(fold, self._config.folds)[1]]
            folds[fold][rate] = self._mean(done[path], frames) if path in done else None
        for name, folds in scores.items():
            for fold, found in enumerate(folds):
                check_rates(f"{name}, fold {fold}", found)
        return scores

    def _mean(self, result: FoldResult, frames: tuple[str, ...]) -> float:
        found = result.scores[HELD_OUT]
        values = dict(zip(found.names, found.values[self._config.metric], strict=True))
        return float(np.mean([values[name] for name in frames]))

    def finish(self, tuned: Mapping[str, list[RateScores]]) -> tuple[list[FoldResult], list[str]]:
        """Results of all runs but those that diverged, and the keys of these.

        Seed by seed, so an experiment that is cut short has all arms.
        """
        trials: dict[Path, Trial] = {}
        for seed in range(self._config.seeds):
            for arm in self._config.arms:
                for left_out, rate in self._networks(arm, seed, tuned):
                    trial = self._trial(arm, left_out, seed, rate, self._simulated)
                    trials[self._out / "runs" / f"{trial.key}.json"] = trial
        done = self._finished(trials, "runs")
        return list(done.values()), [path.stem for path in trials if path not in done]

    def _networks(
        self, arm: ArmSettings, seed: int, tuned: Mapping[str, list[RateScores]]
    ) -> list[tuple[tuple[int, ...], float | None]]:
        """Folds left out and learning rate of each network of an arm; the base is one network."""
        folds = range(self._config.folds)
        if not arm.trains:
            return [(tuple(folds), None)] if seed == 0 else []
        if arm.name not in tuned:
            return [((fold,), arm.learning_rates[0]) for fold in folds]
        return [((fold,), best_rate(tuned[arm.name][fold])) for fold in folds]

    def _trial(
        self,
        arm: ArmSettings,
        left_out: tuple[int, ...],
        seed: int,
        rate: float | None,
        simulated: Path | None,
    ) -> Trial:
        return Trial(
            self._config,
            arm,
            self.folds,
            left_out,
            seed,
            rate,
            simulated,
            self.base_sha256,
            self._device,
        )

    def _finished(self, trials: Mapping[Path, Trial], what: str) -> dict[Path, FoldResult]:
        return finish_runs(
            trials,
            run_trial,
            partial(map_here, processes=self._processes),
            kind=FoldResult,
            check=check_plan,
            what=what,
        )


def _chooses(arm: ArmSettings) -> bool:
    return arm.trains and len(arm.learning_rates) > 1
