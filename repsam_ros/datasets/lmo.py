"""LINEMOD-Occluded (E. Brachmann et al., ECCV 2014) in the layout of the BOP challenge.

Scene 2 of LINEMOD with labels of eight objects, which occlude each other; other objects lie
beside them without a label. What is ignored for that reason says
:mod:`repsam_ros.datasets._partial_labels`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from repsam_ros.datasets import _bop

SPLITS = _bop.SPLITS
OFFICIAL_COUNTS = {_bop.TARGETS: 200}
PARTLY_LABELLED = True


@dataclass(frozen=True)
class Config:
    """Where the data set lies: the folder with ``test``."""

    root: Path
    split: str | None = None


def build(config: Config) -> _bop.BopImages:
    return _bop.BopImages(config.root, config.split)
