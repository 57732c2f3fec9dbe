"""The chain's settings: refused where they mean nothing, and one set of them a frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from repsam_ros.backends import Encoded
from repsam_ros.errors import ConfigError
from repsam_ros.perception.pipeline import Pipeline, PipelineSettings, open_pipeline
from repsam_ros.structures import Intrinsics, RgbdFrame

CAMERA = Intrinsics(150.0, 150.0, 79.5, 59.5, 160, 120)


@pytest.mark.parametrize(
    "values", [{"max_prompts": 0}, {"max_prompts": -1}, {"min_prompt_score": 1.5}]
)
def test_settings_that_mean_nothing_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        PipelineSettings(**values)


def test_settings_that_come_during_a_frame_wait_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    depth_m = np.full((120, 160), 0.8, np.float32)
    depth_m[40:80, 60:100] = 0.7
    frame = RgbdFrame(np.full((120, 160, 3), 90, np.uint8), depth_m, CAMERA)
    pipeline = open_pipeline(threads=1)
    expected = pipeline.perceive(frame)
    assert len(expected.instances) > 0
    other = replace(
        pipeline.settings,
        masks=replace(pipeline.settings.masks, min_score=1.0),
        cloud=replace(pipeline.settings.cloud, object_voxel_m=0.02),
    )
    encode = Pipeline.encode

    def change_meanwhile(self: Pipeline, seen: RgbdFrame) -> tuple[object, Encoded]:
        result = encode(self, seen)
        self.settings = other
        return result

    monkeypatch.setattr(Pipeline, "encode", change_meanwhile)
    during, after = pipeline.perceive(frame), pipeline.perceive(frame)
    assert_same(during.instances.labels, expected.instances.labels)
    assert_same(during.cloud.points_m, expected.cloud.points_m)
    assert len(after.instances) == 0


def assert_same(found: NDArray[np.generic], expected: NDArray[np.generic]) -> None:
    np.testing.assert_array_equal(found, expected)
