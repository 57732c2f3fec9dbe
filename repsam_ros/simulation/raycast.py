"""Ray casting of analytic surfaces on the GPU: every ray against every surface, exact.

A batch of scenes is a few numbers, so scenes are made where they are needed and rendered beside
the training that eats them. On the CPU :mod:`repsam_ros.simulation.embree` is some ten times
faster; here it would only be the reference that it is tested against.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from repsam_ros.simulation.objects import BOX, CONE, ELLIPSOID, RING
from repsam_ros.simulation.views import MESH

FAR_M = 1e6
KINDS = (BOX, ELLIPSOID, CONE, RING)
# Keeps a ray from hitting the surface it starts on.
NEAR_M = 1e-4
SEAM_M = 2e-5


class Surfaces(NamedTuple):
    """Surfaces of B scenes, one entry per kind: ``KINDS``, then triangle meshes.

    Attributes:
        pose: (B, P, 12) world_from_surface, row-major (3, 4).
        size: (B, P, 4), see ``objects.Surface``.
        owner: (B, P) int64.
    """

    pose: tuple[Tensor, ...]
    size: tuple[Tensor, ...]
    owner: tuple[Tensor, ...]


class Hits(NamedTuple):
    """First hits of (B, N) rays.

    Attributes:
        distance: (B, N) in units of the ray direction's length, ``FAR_M`` = nothing hit.
        row: (B, N) int64 into the surfaces of all kinds, concatenated.
        normal: (B, 3, N) world, of the triangle that was hit; None where no scene has meshes.
    """

    distance: Tensor
    row: Tensor
    normal: Tensor | None = None


def _to_local(pose: Tensor, vector: Tensor, is_point: bool) -> tuple[Tensor, Tensor, Tensor]:
    """World (B, 3, N) to surface frames: three (B, P, N) components."""
    x, y, z = (vector[:, None, i] for i in range(3))
    if is_point:
        x = x - pose[:, :, 3, None]
        y = y - pose[:, :, 7, None]
        z = z - pose[:, :, 11, None]
    rows = [pose[:, :, i, None] for i in range(12)]
    return (
        rows[0] * x + rows[4] * y + rows[8] * z,
        rows[1] * x + rows[5] * y + rows[9] * z,
        rows[2] * x + rows[6] * y + rows[10] * z,
    )


def _first_root(
    a: Tensor, b: Tensor, c: Tensor, valid: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """The smallest root beyond ``NEAR_M`` of a t^2 + 2 b t + c that ``valid`` accepts."""
    a = torch.where(a.abs() < 1e-9, torch.full_like(a, 1e-9), a)
    discriminant = b * b - a * c
    root = discriminant.clamp(min=0).sqrt()
    best = torch.full_like(b, FAR_M)
    for sign in (-1.0, 1.0):
        t = (-b + sign * root) / a
        keep = (discriminant >= 0) & (t > NEAR_M)
        if valid is not None:
            keep = keep & valid(t)
        best = torch.where(keep & (t < best), t, best)
    return best


def _hit_box(o: tuple[Tensor, ...], d: tuple[Tensor, ...], size: Tensor) -> Tensor:
    entry = torch.full_like(d[0], -FAR_M)
    leave = torch.full_like(d[0], FAR_M)
    for axis in range(3):
        direction = torch.where(d[axis].abs() < 1e-9, torch.full_like(d[axis], 1e-9), d[axis])
        half = size[:, :, axis, None]
        first, second = (-half - o[axis]) / direction, (half - o[axis]) / direction
        entry = torch.maximum(entry, torch.minimum(first, second))
        leave = torch.minimum(leave, torch.maximum(first, second))
    return torch.where((entry < leave) & (entry > NEAR_M), entry, torch.full_like(entry, FAR_M))


def _hit_ellipsoid(o: tuple[Tensor, ...], d: tuple[Tensor, ...], size: Tensor) -> Tensor:
    o = tuple(o[i] / size[:, :, i, None] for i in range(3))
    d = tuple(d[i] / size[:, :, i, None] for i in range(3))
    a = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
    b = o[0] * d[0] + o[1] * d[1] + o[2] * d[2]
    c = o[0] * o[0] + o[1] * o[1] + o[2] * o[2] - 1.0
    return _first_root(a, b, c)


def _hit_cone(o: tuple[Tensor, ...], d: tuple[Tensor, ...], size: Tensor) -> Tensor:
    r0, r1, z0, z1 = (size[:, :, i, None] for i in range(4))
    slope = (r1 - r0) / (z1 - z0 + 1e-9)
    w, dw = r0 + slope * (o[2] - z0), slope * d[2]
    a = d[0] * d[0] + d[1] * d[1] - dw * dw
    b = o[0] * d[0] + o[1] * d[1] - w * dw
    c = o[0] * o[0] + o[1] * o[1] - w * w

    def inside(t: Tensor) -> Tensor:
        z = o[2] + t * d[2]
        # Rounding must leave no gap where two cones meet.
        return (z >= z0 - SEAM_M) & (z <= z1 + SEAM_M)

    return _first_root(a, b, c, inside)


def _hit_ring(o: tuple[Tensor, ...], d: tuple[Tensor, ...], size: Tensor) -> Tensor:
    direction = torch.where(d[2].abs() < 1e-9, torch.full_like(d[2], 1e-9), d[2])
    t = (size[:, :, 2, None] - o[2]) / direction
    x, y = o[0] + t * d[0], o[1] + t * d[1]
    squared = x * x + y * y
    inner, outer = size[:, :, 0, None], size[:, :, 1, None]
    keep = (t > NEAR_M) & (squared >= inner * inner) & (squared <= outer * outer)
    return torch.where(keep, t, torch.full_like(t, FAR_M))


_HIT = {BOX: _hit_box, ELLIPSOID: _hit_ellipsoid, CONE: _hit_cone, RING: _hit_ring}


def _nearest(
    origin: Tensor,
    direction: Tensor,
    pose: tuple[Tensor, ...],
    size: tuple[Tensor, ...],
    solid: tuple[Tensor, ...],
) -> tuple[Tensor, Tensor]:
    """Distance (B, N) and row (B, N) of the first hits, one kind of surface after the other."""
    best = torch.full_like(direction[:, 0], FAR_M)
    best_row = torch.zeros_like(best, dtype=torch.int64)
    start = 0
    for kind, kind_pose, kind_size, kind_solid in zip(KINDS, pose, size, solid, strict=True):
        local_origin = _to_local(kind_pose, origin, True)
        t = _HIT[kind](local_origin, _to_local(kind_pose, direction, False), kind_size)
        distance, row = torch.where(kind_solid[:, :, None], t, FAR_M).min(dim=1)
        closer = distance < best
        best = torch.where(closer, distance, best)
        best_row = torch.where(closer, row + start, best_row)
        start += kind_pose.shape[1]
    return best, best_row


@lru_cache(maxsize=1)
def _nearest_fused() -> Callable[..., tuple[Tensor, Tensor]]:
    """Fused, so that no (B, P, N) array is ever written; made late: the compiler loads slowly."""
    fused: Callable[..., tuple[Tensor, Tensor]] = torch.compile(_nearest, dynamic=False)
    return fused


def cast(origin: Tensor, direction: Tensor, surfaces: Surfaces, solid: tuple[Tensor, ...]) -> Hits:
    """First hits of rays.

    Args:
        origin: (B, 3, N) world.
        direction: (B, 3, N) world, any length.
        surfaces: Of the B scenes.
        solid: (B, P) bool per kind; False lets rays pass (glass, for instance).
    """
    nearest = _nearest_fused() if origin.is_cuda else _nearest
    count = len(KINDS)
    distance, row = nearest(
        origin, direction, surfaces.pose[:count], surfaces.size[:count], solid[:count]
    )
    return Hits(distance, row)


def unit(vectors: Tensor) -> Tensor:
    """(B, 3, N) vectors at length 1; five times faster here than torch's norm over axis 1."""
    x, y, z = vectors.unbind(1)
    return vectors * torch.rsqrt((x * x + y * y + z * z).clamp(min=1e-20))[:, None]


