"""Trials from their configuration to tables and report; they go on where they stopped.

A folder holds ``scenes/`` (one JSON a scene, with the rows of all variants), and in the end
``attempts.csv``, ``times.csv``, ``config.yaml`` and the report.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from repsam_ros import __version__
from repsam_ros.adaptation.kept_runs import check_plan, finish_runs, kept_results
from repsam_ros.config import build_config, to_plain, write_yaml
from repsam_ros.grasping.planners import weights_sha256
from repsam_ros.network.weights import find_model
from repsam_ros.simulation.workers import map_here, one_thread
from repsam_ros.trials.chains import Chain, OfflineChain
from repsam_ros.trials.configuration import CLUTTER, SINGLE_SHOT, TrialsConfig
from repsam_ros.trials.object_set import check_objects
from repsam_ros.trials.protocol import Trials, clear_table, single_shot
from repsam_ros.trials.rows import AttemptRow, AttemptTimes, write_rows

logger = logging.getLogger(__name__)

PROTOCOLS: dict[str, Callable[[TrialsConfig, str, int, Mapping[str, Chain]], Trials]] = {
    SINGLE_SHOT: single_shot,
    CLUTTER: clear_table,
}
SCENES = "scenes"
# Of the configuration, what does not change any row.
_FREE = ("scenes", "bootstrap", "examples")


@dataclass(frozen=True)
class Job:
    """What a process needs to know to make the rows of one scene."""

    config: TrialsConfig
    models: dict[str, str]
    stratum: str
    seed: int
    device: str

    @property
    def plan(self) -> dict[str, Any]:
        """What the rows follow from."""
        config = {key: value for key, value in to_plain(self.config).items() if key not in _FREE}
        where = {"stratum": self.stratum, "seed": self.seed}
        return {**where, "config": config, "models": self.models, "version": __version__}


@dataclass(frozen=True)
class SceneResult:
    """What is kept of one scene."""

    plan: dict[str, Any]
    trials: Trials


def run_trials(
    config: TrialsConfig, out: Path, *, device: str = "cpu", processes: int = 1
) -> list[AttemptRow]:
    """Does what is left of the trials and writes their tables.

    Same configuration and weights, same ``attempts.csv``, however often it was killed and in how
    many processes it runs.

    Raises:
        ConfigError: The set of objects is not the one that the configuration names, or ``out``
            holds results of another configuration.
        BackendError, CheckpointError, DatasetError: As models, planners and scenes.
    """
    check_objects(config.objects_sha256)
    jobs = _jobs(config, out, device)
    start_s = time.monotonic()
    done = finish_runs(
        jobs,
        run_job,
        partial(map_here, processes=processes),
        kind=SceneResult,
        check=check_plan,
        what="trials",
    )
    logger.info("trials: %.0f s", time.monotonic() - start_s)
    return _write_tables(config, out, jobs, done)


def collect_trials(config: TrialsConfig, out: Path) -> list[AttemptRow]:
    """Writes the tables of the scenes that are there, without any further trial.

    Raises:
        ConfigError: ``out`` holds results of another configuration.
    """
    jobs = _jobs(config, out, "cpu")
    return _write_tables(config, out, jobs, kept_results(jobs, SceneResult, check_plan))


def _jobs(config: TrialsConfig, out: Path, device: str) -> dict[Path, Job]:
    """By the file of the scene; scene by scene, so that a part of the trials has all strata."""
    models = {v.name: find_model(v.model).sha256 for v in config.variants if v.has_network}
    for v in config.variants:
        if digest := weights_sha256(v.planner, v.planner_settings):
            models[f"planner of {v.name}"] = digest
    return {
        out / SCENES / f"{name}-{seed}.json": Job(config, models, name, seed, device)
        for place in range(config.scenes)
        for name in config.strata
        for seed in (config.seeds(name)[place],)
    }


def _write_tables(
    config: TrialsConfig, out: Path, jobs: Mapping[Path, Job], done: Mapping[Path, SceneResult]
) -> list[AttemptRow]:
    trials = [result.trials for result in done.values()]
    rows = [row for each in trials for row in each.rows]
    models = next(iter(jobs.values())).models
    about = {**to_plain(config), "models_sha256": models, "version": __version__}
    write_yaml(out / "config.yaml", about)
    write_rows(out / "times.csv", [row for each in trials for row in each.times], AttemptTimes)
    write_rows(out / "attempts.csv", rows, AttemptRow)
    return rows


def run_job(job: Job) -> SceneResult:
    """The rows of one scene."""
    with one_thread():
        chains = open_chains(json.dumps(to_plain(job.config), sort_keys=True), job.device)
        trials = PROTOCOLS[job.config.protocol](job.config, job.stratum, job.seed, chains)
    return SceneResult(job.plan, trials)


@lru_cache(maxsize=1)
def open_chains(plain_config: str, device: str) -> dict[str, Chain]:
    """The chains of a configuration, given as JSON; networks stay loaded for the next scene."""
    config = build_config(TrialsConfig, json.loads(plain_config), "trials")
    return {v.name: OfflineChain(v, config, device) for v in config.variants}
