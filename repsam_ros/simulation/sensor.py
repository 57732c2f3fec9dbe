"""A depth sensor that fails the way structured light and active stereo do.

Axial noise after Nguyen, Izadi and Lovell, "Modeling Kinect sensor noise for improved 3D
reconstruction and tracking" (3DIMPVT 2012). Around it what block matching does at depth edges:
the near side spreads raggedly over the far side and thin things vanish; no depth where projector
or depth camera cannot see what the colour camera sees; disparity steps; and no depth at grazing
angles, on dark things and on much of the glass.

All lengths in pixels are those of a picture 640 pixels wide and shrink with smaller ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from repsam_ros.config import load_config, preset_path
from repsam_ros.errors import ConfigError
from repsam_ros.simulation._sensor_effects import (
    between,
    edge_sides,
    ellipses,
    hidden_from,
    mixed,
    smooth_noise,
    spread_near,
    to_uniform,
    uniform_noise,
    without_bands,
    without_thin,
)

Range = tuple[float, float]

_SHARES = {
    *("axial_smooth", "thin_dropout", "mixing", "quantised_share", "edge_dropout", "outlier_share"),
    *("glass_missing", "glass_surface", "crop_share", "blackout_share"),
}
_GLASS_GAP_M = 0.1
_GLASS_RIM_RAD = math.radians(60)


@dataclass(frozen=True)
class SensorSettings:
    """Ranges from which each picture's sensor is drawn; the default is a mix of many sensors.

    Attributes:
        axial_scale: Factor on the axial noise.
        axial_smooth: Share of the axial noise that is correlated between neighbours.
        lateral_px: Sigma of the lateral jitter at edges.
        fatten_px: How far near depth spreads over the far side of an edge, left and right; a
            quarter of that above and below.
        ragged_px: Sigma of that spread along an edge.
        thin_dropout: Share of the things up to 4 px wide that the matching window misses.
        mixing: How much a pixel averages with its neighbours: flying pixels, rounded creases.
        projector_m: Projector (or second camera) right of the colour camera: shadows on the left.
        depth_camera_m: Depth camera left of the colour camera: shadows on the right.
        shift_px: Sigma of the misalignment of depth against colour, each way.
        shift_scale: Sigma of a wrong scale of depth against colour.
        quantised_share: Share of pictures with disparity steps.
        disparity_steps_m: Depth is this over a whole number: focal length times baseline times
            steps a pixel.
        grazing_deg: Surfaces steeper than this against the ray drop out.
        edge_dropout: Share of pixels lost beside depth edges.
        edge_band_px: Width of the band without depth along the far side of edges, which stereo
            has; none where it is not positive.
        dark_dropout: Factor on what materials swallow.
        speckle_holes: Mean number of random holes.
        outlier_share: Share of pixels in blobs with wrong depth.
        near_m: No measurement nearer than this.
        far_m: No measurement farther than this.
        border_px: Width of the bands without depth on the left, above and below.
        border_right_px: The same on the right.
        glass_missing: Share of the glass without depth where the background is 10 cm behind or
            more.
        glass_surface: Share of the glass with its own depth; the rest shows what is behind it.
        glass_bend: Sigma of the smooth distortion of depth behind glass, as a share of the depth.
        crop_share: Share of pictures whose depth is cut to the table.
        blackout_share: Share of pictures without any depth.
    """

    axial_scale: Range = (0.3, 1.3)
    axial_smooth: Range = (0.5, 0.99)
    lateral_px: Range = (0.1, 0.8)
    fatten_px: Range = (0.3, 2.5)
    ragged_px: Range = (0.3, 1.4)
    thin_dropout: Range = (0.0, 0.7)
    mixing: Range = (0.0, 0.3)
    projector_m: Range = (0.02, 0.065)
    depth_camera_m: Range = (0.0, 0.03)
    shift_px: float = 0.6
    shift_scale: float = 0.001
    quantised_share: float = 0.7
    disparity_steps_m: Range = (300.0, 1000.0)
    grazing_deg: Range = (72.0, 86.0)
    edge_dropout: Range = (0.0, 0.3)
    edge_band_px: Range = (-4.0, 5.0)
    dark_dropout: Range = (0.5, 1.0)
    speckle_holes: float = 3.0
    outlier_share: Range = (0.0, 0.0005)
    near_m: Range = (0.15, 0.45)
    far_m: Range = (1.8, 6.0)
    border_px: Range = (0.0, 8.0)
    border_right_px: Range = (0.0, 66.0)
    glass_missing: Range = (0.15, 0.65)
    glass_surface: Range = (0.0, 0.15)
    glass_bend: Range = (0.005, 0.04)
    crop_share: float = 0.5
    blackout_share: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            low, high = value if isinstance(value, tuple) else (value, value)
            if low > high or (low < 0 and name != "edge_band_px"):
                raise ConfigError(f"sensor: {name}: expected 0 <= low <= high, got {value}")
            if name in _SHARES and high > 1:
                raise ConfigError(f"sensor: {name} is a share, got {value}")


@dataclass(frozen=True)
class SensedScene:
    """What the sensor looks at; all (B, H, W).

    Attributes:
        depth_m: True depth of what is seen, 0 = nothing.
        through_m: True depth behind glass, equal to ``depth_m`` elsewhere.
        incidence_rad: Angle between ray and surface normal.
        glass: Transparent.
        dropout: In [0, 1], how much the material swallows the pattern.
        on_table: Table or object, not the room.
    """

    depth_m: Tensor
    through_m: Tensor
    incidence_rad: Tensor
    glass: Tensor
    dropout: Tensor
    on_table: Tensor


def load_sensor(name_or_path: str | Path) -> SensorSettings:
    """The settings of ``config/sensors/NAME.yaml``, or of a YAML file of yours.

    Raises:
        ConfigError: No such sensor or file, or an unknown or wrong entry in it.
    """
    return load_config(SensorSettings, preset_path("sensor", "sensors", name_or_path))


@torch.no_grad()
def sense(scene: SensedScene, settings: SensorSettings, draw: torch.Generator) -> Tensor:
    """(B, H, W) float32 sensed depth in metres, 0 = no measurement; ``draw`` on the same device."""
    reading = _read_glass(scene, settings, draw)
    reading = _cast_shadows(reading, scene.through_m, settings, draw)
    reading = _match_blocks(reading, settings, draw)
    reading, on_table = _register(reading, scene.on_table, settings, draw)
    valid = reading > 0
    noisy = _add_noise(reading, scene.incidence_rad, settings, draw)
    missing = _lost(noisy, reading, scene, settings, draw)
    cropped = _happens(settings.crop_share, noisy, draw)
    blind = _happens(settings.blackout_share, noisy, draw)
    missing = missing | (cropped & ~on_table) | blind | ~valid
    return torch.where(missing, torch.zeros_like(noisy), noisy)


def _happens(share: float, like: Tensor, draw: torch.Generator) -> Tensor:
    """(B, 1, 1) bool, true for ``share`` of the pictures."""
    return between((0.0, 1.0), like, draw) < share


def _read_glass(scene: SensedScene, settings: SensorSettings, draw: torch.Generator) -> Tensor:
    """Correlated patches of glass are missing, show what is behind, or are right.

    Most is missing at the rims, least where something lies close behind.
    """
    like = scene.depth_m
    patches = 0.8 * smooth_noise(like, 40, draw) + 0.6 * smooth_noise(like, 10, draw)
    patches = to_uniform(patches)
    gap = ((scene.through_m - scene.depth_m) / _GLASS_GAP_M).clamp(0, 1)
    share = between(settings.glass_missing, like, draw) * (0.4 + 0.6 * gap)
    rim = ((scene.incidence_rad - _GLASS_RIM_RAD) / (math.pi / 2 - _GLASS_RIM_RAD)).clamp(0, 0.9)
    missing = patches < share ** (1 - rim)
    surface = patches > 1 - between(settings.glass_surface, like, draw)
    bend = 1 + between(settings.glass_bend, like, draw) * smooth_noise(like, 24, draw)
    read = torch.where(surface, scene.depth_m, scene.through_m * bend)
    read = torch.where(missing, torch.zeros_like(read), read)
    return torch.where(scene.glass, read, scene.depth_m)


def _cast_shadows(
    reading: Tensor, opaque_m: Tensor, settings: SensorSettings, draw: torch.Generator
) -> Tensor:
    right = between(settings.projector_m, reading, draw)
    left = between(settings.depth_camera_m, reading, draw)
    hidden = hidden_from(opaque_m, right, left)
    return torch.where(hidden, torch.zeros_like(reading), reading)


def _match_blocks(reading: Tensor, settings: SensorSettings, draw: torch.Generator) -> Tensor:
    """What a correlation window that sees both sides of an edge makes of it."""
    lost = uniform_noise(reading, 20, draw) < between(settings.thin_dropout, reading, draw)
    merged = _happens(0.5, reading, draw)
    reading = torch.where(lost, without_thin(reading, merged), reading)
    spread = between(settings.fatten_px, reading, draw)
    ragged = between(settings.ragged_px, reading, draw)
    reach_px = spread + ragged * smooth_noise(reading, 7, draw)
    most_px = settings.fatten_px[1] + 2 * settings.ragged_px[1]
    reading = spread_near(reading, reach_px, most_px)
    reading = mixed(reading, between(settings.mixing, reading, draw))
    band_px = between(settings.edge_band_px, reading, draw)
    band_px = band_px * (1 + 0.35 * smooth_noise(reading, 12, draw))
    return without_bands(reading, band_px, 1.7 * settings.edge_band_px[1])


def _register(
    reading: Tensor, on_table: Tensor, settings: SensorSettings, draw: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Depth and table mask, read a little beside where they should be."""
    batch, height, width = reading.shape
    scale = width / 640
    jitter = between(settings.lateral_px, reading, draw) * scale
    zoom = settings.shift_scale * _normal(reading, draw)
    sources = []
    for axis, size in ((1, height), (2, width)):
        sides = [1, 1, 1]
        sides[axis] = size
        at = torch.arange(size, device=reading.device, dtype=torch.float32).view(sides)
        shift = settings.shift_px * scale * _normal(reading, draw) + zoom * (at - size / 2)
        white = torch.randn(reading.shape, generator=draw, device=draw.device)
        moved = at + shift + jitter * (0.4 * white + smooth_noise(reading, 4, draw))
        sources.append(moved.round().clamp(0, size - 1).long())
    source = (sources[0] * width + sources[1]).view(batch, -1)

    def read(values: Tensor) -> Tensor:
        return values.reshape(batch, -1).gather(1, source).view(reading.shape)

    return read(reading), read(on_table)


