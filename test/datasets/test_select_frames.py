"""Some frames of a data set by name."""

from __future__ import annotations

import numpy as np
import pytest

from repsam_ros.datasets import LazyDataset, Sample, select_frames
from repsam_ros.errors import DatasetError
from repsam_ros.structures import Intrinsics, RgbdFrame


def read(index: int) -> Sample:
    frame = RgbdFrame(
        np.zeros((2, 2, 3), np.uint8), np.ones((2, 2), np.float32), Intrinsics(1, 1, 0, 0, 2, 2)
    )
    return Sample("abcd"[index], frame, np.zeros((2, 2), np.uint16), np.zeros((2, 2), bool))


def test_frames_come_in_the_order_of_their_names() -> None:
    chosen = select_frames(LazyDataset("abcd", read), ["d", "b"])
    assert chosen.names == ["d", "b"] and [sample.name for sample in chosen] == ["d", "b"]
    with pytest.raises(DatasetError, match="no frame named e, f"):
        select_frames(LazyDataset("abcd", read), ["e", "a", "f"])
