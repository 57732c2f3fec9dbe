"""What one run of a cross-validation leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from repsam_ros.adaptation.image_scores import Scores
from repsam_ros.errors import DatasetError, shortened

# Names of the data sets in results: the frames held out, and those made for the experiment.
HELD_OUT, SIMULATED = "held_out", "simulated"


@dataclass(frozen=True)
class FoldResult:
    """One network, scored on frames that it was not trained on.

    Attributes:
        left_out: Folds that were not trained on; all of them where nothing is trained.
        learning_rate: Peak of the schedule; None where nothing is trained.
        plan: Plain values of all that the run follows from.
        ranks: Of adapters, where there are any.
        trainable_params: All trainable parameters.
        seconds: Training and scoring.
        trained_on: Names of frames.
        scores: Of all frames of the folds left out, and of further data sets.

    Raises:
        DatasetError: A frame was trained on and scored.
    """

    arm: str
    left_out: tuple[int, ...]
    seed: int
    learning_rate: float | None
    plan: dict[str, Any]
    ranks: tuple[int, ...]
    trainable_params: int
    seconds: float
    trained_on: tuple[str, ...]
    scores: dict[str, Scores]

    def __post_init__(self) -> None:
        if both := sorted({*self.trained_on} & {*self.scores[HELD_OUT].names}):
            raise DatasetError(f"trained on and scored: {shortened(both)}")
