"""COCO average precision and recall over a data set, without classes, by pycocotools.

pycocotools is the code that published figures come from, and needs only NumPy; its faster
successors promise the same numbers and no less.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import BackendError, DatasetError

COCO_NAMES = ("ap", "ap50", "ap75", "ar1", "ar10", "ar100")

_MAX_DETECTIONS = (1, 10, 100)
_ANY_AREA = (0.0, 1e10)
_VOID_SHARE = 0.5


class CocoScorer:
    """Collects the images of a data set and scores all of them together.

    Ignored pixels are taken off both sides before masks are compared, as for all other scores of
    this package. What is left of a prediction that lies on ignored pixels by more than half is
    neither right nor wrong unless it matches an object (Kirillov et al., "Panoptic Segmentation",
    CVPR 2019, section 4.1); COCO's crowd regions say so to pycocotools. Equal scores are ordered
    by image, then by the first pixel, so that ids do not matter.

    Raises:
        BackendError: pycocotools is not installed.
    """

    def __init__(self) -> None:
        try:
            from pycocotools import coco, cocoeval, mask
        except ImportError as error:
            raise BackendError(
                "COCO AP needs pycocotools: pip install 'repsam_ros[evaluation]'"
            ) from error
        self._encode, self._make_index, self._make_evaluation = (
            mask.encode,
            coco.COCO,
            cocoeval.COCOeval,
        )
        self._images: list[dict[str, int]] = []
        self._truth: list[dict[str, Any]] = []
        self._predicted: list[dict[str, Any]] = []

    def add(
        self,
        predicted: NDArray[np.integer],
        scores: Mapping[int, float],
        truth: NDArray[np.integer],
        ignore: NDArray[np.bool_],
    ) -> None:
        """Adds an image.

        Args:
            predicted: (H, W) ids, 0 = background.
            scores: Confidence of each predicted id, on any scale.
            truth: (H, W) ids, 0 = background.
            ignore: (H, W) pixels without truth.

        Raises:
            DatasetError: An id has no score, or the maps differ in size.
        """
        if not predicted.shape == truth.shape == ignore.shape:
            raise DatasetError(
                f"maps differ in size: {predicted.shape}, {truth.shape}, {ignore.shape}"
            )
        height, width = truth.shape
        self._images.append({"id": len(self._images) + 1, "height": height, "width": width})
        for k in _ids_in_reading_order(np.where(ignore, 0, truth)):
            self._append(self._truth, (truth == k) & ~ignore)
        void = np.zeros(truth.shape, bool)
        for k in _ids_in_reading_order(np.where(ignore, 0, predicted)):
            if k not in scores:
                raise DatasetError(f"predicted instance {k} has no score")
            whole = predicted == k
            rest = whole & ~ignore
            self._append(self._predicted, rest, score=float(scores[k]))
            if np.count_nonzero(whole & ignore) > _VOID_SHARE * np.count_nonzero(whole):
                void |= rest
        if void.any():
            self._append(self._truth, void, iscrowd=1)

    def summarize(self) -> dict[str, float | None]:
        """``COCO_NAMES`` as fractions; None where no image has an object.

        AP is the mean over IoU 0.5, 0.55 ... 0.95 and at most 100 predictions an image, AR the
        recall of the best 1, 10 and 100 of each image, averaged over the same IoU.
        """
        # pycocotools prints its progress.
        with contextlib.redirect_stdout(io.StringIO()):
            truth, predicted = self._index(self._truth), self._index(self._predicted)
            evaluation = self._make_evaluation(truth, predicted, "segm")
            evaluation.params.areaRng = [list(_ANY_AREA)]
            evaluation.params.areaRngLbl = ["all"]
            evaluation.params.maxDets = list(_MAX_DETECTIONS)
            evaluation.evaluate()
            evaluation.accumulate()
        # (IoU, recall, 1, 1, detections) and (IoU, 1, 1, detections); -1 = there is no object.
        precision = evaluation.eval["precision"][:, :, 0, 0, -1]
        recall = evaluation.eval["recall"][:, 0, 0]
        values = (precision, precision[0], precision[5], *recall.T)
        return {
            name: float(value.mean()) if value.min() >= 0 else None
            for name, value in zip(COCO_NAMES, values, strict=True)
        }

    def _append(
        self,
        annotations: list[dict[str, Any]],
        mask: NDArray[np.bool_],
        *,
        iscrowd: int = 0,
        **more: float,
    ) -> None:
        annotation = {
            "id": len(annotations) + 1,  # pycocotools takes id 0 for no match
            "image_id": len(self._images),
            "category_id": 1,
            "segmentation": self._encode(np.asfortranarray(mask, np.uint8)),
            "area": int(np.count_nonzero(mask)),
            "iscrowd": iscrowd,
        }
        annotations.append({**annotation, **more})

    def _index(self, annotations: list[dict[str, Any]]) -> Any:
        index = self._make_index()
        index.dataset = {
            "images": self._images,
            "categories": [{"id": 1}],
            # The evaluation writes into annotations.
            "annotations": [dict(annotation) for annotation in annotations],
        }
        index.createIndex()
        return index


def _ids_in_reading_order(labels: NDArray[np.integer]) -> list[int]:
    ids, first = np.unique(labels, return_index=True)
    return [int(k) for k in ids[np.argsort(first)] if k]
