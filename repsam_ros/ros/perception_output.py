"""Publishers of the perception node."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from sensor_msgs.msg import Image, PointCloud2
from visualization_msgs.msg import Marker, MarkerArray

from repsam_ros.messages import color_image, label_image
from repsam_ros.perception.placement import levelled, moved
from repsam_ros.perception.tracking import InstanceTracker, renumbered
from repsam_ros.perception.workspace import cropped
from repsam_ros.presentation.overlay import draw_overlay
from repsam_ros.ros.conversions import (
    cloud_message,
    image_message,
    make_header,
    plane_marker,
    view_pose_message,
)
from repsam_ros.ros.detections import detections_message, detections_type
from repsam_ros.ros.markers import instance_markers
from repsam_ros.ros.qos import output_qos
from repsam_ros.ros.transforms import Transforms
from repsam_ros.structures import RgbdFrame, SceneCloud

if TYPE_CHECKING:
    from repsam_ros.perception.parameters import SceneSettings
    from repsam_ros.perception.pipeline import Scene
    from repsam_ros.ros.managed_node import ManagedNode

_TYPES = {
    "labels": Image,
    "points": PointCloud2,
    "support_plane": Marker,
    "view_pose": PoseStamped,
    "debug_image": Image,
    "markers": MarkerArray,
}


class PerceptionOutput:
    """Topics of scenes and what goes out on them, all with the stamp of the colour image.

    Raises:
        ConfigError: A frame is asked for and tf2_ros is missing.
    """

    def __init__(self, node: ManagedNode, settings: SceneSettings) -> None:
        self._node = node
        self._target_frame: str = node.value("target_frame")
        self._gravity_frame: str = node.value("gravity_frame")
        names = [name for name in ("target_frame", "gravity_frame") if node.value(name)]
        self._transforms = Transforms(node, " and ".join(names)) if names else None
        self.settings = settings
        self._tracker = InstanceTracker(settings.tracking)
        depth = node.value("qos.output_depth")
        for name, message_type in _TYPES.items():
            node.add_output(message_type, name, output_qos(depth))
        detections = detections_type()
        self._has_detections = detections is not None
        if detections is not None:
            node.add_output(detections, "detections", output_qos(depth))

    def reset(self) -> None:
        """Forgets which objects there were."""
        self._tracker = InstanceTracker(self.settings.tracking)

    def messages(self, frame: RgbdFrame, scene: Scene) -> list[tuple[str, Any]]:
        """What is to be published of one scene: names of outputs and messages, in their order.

        Raises:
            FrameError: ``missing_transform`` to the target frame.
        """
        cloud, rotation = self._placed(scene.cloud)
        if self.settings.tracking.enabled:
            self._tracker.settings = self.settings.tracking
            ids = self._tracker.update(scene.instances.labels)
            scene = renumbered(replace(scene, cloud=cloud), ids)
            cloud = scene.cloud
        header = make_header(frame.stamp_ns, frame.frame_id)
        labels = image_message(label_image(scene.instances.labels), header)
        # Plane and pose first: whoever gets the cloud then has what belongs to it.
        messages = [
            ("support_plane", plane_marker(cloud)),
            ("view_pose", view_pose_message(cloud, rotation)),
            ("points", cloud_message(cloud)),
            ("labels", labels),
        ]
        if self._node.is_watched("markers"):
            messages.append(("markers", instance_markers(cloud)))
        if self._has_detections and self._node.is_watched("detections"):
            messages.append(("detections", detections_message(scene.instances, header)))
        if self._node.is_watched("debug_image"):
            picture = color_image(draw_overlay(frame.color, scene.instances))
            messages.append(("debug_image", image_message(picture, header)))
        return messages

    def close(self) -> None:
        """Takes the topics down."""
        self._node.remove_outputs()
        if self._transforms is not None:
            self._transforms.close()

    def _placed(self, cloud: SceneCloud) -> tuple[SceneCloud, NDArray[np.float64] | None]:
        """The cloud in the target frame, its plane level, without what lies beyond the workspace.

        Returns:
            The cloud and the rotation (3, 3) from the optical frame; None where it stays there.

        Raises:
            FrameError: ``missing_transform``.
        """
        rotation = None
        if self._transforms is not None:
            if self._target_frame:
                rotation, shift_m = self._transforms.lookup(
                    self._target_frame, cloud.frame_id, cloud.stamp_ns
                )
                cloud = moved(cloud, self._target_frame, rotation, shift_m)
            if self._gravity_frame:
                from_gravity, _ = self._transforms.lookup(
                    cloud.frame_id, self._gravity_frame, cloud.stamp_ns
                )
                cloud = levelled(cloud, from_gravity[:, 2])
        return cropped(cloud, self.settings.workspace), rotation
