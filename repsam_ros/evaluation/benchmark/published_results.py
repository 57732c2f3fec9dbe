"""Published results of other methods, for context; nothing here was measured.

The figures were collected from the literature, not from the authors' files: look them up in the
papers before they are cited.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedResult:
    """One method on one data set, percent.

    Attributes:
        source: Paper of the method.
        pct75: None where it was not reported.
    """

    dataset: str
    method: str
    source: str
    overlap_f: float
    boundary_f: float
    pct75: float | None = None


_XIE = "C. Xie et al., IEEE Transactions on Robotics 2021"
_XIANG = "Y. Xiang et al., CoRL 2020"

PUBLISHED = (
    PublishedResult("ocid", "Mask R-CNN, RGB-D", _XIE, 78.0, 69.2),
    PublishedResult("ocid", "UOIS-Net-3D", _XIE, 86.4, 76.2),
    PublishedResult("ocid", "UCN with refinement", _XIANG, 91.6, 86.1, 89.3),
    PublishedResult("osd", "Mask R-CNN, RGB-D", _XIE, 74.1, 53.8),
    PublishedResult("osd", "UOIS-Net-3D", _XIE, 83.3, 71.2),
    PublishedResult("osd", "UCN with refinement", _XIANG, 87.4, 69.4, 83.2),
)
