"""The online flow on simulated frames, with the embedded default: frame in, grasps out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from repsam_ros.datasets import Sample
from repsam_ros.grasping.planners import open_planner
from repsam_ros.metrics.labels import score_labels
from repsam_ros.perception.pipeline import Pipeline, open_pipeline
from repsam_ros.simulation.frames import render_frames


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return list(render_frames(seed=3, count=4, width=320, height=240))


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return open_pipeline(threads=1)


def test_the_default_finds_the_objects(pipeline: Pipeline, samples: list[Sample]) -> None:
    scores = [
        score_labels(pipeline.segment(s.frame).labels, s.labels, s.ignore).strict_miou
        for s in samples
    ]
    assert np.mean(scores) > 0.6


def test_from_a_frame_to_grasps(pipeline: Pipeline, samples: list[Sample]) -> None:
    found = 0
    for sample in samples:
        scene = pipeline.perceive(sample.frame)
        ids = set(np.unique(scene.instances.labels)) - {0}
        assert ids == set(range(1, len(scene.instances) + 1))
        assert set(np.unique(scene.cloud.instance_ids)) <= ids | {0}
        assert scene.cloud.stamp_ns == sample.frame.stamp_ns
        grasps = open_planner("antipodal")(scene.cloud).grasps
        assert {grasp.instance_id for grasp in grasps} <= ids
        found += len(grasps)
    assert found > 0


def test_the_same_frame_gives_the_same_answer(pipeline: Pipeline, samples: list[Sample]) -> None:
    first, second = (pipeline.segment(samples[0].frame) for _ in range(2))
    assert np.array_equal(first.labels, second.labels)
    assert np.array_equal(first.scores, second.scores)


def test_without_any_depth_the_network_still_sees(
    pipeline: Pipeline, samples: list[Sample]
) -> None:
    blind = [replace(s.frame, depth_m=np.zeros_like(s.frame.depth_m)) for s in samples]
    results = [pipeline.segment(frame) for frame in blind]
    assert sum(len(result) for result in results) > 0
    assert all(np.isfinite(result.scores).all() for result in results)


def test_frames_of_any_size_and_shape_pass(pipeline: Pipeline, samples: list[Sample]) -> None:
    frame = samples[0].frame
    wide = replace(
        frame,
        color=np.ascontiguousarray(frame.color[:180]),
        depth_m=np.ascontiguousarray(frame.depth_m[:180]),
        intrinsics=replace(frame.intrinsics, height=180),
    )
    assert pipeline.segment(wide).labels.shape == (180, 320)
