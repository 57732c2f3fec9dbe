from __future__ import annotations

import numpy as np

from repsam_ros.perception.outliers import are_inliers


def patch(offset_m: float = 0.0) -> np.ndarray:
    grid = np.mgrid[0:40, 0:40].reshape(2, -1).T * 0.003
    return np.column_stack((grid, np.full(len(grid), offset_m))).astype(np.float32)


def test_points_off_the_surface_are_outliers_and_its_corners_are_not() -> None:
    stray = np.array([[0.05, 0.05, 0.04], [0.06, 0.05, -0.05], [0.2, 0.2, 0.0]], np.float32)
    points = np.concatenate((patch(), stray))
    inliers = are_inliers(points, np.ones(len(points), np.uint32), 0.015, 2.0)
    assert not inliers[-3:].any()
    assert inliers[:-3].all()


def test_each_object_is_judged_by_itself() -> None:
    # On the other object's surface, but far from its own.
    stray = np.array([[0.06, 0.06, 0.5]], np.float32)
    points = np.concatenate((patch(), stray, patch(0.5)))
    ids = np.repeat(np.uint32([3, 3, 7]), [1600, 1, 1600])
    inliers = are_inliers(points, ids, 0.015, 2.0)
    assert not inliers[1600] and inliers.mean() > 0.95


def test_evenly_spread_few_and_no_points_are_kept() -> None:
    line = np.zeros((10, 3), np.float32)
    line[:, 0] = np.arange(10) * 0.5
    assert are_inliers(line, np.ones(10, np.uint32), 0.015, 2.0).all()
    assert are_inliers(line[:1], np.ones(1, np.uint32), 0.015, 2.0).all()
    assert len(are_inliers(line[:0], np.zeros(0, np.uint32), 0.015, 2.0)) == 0


def test_an_object_of_many_metres_fits_in_memory() -> None:
    spread = np.random.default_rng(0).uniform(0, 30, (500, 3)).astype(np.float32)
    assert are_inliers(spread, np.ones(500, np.uint32), 0.015, 2.0).sum() > 400
