"""What is known of the pixels around labels where a data set labels some objects only.

Outside the labels there are further objects, so a prediction there can be neither right nor
wrong and those pixels have to be ignored. If all of them were, a mask that runs far over an
object would be cut back to it and look perfect. Close to an object, however, it is known that
pixels outside its label are not of it. A band around each label is therefore kept as
background: a mask that runs over an object is seen there, also by the boundary scores, and only
parts of unlabelled objects that lie within the band count wrongly as mistakes.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

BAND_SHARE = 0.02  # of the diagonal: 16 px at 640x480


def unknown_pixels(labels: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """(H, W) bool, pixels farther from every label than the band is wide."""
    if not labels.any():
        return np.ones(labels.shape, np.bool_)
    band_px = math.ceil(BAND_SHARE * math.hypot(*labels.shape))
    distance_px = cv2.distanceTransform((labels == 0).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(distance_px > band_px)
