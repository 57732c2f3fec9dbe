"""Which objects a cloud says to have little depth of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from repsam_ros.datasets import Dataset, open_dataset
from repsam_ros.perception.cloud_depth import little_depth
from repsam_ros.perception.clouds import CloudSettings, build_cloud
from repsam_ros.perception.pipeline import open_pipeline
from repsam_ros.simulation.configuration import load_simulate_config
from repsam_ros.simulation.simulate import simulate
from repsam_ros.structures import (
    FLAG_LITTLE_DEPTH,
    FLAG_MASK_EDGE,
    Instances,
    Intrinsics,
    RgbdFrame,
)

SIZE_PX = (240, 320)


def two_objects() -> tuple[RgbdFrame, Instances]:
    """Two boxes 10 cm over a table, seen from above."""
    labels = np.zeros(SIZE_PX, np.uint16)
    labels[60:120, 40:100], labels[80:160, 180:240] = 1, 2
    depth_m = np.where(labels > 0, 0.7, 0.8).astype(np.float32)
    camera = Intrinsics(300.0, 300.0, 159.5, 119.5, SIZE_PX[1], SIZE_PX[0])
    frame = RgbdFrame(np.zeros((*SIZE_PX, 3), np.uint8), depth_m, camera)
    return frame, Instances(labels, np.ones(2, np.float32), np.zeros((2, 2), np.float32))


def flagged(frame: RgbdFrame, instances: Instances) -> set[int]:
    """Ids whose points carry the flag, every one of them."""
    cloud = build_cloud(frame, instances, CloudSettings())
    has = (cloud.flags & FLAG_LITTLE_DEPTH) > 0
    ids = set(cloud.instance_ids[has].tolist())
    assert ids.isdisjoint(cloud.instance_ids[~has].tolist())
    return ids


def without(frame: RgbdFrame, share: float, pixels: np.ndarray) -> RgbdFrame:
    """The frame with depth missing in a share of some of its pixels."""
    lost = pixels & (np.random.default_rng(3).random(SIZE_PX) < share)
    return replace(frame, depth_m=np.where(lost, np.float32(0), frame.depth_m))


def test_the_object_that_lacks_depth_is_told_from_the_other() -> None:
    frame, instances = two_objects()
    assert flagged(frame, instances) == set()
    assert flagged(without(frame, 0.5, instances.labels == 1), instances) == {1}
    assert flagged(without(frame, 0.1, instances.labels == 1), instances) == set()


def test_depth_that_is_missing_all_over_says_nothing() -> None:
    frame, instances = two_objects()
    everywhere = np.ones(SIZE_PX, bool)
    assert flagged(without(frame, 0.5, everywhere), instances) == set()
    beside = np.zeros(SIZE_PX, bool)
    beside[40:140, :140] = True
    assert flagged(without(frame, 0.5, beside), instances) == set()


def test_mask_edges_stay_flagged() -> None:
    frame, instances = two_objects()
    cloud = build_cloud(without(frame, 0.5, instances.labels == 1), instances, CloudSettings())
    assert (cloud.flags[cloud.instance_ids == 1] & FLAG_MASK_EDGE).any()
    assert not cloud.flags[cloud.instance_ids == 0].any()


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_the_size_of_the_picture_does_not_matter(scale: int) -> None:
    frame, instances = two_objects()
    depth_m = without(frame, 0.5, instances.labels == 2).depth_m
    larger = np.ones((scale, scale))
    labels, depth_m = (np.kron(x, larger).astype(x.dtype) for x in (instances.labels, depth_m))
    assert little_depth(labels, depth_m, 2).tolist() == [False, False, True]


@given(
    arrays(np.uint16, (12, 16), elements=st.integers(0, 3)),
    arrays(np.float32, (12, 16), elements=st.sampled_from([0.0, 0.5])),
)
def test_any_labels_get_an_answer(labels: np.ndarray, depth_m: np.ndarray) -> None:
    result = little_depth(labels, depth_m, 4)
    assert result.shape == (5,) and not result[0] and not result[4]
    # Nothing can lie 20 % below what is fully measured.
    known = [bool((depth_m[labels == k] > 0).all()) for k in range(4)]
    assert not any(flag and full for flag, full in zip(result, known, strict=False))


def counts(dataset: Dataset, frames: int | None = None) -> np.ndarray:
    """(2, 2) objects in the clouds of frames: opaque and transparent, without and with the flag."""
    pipeline, result = open_pipeline(threads=1), np.zeros((2, 2), int)
    for index in range(len(dataset) if frames is None else frames):
        sample = dataset[index]
        scene = pipeline.perceive(sample.frame)
        for k in np.unique(scene.cloud.instance_ids[scene.cloud.instance_ids > 0]):
            flags = scene.cloud.flags[scene.cloud.instance_ids == k]
            mask = scene.instances.labels == k
            glass = sample.transparent is not None and sample.transparent[mask].mean() > 0.5
            result[int(glass), int((flags & FLAG_LITTLE_DEPTH).all())] += 1
    print(f"{dataset.names[0]} ...: opaque, transparent x without, with: {result.tolist()}")
    return result


def simulated(folder: Path, preset: str | None, **given: int) -> Dataset:
    simulate(load_simulate_config(given, preset, []), folder)
    return open_dataset("simulated", folder)


def test_real_opaque_objects_are_not_flagged(shared_data: Path) -> None:
    found = counts(open_dataset("mosd", shared_data / "mosd_learn"), 4)
    assert found[0, 0] > 6 and found[0, 1] == 0


# The figures of docs/grasping.md are what the slow ones print.
@pytest.mark.slow
def test_most_of_what_is_flagged_is_glass(tmp_path: Path) -> None:
    (_, wrong), (missed, right) = counts(simulated(tmp_path, "glass", scenes=20, seed=77001))
    assert right / (right + wrong) > 0.8 and right / (right + missed) > 0.4


@pytest.mark.slow
def test_few_opaque_objects_are_flagged(tmp_path: Path) -> None:
    (unflagged, flagged), _ = counts(simulated(tmp_path, None, scenes=20, seed=77002, views=2))
    assert flagged < 0.1 * (unflagged + flagged)


@pytest.mark.slow
def test_what_is_flagged_on_real_frames(shared_data: Path) -> None:
    assert counts(open_dataset("mosd", shared_data / "mosd_learn"))[0, 1] == 0
    (_, wrong), (_, right) = counts(open_dataset("cleargrasp", shared_data / "cleargrasp_real"))
    assert right > wrong
