from __future__ import annotations

import numpy as np
import pytest

from repsam_ros.perception.voxels import Points, voxelise


def cloud(count: int, spread_m: float) -> Points:
    random = np.random.default_rng(0)
    return Points(
        random.uniform(-spread_m, spread_m, (count, 3)).astype(np.float32),
        random.integers(0, 256, (count, 3), np.uint8),
        random.integers(0, 5, count).astype(np.uint32),
        random.integers(0, 8, count).astype(np.uint8),
    )


# The second needs more bits than one number has for both the voxel and the place.
@pytest.mark.parametrize(("spread_m", "voxel_m"), [(0.02, 0.006), (380.0, 0.002)])
def test_each_voxel_of_each_object_becomes_its_mean(spread_m: float, voxel_m: float) -> None:
    points = cloud(3000, spread_m)
    cells = np.floor(points.points * np.float32(1 / voxel_m)).astype(int)
    members: dict[tuple[int, ...], list[int]] = {}
    for index, key in enumerate(zip(points.ids.tolist(), *cells.T.tolist(), strict=True)):
        members.setdefault(key, []).append(index)
    expected = [members[key] for key in sorted(members)]
    got = voxelise(points, voxel_m)
    assert len(got.points) == len(expected)
    for index, rows in enumerate(expected):
        assert got.points[index] == pytest.approx(points.points[rows].mean(0), abs=1e-6)
        assert np.array_equal(got.colors[index], points.colors[rows[0]])
        assert got.ids[index] == points.ids[rows[0]]
        assert got.flags[index] == np.bitwise_or.reduce(points.flags[rows])


def test_no_points_stay_none() -> None:
    assert len(voxelise(cloud(0, 1.0), 0.003).points) == 0
