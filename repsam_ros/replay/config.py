"""What ``repsam replay`` can be told, by options or by the parameters of the robot's node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from repsam_ros.bags import BagFrames, BagTopics
from repsam_ros.config import to_plain
from repsam_ros.errors import ConfigError
from repsam_ros.evaluation.config import PipelineConfig
from repsam_ros.node_parameters import flat, nested, settings_parameters
from repsam_ros.perception.parameters import NODE_PARAMETERS, PARAMETERS
from repsam_ros.perception.pipeline import PipelineSettings
from repsam_ros.perception.sync import DEFAULT_QUEUE_SIZE
from repsam_ros.perception.tracking import TrackingSettings
from repsam_ros.replay.truth import Truth

# Parameters of the perception node that are keys of a replay.
_SHARED = (
    *("model", "backend", "device", "precision", "threads"),
    *("slop_s", "sync_queue", "frame_step", "max_rate_hz", "depth_scale_m"),
)
_OF_TOPICS = {
    "depth_info_topic": "depth_info",
    "color_transport": "color_transport",
    "depth_transport": "depth_transport",
}


@dataclass(frozen=True, kw_only=True)
class ReplaySettings:
    """How the bag is read.

    Attributes:
        slop_s: Largest distance of the stamps of one pair.
        sync_queue: Images of one stream that wait for the other.
        frame_step: Every n-th frame is worked on; the others are counted as skipped.
        max_rate_hz: Most frames a second, by their stamps; others count as rate_limit; 0 = all.
        depth_scale_m: Length of one depth unit, None = what the encoding says (REP-118).
        tracking: How ids are kept from frame to frame.
        truth: What the label maps are scored against.
    """

    topics: BagTopics = field(default_factory=BagTopics)
    slop_s: float = 0.03
    sync_queue: int = DEFAULT_QUEUE_SIZE
    frame_step: int = 1
    max_rate_hz: float = 0.0
    depth_scale_m: float | None = None
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    truth: Truth = field(default_factory=Truth)

    def __post_init__(self) -> None:
        for item in NODE_PARAMETERS:  # what the node refuses is refused here
            value = getattr(self, item.name, None)
            if value is not None and (reason := item.problem(value)):
                raise ConfigError(reason)

    def frames(self, bag: Path) -> BagFrames:
        """The frames of a bag."""
        return BagFrames(bag, self.topics, round(self.slop_s * 1e9), self.sync_queue)


@dataclass(frozen=True, kw_only=True)
class ReplayConfig(ReplaySettings, PipelineConfig):
    """A pipeline runs on the frames of ``bag``."""

    bag: str

    def node_parameters(self) -> dict[str, Any]:
        """What the perception node is told for the same label maps, but for the bag's topics."""
        plain = to_plain(self)
        values = {name: plain[name] for name in _SHARED} | {
            "depth_scale_m": self.depth_scale_m or 0.0
        }
        values |= flat(plain["pipeline"]) | flat(plain["tracking"], "tracking.")
        declared = {item.name: item.default for item in PARAMETERS}
        # ROS does not take 1 for 1.0.
        return {
            name: float(value) if isinstance(declared[name], float) else value
            for name, value in values.items()
        }


def replay_content(values: Mapping[str, Any], node: str) -> dict[str, Any]:
    """Parameters of the perception node as configuration values of a replay.

    Left out is what changes no label map, or is not the bag's: quality of service, where clouds
    are placed and how they are cropped, how the node starts and swaps backends.

    Args:
        node: Its full name; relative topics lie beside it, those that begin with ``~`` below.
    """
    of_pipeline = {item.name for item in settings_parameters(PipelineSettings, {})}
    content = nested(
        {name: v for name, v in values.items() if name in _SHARED or name.startswith("tracking.")}
    )
    content["pipeline"] = nested({name: v for name, v in values.items() if name in of_pipeline})
    topics = {key: values[name] for name, key in _OF_TOPICS.items() if name in values}
    depth_info = topics.get("depth_info", "")
    if depth_info.startswith("~"):
        topics["depth_info"] = f"{node}{depth_info[1:]}"
    elif depth_info and not depth_info.startswith("/"):
        topics["depth_info"] = f"{node.rpartition('/')[0]}/{depth_info}"
    return {**content, "topics": topics}
