"""Cheap shading: textures, a lamp with shadows, fill and ambient light, glass as tinted panes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from repsam_ros.simulation.raycast import Hits, SurfacePoints, unit
from repsam_ros.simulation.textures import TEXTURE_PX
from repsam_ros.simulation.views import (
    AMBIENT,
    FILL,
    FILL_STRENGTH,
    GLASS,
    GLOSS,
    LAMP,
    LAMP_COLOR,
    LAMP_STRENGTH,
    SCALE,
    SHININESS,
    SKY,
    TEXTURE,
    TINT,
    TINT_SHARE,
)

# Casts rays (origin, direction); the last argument lets them pass through glass.
Cast = Callable[[Tensor, Tensor, bool], Hits]


def material_of(materials: Tensor, owner: Tensor) -> Tensor:
    """(B, N, 10) material rows of (B, N) owners."""
    return materials.gather(1, owner[:, :, None].expand(-1, -1, materials.shape[2]))


def shade(
    direction: Tensor,
    seen: SurfacePoints,
    through: SurfacePoints,
    run: Cast,
    batch: dict[str, Tensor],
    atlas: Tensor,
) -> tuple[Tensor, Tensor]:
    """(B, 3, N) colour and (B, N) incidence angle of what is seen.

    Args:
        direction: (B, 3, N) of the camera's rays.
        seen: First hits.
        through: First hits behind glass.
        run: Casts further rays, towards the lamp.
        batch: Stacked arrays of views.
        atlas: (textures * TEXTURE_PX ** 2, 3) uint8 texels.
    """
    materials, light = batch["materials"], batch["light"]
    to_lamp = light[:, LAMP : LAMP + 3, None] - through.point
    blocked = run(through.point + 1e-3 * through.normal, to_lamp, True)
    shadow = (blocked.distance < 1).to(to_lamp.dtype)
    base = _albedo(through, materials, atlas)
    main = unit(to_lamp)
    diffuse = (main * through.normal).sum(1).clamp(min=0) * (1 - 0.85 * shadow)
    fill = (light[:, FILL : FILL + 3, None] * through.normal).sum(1).clamp(min=0)
    strength = light[:, AMBIENT, None] + light[:, LAMP_STRENGTH, None] * diffuse
    strength = strength + light[:, FILL_STRENGTH, None] * fill
    view = -unit(direction)
    color = base * strength[:, None] * light[:, LAMP_COLOR : LAMP_COLOR + 3, None]
    lamp_on = (light[:, LAMP_STRENGTH, None] > 0).to(shadow.dtype)
    gloss = _highlight(through, view, main, material_of(materials, through.owner)) * lamp_on
    color = color + (gloss * (1 - shadow))[:, None]
    facing = (view * seen.normal).sum(1).clamp(0, 1)
    seen_material = material_of(materials, seen.owner)
    is_glass = seen_material[..., GLASS] > 0.5
    if not bool(is_glass.any()):
        return color, torch.acos(facing)
    # Glass: the background through a tint, brighter towards the rim, with highlights.
    rim = (0.06 + 0.7 * (1 - facing) ** 3)[:, None]
    tint = 0.75 + 0.25 * seen_material[..., TINT : TINT + 3].transpose(1, 2)
    glow = 0.5 * light[:, SKY : SKY + 3, None] + 0.5
    glassy = color * tint * (1 - rim) + rim * glow
    glassy = glassy + (_highlight(seen, view, main, seen_material) * lamp_on)[:, None]
    return torch.where(is_glass[:, None], glassy, color), torch.acos(facing)


def _highlight(at: SurfacePoints, view: Tensor, main: Tensor, material: Tensor) -> Tensor:
    half = unit(view + main)
    shine = (half * at.normal).sum(1).clamp(min=1e-4) ** material[..., SHININESS]
    highlight: Tensor = material[..., GLOSS] * shine
    return highlight


def _albedo(at: SurfacePoints, materials: Tensor, atlas: Tensor) -> Tensor:
    material = material_of(materials, at.owner)
    scale = material[..., SCALE][:, None]
    stretched = scale <= 0
    uv = torch.where(
        stretched, at.uv / at.span.clamp(min=1e-4) + 0.5, at.uv / scale.clamp(min=1e-3)
    )
    texel = ((uv - uv.floor()) * TEXTURE_PX).long().clamp(0, TEXTURE_PX - 1)
    row = material[..., TEXTURE].long() * TEXTURE_PX**2 + texel[:, 1] * TEXTURE_PX + texel[:, 0]
    texture = atlas[row].permute(0, 2, 1).to(torch.float32) / 255
    tint = material[..., TINT : TINT + 3].transpose(1, 2)
    share = material[..., TINT_SHARE][:, None]
    return texture * (1 - share) + tint * share
