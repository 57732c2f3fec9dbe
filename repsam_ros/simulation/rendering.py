"""Pictures of settled scenes: colour, true and sensed depth, normals, instance ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from repsam_ros.errors import BackendError
from repsam_ros.simulation.embree import EmbreeScene, view_triangles
from repsam_ros.simulation.raycast import (
    FAR_M,
    Hits,
    Surfaces,
    cast,
    surface_points,
)
from repsam_ros.simulation.sensor import SensedScene, SensorSettings, sense
from repsam_ros.simulation.shading import Cast, material_of, shade
from repsam_ros.simulation.textures import texture_atlas
from repsam_ros.simulation.views import (
    CAPACITY,
    DROPOUT,
    FIXTURE,
    GLASS,
    MAX_OBJECTS,
    MESH,
    SKY,
    TABLE,
    UNUSED_Z_M,
    View,
)

# Sensed depth this near to the true one was measured on the surface that light shows.
OWN_SURFACE_M = 0.015


@dataclass(frozen=True)
class Rendered:
    """B rendered pictures before camera and sensor; all (B, H, W) but colour and intrinsics.

    Attributes:
        color: (B, 3, H, W) float32 in [0, 1], RGB, clean.
        sight: What the depth sensor looks at.
        ids: int64, visible instance ids, 0 = background.
        intrinsics: (B, 4) fx fy cx cy.
        normals: (B, 3, H, W) unit, camera optical frame, of the first surface; 0 = nothing hit.
            None where they were not kept.
    """

    color: Tensor
    sight: SensedScene
    ids: Tensor
    intrinsics: Tensor
    normals: Tensor | None = None


@dataclass(frozen=True)
class Pictures:
    """B pictures as a robot gets them.

    Attributes:
        color: (B, 3, H, W) float32 in [0, 1], RGB.
        depth_m: (B, H, W) sensed depth, 0 = no measurement.
        ids: (B, H, W) int64, instance ids where depth was measured, 0 = background; see
            :func:`ids_of_depth`.
        intrinsics: (B, 4) fx fy cx cy.
        ignore: (B, H, W) bool, pixels without truth, neither asked for nor punished; ``ids`` is 0
            there. None where the truth is complete.
    """

    color: Tensor
    depth_m: Tensor
    ids: Tensor
    intrinsics: Tensor
    ignore: Tensor | None = None


@dataclass(frozen=True)
class RenderSettings:
    """What does not change from picture to picture."""

    textures: int = 243
    texture_seed: int = 7


class Renderer(Protocol):
    """Turns views of one size into pictures."""

    @property
    def name(self) -> str: ...

    def render(self, views: Sequence[View]) -> Rendered:
        """Pictures of ``views``, in their order."""


def _caster_on_gpu(surfaces: Surfaces, materials: Tensor) -> Cast:
    """Casts a batch against analytic surfaces; the last argument lets rays through glass."""
    if bool((surfaces.pose[MESH][:, :, 11] < 0.5 * UNUSED_Z_M).any()):
        raise BackendError("triangle meshes are rendered on the CPU only")
    everything = tuple(torch.ones_like(owner, dtype=torch.bool) for owner in surfaces.owner)
    opaque = tuple(materials[..., GLASS].gather(1, owner) < 0.5 for owner in surfaces.owner)

    def run(origin: Tensor, direction: Tensor, through_glass: bool) -> Hits:
        return cast(origin, direction, surfaces, opaque if through_glass else everything)

    return run


def _caster_on_cpu(view: View) -> Cast:
    corners, rows, owners = view_triangles(view)
    everything = EmbreeScene(corners, rows)
    opaque = view.arrays["materials"][owners, GLASS] < 0.5
    solid = everything if opaque.all() else EmbreeScene(corners[opaque], rows[opaque])

    def run(origin: Tensor, direction: Tensor, through_glass: bool) -> Hits:
        return (solid if through_glass else everything).hits(origin, direction)

    return run


def camera_rays(pose: Tensor, intrinsics: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Origins and directions (B, 3, H * W), world; the distance of a hit is its depth."""
    height, width = size
    fx, fy, cx, cy = (intrinsics[:, i, None] for i in range(4))
    v, u = torch.meshgrid(
        torch.arange(height, device=pose.device),
        torch.arange(width, device=pose.device),
        indexing="ij",
    )
    u, v = u.reshape(1, -1), v.reshape(1, -1)
    rays = torch.stack([(u - cx) / fx, (v - cy) / fy, torch.ones_like(u - cx)], 1)
    # Not a matrix product: its rounding depends on the number of threads and on TF32.
    direction = sum(pose[:, :, i : i + 1] * rays[:, i : i + 1] for i in range(3))
    assert isinstance(direction, Tensor)
    origin = pose[:, :, 3:].expand(-1, -1, direction.shape[2]).contiguous()
    return origin, direction


