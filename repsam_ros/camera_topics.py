"""Names that camera drivers give their topics."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from repsam_ros.config import load_config, preset_path


@dataclass(frozen=True)
class CameraTopics:
    """Topics below the camera's namespace.

    Attributes:
        color: Image.
        depth: Image, registered to color.
        info: CameraInfo of color.
        depth_info: CameraInfo of depth where its size or K is not that of color; empty = it is.
    """

    color: str
    depth: str
    info: str
    depth_info: str = ""

    def by_stream(self, camera: str) -> dict[str, str]:
        """Full names of the topics that a camera in this namespace has, by attribute."""
        return {
            stream: _below(camera, topic)
            for stream, topic in asdict(self).items()
            if topic or stream != "depth_info"
        }

    def remappings(self, camera: str) -> dict[str, str]:
        """From the perception node's names to those of a camera in this namespace."""
        topics = self.by_stream(camera)
        return {
            "color/image_raw": topics["color"],
            "aligned_depth_to_color/image_raw": topics["depth"],
            "color/camera_info": topics["info"],
        }

    def parameters(self, camera: str) -> dict[str, str]:
        """What the perception node has to know of the camera."""
        topics = self.by_stream(camera)
        return {"depth_info_topic": topics["depth_info"]} if "depth_info" in topics else {}


def camera_topics(name_or_path: str) -> CameraTopics:
    """The topics of a kind of camera: a file of ``config/cameras/``, or one of the user's.

    Raises:
        ConfigError: There is no such kind or file, or it holds something else.
    """
    return load_config(CameraTopics, preset_path("camera", "cameras", name_or_path))


def _below(camera: str, topic: str) -> str:
    return "/" + "/".join(part for part in (camera.strip("/"), topic.strip("/")) if part)
