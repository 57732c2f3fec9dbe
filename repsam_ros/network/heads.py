"""Learned prompts and the high-resolution part of the mask decoder."""

from __future__ import annotations

import math

import torch
from segment_anything.modeling.common import LayerNorm2d
from segment_anything.modeling.mask_decoder import MLP
from torch import Tensor, nn
from torch.nn import functional as F

from repsam_ros.network.columns import (
    DoubledIntoPairs,
    IntoPairs,
    OfPairs,
    columns_in_place,
    doubled,
    pair_columns,
    sum_of_pairs,
)
from repsam_ros.network.fusion import STEM_WIDTHS, Pyramid, conv_block
from repsam_ros.network.geometry import POSITION_COUNT, RELATION_COUNT


class PromptHead(nn.Module):
    """Where the objects are: centre heatmap and foreground at stride 4."""

    def __init__(self, embedding_dim: int, width: int = 48) -> None:
        super().__init__()
        _, four, eight = STEM_WIDTHS
        self.embedding = nn.Conv2d(embedding_dim, width, 1)
        self.stride8 = nn.Conv2d(eight, width, 1)
        self.mix8 = conv_block(width, width, 1)
        self.stride4 = nn.Conv2d(four, width, 1)
        self.mix4 = conv_block(width, width, 1)
        self.output = nn.Conv2d(width, 2, 1)
        assert self.output.bias is not None
        # Centres are rare: start at a probability of 1 in 100 so that training does not blow up.
        nn.init.constant_(self.output.bias, -math.log(99))

    def forward(self, embedding: Tensor, pyramid: Pyramid) -> tuple[Tensor, Tensor]:
        """Logits (B, H/4, W/4) of the centre heatmap and of the foreground."""
        x = _double(self.embedding(embedding)) + self.stride8(pyramid.stride8)
        x = _double(self.mix8(x)) + self.stride4(pyramid.stride4)
        heatmap, foreground = self.output(self.mix4(x)).unbind(1)
        return heatmap, foreground


class GeometricPrompt(nn.Module):
    """Relations of every pixel to a point prompt, added to SAM's dense prompt embedding."""

    def __init__(self, embedding_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _blind_to_depth(nn.Conv2d(RELATION_COUNT, 32, 2, 2)),
            LayerNorm2d(32),
            nn.GELU(),
            nn.Conv2d(32, 64, 2, 2),
            LayerNorm2d(64),
            nn.GELU(),
            _zero_conv(64, embedding_dim),
        )

    def forward(self, relations: Tensor) -> Tensor:
        """(N, RELATION_COUNT, H/4, W/4) to (N, C, H/16, W/16)."""
        embedding: Tensor = self.layers(relations)
        return embedding


class MaskDetail(nn.Module):
    """High-resolution features that SAM's upscaling alone cannot have.

    Adds image features at strides 8 and 4 and the prompt's geometric relations to SAM's
    upscaled embedding, and one more level at stride 2 to its mask. Every addition starts at
    zero, so that the mask is SAM's at first.
    """

    def __init__(self, embedding_dim: int) -> None:
        super().__init__()
        two, four, eight = STEM_WIDTHS
        low, high, fine = embedding_dim // 4, embedding_dim // 8, 8
        self.skip8 = _zero_conv(eight, low)
        self.skip4 = _zero_conv(four, high)
        self.relations4 = nn.Sequential(
            _blind_to_depth(nn.Conv2d(RELATION_COUNT, high, 3, 1, 1)),
            nn.ReLU(),
            _zero_conv(high, high),
        )
        self.up2 = DoubledIntoPairs(high, fine, 1)
        self.skip2 = nn.Conv2d(two, fine, 1)
        self.relations2 = _blind_to_depth(IntoPairs(RELATION_COUNT, fine, 3, 1, 1))
        self.mix2 = OfPairs(fine, fine, 3, 1, 1)
        self.hyper = MLP(embedding_dim, embedding_dim, fine, 3)
        nn.init.zeros_(self.hyper.layers[-1].weight)
        nn.init.zeros_(self.hyper.layers[-1].bias)

    def skips(self, pyramid: Pyramid) -> tuple[Tensor, Tensor, Tensor]:
        """What an image adds to every mask at strides 2, in pairs of columns, 4 and 8."""
        two, four, eight = pyramid
        return pair_columns(self.skip2(two)), self.skip4(four), self.skip8(eight)

    def fine_mask(
        self, mask: Tensor, token: Tensor, upscaled: Tensor, stride2: Tensor, relations: Tensor
    ) -> Tensor:
        """Mask logits at stride 2.

        Args:
            mask: (N, H/4, W/4) SAM's mask logits.
            token: (N, C) mask token.
            upscaled: (N, C/8, H/4, W/4) upscaled embedding.
            stride2: (N, 16, H/2, W/4), ``skip2`` of the pyramid in pairs of columns.
            relations: (N, RELATION_COUNT, H/2, W/2).
        """
        x = F.relu(self.up2(upscaled) + stride2 + self.relations2(relations))
        weights = self.hyper(token)
        detail = sum_of_pairs(weights, x) + sum_of_pairs(weights, F.relu(self.mix2(x)))
        return doubled(mask) + columns_in_place(detail)


def _blind_to_depth(layer: nn.Conv2d) -> nn.Conv2d:
    """Reads relations; what comes from depth says nothing until it has been trained with depth."""
    with torch.no_grad():
        layer.weight[:, POSITION_COUNT:] = 0
    return layer


def _zero_conv(inputs: int, outputs: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, 1)
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
