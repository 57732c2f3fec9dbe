"""What a training keeps: the state to resume from, and where its result comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from repsam_ros.adaptation.cka.report import read_cka_report
from repsam_ros.adaptation.training_config import TrainConfig
from repsam_ros.config import build_config, differences, to_plain
from repsam_ros.errors import CheckpointError, ConfigError, shortened
from repsam_ros.methods import Method, resolved_config
from repsam_ros.network.adapter_files import AdapterRecord
from repsam_ros.network.weights import ModelFile
from repsam_ros.paths import file_sha256


def read_state(path: Path, config: TrainConfig) -> dict[str, Any]:
    """A checkpoint of the same configuration, on the CPU.

    Raises:
        CheckpointError: There is none, it is broken, or it belongs to another configuration.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        # Keys that the configuration has got since then had their defaults.
        before = json.loads(state["config"])
        state["method"], state["tuned"]
    except Exception as error:  # torch.load raises whatever its readers raise
        raise CheckpointError(f"{path}: cannot resume: {error}") from error
    stored = to_plain(build_config(TrainConfig, before, str(path)))
    if changed := list(differences(stored, to_plain(config))):
        raise CheckpointError(
            f"{path} was written with another configuration: {shortened(changed)}"
        )
    return state


def adapter_record(config: TrainConfig, method: Method, base: ModelFile | None) -> AdapterRecord:
    """What the file of an adapter says about it.

    Raises:
        ConfigError: There is no base, or the CKA report is not the one that the ranks follow.
        DatasetError: It cannot be read.
    """
    if base is None:
        raise ConfigError(f"method {config.method} adapts a base: say which with start_from")
    resolved = resolved_config(method)
    followed = resolved.get("cka_sha256")
    report: dict[str, Any] | None = None if followed is None else {"sha256": followed}
    if config.cka_report is not None:
        path = Path(config.cka_report)
        read_cka_report(path)
        report = {"sha256": file_sha256(path), **json.loads(path.read_text())}
        if followed not in (None, report["sha256"]):
            raise ConfigError(f"{path} is not the report that the ranks follow")
    return AdapterRecord(
        method=config.method,
        config=resolved,
        network=to_plain(config.network),
        base=base.name if config.start_from == base.name else str(config.start_from),
        base_sha256=base.sha256,
        seed=config.seed,
        cka=report,
    )
