"""What the commands that run the pipeline offline can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from repsam_ros.errors import ConfigError
from repsam_ros.evaluation.modality import RGBD, check_modality
from repsam_ros.metrics.statistics import BootstrapSettings
from repsam_ros.perception.pipeline import Pipeline, PipelineSettings, open_pipeline


@dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """Which pipeline runs.

    Attributes:
        model: Name in ``models/manifest.yaml`` or path of the weights.
        backend: Name of the backend that runs the network.
        device: ``cpu``, ``cuda`` ...
        precision: ``fp32``, ``bf16`` or ``fp16``, as far as the backend has it.
        threads: CPU threads, 0 = the library's choice.
        compile: PyTorch compiles the network first, which takes minutes.
        pipeline: How masks and clouds are made.
    """

    model: str = "repsam_tiny"
    backend: str = "torch"
    device: str = "cpu"
    precision: str = "fp32"
    threads: int = 0
    compile: bool = False
    pipeline: PipelineSettings = field(default_factory=PipelineSettings)

    def open(self) -> Pipeline:
        """The pipeline, loaded and warm."""
        return open_pipeline(
            self.model,
            self.backend,
            self.device,
            self.pipeline,
            precision=self.precision,
            threads=self.threads,
            compiled=self.compile,
        )


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig(PipelineConfig):
    """A pipeline is scored on the data set of format ``dataset`` under ``root``.

    Attributes:
        split: One of the format's splits; None = all frames.
        options: Of the format, such as the camera of graspnet.
        see: What the pipeline gets of a frame: ``rgbd``, ``rgb`` or ``depth``.
    """

    dataset: str
    root: str
    split: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    see: str = RGBD
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)

    def __post_init__(self) -> None:
        check_modality(self.see)


@dataclass(frozen=True, kw_only=True)
class LabelMapConfig:
    """The label maps in the folder ``labels`` are scored.

    Attributes:
        split: One of the format's splits; None = all frames.
        options: Of the format, such as the camera of graspnet.
    """

    dataset: str
    root: str
    labels: str
    split: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)


@dataclass(frozen=True, kw_only=True)
class SegmentConfig(PipelineConfig):
    """A pipeline runs on files.

    Attributes:
        color: File or folder.
        depth: File or folder.
        intrinsics: JSON or YAML file.
        depth_scale_m: Metres a step of 16-bit depth; None = what the intrinsics file says.
    """

    color: str
    depth: str
    intrinsics: str
    depth_scale_m: float | None = None

    def __post_init__(self) -> None:
        if self.depth_scale_m is not None and not 0 < self.depth_scale_m < 1:
            raise ConfigError(f"depth_scale_m must be between 0 and 1, got {self.depth_scale_m}")