def _normal(like: Tensor, draw: torch.Generator) -> Tensor:
    return torch.randn((like.shape[0], 1, 1), generator=draw, device=draw.device)


def _add_noise(
    reading: Tensor, incidence_rad: Tensor, settings: SensorSettings, draw: torch.Generator
) -> Tensor:
    theta = incidence_rad.clamp(max=1.5)
    steep = theta**2 / (reading.clamp(min=0.2).sqrt() * (math.pi / 2 - theta) ** 2)
    sigma = 0.0012 + 0.0019 * (reading - 0.4) ** 2
    sigma = sigma + torch.where(theta > math.pi / 3, 1e-4 * steep, 0.0).clamp(max=0.02)
    sigma = sigma * between(settings.axial_scale, reading, draw)
    white = torch.randn(reading.shape, generator=draw, device=draw.device)
    share = between(settings.axial_smooth, reading, draw)
    noise = (1 - share).sqrt() * white + share.sqrt() * smooth_noise(reading, 6, draw)
    wild = uniform_noise(reading, 5, draw) < between(settings.outlier_share, reading, draw)
    wrong = torch.where(wild, 0.2 * smooth_noise(reading, 9, draw), 0.0)
    noisy = reading + sigma * noise + wrong * reading
    steps_m = between(settings.disparity_steps_m, reading, draw)
    stepped = steps_m / (steps_m / noisy.clamp(min=0.05)).round().clamp(min=1)
    return torch.where(_happens(settings.quantised_share, reading, draw), stepped, noisy)


