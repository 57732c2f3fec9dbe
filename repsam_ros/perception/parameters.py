"""Parameters of the perception node."""

from __future__ import annotations

from dataclasses import dataclass, field

from repsam_ros.messages.compressed import TRANSPORTS
from repsam_ros.node_parameters import Parameter, qos_parameters, settings_parameters
from repsam_ros.perception.pipeline import PipelineSettings
from repsam_ros.perception.tracking import TrackingSettings
from repsam_ros.perception.workspace import WorkspaceSettings


@dataclass(frozen=True)
class SceneSettings:
    """What is done to a scene before it is published.

    Attributes:
        workspace: The box that the cloud is cropped to.
        tracking: How ids are kept from frame to frame.
    """

    workspace: WorkspaceSettings = field(default_factory=WorkspaceSettings)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)


SETTINGS_BOUNDS = {
    "min_prompt_score": (0.0, 1.0),
    "max_prompts": (1, 1024),
    "masks.min_score": (0.0, 1.0),
    "cloud.object_voxel_m": (0.0005, 0.1),
    "cloud.context_voxel_m": (0.0005, 0.1),
    "cloud.min_depth_m": (0.0, 10.0),
    "cloud.max_depth_m": (0.01, 20.0),
    "cloud.context_margin_m": (0.0, 10.0),
    "cloud.outline_px": (0, 20),
    "cloud.edge_px": (0, 20),
    "region.x": (0, 16_384),
    "region.y": (0, 16_384),
    "region.width": (0, 16_384),
    "region.height": (0, 16_384),
    "tracking.min_iou": (0.01, 1.0),
    "tracking.max_shift": (0.0, 10.0),
    "tracking.memory_frames": (1, 10_000),
}

NODE_PARAMETERS = (
    Parameter("model", "repsam_tiny", "Name in models/manifest.yaml or path.", "unconfigured"),
    Parameter("backend", "torch", "Run-time backend.", "unconfigured"),
    Parameter("device", "cpu", "Device of the backend, cpu or cuda:0.", "unconfigured"),
    Parameter("precision", "fp32", "Arithmetic of the network, fp32 or bf16.", "unconfigured"),
    Parameter("threads", 0, "CPU threads, 0 = the library's choice.", "unconfigured", (0, 256)),
    Parameter("slop_s", 0.03, "Largest stamp difference in a pair.", "unconfigured", (0.0, 0.5)),
    Parameter("sync_queue", 20, "Images that wait for a partner.", "unconfigured", (1, 200)),
    *qos_parameters("best_effort"),
    Parameter(
        "qos.ignore_mask_latched",
        False,
        "Hear an ignore mask that was published once, reliable and transient local; false = each"
        " mask has to come while the node is active.",
        "unconfigured",
    ),
    Parameter("target_frame", "", "Frame of clouds, empty = optical frame.", "unconfigured"),
    Parameter(
        "gravity_frame",
        "",
        "Frame whose z axis points up: the support plane becomes level; empty = as it is seen.",
        "unconfigured",
    ),
    Parameter("color_transport", "raw", "How color comes.", "unconfigured", choices=TRANSPORTS),
    Parameter("depth_transport", "raw", "How depth comes.", "unconfigured", choices=TRANSPORTS),
    Parameter(
        "depth_info_topic",
        "",
        "Camera info of depth where its size or K is not that of color; empty = it is.",
        "unconfigured",
    ),
    Parameter(
        "backend_swap",
        True,
        "With TensorRT: serve with ONNX Runtime while an engine is built, then change over.",
        "unconfigured",
    ),
    Parameter("frame_step", 1, "Work on every n-th frame.", bounds=(1, 1000)),
    Parameter(
        "max_rate_hz", 0.0, "Most frames a second, by their stamps; 0 = all.", bounds=(0.0, 1000.0)
    ),
    Parameter(
        "depth_scale_m",
        0.0,
        "Metres in one unit of depth, 0 = after the encoding (REP-118).",
        bounds=(0.0, 10.0),
    ),
)
PARAMETERS = (
    *NODE_PARAMETERS,
    *settings_parameters(PipelineSettings, SETTINGS_BOUNDS),
    *settings_parameters(SceneSettings, SETTINGS_BOUNDS),
)
