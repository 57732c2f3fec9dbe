"""Only the mask decoder is trained, and what else ``parts`` names."""

from __future__ import annotations

from dataclasses import dataclass

from repsam_ros.methods import Method


@dataclass(frozen=True)
class Config:
    """Keys of ``methods.PARTS`` that are trained."""

    parts: tuple[str, ...] = ("mask_decoder", "mask_detail")


def build(config: Config) -> Method:
    return Method("decoder_only", config, config.parts)
