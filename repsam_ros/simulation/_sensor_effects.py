"""Single effects of a depth sensor on batches of depth pictures, 0 = no measurement.

Every random number comes from the generator that is handed in, in an order that does not depend
on what the pictures show. Lengths in pixels are those of a picture 640 pixels wide.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

# Of the colour camera, as a share of its width; it only converts baselines into pixels.
_FOCAL = 525 / 640
_EDGE_M = 0.02
_FAR_M = 100.0
_VERTICAL_SPREAD = 0.25


def between(bounds: tuple[float, float], like: Tensor, draw: torch.Generator) -> Tensor:
    """(B, 1, 1), one draw per picture."""
    low, high = bounds
    return low + (high - low) * torch.rand((len(like), 1, 1), generator=draw, device=draw.device)


def smooth_noise(like: Tensor, length_px: float, draw: torch.Generator) -> Tensor:
    """(B, H, W) noise with that correlation length, of mean 0 and variance 1 at every pixel."""
    batch, height, width = like.shape
    cell = max(2.0, length_px * width / 640)
    rows, columns = math.ceil(height / cell) + 1, math.ceil(width / cell) + 1
    noise = torch.randn((batch, rows, columns), generator=draw, device=draw.device)
    return _weights(height, rows, cell, noise) @ noise @ _weights(width, columns, cell, noise).T


def _weights(size: int, count: int, cell: float, like: Tensor) -> Tensor:
    """(size, count) weights of linear interpolation whose squares sum to one in every row."""
    at = (torch.arange(size, device=like.device) + 0.5)[:, None] / cell
    nodes = torch.arange(count, device=like.device)[None]
    return F.normalize((1 - (at - nodes).abs()).clamp(min=0), dim=1)


def uniform_noise(like: Tensor, length_px: float, draw: torch.Generator) -> Tensor:
    """(B, H, W) noise with that correlation length, uniform in (0, 1) at every pixel."""
    return to_uniform(smooth_noise(like, length_px, draw))


def to_uniform(normal: Tensor) -> Tensor:
    """Its quantiles in the normal distribution."""
    return 0.5 + 0.5 * torch.erf(normal / math.sqrt(2))


def hidden_from(depth_m: Tensor, right_m: Tensor, left_m: Tensor) -> Tensor:
    """What a viewpoint ``right_m`` to the right or ``left_m`` to the left does not see.

    A viewpoint further right sees every pixel further left, the more so the nearer it is; hidden
    is what a pixel from further right overtakes.

    Args:
        depth_m: (B, H, W), 0 = infinitely far.
        right_m: (B, 1, 1), not negative.
        left_m: (B, 1, 1), not negative.
    """
    width = depth_m.shape[2]
    inverse = torch.where(depth_m > 0, 1 / depth_m.clamp(min=1e-3), 0.0) * (_FOCAL * width)
    column = torch.arange(width, device=depth_m.device, dtype=depth_m.dtype)
    from_right, from_left = column - right_m * inverse, column + left_m * inverse
    nearest_right, nearest_left = from_right.clone(), from_left.clone()
    step = 1
    while step < width:  # doubling: ten of these passes cost less than one torch.cummin
        nearest_right[..., :-step] = torch.minimum(
            nearest_right[..., :-step], nearest_right[..., step:]
        )
        nearest_left[..., step:] = torch.maximum(
            nearest_left[..., step:], nearest_left[..., :-step]
        )
        step *= 2
    return (from_right > nearest_right) | (from_left < nearest_left)


def _far_pool(depth_m: Tensor, reach: int, axis: int) -> Tensor:
    """The farthest within ``reach`` pixels of the picture along ``axis``."""
    return _pool(depth_m, reach, axis, torch.maximum)


def _near_pool(depth_m: Tensor, reach: int, axis: int) -> Tensor:
    return _pool(depth_m, reach, axis, torch.minimum)


def _pool(depth_m: Tensor, reach: int, axis: int, better: Callable[..., Tensor]) -> Tensor:
    # Shifted maxima take a tenth of the time of max_pool2d on the CPU.
    result = depth_m.clone()
    size = depth_m.shape[axis]
    for step in range(1, reach + 1):
        for start, other in ((0, step), (step, 0)):
            part = result.narrow(axis, start, size - step)
            better(part, depth_m.narrow(axis, other, size - step), out=part)
    return result


def without_thin(depth_m: Tensor, merged: Tensor) -> Tensor:
    """Without things narrower than 5 px: the background instead where ``merged``, else nothing."""
    reach = max(1, round(2 * depth_m.shape[2] / 640))
    filled = torch.where(depth_m > 0, depth_m, _FAR_M)
    opened = filled
    for axis in (1, 2):
        closed = _near_pool(_far_pool(filled, reach, axis), reach, axis)
        opened = torch.maximum(opened, closed)
    thin = (opened - filled > _EDGE_M) & (opened < _FAR_M)
    instead = torch.where(merged, opened, torch.zeros_like(opened))
    return torch.where(thin, instead, depth_m)


def spread_near(depth_m: Tensor, reach_px: Tensor, most_px: float) -> Tensor:
    """Near depth spreads over far and missing depth by ``reach_px`` at each pixel.

    Where the reach is negative, far depth eats into near depth by one pixel of the picture.
    """
    scale = depth_m.shape[2] / 640
    filled = torch.where(depth_m > 0, depth_m, _FAR_M)
    result = torch.where(reach_px * scale < -0.5, _far_pool(depth_m, 1, 2), depth_m)
    result = torch.where(result > 0, result, _FAR_M)
    nearest = filled
    for step in range(_steps(most_px * scale)):
        nearest = _near_pool(nearest, 1, 2)
        result = torch.where(reach_px * scale > step + 0.5, nearest, result)
    nearest = result
    for step in range(_steps(most_px * scale * _VERTICAL_SPREAD)):
        nearest = _near_pool(nearest, 1, 1)
        result = torch.where(reach_px * (scale * _VERTICAL_SPREAD) > step + 0.5, nearest, result)
    return torch.where(result < _FAR_M, result, torch.zeros_like(result))


def _steps(most: float) -> int:
    return max(0, math.ceil(most - 0.5))


def mixed(depth_m: Tensor, share: Tensor) -> Tensor:
    """Each measurement, by ``share`` the mean of its neighbourhood of 5 px."""
    size = 2 * max(1, round(2 * depth_m.shape[2] / 640)) + 1
    both = torch.stack([depth_m, (depth_m > 0).to(depth_m.dtype)], dim=1)
    total, count = F.avg_pool2d(both, size, 1, size // 2).unbind(1)
    mean = total / count.clamp(min=1e-6)
    return torch.where(depth_m > 0, depth_m + share * (mean - depth_m), depth_m)


def edge_sides(depth_m: Tensor) -> tuple[Tensor, Tensor]:
    """(B, H, W) bool: the pixels on the near and on the far side of depth edges.

    Inverse depth is linear over the picture of a plane, however steep, so its second difference
    shows edges alone.
    """
    inverse = torch.where(depth_m > 0, 1 / depth_m.clamp(min=1e-3), 0.0)
    limit = _EDGE_M * inverse**2
    near = torch.zeros_like(depth_m, dtype=torch.bool)
    far = torch.zeros_like(near)
    for axis in (1, 2):
        inner = slice(1, depth_m.shape[axis] - 1)
        at = (slice(None), inner) if axis == 1 else (slice(None), slice(None), inner)
        bend = inverse.diff(n=2, dim=axis)
        near[at] |= bend < -limit[at]
        far[at] |= bend > limit[at]
    return near, far


def without_bands(depth_m: Tensor, reach_px: Tensor, most_px: float) -> Tensor:
    """Without what lies within ``reach_px`` of the near side of an edge and is farther away."""
    scale = depth_m.shape[2] / 640
    near, _ = edge_sides(depth_m)
    nearest = torch.where(near, depth_m, _FAR_M)
    lost = torch.zeros_like(near)
    for step in range(_steps(most_px * scale)):
        nearest = _near_pool(_near_pool(nearest, 1, 1), 1, 2)
        lost |= (reach_px * scale > step + 0.5) & (depth_m - nearest > _EDGE_M)
    return torch.where(lost, torch.zeros_like(depth_m), depth_m)


def ellipses(like: Tensor, mean_count: float, draw: torch.Generator) -> Tensor:
    """(B, H, W) bool: that many ellipses anywhere."""
    batch, height, width = like.shape
    count = max(1, round(2 * mean_count))
    values = torch.rand((batch, count, 5), generator=draw, device=draw.device)
    y = torch.arange(height, device=like.device)[None, None, :, None]
    x = torch.arange(width, device=like.device)[None, None, None, :]
    at_x, at_y, across, along, kept = values[..., None, None].unbind(2)
    radius_x, radius_y = (1 + 14 * part**2 * width / 640 for part in (across, along))
    inside = ((x - at_x * width) / radius_x) ** 2 + ((y - at_y * height) / radius_y) ** 2 < 1
    return (inside & (kept < mean_count / count)).any(dim=1)
