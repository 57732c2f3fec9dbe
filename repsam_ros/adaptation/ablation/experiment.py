"""The experiment from its configuration to its report; every stage goes on where it stopped.

A folder holds ``config.json``, the pool of training pictures, ``frames/`` (simulated validation
and test frames), ``tuning/`` and ``runs/`` (one JSON a run), ``full/`` (full fine-tuning),
``cka/``, and in the end the report.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from repsam_ros.adaptation.ablation.config import NONE, AblationConfig
from repsam_ros.adaptation.ablation.mechanism import Mechanism, check_mechanism, update_norms
from repsam_ros.adaptation.ablation.plan import PlannedRun, first_of_same, plan_runs
from repsam_ros.adaptation.ablation.report import write_report
from repsam_ros.adaptation.ablation.results import BLOCK_PREFIX, RunResult
from repsam_ros.adaptation.ablation.stages import Stages
from repsam_ros.adaptation.ablation.trial import FULL
from repsam_ros.adaptation.ablation.verdict import judge
from repsam_ros.adaptation.cka.report import CkaReport
from repsam_ros.adaptation.learning_rates import best_rate
from repsam_ros.backends.torch import find_device
from repsam_ros.config import differences, to_plain
from repsam_ros.errors import ConfigError
from repsam_ros.network.build import build_network
from repsam_ros.network.weights import find_model, load_weights
from repsam_ros.paths import write_text


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
    kept = _keep_config(config, base.sha256, out)
    here = Stages(_with_folders(config, out), out, device, processes, cluster)
    here.make_pictures()
    tuned = here.tune()
    rates = {name: best_rate(scores) for name, scores in tuned.items()}
    reports = here.measured_cka(rates[FULL])
    values = {name: report.values(config.cka.rows) for name, report in reports.items()}
    runs = plan_runs(here.config, here.costs, values)
    results = here.finish(runs, rates)
    about = {
        "learning_rates": rates,
        "tuning": tuned,
        "base_sha256": base.sha256,
        "config": kept,
    }
    return _report(here, results, runs, reports, about)


def _keep_config(config: AblationConfig, base_sha256: str, out: Path) -> dict[str, Any]:
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
    write_text(path, json.dumps(content, indent=1) + "\n")
    return content


def _with_folders(config: AblationConfig, out: Path) -> AblationConfig:
    """The configuration with a pool that has a folder, and folders that other processes find."""
    data, real = config.train.data, config.real
    assert data.pool is not None
    folder = out / "pool" if data.pool.folder is None else Path(data.pool.folder).resolve()
    data = replace(data, pool=replace(data.pool, folder=str(folder)))
    if real is not None:
        real = replace(real, root=str(Path(real.root).resolve()))
    return replace(config, train=replace(config.train, data=data), real=real)


def _report(
    here: Stages,
    results: list[RunResult],
    runs: list[PlannedRun],
    reports: dict[str, CkaReport],
    about: dict[str, Any],
) -> dict[str, Any]:
    verdict = judge(results, here.config.verdict)
    about = {
        **about,
        "cka": {name: asdict(report)["rows"] for name, report in reports.items()},
        "planned": [run.key for run in runs],
        "same_ranks": {run.key: one.key for run, one in first_of_same(runs).items() if run != one},
        "torch": str(torch.__version__),
        "device": here.device,
    }
    return write_report(here.out, results, verdict, _mechanism(here, results, reports), about)


def _mechanism(
    here: Stages, results: list[RunResult], reports: dict[str, CkaReport]
) -> Mechanism | None:
    if "paired" not in reports:
        return None
    config, norms = here.config, None
    if "finetuned" in reports:
        states = []
        for name in (config.base, str(here.full_weights)):
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
