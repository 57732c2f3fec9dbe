"""DoRA: LoRA whose columns' lengths are trained apart (Liu et al., ICML 2024)."""

from __future__ import annotations

from dataclasses import dataclass

from repsam_ros.methods import Method
from repsam_ros.methods._adapted import Adapted, AdapterSettings


@dataclass(frozen=True)
class Config(AdapterSettings):
    """See ``AdapterSettings``."""


def build(config: Config) -> Method:
    return Adapted("dora", config, "dora")
