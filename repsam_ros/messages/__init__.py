"""Codec between ROS-shaped messages and arrays; needs no ROS.

Anything with the attributes of the ROS type will do: messages of rclpy, messages read by
``rosbags``, plain objects. Decoders raise :class:`~repsam_ros.errors.FrameError` with a cause;
encoders return the fields of the message as a dictionary, ``data`` as flat uint8.
"""

from repsam_ros.messages.cloud import (
    Field,
    cloud_fields,
    grasp_fields,
    pack_cloud,
    pack_grasps,
    point_cloud,
    unpack_cloud,
    unpack_grasps,
)
from repsam_ros.messages.compressed import (
    color_from_compressed,
    color_from_either,
    depth_from_compressed,
    is_compressed,
)
from repsam_ros.messages.image import (
    color_from_image,
    color_image,
    depth_from_image,
    depth_image,
    intrinsics_from_camera_info,
    label_image,
    labels_from_image,
    mask_from_image,
    ns_to_stamp,
    stamp_to_ns,
)

__all__ = [
    "Field",
    "cloud_fields",
    "color_from_compressed",
    "color_from_either",
    "color_from_image",
    "color_image",
    "depth_from_compressed",
    "depth_from_image",
    "depth_image",
    "grasp_fields",
    "intrinsics_from_camera_info",
    "is_compressed",
    "label_image",
    "labels_from_image",
    "mask_from_image",
    "ns_to_stamp",
    "pack_cloud",
    "pack_grasps",
    "point_cloud",
    "stamp_to_ns",
    "unpack_cloud",
    "unpack_grasps",
]
