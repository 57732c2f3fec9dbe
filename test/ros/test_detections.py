from __future__ import annotations

import numpy as np
import pytest
from std_msgs.msg import Header

from repsam_ros.ros.detections import detections_message
from repsam_ros.structures import Instances

pytest.importorskip("vision_msgs", reason="comes with a ROS distribution, not from PyPI")


def test_boxes_enclose_the_masks() -> None:
    labels = np.zeros((10, 20), np.uint16)
    labels[2:5, 4:10] = 1
    labels[8, 19] = 2
    instances = Instances(labels, np.array([0.9, 0.4], np.float32), np.zeros((2, 2), np.float32))
    first, second = detections_message(instances, Header(frame_id="optical")).detections
    assert (first.bbox.center.position.x, first.bbox.center.position.y) == (6.5, 3.0)
    assert (first.bbox.size_x, first.bbox.size_y) == (6.0, 3.0)
    assert (second.id, second.bbox.size_x) == ("2", 1.0)
    assert first.results[0].hypothesis.score == pytest.approx(0.9)
