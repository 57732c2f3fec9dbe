"""The experiment from its configuration to its report; every stage goes on where it stopped.

A folder holds ``config.json``, the pool of training pictures, ``frames/`` (simulated validation
and test frames), ``tuning/`` and ``runs/`` (one JSON a run), ``full/`` (full fine-tuning),
``cka/``, and in the end the report.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from repsam_ros.adaptation.ablation.config import BLOCK, NONE, AblationConfig, SimulatedFrames
from repsam_ros.adaptation.ablation.mechanism import Mechanism, check_mechanism, update_norms
from repsam_ros.adaptation.ablation.plan import PlannedRun, needed_comparisons, plan_runs
from repsam_ros.adaptation.ablation.report import write_report
from repsam_ros.adaptation.ablation.results import RunResult, read_result, write_result
from repsam_ros.adaptation.ablation.trial import Trial, run_trial, training_config
from repsam_ros.adaptation.ablation.verdict import judge
from repsam_ros.adaptation.cka.comparisons import compare
from repsam_ros.adaptation.cka.configuration import (
    CkaConfig,
    PictureSettings,
    SimulatedPictures,
    SourceStreamPictures,
)
from repsam_ros.adaptation.cka.plot import layer_plot
from repsam_ros.adaptation.cka.report import read_cka_report, write_cka_report
from repsam_ros.adaptation.training import train
from repsam_ros.backends.torch import find_device
from repsam_ros.config import differences, to_plain
from repsam_ros.errors import ConfigError
from repsam_ros.images import write_png
from repsam_ros.network.adapters import rank_costs
from repsam_ros.network.build import build_network
from repsam_ros.network.weights import find_model, load_network
from repsam_ros.paths import atomic_path
from repsam_ros.progress import track
from repsam_ros.simulation.cluster import map_on_cluster
from repsam_ros.simulation.configuration import load_simulate_config
from repsam_ros.simulation.pool import make_pool
from repsam_ros.simulation.simulate import simulate
from repsam_ros.simulation.workers import map_here

logger = logging.getLogger(__name__)

# Seeds of runs that are no runs of an arm.
_TUNING_SEED, _FULL_SEED = 1000, 1001
TEST, VALIDATION = "simulated", "validation"


def ablate(
    config: AblationConfig,
    out: Path,
    *,
    device: str,
    processes: int = 1,
    cluster: str | None = None,
) -> dict[str, Any]:
    """Does what is left of the experiment and writes the report.

    Args:
        processes: Runs at a time on this machine, without a cluster.
        cluster: Address of a Dask scheduler, or ``local:N``; the machines share the folder.

    Returns:
        The content of ``ablation.json``.

    Raises:
        ConfigError: ``out`` holds another experiment, or values do not go together.
        CheckpointError, DatasetError, BackendError: As the stages.
    """
    find_device(device)
    base = find_model(config.base)
    _keep_config(config, base.sha256, out)
    here = _Experiment(_with_pool(config, out), out, device, processes, cluster)
    here.make_pictures()
    rate = here.tuned_learning_rate()
    cka = here.measured_cka()
    runs = plan_runs(here.config, here.costs, cka)
    results = here.finish(runs, rate)
    return _report(here, results, runs, cka, {"learning_rate": rate, "base_sha256": base.sha256})


def _keep_config(config: AblationConfig, base_sha256: str, out: Path) -> None:
    """Refuses another experiment's folder; further arms and seeds may join an old one."""
    path = out / "config.json"
    content = {**to_plain(config), "base_sha256": base_sha256}
    if path.is_file():
        changed = [
            line
            for line in differences(json.loads(path.read_text()), content)
            if not line.startswith("arms")
        ]
        if changed:
            raise ConfigError(f"{out} holds another experiment: {changed[0]}")
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")


def _with_pool(config: AblationConfig, out: Path) -> AblationConfig:
    """The configuration with a pool that has a folder."""
    data = config.train.data
    assert data.pool is not None
    if data.pool.folder is not None:
        return config
    pool = replace(data.pool, folder=str((out / "pool").resolve()))
    return replace(config, train=replace(config.train, data=replace(data, pool=pool)))


