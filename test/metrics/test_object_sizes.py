"""Objects by size belong to the scores of their image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from repsam_ros.metrics.labels import score_labels
from repsam_ros.metrics.object_sizes import object_results

LABELS = hnp.arrays(np.uint16, (9, 12), elements=st.sampled_from([0, 1, 2, 65535]))
MASKS = hnp.arrays(np.bool_, (9, 12))


def test_objects_by_hand() -> None:
    truth = np.zeros((10, 10), np.uint16)
    truth[:2], truth[5:, :4] = 7, 65535
    predicted = np.zeros_like(truth)
    predicted[1:3] = 65535
    ignore = np.zeros(truth.shape, bool)
    ignore[0] = True
    first, second = object_results(predicted, truth, ignore)
    assert (first.area_share, first.iou) == (0.1, 0.5)
    assert (second.area_share, second.iou) == (0.2, 0)


@settings(max_examples=50, deadline=None)
@given(LABELS, LABELS, MASKS)
def test_their_mean_iou_is_the_strict_miou(
    predicted: np.ndarray, truth: np.ndarray, ignore: np.ndarray
) -> None:
    objects = object_results(predicted, truth, ignore)
    scores = score_labels(predicted, truth, ignore)
    assert len(objects) == scores.true
    assume(objects)
    assert np.mean([each.iou for each in objects]) == pytest.approx(scores.strict_miou)
    shown = np.count_nonzero((truth > 0) & ~ignore) / truth.size
    assert sum(each.area_share for each in objects) == pytest.approx(shown)
