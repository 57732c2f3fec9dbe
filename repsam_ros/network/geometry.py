"""Dense geometry from a depth map, inside the network so that every backend computes the same.

All of it runs in float32: inverse depth in bf16 loses millimetres.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

FEATURE_COUNT = 8


class Geometry(NamedTuple):
    """Geometry of B depth maps.

    Attributes:
        features: (B, FEATURE_COUNT, H, W), input of the depth stem.
        points_m: (B, 3, H / 2, W / 2), camera optical frame, 0 where unknown.
        normals: (B, 3, H / 2, W / 2), unit, towards the camera, 0 where unknown.
        valid: (B, 1, H / 2, W / 2), 1 where depth is measured, float.
        around: (B, 7, H / 2, W / 2), point, normal and validity, on holes those of their
            surroundings: where a prompt takes them from.
    """

    features: Tensor
    points_m: Tensor
    normals: Tensor
    valid: Tensor
    around: Tensor


class PromptGeometry(Protocol):
    """What prompts are related to; attributes as those of :class:`Geometry`."""

    @property
    def points_m(self) -> Tensor: ...
    @property
    def normals(self) -> Tensor: ...
    @property
    def valid(self) -> Tensor: ...
    @property
    def around(self) -> Tensor: ...


def _neighbours(values: Tensor, size: int, dim: int) -> list[Tensor]:
    """(B, C, H, W) as seen from each pixel at the ``size`` places along a dimension around it."""
    padded = F.pad(values, (0, 0, size // 2, size // 2) if dim == 2 else (size // 2, size // 2))
    return [padded.narrow(dim, k, values.shape[dim]) for k in range(size)]


def _box(values: Tensor, size: int) -> Tensor:
    """Mean over size x size windows, zero-padded; as sums, which CPUs do faster than pooling."""
    for dim in (2, 3):
        first, *others = _neighbours(values, size, dim)
        values = sum(others, first) * (1 / size)
    return values


def _spread(values: Tensor, valid: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Share of valid pixels in size x size windows, and their mean and variance.

    Sums of squares are merged along each dimension (Chan, Golub and LeVeque 1983). The mean of
    squares less the squared mean would be rounding on a flat surface, and other rounding on every
    backend.

    Args:
        values: (B, 1, H, W), 0 where they are not valid.
    """
    count, total, mean, squares = valid, values, values, torch.zeros_like(values)
    for dim in (2, 3):
        counts, totals, means, parts = (
            _neighbours(x, size, dim) for x in (count, total, mean, squares)
        )
        count, total = sum(counts[1:], counts[0]), sum(totals[1:], totals[0])
        mean = total * (1 / count.clamp(min=1))
        for n, m in zip(counts, means, strict=True):
            parts.append(n * (m - mean) * (m - mean))
        squares = sum(parts[1:], parts[0])
    return count * (1 / (size * size)), mean, squares * (1 / count.clamp(min=1))


def _unit(vectors: Tensor) -> Tensor:
    """(B, 3, h, w) scaled to length 1; zeros stay zeros."""
    return vectors * (vectors * vectors).sum(1, keepdim=True).clamp(min=1e-16).rsqrt()


def _slope(mean: Tensor, known: Tensor, dim: int) -> Tensor:
    """Change of ``mean`` per pixel along a dimension, from the side where it changes less.

    One-sided differences smear less over depth edges than central ones.
    """
    step = 2
    size = mean.shape[dim]
    ahead = mean.narrow(dim, step, size - step) - mean.narrow(dim, 0, size - step)
    usable = known.narrow(dim, step, size - step) * known.narrow(dim, 0, size - step)
    ahead = torch.where(usable > 0, ahead, torch.full_like(ahead, 1e3))
    border = torch.full_like(mean.narrow(dim, 0, step), 1e3)
    forward = torch.cat([ahead, border], dim)
    backward = torch.cat([border, ahead], dim)
    slope = torch.where(forward.abs() < backward.abs(), forward, backward)
    return torch.where(slope > 1e2, torch.zeros_like(slope), slope) / step