class SurfacePoints(NamedTuple):
    """Where rays hit.

    Attributes:
        point: (B, 3, N) world.
        normal: (B, 3, N) world, unit, towards the ray's origin.
        uv: (B, 2, N) metres along the surface.
        span: (B, 2, N) metres, extent of the face that was hit.
        owner: (B, N) int64.
    """

    point: Tensor
    normal: Tensor
    uv: Tensor
    span: Tensor
    owner: Tensor


def surface_points(
    origin: Tensor, direction: Tensor, hits: Hits, surfaces: Surfaces
) -> SurfacePoints:
    """Points, normals and texture coordinates at the hits of :func:`cast`."""
    pose_all, size_all = torch.cat(surfaces.pose, 1), torch.cat(surfaces.size, 1)
    owner_all = torch.cat(surfaces.owner, 1)
    kinds = torch.cat(
        [torch.full_like(owner, kind) for kind, owner in enumerate(surfaces.owner)], 1
    )

    def pick(values: Tensor) -> Tensor:
        if values.ndim == 2:
            return values.gather(1, hits.row)
        index = hits.row[:, :, None].expand(-1, -1, values.shape[2])
        return values.gather(1, index)

    pose, size, kind, owner = pick(pose_all), pick(size_all), pick(kinds), pick(owner_all)
    point = origin + direction * hits.distance.clamp(max=50)[:, None]
    matrix = pose.reshape(*pose.shape[:2], 3, 4)
    local = torch.einsum("bnij,bni->bnj", matrix[..., :3], point.transpose(1, 2) - matrix[..., 3])
    half = size[..., :3].clamp(min=1e-6)
    ratio = (local / half).abs()
    face = torch.nn.functional.one_hot(ratio.argmax(-1), 3).to(local.dtype)
    slope = (size[..., 1] - size[..., 0]) / (size[..., 3] - size[..., 2] + 1e-9)
    radius = local[..., :2].norm(dim=-1)
    around = torch.atan2(local[..., 1], local[..., 0])
    normals = {
        BOX: face * local.sign(),
        ELLIPSOID: local / half**2,
        CONE: torch.stack([local[..., 0], local[..., 1], -slope * radius], -1),
        RING: torch.zeros_like(local) + local.new_tensor([0.0, 0.0, 1.0]),
    }
    u_box = torch.where(face[..., 0] > 0, local[..., 1], local[..., 0])
    v_box = torch.where(face[..., 2] > 0, local[..., 1], local[..., 2])
    u_span = torch.where(face[..., 0] > 0, half[..., 1], half[..., 0])
    v_span = torch.where(face[..., 2] > 0, half[..., 1], half[..., 2])
    round_radius = torch.where(kind == ELLIPSOID, half[..., 0], size[..., 0])
    # Meshes are textured like boxes, by the side of the bounding box that is nearest.
    is_box, is_ring = ((kind == BOX) | (kind == MESH))[..., None], (kind == RING)[..., None]
    height = torch.where(kind == ELLIPSOID, half[..., 2], 0.5 * (size[..., 3] - size[..., 2]))
    uv = torch.stack([around * round_radius, local[..., 2]], -1)
    span = torch.stack([torch.pi * round_radius, height], -1)
    uv = torch.where(is_ring, local[..., :2], uv)
    span = torch.where(is_ring, size[..., 1:2].expand_as(span), span)
    uv = torch.where(is_box, torch.stack([u_box, v_box], -1), uv)
    span = torch.where(is_box, torch.stack([u_span, v_span], -1), span)
    normal = normals[RING]
    for name in (BOX, ELLIPSOID, CONE):
        normal = torch.where((kind == name)[..., None], normals[name], normal)
    normal = torch.einsum("bnij,bnj->bni", matrix[..., :3], normal).transpose(1, 2)
    if hits.normal is not None:
        normal = torch.where((kind == MESH)[:, None], hits.normal, normal)
    normal = unit(normal)
    facing = (normal * direction).sum(1, keepdim=True)
    normal = torch.where(facing > 0, -normal, normal)
    return SurfacePoints(point, normal, uv.transpose(1, 2), 2 * span.transpose(1, 2), owner)
