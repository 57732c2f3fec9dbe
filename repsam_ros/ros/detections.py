"""``~/detections``: boxes of the instances, where vision_msgs is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
from std_msgs.msg import Header

from repsam_ros.structures import Instances

try:
    from vision_msgs import msg as vision_msgs
except ImportError:  # not to be had from PyPI; a ROS distribution has it
    vision_msgs = None

_CLASS = "object"


def detections_type() -> type | None:
    """vision_msgs/Detection2DArray, None where the package is missing."""
    return None if vision_msgs is None else vision_msgs.Detection2DArray


def detections_message(instances: Instances, header: Header) -> Any:
    """One detection per instance, in the order of their ids; class-agnostic."""
    message = vision_msgs.Detection2DArray(header=header)
    for number, score in enumerate(instances.scores, start=1):
        rows, columns = np.nonzero(instances.labels == number)
        if not len(rows):
            continue
        detection = vision_msgs.Detection2D(header=header, id=str(number))
        detection.bbox.center.position.x = float(columns.min() + columns.max()) / 2
        detection.bbox.center.position.y = float(rows.min() + rows.max()) / 2
        detection.bbox.size_x = float(np.ptp(columns)) + 1
        detection.bbox.size_y = float(np.ptp(rows)) + 1
        result = vision_msgs.ObjectHypothesisWithPose()
        result.hypothesis.class_id, result.hypothesis.score = _CLASS, float(score)
        detection.results.append(result)
        message.detections.append(detection)
    return message
