"""Every parameter is trained."""

from __future__ import annotations

from dataclasses import dataclass

from repsam_ros.methods import PARTS, Method


@dataclass(frozen=True)
class Config:
    """Nothing to choose."""


def build(config: Config) -> Method:
    return Method("full_finetuning", config, PARTS)
