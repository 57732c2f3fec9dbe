"""Scores of a replay's label maps against true ones, from the bag itself or from a folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.bags import read_label_maps
from repsam_ros.errors import ConfigError, DatasetError
from repsam_ros.images import read_labels
from repsam_ros.metrics.labels import SCORE_NAMES, score_labels
from repsam_ros.structures import UNKNOWN_LABEL


@dataclass(frozen=True)
class Truth:
    """Where the true label maps are; at most one of the two is given.

    Pixels of ``UNKNOWN_LABEL`` count as background on both sides, as ignored ones do in an
    evaluation.

    Attributes:
        labels_dir: Holds ``NAME.png`` for the names of ``repsam bag make``, else
            ``STAMP_NS.png``.
        labels_topic: Of 16UC1 images in the bag, with the stamps of the colour images.
    """

    labels_dir: str = ""
    labels_topic: str = ""

    def __post_init__(self) -> None:
        if self.labels_dir and self.labels_topic:
            raise ConfigError("true labels from a folder or from a topic of the bag, not both")

    @property
    def is_given(self) -> bool:
        """Whether there is anything to score against."""
        return bool(self.labels_dir or self.labels_topic)

    def check(self, bag: Path) -> None:
        """Raises a DatasetError for a folder or topic that is not there."""
        if self.labels_dir and not Path(self.labels_dir).is_dir():
            raise DatasetError(f"{self.labels_dir}: no such folder")
        if self.labels_topic:
            next(read_label_maps(bag, self.labels_topic))


def add_scores(bag: Path, out: Path, summary: dict[str, Any], truth: Truth) -> None:
    """Scores ``labels/<stamp_ns>.png`` of a replay and enters the scores into its summary.

    Each frame gets ``scores`` in percent, the summary their means and ``scored``, how many frames
    had a truth. Frames that were dropped are in no mean.

    Raises:
        DatasetError: No published frame has a truth, or a true label map is broken.
    """
    frames = {frame["stamp_ns"]: frame for frame in summary["frames"]}
    scored = []
    for stamp_ns, true_labels in _true_labels(bag, frames, truth):
        frame = frames.get(stamp_ns)
        if frame is None:
            continue
        labels = read_labels(out / "labels" / f"{stamp_ns}.png")
        if labels.shape != true_labels.shape:
            raise DatasetError(
                f"true labels of {frame['name'] or stamp_ns} have the shape {true_labels.shape},"
                f" the frame has {labels.shape}"
            )
        scores = asdict(score_labels(labels, true_labels, true_labels == UNKNOWN_LABEL))
        frame["scores"] = {name: round(100 * float(value), 4) for name, value in scores.items()}
        scored.append(frame)
    if frames and not scored:
        source = truth.labels_dir or f"{bag}, {truth.labels_topic}"
        raise DatasetError(f"{source}: no true labels of any of the {len(frames)} frames")
    summary["scored"] = len(scored)
    summary["scores"] = {
        name: round(float(np.mean([frame["scores"][name] for frame in scored])), 4)
        for name in SCORE_NAMES
        if scored
    }


def _true_labels(
    bag: Path, frames: dict[int, dict[str, Any]], truth: Truth
) -> Iterator[tuple[int, NDArray[np.uint16]]]:
    if truth.labels_topic:
        yield from read_label_maps(bag, truth.labels_topic)
        return
    for stamp_ns, frame in frames.items():
        path = Path(truth.labels_dir) / f"{frame['name'] or stamp_ns}.png"
        if path.is_file():
            yield stamp_ns, read_labels(path)
