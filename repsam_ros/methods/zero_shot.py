"""The base as it is: nothing is trained."""

from __future__ import annotations

from dataclasses import dataclass

from repsam_ros.methods import Method


@dataclass(frozen=True)
class Config:
    """Nothing to choose."""


def build(config: Config) -> Method:
    return Method("zero_shot", config, ())
