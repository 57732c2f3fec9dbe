"""Topics and message types of an RGB-D bag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stream = Literal["color", "depth", "info"]

IMAGE_TYPE = "sensor_msgs/msg/Image"
CAMERA_INFO_TYPE = "sensor_msgs/msg/CameraInfo"
STREAM_TYPES: dict[Stream, str] = {
    "color": IMAGE_TYPE,
    "depth": IMAGE_TYPE,
    "info": CAMERA_INFO_TYPE,
}

# Key in the bag's custom_data under which this package keeps frame names and checksums.
CUSTOM_KEY = "repsam_ros"


@dataclass(frozen=True)
class BagTopics:
    """Names of the three topics; the defaults are those that :func:`write_bag` writes."""

    color: str = "/camera/color/image_raw"
    depth: str = "/camera/aligned_depth_to_color/image_raw"
    info: str = "/camera/color/camera_info"

    def by_stream(self) -> dict[Stream, str]:
        return {"color": self.color, "depth": self.depth, "info": self.info}
