"""Memory that a pipeline needs, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from repsam_ros.backends import BackendConfig
from repsam_ros.evaluation.latency.networks import open_any
from repsam_ros.perception.pipeline import Pipeline, PipelineSettings
from repsam_ros.structures import RgbdFrame

_STATUS = Path("/proc/self/status")


def measure_memory(
    config: BackendConfig, settings: PipelineSettings, frames: Sequence[RgbdFrame]
) -> dict[str, float] | None:
    """Growth of resident memory in MB: ``loaded``, and ``peak`` while frames are worked on.

    None where the system does not say (other than Linux).
    """
    if not _STATUS.is_file():
        return None
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_measure, config, settings, frames).result()


def _measure(
    config: BackendConfig, settings: PipelineSettings, frames: Sequence[RgbdFrame]
) -> dict[str, float]:
    before = _resident_mb("VmRSS")
    pipeline = Pipeline(open_any(config), settings)
    loaded = _resident_mb("VmRSS")
    for frame in frames:
        pipeline.perceive(frame)
    peak = _resident_mb("VmHWM")
    return {"loaded": round(loaded - before, 1), "peak": round(peak - before, 1)}


def _resident_mb(which: str) -> float:
    found = re.search(rf"^{which}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1e3
