"""A structured-light depth sensor that fails the way real ones do.

Noise after Nguyen, Izadi and Lovell, "Modeling Kinect sensor noise for improved 3D
reconstruction and tracking" (3DIMPVT 2012); disparity steps of 1/8 px; no measurement in the
projector's shadow, at grazing angles, on part of the depth edges and on much of the glass.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class SensorSettings:
    """Ranges from which each picture's sensor is drawn.

    Attributes:
        axial_scale: Factor on the axial noise.
        lateral_px: Sigma of the lateral jitter at edges, pixels at 640 x 480.
        grazing_deg: Surfaces steeper than this against the ray start to drop out.
        edge_dropout: Share of pixels lost beside depth edges.
        crop_share: Share of pictures whose depth is cut to the table.
        blackout_share: Share of pictures without any depth.
        speckle_holes: Mean number of random holes.
    """

    axial_scale: tuple[float, float] = (0.3, 1.6)
    lateral_px: tuple[float, float] = (0.4, 1.6)
    grazing_deg: tuple[float, float] = (76.0, 88.0)
    edge_dropout: tuple[float, float] = (0.0, 0.7)
    crop_share: float = 0.5
    blackout_share: float = 0.0
    speckle_holes: float = 3.0


@dataclass(frozen=True)
class SensedScene:
    """What the sensor looks at; all (B, H, W).

    Attributes:
        depth_m: True depth of what is seen, 0 = nothing.
        through_m: True depth behind glass, equal to ``depth_m`` elsewhere.
        incidence_rad: Angle between ray and surface normal.
        shadowed: Not reached by the projector.
        glass: Transparent.
        dropout: In [0, 1], how much the material swallows the pattern.
        on_table: Table or object, not the room.
    """

    depth_m: Tensor
    through_m: Tensor
    incidence_rad: Tensor
    shadowed: Tensor
    glass: Tensor
    dropout: Tensor
    on_table: Tensor


def _smooth_noise(shape: tuple[int, int, int], cell_px: int, draw: torch.Generator) -> Tensor:
    """(B, H, W) unit-variance noise with a correlation length of ``cell_px``."""
    batch, height, width = shape
    coarse = torch.randn(
        (batch, 1, height // cell_px + 2, width // cell_px + 2),
        generator=draw,
        device=draw.device,
    )
    noise = F.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)[:, 0]
    return noise / noise.std(dim=(1, 2), keepdim=True).clamp(min=1e-6)


def _uniform(bounds: tuple[float, float], batch: int, draw: torch.Generator) -> Tensor:
    low, high = bounds
    value = torch.rand((batch, 1, 1), generator=draw, device=draw.device)
    return low + (high - low) * value


def sense(scene: SensedScene, settings: SensorSettings, draw: torch.Generator) -> Tensor:
    """(B, H, W) float32 sensed depth in metres, 0 = no measurement."""
    batch, height, width = scene.depth_m.shape
    shape = (batch, height, width)
    device = scene.depth_m.device
    scale = width / 640

    def rand() -> Tensor:
        return torch.rand(shape, generator=draw, device=device)

    # Glass: correlated patches that are missing, see through (distorted) or, rarely, right.
    patches = 0.5 + 0.5 * torch.erf(_smooth_noise(shape, max(2, int(12 * scale)), draw) * 0.7)
    bend = 1 + 0.02 * _smooth_noise(shape, max(2, int(20 * scale)), draw)
    through = scene.through_m * bend
    depth = torch.where(scene.glass & (patches < 0.85), through, scene.depth_m)
    missing = scene.glass & (patches < 0.35)

    # Ragged edges: pixels read their depth a little beside where they look.
    lateral = _uniform(settings.lateral_px, batch, draw) * scale
    y, x = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    jitter = [
        lateral
        * (
            0.6 * torch.randn(shape, generator=draw, device=device)
            + _smooth_noise(shape, max(2, int(4 * scale)), draw)
        )
        for _ in range(2)
    ]
    from_x = (x + jitter[0]).round().long().clamp(0, width - 1)
    from_y = (y + jitter[1]).round().long().clamp(0, height - 1)
    source = (from_y * width + from_x).reshape(batch, -1)

    def resample(values: Tensor) -> Tensor:
        return values.reshape(batch, -1).gather(1, source).reshape(shape)

    depth, missing = resample(depth), resample(missing)
    missing = missing | resample(scene.shadowed)

    # Axial noise: a smooth part, as matching windows overlap, and a white part.
    theta = scene.incidence_rad.clamp(max=1.5)
    steep = theta**2 / (depth.clamp(min=0.2).sqrt() * (torch.pi / 2 - theta))
    sigma = 0.0012 + 0.0019 * (depth - 0.4) ** 2 + torch.where(theta > 1.05, 1e-4 * steep, 0.0)
    sigma = sigma * _uniform(settings.axial_scale, batch, draw)
    white = torch.randn(shape, generator=draw, device=device)
    smooth = _smooth_noise(shape, max(2, int(5 * scale)), draw)
    noisy = depth + sigma * (0.5 * white + 0.8 * smooth)
    # Disparity of a 7.5 cm baseline and a 580 px focal length comes in eighths of a pixel.
    steps = 8 * 43.5 / noisy.clamp(min=0.05)
    stepped = 8 * 43.5 / steps.round().clamp(min=1)
    quantised = torch.rand((batch, 1, 1), generator=draw, device=device) < 0.7
    noisy = torch.where(quantised, stepped, noisy)

    limit = torch.deg2rad(_uniform(settings.grazing_deg, batch, draw))
    missing = missing | ((scene.incidence_rad > limit) & (rand() < 0.8))
    near = (
        F.max_pool2d(noisy[:, None], 3, 1, 1)[:, 0] + F.max_pool2d(-noisy[:, None], 3, 1, 1)[:, 0]
    )
    edge = near > 0.02
    clumps = 0.5 + 0.5 * torch.erf(_smooth_noise(shape, max(2, int(4 * scale)), draw) * 0.7)
    missing = missing | (edge & (clumps < _uniform(settings.edge_dropout, batch, draw)))
    blobs = 0.5 + 0.5 * torch.erf(_smooth_noise(shape, max(2, int(10 * scale)), draw) * 0.7)
    missing = missing | (blobs < scene.dropout)
    missing = missing | _holes(shape, settings.speckle_holes, draw, scale)
    cropped = torch.rand((batch, 1, 1), generator=draw, device=device) < settings.crop_share
    missing = missing | (cropped & ~resample(scene.on_table))
    blind = torch.rand((batch, 1, 1), generator=draw, device=device) < settings.blackout_share
    reach = _uniform((1.8, 6.0), batch, draw)
    missing = missing | blind | (noisy > reach) | (depth <= 0)
    return torch.where(missing, torch.zeros_like(noisy), noisy)


def _holes(
    shape: tuple[int, int, int], mean_count: float, draw: torch.Generator, scale: float
) -> Tensor:
    """(B, H, W) bool: a few elliptic holes anywhere."""
    batch, height, width = shape
    device = draw.device
    count = max(1, int(2 * mean_count))
    values = torch.rand((batch, count, 5), generator=draw, device=device)
    y = torch.arange(height, device=device)[None, None, :, None]
    x = torch.arange(width, device=device)[None, None, None, :]
    centre_x, centre_y = (
        values[:, :, i, None, None] * size for i, size in ((0, width), (1, height))
    )
    radius_x, radius_y = (1 + 7 * values[:, :, i, None, None] ** 2 * scale * 2 for i in (2, 3))
    present = values[:, :, 4, None, None] < 0.5
    inside = ((x - centre_x) / radius_x) ** 2 + ((y - centre_y) / radius_y) ** 2 < 1
    return (inside & present).any(dim=1)
