"""Every parameter that has a say is trained, or those of some parts of the network only."""

from __future__ import annotations

from dataclasses import dataclass

from repsam_ros.methods import PARTS, Method


@dataclass(frozen=True)
class Config:
    """Keys of ``methods.PARTS`` that are trained."""

    parts: tuple[str, ...] = tuple(PARTS)


def build(config: Config) -> Method:
    return Method("full_finetuning", config, config.parts)
