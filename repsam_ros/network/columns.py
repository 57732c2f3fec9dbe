"""Convolutions that compute two columns of a picture at once, and the doubling of maps.

Run-time libraries work on 16 channels at a time. A map of 8 channels fills half of that, and what
is done to its single pixels takes several times as long as it has to. Such maps are kept in pairs
of columns: (N, 2 C, H, W / 2), the channels of even columns before those of odd ones. The weights
are those of plain convolutions, whose results these layers compute, up to rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Shares of a map's cell and of its neighbours in the two cells that it becomes at twice the size.
_SHARES = ((0.25, 0.75, 0.0), (0.0, 0.75, 0.25))


def pair_columns(x: Tensor) -> Tensor:
    """(N, C, H, W) in pairs of columns."""
    pairs: Tensor = x.unflatten(3, (-1, 2)).permute(0, 4, 1, 2, 3).flatten(1, 2)
    return pairs


class IntoPairs(nn.Conv2d):
    """From a plain map to pairs of columns; 3 x 3, stride 1, padding 1."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, I, H, W) to (N, 2 O, H, W / 2)."""
        weight = torch.cat([F.pad(self.weight, (0, 1)), F.pad(self.weight, (1, 0))])
        return F.conv2d(x, weight, _twice(self), (1, 2), 1)


class OfPairs(nn.Conv2d):
    """From pairs of columns to pairs of columns; 3 x 3, stride 1, padding 1."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, 2 I, H, W / 2) to (N, 2 O, H, W / 2)."""
        # Six columns are three pairs; the kernel of an odd column lies one further to the right.
        wide = [F.pad(self.weight, (1 + odd, 2 - odd)).unflatten(3, (3, 2)) for odd in (0, 1)]
        weight = torch.cat(wide).permute(0, 4, 1, 2, 3).flatten(1, 2)
        return F.conv2d(x, weight, _twice(self), 1, 1)


class DoubledIntoPairs(nn.Conv2d):
    """A 1 x 1 convolution of a map at twice its size, scaled bilinearly, in pairs of columns."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, I, H, W) to (N, 2 O, 2 H, W)."""
        shares = self.weight.new_tensor(_SHARES)[:, None, None, None]
        weight = (shares * self.weight).flatten(0, 1)
        wide = F.conv2d(F.pad(x, (1, 1, 0, 0), mode="replicate"), weight, _twice(self))
        return F.interpolate(wide, scale_factor=(2.0, 1.0), mode="bilinear", align_corners=False)


def _twice(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias.repeat(2)


def sum_of_pairs(weights: Tensor, pairs: Tensor) -> Tensor:
    """(N, 2, H, W / 2) sums over the channels of pairs (N, 2 C, H, W / 2) with weights (N, C)."""
    even_odd = pairs.unflatten(1, (2, -1))
    return weighted_sum(weights[:, None].expand(-1, 2, -1), even_odd)


def weighted_sum(weights: Tensor, maps: Tensor) -> Tensor:
    """(..., H, W) sums of maps (..., C, H, W) with weights (..., C)."""
    # A product of matrices: for an einsum OpenVINO writes the weights out for every pixel.
    return (weights[..., None, :] @ maps.flatten(-2)).reshape(maps[..., 0, :, :].shape)


def columns_in_place(pairs: Tensor) -> Tensor:
    """(N, 2, H, W / 2) of one channel as (N, H, W)."""
    return pairs.permute(0, 2, 3, 1).flatten(2)


def halved(x: Tensor) -> Tensor:
    """(N, C, H, W) means of 2 x 2 cells.

    A convolution, since pooling is slow where the number of channels fits no instruction.
    """
    mean = 0.25 * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    return F.conv2d(x, mean[:, :, None, None].expand(-1, -1, 2, 2), stride=2)


def doubled(x: Tensor) -> Tensor:
    """(N, H, W) at twice the size, scaled bilinearly.

    A convolution, since scaling is slow on maps of one channel.
    """
    shares = x.new_tensor(_SHARES)
    weight = (shares[:, None, :, None] * shares[None, :, None, :]).flatten(0, 1)[:, None]
    cells = F.conv2d(F.pad(x[:, None], (1, 1, 1, 1), mode="replicate"), weight)
    large: Tensor = cells.unflatten(1, (2, 2)).permute(0, 3, 1, 4, 2).flatten(3).flatten(1, 2)
    return large
