"""LINEMOD (S. Hinterstoisser et al., ACCV 2012) in the layout of the BOP challenge.

Fifteen scenes, one for each object, and in each image only the object of its scene is labelled,
though others lie all around it. What is ignored for that reason says
:mod:`repsam_ros.datasets._partial_labels`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from repsam_ros.datasets import _bop

SPLITS = _bop.SPLITS
OFFICIAL_COUNTS = {_bop.TARGETS: 3000}
PARTLY_LABELLED = True


@dataclass(frozen=True)
class Config:
    """Where the data set lies: the folder with ``test``."""

    root: Path
    split: str | None = None


def build(config: Config) -> _bop.BopImages:
    return _bop.BopImages(config.root, config.split)
