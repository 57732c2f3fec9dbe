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
        width: Columns; 0 = the whole picture.
        height: Rows; 0 = the whole picture.
    """

    x: int = 0
    y: int = 0
    width: int = 0
    height: int = 0

    def __post_init__(self) -> None:
        if min(self.x, self.y, self.width, self.height) < 0:
            raise ConfigError("region: x, y, width and height must not be negative")
        if (self.width == 0) != (self.height == 0):
            raise ConfigError("region: width and height must both be set, or both be 0")

    @property
    def is_set(self) -> bool:
        """Whether there is one."""
        return self.width > 0

    def cut(self, frame: RgbdFrame, guidance: Guidance) -> tuple[RgbdFrame, Guidance]:
        """This part of a frame, and of what is said about it.

        Raises:
            FrameError: ``region_outside`` when it reaches beyond the frame.
        """
        height, width = frame.depth_m.shape
        if self.x + self.width > width or self.y + self.height > height:
            raise FrameError(
                "region_outside",
                f"region {self.width}x{self.height} at ({self.x}, {self.y}) reaches beyond the"
                f" {width}x{height} pixels of the color image",
            )
        part = np.s_[self.y : self.y + self.height, self.x : self.x + self.width]
        camera = frame.intrinsics
        camera = replace(
            camera,
            cx=camera.cx - self.x,
            cy=camera.cy - self.y,
            width=self.width,
            height=self.height,
        )
        ignored, outline_px = guidance.ignored, guidance.outline_px
        if outline_px is not None:
            outline_px = outline_px - np.array([self.x, self.y], np.float32)
        return (
            replace(
                frame,
                color=np.ascontiguousarray(frame.color[part]),
                depth_m=np.ascontiguousarray(frame.depth_m[part]),
                intrinsics=camera,
            ),
            Guidance(None if ignored is None else ignored[part], outline_px),
        )

    def paste(self, instances: Instances, frame_px: tuple[int, ...]) -> Instances:
        """Instances of this part, in the (height, width) frame."""
        labels = np.zeros(frame_px, np.uint16)
        labels[self.y : self.y + self.height, self.x : self.x + self.width] = instances.labels
        offset = np.array([self.x, self.y], np.float32)
        return Instances(labels, instances.scores, instances.prompts_px + offset)
