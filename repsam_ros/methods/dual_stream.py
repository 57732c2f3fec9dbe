"""Dual-stream adapters: before each block, one bottleneck reads the RGB tokens and one the depth.

A plain form of the parallel RGB and depth adapters that RGB-D work puts into frozen transformers,
not a copy of one publication. The joint projection starts at zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from repsam_ros.errors import ConfigError
from repsam_ros.methods import Method, Training
from repsam_ros.network.build import RepSam
from repsam_ros.network.fusion import Pyramid


@dataclass(frozen=True)
class Config:
    """Size of the adapters.

    Attributes:
        width: Of each of a block's two bottlenecks.
        parts: Keys of ``methods.PARTS`` that are trained along; the depth tokens come from
            ``fusion``.
    """

    width: int = 8
    parts: tuple[str, ...] = ("fusion", "prompt_head")


class StreamAdapter(nn.Module):
    """tokens + joint(GELU(color(tokens)), GELU(depth(depth tokens)))."""

    def __init__(self, dim: int, depth_dim: int, width: int) -> None:
        super().__init__()
        self.color = nn.Linear(dim, width)
        self.depth = nn.Linear(depth_dim, width)
        self.joint = nn.Linear(2 * width, dim)
        nn.init.zeros_(self.joint.weight)
        nn.init.zeros_(self.joint.bias)

    def forward(self, tokens: Tensor, depth: Tensor) -> Tensor:
        """Both (B, h, w, *)."""
        streams = torch.cat([self.color(tokens), self.depth(depth)], -1)
        addition: Tensor = self.joint(nn.functional.gelu(streams))
        return tokens + addition


class DualStreams(nn.Module):
    """The adapters of all blocks."""

    def __init__(self, dim: int, depth_dim: int, blocks: int, width: int) -> None:
        super().__init__()
        self.adapters = nn.ModuleList(StreamAdapter(dim, depth_dim, width) for _ in range(blocks))
        self._depth: Tensor | None = None

    def attach(self, network: RepSam) -> None:
        """Listens to the fusion's depth tokens and replaces the input of the blocks."""
        network.fusion.register_forward_hook(self._observe)
        for index, block in enumerate(network.image_encoder.blocks):
            block.register_forward_pre_hook(partial(self._adapt, index))

    def _observe(
        self, module: nn.Module, inputs: Any, outputs: tuple[Pyramid, Tensor, Tensor]
    ) -> None:
        self._depth = outputs[1]

    def _adapt(self, index: int, module: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        adapted: Tensor = self.adapters[index](inputs[0], self._depth)
        return adapted

    def __getstate__(self) -> dict[str, Any]:
        # Tokens of the last image are part of a gradient's graph, which cannot be copied.
        return {**self.__dict__, "_depth": None}


class DualStream(Method):
    """Own modules; what they add depends on the image and so cannot become weights."""

    config: Config
    mergeable = False

    def _add(self, network: RepSam, training: Training) -> list[nn.Parameter]:
        spec = network.spec
        streams = DualStreams(spec.embed_dim, spec.depth_dim, spec.depth, self.config.width)
        streams.to(next(network.parameters()).device)
        network.add_module("dual_stream", streams)
        streams.attach(network)
        return list(streams.parameters())


def build(config: Config) -> Method:
    if config.width < 1:
        raise ConfigError(f"dual_stream: width must be at least 1, got {config.width}")
    return DualStream("dual_stream", config, config.parts)
