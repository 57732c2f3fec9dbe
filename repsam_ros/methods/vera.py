"""VeRA: trained vectors around random matrices that all layers share (Kopiczko et al., 2024)."""

from __future__ import annotations

from dataclasses import dataclass

from repsam_ros.methods import Method
from repsam_ros.methods._adapted import Adapted, AdapterSettings


@dataclass(frozen=True)
class Config(AdapterSettings):
    """See ``AdapterSettings``; ``alpha_per_rank`` has no effect.

    A rank costs one parameter a layer, so ranks are far above those of LoRA.
    """

    rank: int = 256


def build(config: Config) -> Method:
    return Adapted("vera", config, "vera")