def _normals(mean: Tensor, known: Tensor, rays: Tensor, intrinsics: Tensor) -> Tensor:
    """Unit normals from inverse depth: on a plane, 1/z is linear in the pixel coordinates."""
    a = _slope(mean, known, 3) * intrinsics[:, 0, None, None, None]
    b = _slope(mean, known, 2) * intrinsics[:, 1, None, None, None]
    c = mean - a * rays[:, :1] - b * rays[:, 1:2]
    return -_unit(torch.cat([a, b, c], 1)) * known


def dense_geometry(depth_m: Tensor, intrinsics: Tensor) -> Geometry:
    """Geometry of a canvas.

    Args:
        depth_m: (B, H, W) metres, 0 = invalid; H and W even.
        intrinsics: (B, 4) fx fy cx cy of the canvas, pixels.
    """
    with torch.autocast(depth_m.device.type, enabled=False):
        return _dense_geometry(depth_m.float(), intrinsics.float())


def _dense_geometry(depth_m: Tensor, intrinsics: Tensor) -> Geometry:
    valid = (depth_m > 0).to(depth_m.dtype)[:, None]
    inverse = valid / depth_m[:, None].clamp(min=1e-2)
    rays = _rays(intrinsics, inverse.shape[-2], inverse.shape[-1])
    share5, local, variance = _spread(inverse, valid, 5)
    share9, near = _box(torch.cat([valid, inverse], 1), 9).split(1, 1)
    near = near / share9.clamp(min=1e-4)
    far = _wide_mean(inverse, valid)
    normals = _normals(local, (share5 > 0.2).to(inverse.dtype), rays, intrinsics) * valid
    total = valid.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    mean = inverse.sum(dim=(2, 3), keepdim=True) / total
    # Differences of inverse depth times depth are relative depth steps, free of the scale.
    scale = valid / near.clamp(min=1e-2)
    features = torch.cat(
        [
            2 * (inverse / mean.clamp(min=1e-2) - 1) * valid,
            normals,
            2 * valid - 1,
            torch.log1p(1e2 * variance.sqrt() * scale),
            torch.tanh((inverse - near) * scale * 60),
            torch.tanh((inverse - far) * scale * 12),
        ],
        1,
    )
    share = F.avg_pool2d(valid, 2)
    half_valid = (share > 0.4).to(depth_m.dtype)
    half_inverse = F.avg_pool2d(inverse, 2) / share.clamp(min=1e-4)
    half_rays = _rays(_scaled_intrinsics(intrinsics, 0.5), *half_inverse.shape[-2:])
    points = half_rays / half_inverse.clamp(min=1e-2) * half_valid
    half_normals = _unit(F.avg_pool2d(normals, 2)) * half_valid
    around = _around(points, half_normals, half_valid)
    return Geometry(features, points, half_normals, half_valid, around)


def _around(points_m: Tensor, normals: Tensor, valid: Tensor) -> Tensor:
    share = _box(valid, 5)
    hole = 1 - valid
    filled = points_m + hole * _box(points_m, 5) / share.clamp(min=1e-4)
    filled_normals = normals + hole * _box(normals, 5) / share.clamp(min=1e-4)
    known = (share > 0.01).to(share.dtype)
    return torch.cat([filled, _unit(filled_normals), known], 1)


def _wide_mean(inverse: Tensor, valid: Tensor) -> Tensor:
    """Mean of the valid values in windows of about 44 pixels, taken at a quarter of the size."""
    share, total = _box(F.avg_pool2d(torch.cat([valid, inverse], 1), 4), 11).split(1, 1)
    coarse = total / share.clamp(min=1e-4)
    return F.interpolate(coarse, size=inverse.shape[-2:], mode="bilinear", align_corners=False)


def _scaled_intrinsics(intrinsics: Tensor, scale: float) -> Tensor:
    focal, centre = intrinsics[:, :2] * scale, (intrinsics[:, 2:] + 0.5) * scale - 0.5
    return torch.cat([focal, centre], 1)


