"""LINEMOD-Occluded (E. Brachmann et al., ECCV 2014) in the layout of the BOP challenge.

Scene 2 of LINEMOD with labels of eight objects, which occlude each other; other objects lie
beside them without a label. What is ignored for that reason says
:mod:`repsam_ros.datasets._partial_labels`.
"""

from __future__ import annotations

from repsam_ros.datasets import _bop

SPLITS = _bop.SPLITS
OFFICIAL_COUNTS = {_bop.TARGETS: 200}
PARTLY_LABELLED = True
Config, build = _bop.Config, _bop.build
