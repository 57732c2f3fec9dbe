"""What is ignored where only some objects are labelled."""

from __future__ import annotations

import numpy as np

from repsam_ros.datasets._partial_labels import unknown_pixels
from repsam_ros.metrics.labels import score_labels

SIZE = (480, 640)


def disc(radius_px: float) -> np.ndarray:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return (rows - 240) ** 2 + (columns - 320) ** 2 <= radius_px**2


def test_band_is_as_wide_as_said() -> None:
    labels = np.zeros(SIZE, np.uint16)
    labels[:, :100] = 3
    unknown = unknown_pixels(labels)
    assert not unknown[:, :116].any() and unknown[:, 116:].all()
    assert unknown_pixels(np.zeros(SIZE, np.uint16)).all()


def test_other_objects_do_not_count_and_masks_that_run_over_do() -> None:
    labels = disc(50).astype(np.uint16)
    ignore = unknown_pixels(labels)
    apart = labels.copy()
    apart[:100, :100] = 2
    assert score_labels(apart, labels, ignore).overlap_f == 1
    everything = np.ones(SIZE, np.uint16)
    scores = score_labels(everything, labels, ignore)
    assert scores.overlap_f < 0.75 and scores.boundary_f < 0.1 and scores.strict_miou < 0.6
    slightly = disc(60).astype(np.uint16)
    exact = score_labels(slightly, labels)
    assert score_labels(slightly, labels, ignore) == exact