def _rays(intrinsics: Tensor, height: int, width: int) -> Tensor:
    """(B, 3, height, width) rays with z = 1."""
    fx, fy, cx, cy = (intrinsics[:, i, None, None] for i in range(4))
    x = torch.arange(width, device=intrinsics.device, dtype=intrinsics.dtype)[None, None]
    y = torch.arange(height, device=intrinsics.device, dtype=intrinsics.dtype)[None, :, None]
    ray_x = ((x - cx) / fx).expand(-1, height, -1)
    ray_y = ((y - cy) / fy).expand(-1, -1, width)
    return torch.stack([ray_x, ray_y, torch.ones_like(ray_x)], 1)


RELATION_COUNT = 11
# The first ones are the position in the image; all others come from depth and are 0 without it.
POSITION_COUNT = 2


def of_prompts(values: Tensor, image_index: Tensor | None) -> Tensor:
    """Values (B, ...) of images as those of N prompts, (N, ...).

    Without ``image_index`` all prompts lie in one image and (1, ...) stays to be broadcast.
    """
    return values if image_index is None else values.index_select(0, image_index)


def prompt_relations(
    geometry: PromptGeometry, image_index: Tensor | None, points_px: Tensor
) -> Tensor:
    """How each pixel lies to each prompt: (N, RELATION_COUNT, H / 2, W / 2).

    Relative position in the image, closeness in space at three scales, distance to the prompt's
    tangent plane at two scales, depth step, agreement of normals, validity of both.

    Args:
        geometry: Of B images.
        image_index: (N,) int64, the image of each prompt; None = B is 1.
        points_px: (N, 2) x, y on the canvas.
    """
    with torch.autocast(points_px.device.type, enabled=False):
        return _prompt_relations(geometry, image_index, points_px.float())


def _prompt_relations(
    geometry: PromptGeometry, image_index: Tensor | None, points_px: Tensor
) -> Tensor:
    height, width = geometry.valid.shape[-2:]
    column = (points_px[:, 0] / 2).clamp(0, width - 1).long()
    row = (points_px[:, 1] / 2).clamp(0, height - 1).long()
    cell = row * width + column
    if image_index is not None:
        cell = cell + image_index * (height * width)
    packed = geometry.around.permute(0, 2, 3, 1).flatten(0, 2)
    at_prompt = packed.index_select(0, cell)[:, :, None, None]
    origin, normal, prompt_known = at_prompt[:, :3], at_prompt[:, 3:6], at_prompt[:, 6:7]
    offset = of_prompts(geometry.points_m, image_index) - origin
    normals = of_prompts(geometry.normals, image_index)
    valid = of_prompts(geometry.valid, image_index)
    both = valid * prompt_known
    squared = (offset * offset).sum(1, keepdim=True)
    plane = (offset * normal).sum(1, keepdim=True)
    x = torch.arange(width, device=points_px.device, dtype=points_px.dtype)[None, None, None]
    y = torch.arange(height, device=points_px.device, dtype=points_px.dtype)[None, None, :, None]
    relative_x = (2 * x + 0.5 - points_px[:, 0, None, None, None]) / 80
    relative_y = (2 * y + 0.5 - points_px[:, 1, None, None, None]) / 80
    near = [torch.exp(-squared / (2 * scale * scale)) * both for scale in (0.02, 0.06, 0.15)]
    return torch.cat(
        [
            torch.tanh(relative_x).expand(-1, -1, height, -1),
            torch.tanh(relative_y).expand(-1, -1, -1, width),
            *near,
            torch.tanh(plane / 0.01) * both,
            torch.tanh(plane / 0.05) * both,
            torch.tanh(offset[:, 2:] / 0.05) * both,
            (normals * normal).sum(1, keepdim=True) * both,
            valid.expand(points_px.shape[0], -1, -1, -1),
            prompt_known.expand(-1, -1, height, width),
        ],
        1,
    )
