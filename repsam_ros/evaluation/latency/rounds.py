"""Subjects side by side: each frame goes to all of them before the next one comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from repsam_ros.progress import track
from repsam_ros.structures import RgbdFrame

# Thread pools go on spinning for a while after their work is done.
_PAUSE_S = 0.03

Times = list[dict[str, float]]


@dataclass(frozen=True)
class Subject:
    """Something that is timed.

    Attributes:
        name: Of the subject.
        run: Seconds by part of the work, for a frame.
        rounds: It takes part in so many.
    """

    name: str
    run: Callable[[RgbdFrame], dict[str, float]]
    rounds: int


def run_rounds(
    subjects: Sequence[Subject], frames: Sequence[RgbdFrame], warm_up: int, what: str
) -> dict[str, Times]:
    """Times by subject, round by round; another subject begins in each round.

    Whatever else the machine does falls on all of them alike, so that ratios hold where times
    do not.
    """
    for subject in subjects:
        for index in range(min(warm_up, subject.rounds)):
            subject.run(frames[index % len(frames)])
    times: dict[str, Times] = {subject.name: [] for subject in subjects}
    rounds = max((subject.rounds for subject in subjects), default=0)
    for index in track(range(rounds), rounds, what):
        frame, first = frames[index % len(frames)], index % len(subjects)
        for subject in (*subjects[first:], *subjects[:first]):
            if index < subject.rounds:
                time.sleep(_PAUSE_S)
                times[subject.name].append(subject.run(frame))
    return times


def summary_ms(values_s: ArrayLike) -> dict[str, float]:
    """Median, 95th percentile and spread in milliseconds; ``iqr`` is the interquartile range."""
    values = 1e3 * np.asarray(values_s, np.float64)
    low, median, high, p95 = np.percentile(values, (25, 50, 75, 95))
    numbers = {
        "median": median,
        "p95": p95,
        "iqr": high - low,
        "mean": values.mean(),
        "std": values.std(),
    }
    return {name: round(float(value), 3) for name, value in numbers.items()}


def summaries_ms(times: Times) -> dict[str, Any]:
    """:func:`summary_ms` of each part, in its order."""
    return {part: summary_ms([each[part] for each in times]) for part in times[0]} if times else {}


def speed_up(own: Times, part: str, other: Times, other_part: str) -> dict[str, float]:
    """How many times as fast a part is as another's, in rounds that both took part in."""
    ratios = [theirs[other_part] / ours[part] for ours, theirs in zip(own, other, strict=False)]
    low, median, high = np.percentile(ratios, (25, 50, 75))
    numbers: Mapping[str, float] = {"median": median, "p25": low, "p75": high}
    return {name: round(float(value), 3) for name, value in numbers.items()} | {
        "rounds": len(ratios)
    }
