"""The network learns, is the same in PyTorch and NumPy, and its measures are what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from repsam_ros.grasping.scorer.crops import CHANNELS, COLUMNS, NUMBERS, ROWS, Crops
from repsam_ros.grasping.scorer.network import open_scorer
from repsam_ros.trials.scorer.measures import auc, measure
from repsam_ros.trials.scorer.settings import TrainingSettings
from repsam_ros.trials.scorer.training import (
    Examples,
    ScorerNetwork,
    fit,
    predict,
    save_scorer,
)

SETTINGS = TrainingSettings(channels=(8, 8, 8), hidden=16, epochs=6, batch=64, learning_rate=5e-3)


def toy(count: int, seed: int) -> Examples:
    """A grasp succeeds more likely the fuller the middle of one channel is."""
    rng = np.random.default_rng(seed)
    pictures = (rng.random((count, CHANNELS, ROWS, COLUMNS)) < 0.1).astype(np.uint8) * 255
    filled = rng.random(count)
    middle = rng.random((count, 8, 8)) < filled[:, None, None]
    pictures[:, 3, 8:16, 12:20] = middle * 255
    succeeded = rng.random(count) < 1 / (1 + np.exp(-12 * (filled - 0.5)))
    return Examples(
        torch.from_numpy(pictures),
        torch.from_numpy(rng.normal(0, 1, (count, NUMBERS)).astype(np.float32)),
        torch.from_numpy(succeeded.astype(np.float32)),
        np.zeros(count, np.int64),
        np.zeros(count, bool),
        np.arange(count),
    )


@pytest.fixture(scope="module")
def learned() -> tuple[ScorerNetwork, list[dict[str, float]]]:
    return fit(toy(1500, 0), toy(500, 1), SETTINGS)


def test_a_rule_is_learned_with_honest_probabilities(learned) -> None:
    network, log = learned
    assert log[-1].validation_loss < 0.75 * log[0].validation_loss
    fresh = toy(500, 2)
    measured = measure(predict(network, fresh), fresh.succeeded.numpy() > 0.5)
    assert measured["auc"] > 0.9 and measured["calibration_error"] < 0.1


def test_the_same_seed_gives_the_same_network() -> None:
    settings = TrainingSettings(channels=(4, 4, 4), hidden=4, epochs=1, seed=3)
    first, again = (fit(toy(200, 0), toy(50, 1), settings)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_numpy_gives_what_pytorch_gives(learned, tmp_path: Path) -> None:
    network, _ = learned
    save_scorer(tmp_path / "weights.safetensors", network)
    fresh = toy(40, 3)
    crops = Crops(
        np.ascontiguousarray(fresh.pictures.numpy().transpose(0, 2, 3, 1)), fresh.numbers.numpy()
    )
    chances = open_scorer(str(tmp_path / "weights.safetensors"))(crops)
    assert np.abs(chances - predict(network, fresh)).max() < 1e-4
    assert np.ptp(chances) > 0.5


def test_measures_of_known_predictions() -> None:
    came = np.array([True, False, True, False])
    assert auc(np.array([0.9, 0.1, 0.8, 0.2]), came) == 1.0
    assert auc(np.array([0.5, 0.5, 0.5, 0.5]), came) == 0.5
    assert auc(np.array([0.9, 0.1]), np.array([True, True])) is None
    measured = measure(np.array([0.75, 0.75, 0.75, 0.75]), came)
    assert measured["calibration_error"] == pytest.approx(0.25)
    assert measured["brier"] == pytest.approx((0.25**2 + 0.75**2) / 2)
    assert measured["success_rate"] == 0.5 and measured["examples"] == 4
