"""Prompts from heatmaps."""

from __future__ import annotations

import numpy as np

from repsam_ros.perception.prompts import find_prompts


def test_maxima_become_points_in_canvas_pixels_best_first() -> None:
    heatmap = np.zeros((60, 80), np.float32)
    heatmap[10, 20], heatmap[40, 70], heatmap[10, 21] = 0.6, 0.9, 0.5
    prompts = find_prompts(heatmap, (240, 320), min_score=0.3, max_prompts=10)
    assert np.allclose(prompts.scores, [0.9, 0.6])
    assert np.allclose(prompts.points_px, [[281.5, 161.5], [81.5, 41.5]])


def test_limits_are_kept() -> None:
    heatmap = np.random.default_rng(0).random((60, 80), dtype=np.float32)
    prompts = find_prompts(heatmap, (240, 320), min_score=0.9, max_prompts=5)
    assert len(prompts.scores) == 5
    assert prompts.scores.min() >= 0.9


def test_nothing_over_the_threshold_gives_no_prompts() -> None:
    prompts = find_prompts(np.full((6, 8), 0.1, np.float32), (24, 32), 0.2, 5)
    assert prompts.points_px.shape == (0, 2)
