"""How good masks are, of the pipeline and of segment-anything's generator on the same frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.datasets import Sample
from repsam_ros.metrics.labels import MAIN_SCORES, score_labels
from repsam_ros.structures import RgbdFrame

if TYPE_CHECKING:
    from repsam_ros.evaluation.latency.segment_anything import StockGenerator

# Least predicted IoU and stability of a mask: as segment-anything has them, milder, and none.
GENERATOR_THRESHOLDS = ((0.88, 0.95), (0.3, 0.5), (0.0, 0.0))

Segment = Callable[[RgbdFrame], NDArray[np.uint16]]


def compare_masks(
    samples: Sequence[Sample], ways: Mapping[str, Segment], generator: StockGenerator | None
) -> dict[str, Any]:
    """Mean scores of label maps by way; the generator has one for each of its thresholds."""
    scores = {name: _mean_scores(samples, segment) for name, segment in ways.items()}
    if generator is not None:
        for iou, stability in GENERATOR_THRESHOLDS:
            name = f"SamAutomaticMaskGenerator, thresholds {iou:g} and {stability:g}"
            segment = partial(generator.label_map, least_iou=iou, least_stability=stability)
            scores[name] = _mean_scores(samples, segment)
    return {"frames": len(samples), "scores": scores}


def _mean_scores(samples: Sequence[Sample], segment: Segment) -> dict[str, float]:
    found = [asdict(score_labels(segment(s.frame), s.labels, s.ignore)) for s in samples]
    return {name: round(float(np.mean([each[name] for each in found])), 4) for name in MAIN_SCORES}
