"""Ray casting against closed forms and against testing every ray with every surface."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from repsam_ros.simulation.objects import BOX, CONE, ELLIPSOID, RING
from repsam_ros.simulation.raycast import FAR_M, KINDS, Surfaces, cast, surface_points


def one_surface(kind: int, size: tuple[float, ...], pose: np.ndarray) -> Surfaces:
    """One surface of ``kind``; the other kinds have theirs a kilometre up."""
    away = np.eye(4)[:3]
    away[2, 3] = 1000.0
    poses, sizes, owners = [], [], []
    for name in KINDS:
        placed = pose if name == kind else away
        poses.append(torch.from_numpy(placed.astype(np.float32).reshape(1, 1, 12)))
        sizes.append(torch.tensor(size, dtype=torch.float32).reshape(1, 1, 4))
        owners.append(torch.zeros((1, 1), dtype=torch.int64))
    return Surfaces(tuple(poses), tuple(sizes), tuple(owners))


def solid(surfaces: Surfaces) -> tuple[torch.Tensor, ...]:
    return tuple(torch.ones_like(owner, dtype=torch.bool) for owner in surfaces.owner)


@pytest.mark.parametrize(
    ("kind", "size", "distance"),
    [
        (BOX, (0.1, 0.2, 0.3, 0.0), 1.7),
        (ELLIPSOID, (0.1, 0.2, 0.3, 0.0), 1.7),
        (RING, (0.0, 0.2, 0.05, 0.0), 1.95),
        (CONE, (0.2, 0.2, -0.3, 0.3), FAR_M),
    ],
)
def test_axis_ray_hits_at_the_known_distance(
    kind: int, size: tuple[float, ...], distance: float
) -> None:
    surfaces = one_surface(kind, size, np.eye(4)[:3])
    origin = torch.tensor([0.0, 0.0, 2.0]).reshape(1, 3, 1)
    direction = torch.tensor([0.0, 0.0, -1.0]).reshape(1, 3, 1)
    hits = cast(origin, direction, surfaces, solid(surfaces))
    assert hits.distance.item() == pytest.approx(distance, rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([BOX, ELLIPSOID, CONE, RING]), st.integers(0, 10_000))
def test_hit_points_lie_on_the_surface(kind: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = {
        BOX: (*rng.uniform(0.02, 0.2, 3), 0.0),
        ELLIPSOID: (*rng.uniform(0.02, 0.2, 3), 0.0),
        CONE: (*rng.uniform(0.02, 0.2, 2), -0.1, 0.15),
        RING: (0.03, 0.2, 0.02, 0.0),
    }[kind]
    rotation = Rotation.random(random_state=rng).as_matrix()
    pose = np.column_stack([rotation, rng.normal(0, 0.2, 3)])
    surfaces = one_surface(kind, size, pose)
    origin = torch.from_numpy(rng.normal(0, 1, (1, 3, 1)).astype(np.float32)).expand(-1, -1, 400)
    target = torch.from_numpy((pose[:, 3:] + rng.normal(0, 0.1, (3, 400))).astype(np.float32))
    direction = (target[None] - origin).contiguous()
    hits = cast(origin.contiguous(), direction, surfaces, solid(surfaces))
    points = surface_points(origin, direction, hits, surfaces)
    hit = hits.distance[0] < FAR_M
    local = rotation.T @ (points.point[0].numpy() - pose[:, 3:])
    x, y, z = local[:, hit.numpy()]
    if kind == BOX:
        off = np.abs(np.max(np.abs(np.stack([x, y, z]).T / size[:3]), axis=1) - 1)
    elif kind == ELLIPSOID:
        off = np.abs((x / size[0]) ** 2 + (y / size[1]) ** 2 + (z / size[2]) ** 2 - 1)
    elif kind == CONE:
        radius = size[0] + (size[1] - size[0]) * (z + 0.1) / 0.25
        off = np.abs(np.hypot(x, y) - radius) / 0.1
    else:
        off = np.abs(z - 0.02)
    assert np.all(off < 2e-3)
    normals = points.normal[0, :, hit]
    assert torch.all((normals * direction[0, :, hit]).sum(0) <= 1e-5)
    assert torch.allclose(normals.norm(dim=0), torch.ones(int(hit.sum())), atol=1e-4)
