"""The stages of the experiment: pictures, learning rates, CKA and runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from repsam_ros.adaptation.ablation.config import AblationConfig
from repsam_ros.adaptation.ablation.plan import PlannedRun, first_of_same, needed_comparisons
from repsam_ros.adaptation.ablation.results import RunResult
from repsam_ros.adaptation.ablation.score_matrices import UNIFORM
from repsam_ros.adaptation.ablation.trial import ADAPTERS, FULL, Trial, run_trial, training_config
from repsam_ros.adaptation.cka.comparisons import compare
from repsam_ros.adaptation.cka.configuration import (
    CkaConfig,
    PictureSettings,
    SimulatedPictures,
    SourceStreamPictures,
)
from repsam_ros.adaptation.cka.plot import layer_plot
from repsam_ros.adaptation.cka.report import CkaReport, read_cka_report, write_cka_report
from repsam_ros.adaptation.kept_runs import finish_runs
from repsam_ros.adaptation.learning_rates import RateScores, check_rates
from repsam_ros.adaptation.simulated_frames import simulate_frames
from repsam_ros.adaptation.training import train
from repsam_ros.backends.torch import find_device
from repsam_ros.errors import ConfigError
from repsam_ros.images import write_png
from repsam_ros.network.adapters import rank_costs
from repsam_ros.network.build import build_network
from repsam_ros.simulation.cluster import map_on_cluster
from repsam_ros.simulation.pool import make_pool
from repsam_ros.simulation.workers import map_here, one_thread

# Seeds of runs that are no runs of an arm.
_TUNING_SEED, _FULL_SEED = 1000, 1001
TEST, VALIDATION = "simulated", "validation"


class Stages:
    """What is made in the folder of one experiment; what is there is not made again."""

    def __init__(
        self, config: AblationConfig, out: Path, device: str, processes: int, cluster: str | None
    ) -> None:
        self.config, self.out, self.device = config, out, device
        self._processes, self._cluster = processes, cluster
        with torch.device("meta"):
            network = build_network(config.train.network)
            self.costs = rank_costs(network, config.modules)
        self._size = network.spec.canvas_px

    def make_pictures(self) -> None:
        """Training pictures, validation and test frames."""
        pool = self.config.train.data.pool
        assert pool is not None and pool.folder is not None
        make_pool(Path(pool.folder), replace(pool, processes=self._processes), self._size)
        for name, frames in ((VALIDATION, self.config.validation), (TEST, self.config.test)):
            simulate_frames(frames, self._frames(name), self._processes)

    def _frames(self, name: str) -> Path:
        return self.out / "frames" / name

    def tune(self) -> dict[str, RateScores]:
        """Scores on the validation frames by learning rate, of adapters and of full fine-tuning.

        Raises:
            ConfigError: It diverged at every rate.
        """
        scores: dict[str, RateScores] = {}
        for name, rates in (
            (ADAPTERS, self.config.learning_rates),
            (FULL, self.config.full_learning_rates),
        ):
            if len(rates) == 1:
                scores[name] = {rates[0]: None}
                continue
            scores[name] = self._tuned(name, rates)
            check_rates(name, scores[name])
        return scores

    def _tuned(self, name: str, rates: tuple[float, ...]) -> RateScores:
        wanted = self.config.verdict
        trials = {
            self.out / "tuning" / f"{name}-{rate:g}.json": self._trial(
                self._tuning_run(name), rate, {VALIDATION: self._frames(VALIDATION)}, False
            )
            for rate in rates
        }
        found = self._done(trials, f"learning rates of {name}")
        means = {
            result.learning_rate: float(np.mean(result.scores[VALIDATION].values[wanted.metric]))
            for result in found
        }
        return {rate: means.get(rate) for rate in rates}

    def _tuning_run(self, name: str) -> PlannedRun:
        rank, fusion = self.config.verdict.mean_rank, self.config.verdict.fusion
        if name == FULL:
            return PlannedRun(FULL, rank, fusion, _TUNING_SEED, FULL)
        ranks = (rank,) * len(self.costs)
        return PlannedRun(UNIFORM, rank, fusion, _TUNING_SEED, "repsam", ranks)

    def _trial(self, run: PlannedRun, rate: float, frames: Mapping[str, Path], real: bool) -> Trial:
        return Trial(self.config, run, rate, frames, real, self.device)

    @property
    def full_weights(self) -> Path:
        """Weights of the fully fine-tuned network, which the comparison ``finetuned`` needs."""
        return self.out / "full" / "weights.safetensors"

    def _finetune(self, rate: float) -> None:
        if not self.full_weights.is_file():
            run = PlannedRun(FULL, 1, self.config.verdict.fusion, _FULL_SEED, FULL)
            config = training_config(self._trial(run, rate, {}, False))
            with one_thread():
                train(config, self.full_weights.parent, self.device, False, float("inf"))

    def measured_cka(self, full_rate: float) -> dict[str, CkaReport]:
        """Report of each comparison that some arm follows."""
        reports = {}
        for name in needed_comparisons(self.config):
            path = self.out / "cka" / name / "cka.json"
            if not path.is_file():
                if name == "finetuned":
                    self._finetune(full_rate)
                with one_thread():
                    report = compare(self._cka_config(name), find_device(self.device))
                write_png(path.with_suffix(".png"), layer_plot(report))
                write_cka_report(path, report)
            reports[name] = read_cka_report(path)
        return reports

    def _cka_config(self, comparison: str) -> CkaConfig:
        settings, config = self.config.cka, self.config
        robot = PictureSettings(SimulatedPictures(settings.seed, settings.sensor))
        unpaired = PictureSettings(source_stream=SourceStreamPictures())
        return CkaConfig(
            comparison=comparison,
            model=config.base,
            backbone=config.train.network.backbone,
            finetuned_model=str(self.full_weights) if comparison == "finetuned" else None,
            target=robot,
            source=unpaired if comparison == "covariance" else None,
            factors=("source",),
            scenes=settings.scenes,
            batch=settings.batch,
            tokens=settings.tokens,
            # What fusion adds is a shift, too; the base adds nothing.
            depth=comparison == "finetuned" and config.verdict.fusion,
            workers=self._processes,
        )

    def finish(self, runs: Sequence[PlannedRun], rates: Mapping[str, float]) -> list[RunResult]:
        """Results of all runs but those that diverged; what is there is not done again.

        Arms that come to the same ranks share a run: it would be the same to the last bit.
        """
        test = {TEST: self._frames(TEST)}
        real = self.config.real is not None
        first = first_of_same(runs)
        trials = {
            self.out / "runs" / f"{run.key}.json": self._trial(
                run, rates[FULL if run.method == FULL else ADAPTERS], test, real
            )
            for run in dict.fromkeys(first[run] for run in runs)
        }
        done = {result.key: result for result in self._done(trials, "runs")}
        return [
            replace(done[first[run].key], arm=run.arm, mean_rank=run.mean_rank)
            for run in runs
            if first[run].key in done
        ]

    def _done(self, trials: dict[Path, Trial], what: str) -> list[RunResult]:
        spread = (
            partial(map_here, processes=self._processes)
            if self._cluster is None
            else partial(map_on_cluster, address=self._cluster, single_threaded=True)
        )
        done = finish_runs(
            trials,
            run_trial,
            spread,
            kind=RunResult,
            check=_check_kept,
            what=what,
        )
        return list(done.values())


def _check_kept(path: Path, result: RunResult, trial: Trial) -> None:
    """Refuses a result of an earlier plan, which stale CKA or rates would leave."""
    run = trial.run
    # A method that chooses its ranks is planned with none.
    kept = (result.key, result.ranks if run.ranks else (), result.learning_rate, result.steps)
    planned = (run.key, run.ranks, trial.learning_rate, trial.config.train.steps)
    if kept != planned:
        raise ConfigError(f"{path} is the result of another plan: {kept}, now {planned}; remove it")
