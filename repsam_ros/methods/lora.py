"""LoRA with one rank in every block (Hu et al., ICLR 2022)."""

from __future__ import annotations

from dataclasses import dataclass

from repsam_ros.methods import Method
from repsam_ros.methods._adapted import Adapted, AdapterSettings


@dataclass(frozen=True)
class Config(AdapterSettings):
    """See ``AdapterSettings``."""


def build(config: Config) -> Method:
    return Adapted("lora", config, "lora")
