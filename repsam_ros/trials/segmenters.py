"""From a simulated picture to instances: the truth, clusters without any mask, or a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from repsam_ros.evaluation.modality import seen
from repsam_ros.perception.clouds import CloudSettings, build_cloud, unproject
from repsam_ros.perception.pipeline import PipelineSettings, open_pipeline
from repsam_ros.structures import Instances, RgbdFrame
from repsam_ros.trials.configuration import DBSCAN, EXACT, ORACLE, VariantSettings
from repsam_ros.trials.sensing import View

Segmenter = Callable[[View], Instances]

# DBSCAN (Ester et al. 1996): a point with so many others this near is inside a cluster.
CLUSTER_RADIUS_M = 0.012
CLUSTER_POINTS = 4
_MIN_CLUSTER = 20


def open_segmenter(
    variant: VariantSettings, settings: PipelineSettings, device: str = "cpu"
) -> Segmenter:
    """What a variant finds instances with.

    Raises:
        BackendError, CheckpointError, ConfigError: The model cannot be loaded.
    """
    if variant.model == ORACLE:
        return lambda view: instances_of(view.true_labels)
    if variant.model == DBSCAN:
        return lambda view: cluster(given_frame(view, variant), settings.cloud)
    if variant.mask_threshold is not None:
        masks = replace(settings.masks, mask_threshold=variant.mask_threshold)
        settings = replace(settings, masks=masks)
    pipeline = open_pipeline(variant.model, device=device, settings=settings, threads=1)
    return lambda view: pipeline.segment(seen(given_frame(view, variant), variant.see))


def given_frame(view: View, variant: VariantSettings) -> RgbdFrame:
    """The frame as the variant gets it."""
    return view.true_frame if variant.depth == EXACT else view.frame


def instances_of(labels: NDArray[np.integer]) -> Instances:
    """Instances of any label map, all with the score 1; ids keep their order."""
    ids, inverse = np.unique(labels, return_inverse=True)
    numbers = np.cumsum(ids > 0) * (ids > 0)
    count = int(numbers.max(initial=0))
    return Instances(
        numbers[inverse].reshape(labels.shape).astype(np.uint16),
        np.ones(count, np.float32),
        np.zeros((count, 2), np.float32),
    )


def cluster(frame: RgbdFrame, settings: CloudSettings) -> Instances:
    """What stands on the support plane, in pieces that do not touch; needs depth alone.

    Pixels get the id of the cluster of the voxel nearest to them.
    """
    nothing = instances_of(np.zeros(frame.depth_m.shape, np.uint16))
    cloud = build_cloud(frame, nothing, settings)
    points_m, plane = cloud.points_m, cloud.support_plane
    if plane is not None:
        points_m = points_m[plane.height_m(points_m) >= settings.plane_margin_m]
    ids = dbscan(points_m, CLUSTER_RADIUS_M, CLUSTER_POINTS)
    sizes = np.bincount(ids, minlength=1)
    kept = (ids > 0) & (sizes[ids] >= _MIN_CLUSTER)
    points_m, ids = points_m[kept], ids[kept]
    if not len(ids):
        return nothing
    pixels_m = unproject(frame.depth_m, frame.intrinsics)
    above = frame.depth_m > 0
    if plane is not None:
        above &= plane.height_m(pixels_m) >= settings.plane_margin_m
    labels = np.zeros(frame.depth_m.shape, np.int64)
    apart_m, nearest = cKDTree(points_m).query(
        pixels_m[above], distance_upper_bound=CLUSTER_RADIUS_M
    )
    labels[above] = np.append(ids, 0)[nearest] * np.isfinite(apart_m)
    return instances_of(labels)


def dbscan(points_m: NDArray[np.floating], radius_m: float, neighbors: int) -> NDArray[np.int64]:
    """(N,) number of each point's cluster from 1, 0 = noise.

    A point on the border of two clusters goes to the one of its nearest inner point.

    Args:
        neighbors: A point with so many in ``radius_m``, itself included, is an inner one.
    """
    ids = np.zeros(len(points_m), np.int64)
    if not len(points_m):
        return ids
    tree = cKDTree(points_m)
    pairs = tree.query_pairs(radius_m, output_type="ndarray")
    counts = 1 + np.bincount(pairs.ravel(), minlength=len(points_m))
    inner = counts >= neighbors
    linked = pairs[inner[pairs].all(axis=1)]
    graph = coo_matrix((np.ones(len(linked)), linked.T), shape=(len(points_m),) * 2)
    _, component = connected_components(graph, directed=False)
    _, ids[inner] = np.unique(component[inner], return_inverse=True)
    ids[inner] += 1
    if inner.any() and not inner.all():
        apart_m, nearest = cKDTree(points_m[inner]).query(
            points_m[~inner], distance_upper_bound=radius_m
        )
        ids[~inner] = np.append(ids[inner], 0)[nearest] * np.isfinite(apart_m)
    return ids
