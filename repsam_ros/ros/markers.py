"""What people look at in RViz: instance boxes and hands."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from repsam_ros.grasping.gripper import Gripper
from repsam_ros.presentation.overlay import instance_color
from repsam_ros.ros.conversions import make_header, make_point
from repsam_ros.structures import Grasp, SceneCloud

_LINE_M = 0.002
_TEXT_M = 0.025
# The twelve edges of a box, as pairs of corners numbered by their bits (x, y, z).
_BOX_EDGES = [
    (corner, corner | bit) for corner in range(8) for bit in (1, 2, 4) if not corner & bit
]


def instance_markers(cloud: SceneCloud) -> MarkerArray:
    """An axis-aligned box, id and score for each object of a cloud."""
    header = make_header(cloud.stamp_ns, cloud.frame_id)
    markers = [_delete_all(header, "boxes"), _delete_all(header, "captions")]
    for instance_id in np.unique(cloud.instance_ids[cloud.instance_ids > 0]).tolist():
        of_instance = cloud.instance_ids == instance_id
        points_m = cloud.points_m[of_instance]
        low, high = points_m.min(axis=0), points_m.max(axis=0)
        red, green, blue = (channel / 255 for channel in instance_color(instance_id))
        color = ColorRGBA(r=red, g=green, b=blue, a=1.0)
        box = _lines(header, "boxes", instance_id, color)
        box.points = [make_point(corner) for corner in _edge_points(low, high)]
        caption = Marker(header=header, ns="captions", id=instance_id, color=color)
        caption.type, caption.scale.z = Marker.TEXT_VIEW_FACING, _TEXT_M
        caption.pose.position = make_point((low + high) / 2)
        caption.text = f"{instance_id}: {float(cloud.scores[of_instance].max()):.2f}"
        markers += [box, caption]
    return MarkerArray(markers=markers)


def grasp_markers(
    grasps: Sequence[Grasp], gripper: Gripper, stamp_ns: int, frame_id: str
) -> MarkerArray:
    """The outline of the hand at each grasp; green is the best score, red the worst."""
    header = make_header(stamp_ns, frame_id)
    markers = [_delete_all(header, "grasps")]
    for index, grasp in enumerate(grasps):
        hue = float(np.clip(grasp.score, 0, 1)) / 3
        red, green, blue = colorsys.hsv_to_rgb(hue, 1.0, 1.0)
        hand = _lines(header, "grasps", index, ColorRGBA(r=red, g=green, b=blue, a=1.0))
        for low, high in gripper.boxes(grasp.width_m):
            corners = _edge_points(low, high) @ grasp.rotation.T + grasp.position_m
            hand.points += [make_point(corner) for corner in corners]
        markers.append(hand)
    return MarkerArray(markers=markers)


def _lines(header: Header, namespace: str, number: int, color: ColorRGBA) -> Marker:
    marker = Marker(header=header, ns=namespace, id=number, type=Marker.LINE_LIST, color=color)
    marker.scale.x = _LINE_M
    return marker


def _delete_all(header: Header, namespace: str) -> Marker:
    # Objects that are gone would stay in the picture.
    return Marker(header=header, ns=namespace, action=Marker.DELETEALL)


def _edge_points(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(24, 3) end points of a box's edges."""
    corners = np.array([[(low, high)[c >> axis & 1][axis] for axis in range(3)] for c in range(8)])
    return corners[np.array(_BOX_EDGES).ravel()]
