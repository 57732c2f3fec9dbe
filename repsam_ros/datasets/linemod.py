"""LINEMOD (S. Hinterstoisser et al., ACCV 2012) in the layout of the BOP challenge.

Fifteen scenes, one for each object, and in each image only the object of its scene is labelled,
though others lie all around it. What is ignored for that reason says
:mod:`repsam_ros.datasets._partial_labels`.
"""

from __future__ import annotations

from repsam_ros.datasets import _bop

SPLITS = _bop.SPLITS
OFFICIAL_COUNTS = {_bop.TARGETS: 3000}
PARTLY_LABELLED = True
Config, build = _bop.Config, _bop.build
