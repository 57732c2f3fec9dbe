"""Pictures of settled scenes: colour, true and sensed depth, instance ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from repsam_ros.simulation.raycast import (
    FAR_M,
    KINDS,
    SurfacePoints,
    Surfaces,
    cast,
    surface_points,
)
from repsam_ros.simulation.sensor import SensedScene, SensorSettings, sense
from repsam_ros.simulation.textures import TEXTURE_PX, texture_atlas
from repsam_ros.simulation.views import MAX_OBJECTS


@dataclass(frozen=True)
class Rendered:
    """B rendered pictures before camera and sensor; all (B, H, W) but colour and intrinsics.

    Attributes:
        color: (B, 3, H, W) float32 in [0, 1], RGB, clean.
        sight: What the depth sensor looks at.
        ids: int64, visible instance ids, 0 = background.
        intrinsics: (B, 4) fx fy cx cy.
    """

    color: Tensor
    sight: SensedScene
    ids: Tensor
    intrinsics: Tensor


@dataclass(frozen=True)
class Pictures:
    """B pictures as a robot gets them.

    Attributes:
        color: (B, 3, H, W) float32 in [0, 1], RGB.
        depth_m: (B, H, W) sensed depth, 0 = no measurement.
        ids: (B, H, W) int64, visible instance ids, 0 = background.
        intrinsics: (B, 4) fx fy cx cy.
    """

    color: Tensor
    depth_m: Tensor
    ids: Tensor
    intrinsics: Tensor


@dataclass(frozen=True)
class RenderSettings:
    """What does not change from picture to picture."""

    textures: int = 243
    texture_seed: int = 7


def _material(materials: Tensor, owner: Tensor) -> Tensor:
    """(B, N, 10) material rows of (B, N) owners."""
    return materials.gather(1, owner[:, :, None].expand(-1, -1, materials.shape[2]))


class Renderer:
    """Renders batches of :func:`repsam_ros.simulation.views.draw_view`."""

    def __init__(self, settings: RenderSettings) -> None:
        atlas = texture_atlas(settings.texture_seed, settings.textures)
        self._atlas = torch.from_numpy(atlas).reshape(-1, 3)

    @torch.no_grad()
    def render(self, batch: dict[str, Tensor], size: tuple[int, int]) -> Rendered:
        """Renders B pictures of (height, width) ``size``."""
        height, width = size
        surfaces = Surfaces(
            tuple(batch[f"pose_{kind}"] for kind in KINDS),
            tuple(batch[f"size_{kind}"] for kind in KINDS),
            tuple(batch[f"owner_{kind}"] for kind in KINDS),
        )
        materials, light = batch["materials"], batch["light"]
        pose = batch["camera"].reshape(-1, 3, 4)
        count = pose.shape[0]
        fx, fy, cx, cy = (batch["intrinsics"][:, i, None] for i in range(4))
        v, u = torch.meshgrid(
            torch.arange(height),
            torch.arange(width),
            indexing="ij",
        )
        u, v = u.reshape(1, -1), v.reshape(1, -1)
        rays = torch.stack([(u - cx) / fx, (v - cy) / fy, torch.ones_like(u - cx)], 1)
        direction = pose[:, :, :3] @ rays
        origin = pose[:, :, 3:].expand(-1, -1, direction.shape[2]).contiguous()
        everything = tuple(torch.ones_like(owner, dtype=torch.bool) for owner in surfaces.owner)
        opaque = tuple(materials[..., 8].gather(1, owner) < 0.5 for owner in surfaces.owner)
        first = cast(origin, direction, surfaces, everything)
        has_glass = any(bool((~part).any()) for part in opaque)
        behind = cast(origin, direction, surfaces, opaque) if has_glass else first
        seen = surface_points(origin, direction, first, surfaces)
        through = surface_points(origin, direction, behind, surfaces)
        color, incidence = self._shade(origin, direction, seen, through, surfaces, opaque, batch)
        hit = first.distance < FAR_M
        sky = light[:, 12:15, None]
        color = torch.where(hit[:, None], color, sky)
        seen_material = _material(materials, seen.owner)
        glass = (seen_material[..., 8] > 0.5) & hit
        # The projector sits beside the camera; what it does not reach has no depth.
        side = torch.where(light[:, 15] < 0.8, -1.0, 1.0) * (0.03 + 0.05 * light[:, 14])
        projector = origin + pose[:, :, :1] * side[:, None, None]
        to_projector = projector - through.point
        lit = cast(through.point + 1e-3 * through.normal, to_projector, surfaces, opaque)
        image = (count, height, width)
        depth = torch.where(hit, first.distance, 0.0).reshape(image)
        through_depth = torch.where(behind.distance < FAR_M, behind.distance, 0.0).reshape(image)
        on_table = (seen.owner <= MAX_OBJECTS) & hit
        sight = SensedScene(
            depth_m=depth,
            through_m=through_depth,
            incidence_rad=incidence.reshape(image),
            shadowed=(lit.distance < 1).reshape(image),
            glass=glass.reshape(image),
            dropout=seen_material[..., 9].reshape(image),
            on_table=on_table.reshape(image),
        )
        is_object = (seen.owner < MAX_OBJECTS) & hit
        ids = torch.where(is_object, seen.owner + 1, 0).reshape(image)
        color = color.reshape(count, 3, height, width).clamp(0, 1)
        return Rendered(color, sight, ids, batch["intrinsics"])

    def _shade(
        self,
        origin: Tensor,
        direction: Tensor,
        seen: SurfacePoints,
        through: SurfacePoints,
        surfaces: Surfaces,
        opaque: tuple[Tensor, ...],
        batch: dict[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        """(B, 3, N) colour and (B, N) incidence angle of what is seen."""
        materials, light = batch["materials"], batch["light"]
        lamp = light[:, :3, None]
        to_lamp = lamp - through.point
        blocked = cast(through.point + 1e-3 * through.normal, to_lamp, surfaces, opaque)
        shadow = (blocked.distance < 1).to(to_lamp.dtype)
        base = self._albedo(through, materials)
        main = F.normalize(to_lamp, dim=1)
        diffuse = (main * through.normal).sum(1).clamp(min=0) * (1 - 0.85 * shadow)
        fill = (light[:, 3:6, None] * through.normal).sum(1).clamp(min=0)
        strength = light[:, 6, None] + light[:, 7, None] * diffuse + light[:, 8, None] * fill
        view = -F.normalize(direction, dim=1)
        color = base * strength[:, None] * light[:, 9:12, None]
        gloss = self._highlight(through, view, main, _material(materials, through.owner))
        color = color + (gloss * (1 - shadow))[:, None]
        # Glass: the background through a tint, brighter towards the rim, with highlights.
        seen_material = _material(materials, seen.owner)
        facing = (view * seen.normal).sum(1).clamp(0, 1)
        rim = (0.06 + 0.7 * (1 - facing) ** 3)[:, None]
        tint = 0.75 + 0.25 * seen_material[..., 2:5].transpose(1, 2)
        glow = 0.5 * light[:, 12:15, None] + 0.5
        glassy = color * tint * (1 - rim) + rim * glow
        glassy = glassy + self._highlight(seen, view, main, seen_material)[:, None]
        is_glass = (seen_material[..., 8] > 0.5)[:, None]
        return torch.where(is_glass, glassy, color), torch.acos(facing)

    def _highlight(self, at: SurfacePoints, view: Tensor, main: Tensor, material: Tensor) -> Tensor:
        half = F.normalize(view + main, dim=1)
        return material[..., 6] * (half * at.normal).sum(1).clamp(min=1e-4) ** material[..., 7]

    def _albedo(self, at: SurfacePoints, materials: Tensor) -> Tensor:
        material = _material(materials, at.owner)
        scale = material[..., 1][:, None]
        stretched = scale <= 0
        uv = torch.where(
            stretched, at.uv / at.span.clamp(min=1e-4) + 0.5, at.uv / scale.clamp(min=1e-3)
        )
        texel = ((uv - uv.floor()) * TEXTURE_PX).long().clamp(0, TEXTURE_PX - 1)
        row = material[..., 0].long() * TEXTURE_PX**2 + texel[:, 1] * TEXTURE_PX + texel[:, 0]
        texture = self._atlas[row].permute(0, 2, 1).to(torch.float32) / 255
        tint, share = material[..., 2:5].transpose(1, 2), material[..., 5][:, None]
        return texture * (1 - share) + tint * share


@torch.no_grad()
def expose(rendered: Rendered, sensor: SensorSettings, seed: int) -> Pictures:
    """What camera and depth sensor make of it; the same seed gives the same pixels."""
    draw = torch.Generator(rendered.color.device).manual_seed(seed)
    depth_m = sense(rendered.sight, sensor, draw)
    return Pictures(
        _camera_effects(rendered.color, draw), depth_m, rendered.ids, rendered.intrinsics
    )


def _camera_effects(color: Tensor, draw: torch.Generator) -> Tensor:
    """Exposure, white balance, blur and noise of a cheap colour camera."""
    batch = color.shape[0]

    def uniform(low: float, high: float, channels: int = 1) -> Tensor:
        value = torch.rand((batch, channels, 1, 1), generator=draw, device=draw.device)
        return low + (high - low) * value

    color = color * uniform(0.6, 1.4) * uniform(0.88, 1.12, 3)
    color = color.clamp(0, 1) ** uniform(0.6, 1.3)
    blurred = F.avg_pool2d(F.pad(color, (1, 1, 1, 1), mode="replicate"), 3, 1)
    color = torch.lerp(color, blurred, uniform(0.0, 1.0))
    grain = torch.randn(color.shape, generator=draw, device=draw.device)
    return (color + uniform(0.0, 0.035) * grain).clamp(0, 1)


def to_tensors(items: list[dict[str, NDArray[Any]]]) -> dict[str, Tensor]:
    """Stacks layouts into a batch."""
    return {key: torch.from_numpy(np.stack([item[key] for item in items])) for key in items[0]}
