"""Everything that ``repsam bench`` measures, in one run."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from repsam_ros import __version__
from repsam_ros.backends import backend_names
from repsam_ros.config import to_plain
from repsam_ros.datasets import Sample, open_dataset
from repsam_ros.errors import ConfigError, RepsamError
from repsam_ros.evaluation.latency.clouds import time_clouds
from repsam_ros.evaluation.latency.config import SIMULATED, BenchConfig
from repsam_ros.evaluation.latency.fixed_rate import run_at_rate
from repsam_ros.evaluation.latency.machine import describe_machine
from repsam_ros.evaluation.latency.memory import measure_memory
from repsam_ros.evaluation.latency.networks import network_of, open_any
from repsam_ros.evaluation.latency.quality import compare_masks
from repsam_ros.evaluation.latency.rounds import (
    Subject,
    Times,
    run_rounds,
    speed_up,
    summaries_ms,
)
from repsam_ros.evaluation.latency.stages import FRAME, SEGMENTATION, TimedPipeline, outside_network
from repsam_ros.paths import write_text
from repsam_ros.structures import RgbdFrame

if TYPE_CHECKING:
    from repsam_ros.evaluation.latency.segment_anything import StockEncoder, StockGenerator

_log = logging.getLogger(__name__)

_Stock: TypeAlias = "tuple[StockEncoder, StockGenerator | None]"

FORMAT = 1
RESULT = "bench.json"
REFERENCE = "torch"
# Names of what is not ours.
STOCK_ENCODER = "segment_anything_encoder"
GENERATOR = "automatic_mask_generator"
_MEMORY_FRAMES = 10


def run_bench(config: BenchConfig, out: Path) -> dict[str, Any]:
    """Measures and writes ``bench.json``; returns what it holds.

    Raises:
        BackendError: A backend that was named cannot be opened, or none can.
        CheckpointError, ConfigError, DatasetError: Model or frames are not there.
    """
    machine, samples = describe_machine(), load_samples(config)
    frames = [sample.frame for sample in samples]
    skipped: dict[str, str] = {}
    pipelines = _open(config, skipped)
    try:
        stock = _stock(config, skipped)
        times = _measure(config, pipelines, stock, frames)
        backends = {
            name: _describe(config, name, pipeline, times, frames)
            for name, pipeline in pipelines.items()
        }
        ways = {name: pipeline.segment for name, pipeline in pipelines.items()}
        generator = stock[1] if stock is not None else None
        masks = compare_masks(samples[: config.generator_frames or None], ways, generator)
    finally:
        for pipeline in pipelines.values():
            pipeline.close()
    height, width = frames[0].depth_m.shape
    result = {
        "format": FORMAT,
        "repsam_ros": __version__,
        "command": to_plain(config),
        "machine": machine,
        "frames": {"width": width, "height": height, "different": len(frames)},
        "backends": backends,
        "others_ms": {
            name: summaries_ms(times[name]) for name in (STOCK_ENCODER, GENERATOR) if name in times
        },
        "masks": masks,
        "clouds": time_clouds(config.pipeline.cloud, config.frames, config.warm_up),
        "skipped": skipped,
    }
    write_text(out / RESULT, json.dumps(result, indent=1) + "\n")
    return result


def _describe(
    config: BenchConfig,
    name: str,
    pipeline: TimedPipeline,
    times: Mapping[str, Times],
    frames: list[RgbdFrame],
) -> dict[str, Any]:
    shares = np.percentile([outside_network(each) for each in times[name]], (50, 95))
    return {
        "info": asdict(pipeline.info),
        "times_ms": summaries_ms(times[name]),
        "share_outside_network": dict(zip(("median", "p95"), shares.round(4), strict=True)),
        "speed_up": _speed_ups(name, times),
        "memory_mb": measure_memory(config.backend(name), config.pipeline, frames[:_MEMORY_FRAMES]),
        "fixed_rate": [
            run_at_rate(pipeline.perceive, frames, rate_hz, config.rate_seconds)
            for rate_hz in config.rates_hz
        ],
    }


def load_samples(config: BenchConfig) -> list[Sample]:
    """The different frames, with their truth.

    Raises:
        DatasetError: The folder is missing, empty or broken.
    """
    if config.input == SIMULATED:
        from repsam_ros.simulation.frames import render_frames

        count = min(config.scenes, config.frames)
        return list(render_frames(config.seed, count, *config.size_px()))
    dataset = open_dataset("mosd", Path(config.input))
    count = min(config.scenes, config.frames, len(dataset))
    return [dataset[index * len(dataset) // count] for index in range(count)]


def _open(config: BenchConfig, skipped: dict[str, str]) -> dict[str, TimedPipeline]:
    names = config.backends or tuple(name for name in backend_names() if name != "auto")
    pipelines: dict[str, TimedPipeline] = {}
    problems: dict[str, RepsamError] = {}
    for name in names:
        try:
            backend = open_any(config.backend(name))
        except RepsamError as error:
            if config.backends:
                raise
            _log.info("%s is left out: %s", name, error)
            problems[name] = error
        else:
            pipelines[name] = TimedPipeline(backend, config.pipeline)
    if not pipelines:
        raise next(iter(problems.values()))
    skipped.update({name: str(error) for name, error in problems.items()})
    return pipelines


def _measure(
    config: BenchConfig,
    pipelines: Mapping[str, TimedPipeline],
    stock: _Stock | None,
    frames: list[RgbdFrame],
) -> dict[str, Times]:
    subjects = [
        Subject(name, pipeline.perceive, config.frames) for name, pipeline in pipelines.items()
    ]
    if stock is not None:
        encoder, generator = stock
        subjects.append(Subject(STOCK_ENCODER, encoder.run, config.frames))
        if generator is not None:
            subjects.append(Subject(GENERATOR, generator.run, config.generator_frames))
    return run_rounds(subjects, frames, config.warm_up, "frames")


def _stock(config: BenchConfig, skipped: dict[str, str]) -> _Stock | None:
    """Segment Anything with the same weights, as far as there is such a thing."""
    try:
        network, _ = network_of(config.model)
        from repsam_ros.evaluation.latency.segment_anything import StockEncoder, StockGenerator

        encoder = StockEncoder(network, config.device)
        return encoder, StockGenerator(network, config.device) if config.generator_frames else None
    except (ImportError, ConfigError) as error:
        _log.info("segment-anything is left out: %s", error)
        skipped["segment_anything"] = str(error)
        return None


def _speed_ups(name: str, times: Mapping[str, Times]) -> dict[str, Any]:
    """How many times as fast as the others."""
    pairs = {
        "frame_to_reference": (FRAME, REFERENCE, FRAME),
        "encoder_to_reference": ("encoder", REFERENCE, "encoder"),
        "encoder_to_segment_anything": ("encoder", STOCK_ENCODER, "encoder"),
        "frame_to_mask_generator": (FRAME, GENERATOR, FRAME),
        "segmentation_to_mask_generator": (SEGMENTATION, GENERATOR, FRAME),
    }
    return {
        what: speed_up(times[name], part, times[other], other_part)
        for what, (part, other, other_part) in pairs.items()
        if other in times
    }