class _Experiment:
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
            self._simulate(frames, self._frames(name))

    def _frames(self, name: str) -> Path:
        return self.out / "frames" / name

    def _simulate(self, frames: SimulatedFrames, out: Path) -> None:
        given = {"scenes": frames.scenes, "seed": frames.seed, "views": 1, "size": frames.size}
        made = load_simulate_config(given, frames.preset, ["twins=[]"])
        simulate(made, out, processes=self._processes)

    def tuned_learning_rate(self) -> float:
        """The rate at which ``uniform`` does best on the validation frames."""
        config, rates = self.config, self.config.learning_rates
        if len(rates) == 1:
            return rates[0]
        rank, metric = config.verdict.mean_rank, config.verdict.metric
        ranks = (rank,) * len(self.costs)
        trials = {
            self.out / "tuning" / f"{rate:g}.json": Trial(
                config,
                PlannedRun("uniform", rank, config.verdict.fusion, _TUNING_SEED, "repsam", ranks),
                rate,
                {VALIDATION: self._frames(VALIDATION)},
                False,
                self.device,
            )
            for rate in rates
        }
        results = self._done(trials, "learning rates")
        means = [np.mean(result.scores[VALIDATION].values[metric]) for result in results]
        best = rates[int(np.argmax(means))]
        logger.info("learning rate %g of %s: %s", best, rates, [round(m, 2) for m in means])
        return best

    def full_finetuning(self) -> Path:
        """Weights of the fully fine-tuned network, which the comparison ``finetuned`` needs."""
        out = self.out / "full"
        weights = out / "weights.safetensors"
        if not weights.is_file():
            fusion = self.config.verdict.fusion
            run = PlannedRun("full_finetuning", 1, fusion, _FULL_SEED, "full_finetuning")
            trial = Trial(self.config, run, 0.0, {}, False, self.device)
            train(training_config(trial), out, self.device, False, float("inf"))
        return weights

    def measured_cka(self) -> dict[str, NDArray[np.float64]]:
        """Values of each block by comparison."""
        values = {}
        for name in needed_comparisons(self.config):
            path = self.out / "cka" / name / "cka.json"
            if not path.is_file():
                report = compare(self._cka_config(name), find_device(self.device))
                write_png(path.with_suffix(".png"), layer_plot(report))
                write_cka_report(path, report)
            values[name] = read_cka_report(path).values(self.config.cka.rows)
        return values

    def _cka_config(self, comparison: str) -> CkaConfig:
        settings, config = self.config.cka, self.config
        robot = PictureSettings(SimulatedPictures(settings.seed, settings.sensor))
        unpaired = PictureSettings(source_stream=SourceStreamPictures())
        return CkaConfig(
            comparison=comparison,
            model=config.base,
            backbone=config.backbone,
            finetuned_model=str(self.full_finetuning()) if comparison == "finetuned" else None,
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

    def finish(self, runs: Sequence[PlannedRun], rate: float) -> list[RunResult]:
        """Results of all runs; those that are there are not done again."""
        test = {TEST: self._frames(TEST)}
        trials = {
            self.out / "runs" / f"{run.key}.json": Trial(
                self.config, run, rate, test, self.config.real is not None, self.device
            )
            for run in runs
        }
        return self._done(trials, "runs")

    def _done(self, trials: dict[Path, Trial], what: str) -> list[RunResult]:
        left = [(path, trial) for path, trial in trials.items() if not path.is_file()]
        results = (
            map_here(_run, left, self._processes)
            if self._cluster is None or not left
            else map_on_cluster(_run, left, self._cluster)
        )
        with closing(results):
            for path, result in track(results, len(left), what):
                write_result(path, result)
        return [read_result(path) for path in trials]


def _run(job: tuple[Path, Trial]) -> tuple[Path, RunResult]:
    path, trial = job
    return path, run_trial(trial)


def _report(
    here: _Experiment,
    results: list[RunResult],
    runs: list[PlannedRun],
    cka: dict[str, NDArray[np.float64]],
    found: dict[str, Any],
) -> dict[str, Any]:
    verdict = judge(results, here.config.verdict)
    about = {
        **found,
        "config": json.loads((here.out / "config.json").read_text()),
        "cka": {name: values.tolist() for name, values in cka.items()},
        "planned": [run.key for run in runs],
        "torch": str(torch.__version__),
        "device": here.device,
    }
    return write_report(here.out, results, verdict, _mechanism(here, results, cka), about)


def _mechanism(
    here: _Experiment, results: list[RunResult], cka: dict[str, NDArray[np.float64]]
) -> Mechanism | None:
    if "paired" not in cka:
        return None
    norms = None
    if "finetuned" in cka:
        networks = [load_network(here.config.base), load_network(str(here.full_finetuning()))]
        norms = update_norms(*(network.state_dict() for network, _ in networks))
    return check_mechanism(1 - cka["paired"], norms, _single_block_gains(here.config, results))


def _single_block_gains(
    config: AblationConfig, results: list[RunResult]
) -> NDArray[np.float64] | None:
    """Points over no adapter at all, of each block adapted alone, on the same seeds."""
    settings = config.verdict
    scores: dict[str, dict[int, float]] = {}
    for result in results:
        if result.fusion == settings.fusion:
            mean = float(np.mean(result.scores[settings.dataset].values[settings.metric]))
            scores.setdefault(result.arm, {})[result.seed] = mean
    blocks = [name for name in scores if name.startswith(f"{BLOCK}_")]
    if not blocks or NONE not in scores:
        return None
    gains = []
    for number in range(len(blocks)):
        alone, without = scores[f"{BLOCK}_{number}"], scores[NONE]
        gains.append(np.mean([alone[seed] - without[seed] for seed in alone if seed in without]))
    return np.array(gains)