class FastRenderer:
    """Exact geometry and cheap shading: Embree on the CPU, analytic ray casting on a GPU."""

    name = "fast"

    def __init__(
        self,
        settings: RenderSettings | None = None,
        device: str | torch.device = "cpu",
        atlas: NDArray[np.uint8] | None = None,
    ) -> None:
        """``atlas`` (count, 128, 128, 3) replaces the textures that ``settings`` would give."""
        settings = settings or RenderSettings()
        if atlas is None:
            atlas = texture_atlas(settings.texture_seed, settings.textures)
        self.device = torch.device(device)
        self._atlas = torch.from_numpy(atlas).reshape(-1, 3).to(self.device)

    @torch.no_grad()
    def render(self, views: Sequence[View]) -> Rendered:
        """Pictures of ``views``, all of one size.

        Raises:
            BackendError: embreex is missing, or a view with meshes should go to the GPU.
        """
        if self.device.type != "cpu":
            arrays = stack_views(views)
            on_device = {name: value.to(self.device) for name, value in arrays.items()}
            return self.render_arrays(on_device, views[0].size)
        return _joined([self._render(stack_views([v]), v.size, _caster_on_cpu(v)) for v in views])

    @torch.no_grad()
    def render_arrays(self, batch: dict[str, Tensor], size: tuple[int, int]) -> Rendered:
        """Renders stacked :attr:`View.arrays` on their device by analytic ray casting."""
        caster = _caster_on_gpu(_surfaces(batch), batch["materials"])
        return self._render(batch, size, caster)

    def _render(self, batch: dict[str, Tensor], size: tuple[int, int], run: Cast) -> Rendered:
        surfaces, materials, light = _surfaces(batch), batch["materials"], batch["light"]
        pose = batch["camera"].reshape(-1, 3, 4)
        origin, direction = camera_rays(pose, batch["intrinsics"], size)
        first = run(origin, direction, False)
        has_glass = bool((materials[..., GLASS] > 0.5).any())
        behind = run(origin, direction, True) if has_glass else first
        seen = surface_points(origin, direction, first, surfaces)
        through = surface_points(origin, direction, behind, surfaces) if has_glass else seen
        color, incidence = shade(direction, seen, through, run, batch, self._atlas)
        hit = first.distance < FAR_M
        color = torch.where(hit[:, None], color, light[:, SKY : SKY + 3, None])
        seen_material = material_of(materials, seen.owner)
        image = (len(pose), *size)
        is_object = (seen.owner < MAX_OBJECTS) & hit
        sight = SensedScene(
            depth_m=torch.where(hit, first.distance, 0.0).reshape(image),
            through_m=torch.where(behind.distance < FAR_M, behind.distance, 0.0).reshape(image),
            incidence_rad=incidence.reshape(image),
            glass=((seen_material[..., GLASS] > 0.5) & hit).reshape(image),
            dropout=seen_material[..., DROPOUT].reshape(image),
            on_table=(((seen.owner <= TABLE) | (seen.owner == FIXTURE)) & hit).reshape(image),
        )
        rotation = pose[:, :, :3]
        normals = sum(rotation[:, i, :, None] * seen.normal[:, i : i + 1] for i in range(3))
        normals = torch.where(hit[:, None], normals, 0.0)
        return Rendered(
            color.clamp(0, 1).reshape(image[0], 3, *size),
            sight,
            torch.where(is_object, seen.owner + 1, 0).reshape(image),
            batch["intrinsics"],
            normals.reshape(image[0], 3, *size),
        )