def _lost(
    noisy: Tensor,
    reading: Tensor,
    scene: SensedScene,
    settings: SensorSettings,
    draw: torch.Generator,
) -> Tensor:
    """Where nothing is measured though light comes back."""
    ragged_deg = 5 * smooth_noise(noisy, 8, draw)
    limit = torch.deg2rad(between(settings.grazing_deg, noisy, draw) + ragged_deg)
    missing = scene.incidence_rad > limit
    clumps = uniform_noise(noisy, 5, draw)
    near_side, far_side = edge_sides(reading)
    missing |= (near_side | far_side) & (clumps < between(settings.edge_dropout, noisy, draw))
    dark = scene.dropout * between(settings.dark_dropout, noisy, draw)
    missing |= uniform_noise(noisy, 10, draw) < dark
    missing |= ellipses(noisy, settings.speckle_holes, draw)
    missing |= noisy < between(settings.near_m, noisy, draw)
    missing |= noisy > between(settings.far_m, noisy, draw)
    return missing | _border(noisy, settings, draw)


def _border(like: Tensor, settings: SensorSettings, draw: torch.Generator) -> Tensor:
    _, height, width = like.shape
    x = torch.arange(width, device=like.device).view(1, 1, -1)
    y = torch.arange(height, device=like.device).view(1, -1, 1)
    left, top, bottom = (between(settings.border_px, like, draw) * width / 640 for _ in range(3))
    right = between(settings.border_right_px, like, draw) * width / 640
    outside_x = (x + 0.5 < left) | (x + 0.5 > width - right)
    return outside_x | (y + 0.5 < top) | (y + 0.5 > height - bottom)
