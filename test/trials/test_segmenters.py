"""Instances without a network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from repsam_ros.perception.clouds import CloudSettings
from repsam_ros.structures import Intrinsics, RgbdFrame
from repsam_ros.trials.configuration import TrialsConfig, VariantSettings
from repsam_ros.trials.scene import make_scene
from repsam_ros.trials.segmenters import cluster, dbscan, instances_of, open_segmenter
from repsam_ros.trials.sensing import CameraSettings, sense


def textbook_dbscan(points: NDArray[np.float64], radius: float, neighbors: int) -> list[set[int]]:
    """Inner points by cluster (Ester et al. 1996), one at a time."""
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    near = [set(np.flatnonzero(row <= radius).tolist()) for row in apart]
    inner = {k for k, some in enumerate(near) if len(some) >= neighbors}
    clusters: list[set[int]] = []
    left = set(inner)
    while left:
        grown, fresh = set(), {left.pop()}
        while fresh:
            grown |= fresh
            fresh = {other for k in fresh for other in near[k] & inner} - grown
        left -= grown
        clusters.append(grown)
    return clusters


@given(seed=st.integers(0, 10**6), count=st.integers(0, 60), neighbors=st.integers(1, 6))
def test_clusters_are_those_of_the_textbook(seed: int, count: int, neighbors: int) -> None:
    points = np.random.default_rng(seed).uniform(0, 1, (count, 3)) * [1, 1, 0.2]
    ids = dbscan(points, 0.15, neighbors)
    wanted = textbook_dbscan(points, 0.15, neighbors)
    inner = set().union(*wanted)
    found = {frozenset(k for k in inner if ids[k] == one) for one in {ids[k] for k in inner}}
    assert found == {frozenset(some) for some in wanted}
    for k in set(range(count)) - inner:
        apart = np.linalg.norm(points - points[k], axis=1)
        reached = [other for other in inner if apart[other] <= 0.15]
        nearest = min(reached, key=lambda other: apart[other], default=None)
        assert ids[k] == (0 if nearest is None else ids[nearest])


def test_things_apart_on_a_table_are_instances_and_the_table_is_none() -> None:
    rng = np.random.default_rng(1)
    depth_m = np.full((120, 160), 0.8, np.float32)
    truth = np.zeros(depth_m.shape, int)
    for k, (x, y) in enumerate([(20, 20), (80, 30), (50, 75)], start=1):
        depth_m[y : y + 25, x : x + 30] = 0.75
        truth[y : y + 25, x : x + 30] = k
    depth_m += rng.normal(0, 0.0005, depth_m.shape).astype(np.float32)
    depth_m[truth == 3] *= rng.random(25 * 30) > 0.1  # holes
    camera = Intrinsics(150.0, 150.0, 79.5, 59.5, 160, 120)
    color = np.zeros((*depth_m.shape, 3), np.uint8)
    found = cluster(RgbdFrame(color, depth_m, camera), CloudSettings())
    assert len(found) == 3
    assert not found.labels[truth == 0].any()
    for k in (1, 2, 3):
        ids, counts = np.unique(found.labels[truth == k], return_counts=True)
        assert counts.max() > 0.7 * (truth == k).sum()
        assert (found.labels == ids[counts.argmax()]).sum() == counts.max()


def test_without_depth_there_are_no_clusters() -> None:
    camera = Intrinsics(150.0, 150.0, 79.5, 59.5, 160, 120)
    frame = RgbdFrame(np.zeros((120, 160, 3), np.uint8), np.zeros((120, 160), np.float32), camera)
    assert len(cluster(frame, CloudSettings())) == 0


@pytest.mark.parametrize("ids", [[0, 7, 3, 3], [2, 2, 9, 9], [0, 0, 0, 0]])
def test_instances_of_a_label_map_are_numbered_in_order(ids: list[int]) -> None:
    labels = np.array(ids, np.int32).reshape(2, 2)
    found = instances_of(labels)
    numbers = {k: n for n, k in enumerate(sorted(set(ids) - {0}), start=1)} | {0: 0}
    assert found.labels.ravel().tolist() == [numbers[k] for k in ids]
    assert len(found) == len(numbers) - 1


def test_a_variant_may_have_a_threshold_of_its_own(tiny: Callable[..., TrialsConfig]) -> None:
    """A higher one leaves less of each mask."""
    config = tiny()
    view = sense(make_scene(config.strata["packed"].scene, 1900), CameraSettings((320, 240)), 0)
    areas = []
    for threshold in (None, 3.0):
        variant = VariantSettings("net", "repsam_tiny", mask_threshold=threshold)
        areas.append(np.count_nonzero(open_segmenter(variant, config.pipeline)(view).labels))
    assert 0 < areas[1] < areas[0]
