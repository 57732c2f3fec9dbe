"""Parameters of the perception node."""

from __future__ import annotations

from repsam_ros.perception.pipeline import PipelineSettings
from repsam_ros.ros.parameters import Parameter, settings_parameters
from repsam_ros.ros.qos import RELIABILITIES

SETTINGS_BOUNDS = {
    "min_prompt_score": (0.0, 1.0),
    "max_prompts": (1, 1024),
    "masks.min_score": (0.0, 1.0),
    "cloud.object_voxel_m": (0.0005, 0.1),
    "cloud.context_voxel_m": (0.0005, 0.1),
    "cloud.min_depth_m": (0.0, 10.0),
    "cloud.max_depth_m": (0.01, 20.0),
    "cloud.context_margin_m": (0.0, 10.0),
    "cloud.edge_px": (0, 20),
}

NODE_PARAMETERS = (
    Parameter("model", "repsam_tiny", "Name in models/manifest.yaml or path.", "unconfigured"),
    Parameter("backend", "torch", "Run-time backend.", "unconfigured"),
    Parameter("device", "cpu", "Device of the backend, cpu or cuda:0.", "unconfigured"),
    Parameter("precision", "fp32", "Arithmetic of the network, fp32 or bf16.", "unconfigured"),
    Parameter("threads", 0, "CPU threads, 0 = the library's choice.", "unconfigured", (0, 256)),
    Parameter("slop_s", 0.03, "Largest stamp difference in a pair.", "unconfigured", (0.0, 0.5)),
    Parameter("sync_queue", 20, "Images that wait for a partner.", "unconfigured", (1, 200)),
    Parameter(
        "qos.reliability",
        "best_effort",
        "Of the input subscriptions.",
        "unconfigured",
        choices=RELIABILITIES,
    ),
    Parameter("qos.depth", 5, "Of the input subscriptions.", "unconfigured", (1, 1000)),
    Parameter("qos.output_depth", 5, "Of the publishers.", "unconfigured", (1, 1000)),
    Parameter("target_frame", "", "Frame of clouds, empty = optical frame.", "unconfigured"),
    Parameter(
        "depth_scale_m",
        0.0,
        "Metres in one unit of depth, 0 = after the encoding (REP-118).",
        bounds=(0.0, 10.0),
    ),
)
PARAMETERS = (*NODE_PARAMETERS, *settings_parameters(PipelineSettings, SETTINGS_BOUNDS))
