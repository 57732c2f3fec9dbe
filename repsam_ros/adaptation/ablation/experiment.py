"""The experiment from its configuration to its report; every stage goes on where it stopped.

A folder holds ``config.json``, the pool of training pictures, ``frames/`` (simulated validation
and test frames), ``tuning/`` and ``runs/`` (one JSON a run), ``full/`` (full fine-tuning),
``cka/``, and in the end the report.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from repsam_ros.adaptation.ablation.config import NONE, AblationConfig, SimulatedFrames
from repsam_ros.adaptation.ablation.mechanism import Mechanism, check_mechanism, update_norms
from repsam_ros.adaptation.ablation.plan import (
    PlannedRun,
    first_of_same,
    needed_comparisons,
    plan_runs,
)
from repsam_ros.adaptation.ablation.report import write_report
from repsam_ros.adaptation.ablation.results import (
    BLOCK_PREFIX,
    RunResult,
    read_result,
    write_result,
)
from repsam_ros.adaptation.ablation.score_matrices import UNIFORM
from repsam_ros.adaptation.ablation.trial import ADAPTERS, FULL, Trial, run_trial, training_config
from repsam_ros.adaptation.ablation.verdict import judge
from repsam_ros.adaptation.cka.comparisons import compare
from repsam_ros.adaptation.cka.configuration import (
    CkaConfig,
    PictureSettings,
    SimulatedPictures,
    SourceStreamPictures,
)
from repsam_ros.adaptation.cka.plot import layer_plot
from repsam_ros.adaptation.cka.report import CkaReport, read_cka_report, write_cka_report
from repsam_ros.adaptation.training import train
from repsam_ros.backends.torch import find_device
from repsam_ros.config import differences, to_plain
from repsam_ros.errors import ConfigError, DivergedError
from repsam_ros.images import write_png
from repsam_ros.network.adapters import rank_costs
from repsam_ros.network.build import build_network
from repsam_ros.network.weights import find_model, load_weights
from repsam_ros.paths import atomic_path
from repsam_ros.progress import track
from repsam_ros.simulation.cluster import map_on_cluster
from repsam_ros.simulation.configuration import load_simulate_config
from repsam_ros.simulation.pool import make_pool
from repsam_ros.simulation.simulate import simulate
from repsam_ros.simulation.workers import map_here, one_thread

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
    out = out.resolve()
    _keep_config(config, base.sha256, out)
    here = _Experiment(_with_folders(config, out), out, device, processes, cluster)
    here.make_pictures()
    tuned = here.tune()
    rates = {name: best_rate(scores) for name, scores in tuned.items()}
    reports = here.measured_cka(rates[FULL])
    values = {name: report.values(config.cka.rows) for name, report in reports.items()}
    runs = plan_runs(here.config, here.costs, values)
    results = here.finish(runs, rates)
    about = {"learning_rates": rates, "tuning": tuned, "base_sha256": base.sha256}
    return _report(here, results, runs, reports, about)


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


def _with_folders(config: AblationConfig, out: Path) -> AblationConfig:
    """The configuration with a pool that has a folder, and folders that other processes find."""
    data, real = config.train.data, config.real
    assert data.pool is not None
    folder = out / "pool" if data.pool.folder is None else Path(data.pool.folder).resolve()
    data = replace(data, pool=replace(data.pool, folder=str(folder)))
    if real is not None:
        real = replace(real, root=str(Path(real.root).resolve()))
    return replace(config, train=replace(config.train, data=data), real=real)


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

    def tune(self) -> dict[str, dict[float, float | None]]:
        """Scores on the validation frames by learning rate, of adapters and of full fine-tuning.

        None where the training diverged.

        Raises:
            ConfigError: It diverged at every rate.
        """
        scores: dict[str, dict[float, float | None]] = {}
        for name, rates in (
            (ADAPTERS, self.config.learning_rates),
            (FULL, self.config.full_learning_rates),
        ):
            if len(rates) == 1:
                scores[name] = {rates[0]: None}
                continue
            scores[name] = self._tuned(name, rates)
            best = best_rate(scores[name])
            if best in (min(rates), max(rates)):
                logger.warning("%s: the best rate, %g, is at the end of %s", name, best, rates)
        return scores

    def _tuned(self, name: str, rates: tuple[float, ...]) -> dict[float, float | None]:
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
        if not means:
            raise ConfigError(f"training of {name} diverges at each of the rates {rates}")
        return {rate: means.get(rate) for rate in rates}

    def _tuning_run(self, name: str) -> PlannedRun:
        rank, fusion = self.config.verdict.mean_rank, self.config.verdict.fusion
        if name == FULL:
            return PlannedRun(FULL, rank, fusion, _TUNING_SEED, FULL)
        ranks = (rank,) * len(self.costs)
        return PlannedRun(UNIFORM, rank, fusion, _TUNING_SEED, "repsam", ranks)

    def _trial(self, run: PlannedRun, rate: float, frames: Mapping[str, Path], real: bool) -> Trial:
        return Trial(self.config, run, rate, frames, real, self.device)

    def full_finetuning(self, rate: float) -> Path:
        """Weights of the fully fine-tuned network, which the comparison ``finetuned`` needs."""
        out = self.out / "full"
        weights = out / "weights.safetensors"
        if not weights.is_file():
            run = PlannedRun(FULL, 1, self.config.verdict.fusion, _FULL_SEED, FULL)
            config = training_config(self._trial(run, rate, {}, False))
            with one_thread():
                train(config, out, self.device, False, float("inf"))
        return weights

    def measured_cka(self, full_rate: float) -> dict[str, CkaReport]:
        """Report of each comparison that some arm follows."""
        reports = {}
        for name in needed_comparisons(self.config):
            path = self.out / "cka" / name / "cka.json"
            if not path.is_file():
                full = str(self.full_finetuning(full_rate)) if name == "finetuned" else None
                with one_thread():
                    report = compare(self._cka_config(name, full), find_device(self.device))
                write_png(path.with_suffix(".png"), layer_plot(report))
                write_cka_report(path, report)
            reports[name] = read_cka_report(path)
        return reports

    def _cka_config(self, comparison: str, finetuned: str | None) -> CkaConfig:
        settings, config = self.config.cka, self.config
        robot = PictureSettings(SimulatedPictures(settings.seed, settings.sensor))
        unpaired = PictureSettings(source_stream=SourceStreamPictures())
        return CkaConfig(
            comparison=comparison,
            model=config.base,
            backbone=config.train.network.backbone,
            finetuned_model=finetuned,
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
        done = {path: read_result(path) for path in trials if path.is_file()}
        for path, kept in done.items():
            _check_kept(path, kept, trials[path])
        left = [(path, trial) for path, trial in trials.items() if path not in done]
        results = (
            map_here(_run, left, self._processes)
            if self._cluster is None or not left
            else map_on_cluster(_run, left, self._cluster, single_threaded=True)
        )
        with closing(results):
            for path, result in track(results, len(left), what):
                if isinstance(result, RunResult):
                    write_result(path, result)
                    done[path] = result
                else:
                    logger.error("%s diverged and is missing: %s", path.stem, result)
        return [done[path] for path in trials if path in done]


def best_rate(scores: Mapping[float, float | None]) -> float:
    """The learning rate with the highest score."""
    known = {rate: -np.inf if score is None else score for rate, score in scores.items()}
    return max(known, key=lambda rate: known[rate])


def _run(job: tuple[Path, Trial]) -> tuple[Path, RunResult | str]:
    path, trial = job
    try:
        return path, run_trial(trial)
    except DivergedError as error:
        return path, str(error)


def _check_kept(path: Path, result: RunResult, trial: Trial) -> None:
    """Refuses a result of an earlier plan, which stale CKA or rates would leave."""
    run = trial.run
    # A method that chooses its ranks is planned with none.
    kept = (result.key, result.ranks if run.ranks else (), result.learning_rate, result.steps)
    planned = (run.key, run.ranks, trial.learning_rate, trial.config.train.steps)
    if kept != planned:
        raise ConfigError(f"{path} is the result of another plan: {kept}, now {planned}; remove it")


def _report(
    here: _Experiment,
    results: list[RunResult],
    runs: list[PlannedRun],
    reports: dict[str, CkaReport],
    about: dict[str, Any],
) -> dict[str, Any]:
    verdict = judge(results, here.config.verdict)
    about = {
        **about,
        "config": json.loads((here.out / "config.json").read_text()),
        "cka": {name: asdict(report)["rows"] for name, report in reports.items()},
        "planned": [run.key for run in runs],
        "same_ranks": {run.key: one.key for run, one in first_of_same(runs).items() if run != one},
        "torch": str(torch.__version__),
        "device": here.device,
    }
    return write_report(here.out, results, verdict, _mechanism(here, results, reports), about)


def _mechanism(
    here: _Experiment, results: list[RunResult], reports: dict[str, CkaReport]
) -> Mechanism | None:
    if "paired" not in reports:
        return None
    config, norms = here.config, None
    weights = here.out / "full" / "weights.safetensors"
    if "finetuned" in reports:
        states = []
        for name in (config.base, str(weights)):
            network = build_network(config.train.network)
            load_weights(network, name)
            states.append(network.state_dict())
        norms = update_norms(*states)
    paired = 1 - reports["paired"].values(config.cka.rows)
    return check_mechanism(paired, norms, _single_block_gains(config, results, len(paired)))


def _single_block_gains(
    config: AblationConfig, results: list[RunResult], blocks: int
) -> NDArray[np.float64] | None:
    """Points over no adapter at all, of each block adapted alone, on the same seeds.

    None unless every block has runs, at the budget of the primary comparison.
    """
    settings = config.verdict
    scores: dict[str, dict[int, float]] = {}
    for result in results:
        if (result.fusion, result.mean_rank) == (settings.fusion, settings.mean_rank):
            mean = float(np.mean(result.scores[settings.dataset].values[settings.metric]))
            scores.setdefault(result.arm, {})[result.seed] = mean
    without = scores.get(NONE, {})
    gains = []
    for number in range(blocks):
        alone = scores.get(f"{BLOCK_PREFIX}{number}", {})
        pairs = [alone[seed] - without[seed] for seed in alone if seed in without]
        if not pairs:
            return None
        gains.append(np.mean(pairs))
    return np.array(gains)
