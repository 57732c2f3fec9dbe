"""What a pipeline gets to see of a frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from repsam_ros.adaptation.objective import Objective
from repsam_ros.adaptation.training_config import TrainConfig
from repsam_ros.evaluation.modality import MODALITIES, seen
from repsam_ros.network.build import build_network
from repsam_ros.simulation.rendering import Pictures
from repsam_ros.structures import Intrinsics, RgbdFrame

COLOR = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
DEPTH_M = np.linspace(0.5, 1, 16, dtype=np.float32).reshape(4, 4)


def frame(color: np.ndarray = COLOR, depth_m: np.ndarray = DEPTH_M) -> RgbdFrame:
    return RgbdFrame(color.copy(), depth_m.copy(), Intrinsics(5, 5, 1.5, 1.5, 4, 4), 7)


@pytest.mark.parametrize("modality", MODALITIES)
def test_what_is_not_seen_has_no_say(modality: str) -> None:
    plain = seen(frame(), modality)
    other_depth = seen(frame(depth_m=DEPTH_M + 1), modality)
    other_color = seen(frame(color=COLOR + 1), modality)
    assert np.array_equal(plain.depth_m, other_depth.depth_m) == (modality == "rgb")
    assert np.array_equal(plain.color, other_color.color) == (modality == "depth")
    assert np.array_equal(plain.color, COLOR) == (modality != "depth")
    assert np.array_equal(plain.depth_m, DEPTH_M) == (modality != "rgb")
    assert plain.stamp_ns == 7


@pytest.mark.parametrize(("modality", "depth_loss", "color_loss"), [("rgb", 1, 0), ("depth", 0, 1)])
def test_scored_frames_look_like_those_that_lost_a_modality_in_training(
    modality: str, depth_loss: float, color_loss: float
) -> None:
    config = TrainConfig(depth_dropout=depth_loss, color_dropout=color_loss)
    with torch.device("meta"):
        objective = Objective(build_network(config.network), config)
    pictures = Pictures(
        color=torch.from_numpy(COLOR).permute(2, 0, 1)[None] / 255,
        depth_m=torch.from_numpy(DEPTH_M)[None],
        ids=torch.zeros(1, 4, 4, dtype=torch.int64),
        intrinsics=torch.ones(1, 4),
    )
    color, depth_m = objective._drop_modalities(pictures, torch.Generator().manual_seed(0))
    wanted = seen(frame(), modality)
    np.testing.assert_allclose(color[0].permute(1, 2, 0).numpy(), wanted.color, atol=0.5)
    np.testing.assert_array_equal(depth_m[0].numpy(), wanted.depth_m)
