"""Depth fusion: a convolutional stem and zero-initialised gated additions to the RGB tokens.

With all weights at their initial zeros the network does not see depth at all; validity of depth is
a feature, since holes are a cue for glass.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STEM_WIDTHS = (16, 48, 96)


class Pyramid(NamedTuple):
    """Features at strides 2, 4 and 8, with ``STEM_WIDTHS`` channels."""

    stride2: Tensor
    stride4: Tensor
    stride8: Tensor


def conv_block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """3 x 3 convolution, batch norm, ReLU; the norm folds into the convolution on export."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Stem(nn.Module):
    """Strides 2, 4 and 8 of one modality."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        two, four, eight = STEM_WIDTHS
        self.stride2 = conv_block(inputs, two, 2)
        self.stride4 = conv_block(two, four, 2)
        self.stride8 = conv_block(four, eight, 2)

    def forward(self, x: Tensor) -> Pyramid:
        """(B, inputs, H, W) to features at strides 2, 4 and 8."""
        two = self.stride2(x)
        four = self.stride4(two)
        return Pyramid(two, four, self.stride8(four))


class GatedAddition(nn.Module):
    """tokens + sigmoid(gate(tokens, depth, validity)) * project(depth), project starts at zero."""

    def __init__(self, dim: int, depth_dim: int) -> None:
        super().__init__()
        self.project = nn.Linear(depth_dim, dim)
        self.gate = nn.Linear(dim + depth_dim + 1, 1)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, tokens: Tensor, depth: Tensor, validity: Tensor) -> Tensor:
        """All (B, h, w, *); validity has one channel."""
        gate = torch.sigmoid(self.gate(torch.cat([tokens, depth, validity], -1)))
        # That is gate * project(depth), from a product that needs the gate: TensorRT would compute
        # those of all additions early, in one, and keep them until the last block.
        addition: Tensor = self.project(gate * depth) + (gate - 1) * self.project.bias
        return tokens + addition


class DepthFusion(nn.Module):
    """Depth tokens, and their additions before some of the encoder's blocks.

    Args:
        dims: Width of the encoder's tokens at each addition.
    """

    def __init__(self, inputs: int, dims: Iterable[int], depth_dim: int) -> None:
        super().__init__()
        self.stem = Stem(inputs)
        self.gains = nn.ParameterList(
            nn.Parameter(torch.zeros(width, 1, 1)) for width in STEM_WIDTHS
        )
        self.tokens = conv_block(STEM_WIDTHS[2], depth_dim, 2)
        self.additions = nn.ModuleList(GatedAddition(dim, depth_dim) for dim in dims)

    def forward(self, features: Tensor, valid: Tensor) -> tuple[Pyramid, Tensor, Tensor]:
        """Depth features (B, F, H, W) and validity (B, 1, H/2, W/2) to pyramid and tokens."""
        stem = self.stem(features)
        pyramid = Pyramid(*(gain * level for gain, level in zip(self.gains, stem, strict=True)))
        tokens = self.tokens(stem.stride8).permute(0, 2, 3, 1)
        validity = F.avg_pool2d(valid, 8).permute(0, 2, 3, 1)
        return pyramid, tokens, validity
