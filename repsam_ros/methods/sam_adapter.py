"""SAM-Adapter: prompts from high frequencies and the patch embedding, added before each block.

Chen et al., "SAM Fails to Segment Anything? SAM-Adapter", 2023. Here the shared last projection
starts at zero, so that the network starts as its base; in the paper it starts at random.
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
from repsam_ros.network.sam import PATCH_PX


@dataclass(frozen=True)
class Config:
    """Size of the prompt generator.

    Attributes:
        reduction: Width of the encoder over that of the prompts' layers.
        low_frequencies: Share of the spectrum that is removed around zero.
        parts: Keys of ``methods.PARTS`` that are trained along.
    """

    reduction: int = 8
    low_frequencies: float = 0.25
    parts: tuple[str, ...] = ("fusion", "prompt_head")


class PromptGenerator(nn.Module):
    """One small layer a block between two that all blocks share."""

    def __init__(self, dim: int, blocks: int, config: Config) -> None:
        super().__init__()
        width = dim // config.reduction
        self._low_frequencies = config.low_frequencies
        self.embedding = nn.Linear(dim, width)
        self.high_frequencies = nn.Conv2d(3, width, PATCH_PX, PATCH_PX)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.GELU()) for _ in range(blocks)
        )
        self.up = nn.Linear(width, dim)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)
        self._features: Tensor | None = None

    def attach(self, encoder: Any) -> None:
        """Listens to the encoder's patch embedding and adds to the input of its blocks."""
        encoder.patch_embed.register_forward_hook(self._observe)
        for index, block in enumerate(encoder.blocks):
            block.register_forward_pre_hook(partial(self._add_prompt, index))

    def _observe(self, module: nn.Module, inputs: tuple[Tensor], tokens: Tensor) -> None:
        edges = high_frequencies(inputs[0], self._low_frequencies)
        self._features = self.embedding(tokens) + self.high_frequencies(edges).permute(0, 2, 3, 1)

    def _add_prompt(self, index: int, module: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        prompt: Tensor = self.up(self.layers[index](self._features))
        return inputs[0] + prompt

    def __getstate__(self) -> dict[str, Any]:
        # Features of the last image are part of a gradient's graph, which cannot be copied.
        return {**self.__dict__, "_features": None}


def high_frequencies(pixels: Tensor, low_share: float) -> Tensor:
    """Magnitude of (B, 3, H, W) pixels without the ``low_share`` of their spectrum around 0."""
    height, width = pixels.shape[-2:]
    half = int((height * width * low_share) ** 0.5 / 2)
    spectrum = torch.fft.fftshift(torch.fft.fft2(pixels.float()), dim=(-2, -1))
    y, x = height // 2, width // 2
    kept = torch.ones((height, width), device=pixels.device)
    kept[max(0, y - half) : y + half, max(0, x - half) : x + half] = 0
    inverse = torch.fft.ifft2(torch.fft.ifftshift(spectrum * kept, dim=(-2, -1)))
    magnitude: Tensor = inverse.real.abs()
    return magnitude


class SamAdapter(Method):
    """Own modules; prompts depend on the image and so cannot become weights."""

    config: Config
    mergeable = False

    def _add(self, network: RepSam, training: Training) -> list[nn.Parameter]:
        spec = network.spec
        generator = PromptGenerator(spec.embed_dim, spec.depth, self.config)
        generator.to(next(network.parameters()).device)
        network.add_module("sam_adapter", generator)
        generator.attach(network.image_encoder)
        return list(generator.parameters())


def build(config: Config) -> Method:
    if config.reduction < 1 or not 0 < config.low_frequencies < 1:
        raise ConfigError("sam_adapter: reduction must be 1 or more, low_frequencies in (0, 1)")
    return SamAdapter("sam_adapter", config, config.parts)