@torch.no_grad()
def expose(rendered: Rendered, sensor: SensorSettings, seed: int | torch.Generator) -> Pictures:
    """What camera and depth sensor make of it; the same seed gives the same pixels."""
    draw = seed
    if not isinstance(draw, torch.Generator):
        draw = torch.Generator(rendered.color.device).manual_seed(draw)
    depth_m = sense(rendered.sight, sensor, draw)
    ids = ids_of_depth(rendered.ids, rendered.sight, depth_m)
    return Pictures(_camera_effects(rendered.color, draw), depth_m, ids, rendered.intrinsics)


def ids_of_depth(ids: Tensor, sight: SensedScene, depth_m: Tensor) -> Tensor:
    """(B, H, W) ids of the surfaces that the sensed depth was measured on.

    Sensors move the outlines of depth by a few pixels. What a robot grasps by, and how RGB-D data
    sets are labelled (in mOSD 98 % of the outlines lie exactly on the jump of depth), is the
    measured outline; a pixel without depth, or of glass, keeps the id that light shows.
    """
    reach_px = max(1, round(4 * depth_m.shape[-1] / 640))
    own = sight.depth_m
    best, error = ids, (depth_m - own).abs() - OWN_SURFACE_M
    for down in (-1, 0, 1):
        for right in range(-reach_px, reach_px + 1):
            other = (sight.depth_m.roll((down, right), (1, 2)) - depth_m).abs()
            closer = other < error
            best = torch.where(closer, ids.roll((down, right), (1, 2)), best)
            error = torch.where(closer, other, error)
    return torch.where((depth_m > 0) & ~sight.glass, best, ids)


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


def color_bytes(color: Tensor) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of one picture's (3, H, W) colour in [0, 1]."""
    pixels: NDArray[np.uint8] = (color * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    return pixels


def stack_views(views: Sequence[View]) -> dict[str, Tensor]:
    """The arrays of views as a batch."""
    return {
        name: torch.from_numpy(np.stack([view.arrays[name] for view in views]))
        for name in views[0].arrays
    }


def amodal_masks(view: View) -> NDArray[np.bool_]:
    """(N, H, W) full extent of each object of the scene, as if it stood alone.

    Raises:
        BackendError: embreex is not installed.
    """
    batch = stack_views([view])
    corners, rows, owners = view_triangles(view)
    pose = batch["camera"].reshape(1, 3, 4)
    origin, direction = camera_rays(pose, batch["intrinsics"], view.size)
    masks = np.zeros((len(view.slots), *view.size), bool)
    for index, slot in enumerate(view.slots):
        mine = owners == slot
        hits = EmbreeScene(corners[mine], rows[mine]).hits(origin, direction)
        masks[index] = (hits.distance[0] < FAR_M).reshape(view.size).numpy()
    return masks


def _surfaces(batch: dict[str, Tensor]) -> Surfaces:
    return Surfaces(
        tuple(batch[f"pose_{kind}"] for kind in CAPACITY),
        tuple(batch[f"size_{kind}"] for kind in CAPACITY),
        tuple(batch[f"owner_{kind}"] for kind in CAPACITY),
    )


def _joined(parts: Sequence[Rendered]) -> Rendered:
    """One batch of all ``parts``."""

    def join(name: str) -> Tensor:
        return torch.cat([getattr(part, name) for part in parts])

    sight = SensedScene(
        **{
            name: torch.cat([getattr(part.sight, name) for part in parts])
            for name in vars(parts[0].sight)
        }
    )
    return Rendered(join("color"), sight, join("ids"), join("intrinsics"), join("normals"))
