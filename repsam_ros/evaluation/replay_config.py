"""What ``repsam replay`` can be told."""

from __future__ import annotations

from dataclasses import dataclass

from repsam_ros.evaluation.configuration import PipelineConfig
from repsam_ros.evaluation.replay import ReplaySettings


@dataclass(frozen=True, kw_only=True)
class ReplayConfig(ReplaySettings, PipelineConfig):
    """A pipeline runs on the frames of ``bag``."""

    bag: str
