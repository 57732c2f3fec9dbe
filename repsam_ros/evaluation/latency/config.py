"""What ``repsam bench`` can be told."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from repsam_ros import backends
from repsam_ros.backends import PRECISIONS, BackendConfig
from repsam_ros.errors import ConfigError
from repsam_ros.perception.pipeline import PipelineSettings
from repsam_ros.plugins import check_plugin

SIMULATED = "simulated"
_COMPILED = "compile"
_SIZE = re.compile(r"([1-9][0-9]*)x([1-9][0-9]*)")


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """A run of the benchmark.

    Attributes:
        model: Name in ``models/manifest.yaml``, path of weights, or a folder of graphs.
        backends: ``NAME``, ``NAME:PRECISION`` or ``torch:compile``; empty = all that open here, in
            float32.
        device: ``cpu``, ``cuda`` ...
        threads: CPU threads, 0 = the library's choice.
        frames: Measured frames a backend.
        warm_up: Frames before, which do not count.
        input: ``simulated``, or a folder with ``rgb/``, ``depth/`` and ``label/``.
        size: Of simulated frames, ``WIDTHxHEIGHT``.
        scenes: Different frames at most; they are taken in turn.
        seed: Of simulated frames.
        generator_frames: Frames for segment-anything's automatic mask generator, which is slow; 0
            leaves it out.
        rates_hz: Of the camera in the runs at a fixed rate.
        rate_seconds: Length of each of these.
        pipeline: How masks and clouds are made.
    """

    model: str = "repsam_tiny"
    backends: tuple[str, ...] = ()
    device: str = "cpu"
    threads: int = 0
    frames: int = 50
    warm_up: int = 5
    input: str = SIMULATED
    size: str = "640x480"
    scenes: int = 8
    seed: int = 0
    generator_frames: int = 5
    rates_hz: tuple[float, ...] = (10.0, 30.0)
    rate_seconds: float = 10.0
    pipeline: PipelineSettings = field(default_factory=PipelineSettings)

    def __post_init__(self) -> None:
        if min(self.frames, self.scenes) < 1 or min(self.warm_up, self.generator_frames) < 0:
            raise ConfigError("frames and scenes must be at least 1, the other counts 0")
        if len(set(self.backends)) < len(self.backends):
            raise ConfigError(f"backends: a name stands twice in {', '.join(self.backends)}")
        if min(self.rates_hz, default=1.0) <= 0 or self.rate_seconds <= 0:
            raise ConfigError("rates_hz and rate_seconds must be positive")
        for name in self.backends:
            self.backend(name)
        self.size_px()

    def backend(self, name: str) -> BackendConfig:
        """What ``NAME[:VARIANT]`` opens."""
        module, _, variant = name.partition(":")
        check_plugin(backends.__name__, "backend", module)
        config = BackendConfig(module, self.model, self.device, threads=self.threads)
        if variant == _COMPILED and module == "torch":
            return replace(config, compile=True)
        if variant and variant not in PRECISIONS:
            raise ConfigError(
                f"backend {name}: {variant} is no precision ({', '.join(PRECISIONS)})"
            )
        return replace(config, precision=variant or "fp32")

    def size_px(self) -> tuple[int, int]:
        """(width, height)."""
        match = _SIZE.fullmatch(self.size)
        if match is None:
            raise ConfigError(f"size: expected WIDTHxHEIGHT, got {self.size!r}")
        return int(match[1]), int(match[2])
