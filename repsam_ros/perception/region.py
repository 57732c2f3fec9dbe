"""The part of the picture that is segmented."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from repsam_ros.errors import ConfigError, FrameError
from repsam_ros.perception.guidance import Guidance
from repsam_ros.structures import Instances, RgbdFrame


@dataclass(frozen=True)
class RegionSettings:
    """A rectangle of the colour image; the network sees it at its full resolution.

    Attributes:
        x: Left column.
        y: Top row.
        width: Columns; 0 = up to the right edge.
        height: Rows; 0 = up to the bottom.
    """

    x: int = 0
    y: int = 0
    width: int = 0
    height: int = 0

    def __post_init__(self) -> None:
        if min(self.x, self.y, self.width, self.height) < 0:
            raise ConfigError("region: x, y, width and height must not be negative")

    @property
    def is_set(self) -> bool:
        """Whether it is not the whole picture."""
        return self != RegionSettings()

    def cut(self, frame: RgbdFrame, guidance: Guidance) -> tuple[RgbdFrame, Guidance]:
        """This part of a frame, and of what is said about it.

        Raises:
            FrameError: ``region_outside`` when it reaches beyond the frame.
        """
        part = self._slices(frame.depth_m.shape)
        depth_m, camera = np.ascontiguousarray(frame.depth_m[part]), frame.intrinsics
        height, width = depth_m.shape
        cx, cy = camera.cx - self.x, camera.cy - self.y
        camera = replace(camera, cx=cx, cy=cy, width=width, height=height)
        ignored, outline_px = guidance.ignored, guidance.outline_px
        if outline_px is not None:
            outline_px = outline_px - np.array([self.x, self.y], np.float32)
        return (
            replace(
                frame,
                color=np.ascontiguousarray(frame.color[part]),
                depth_m=depth_m,
                intrinsics=camera,
            ),
            Guidance(None if ignored is None else ignored[part], outline_px),
        )

    def paste(self, instances: Instances, frame_px: tuple[int, ...]) -> Instances:
        """Instances of this part, in the (height, width) frame."""
        labels = np.zeros(frame_px, np.uint16)
        labels[self._slices(frame_px)] = instances.labels
        offset = np.array([self.x, self.y], np.float32)
        return Instances(labels, instances.scores, instances.prompts_px + offset)

    def _slices(self, frame_px: tuple[int, ...]) -> tuple[slice, slice]:
        height, width = frame_px
        bottom = self.y + self.height if self.height else height
        right = self.x + self.width if self.width else width
        if not (self.y < bottom <= height and self.x < right <= width):
            raise FrameError(
                "region_outside",
                f"region {self.width}x{self.height} at ({self.x}, {self.y}) reaches beyond the"
                f" {width}x{height} pixels of the color image",
            )
        return slice(self.y, bottom), slice(self.x, right)
