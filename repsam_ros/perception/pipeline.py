"""The online flow of one frame: canvas, encoder, prompts, masks, label map, cloud."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit

from repsam_ros.backends import Backend, BackendConfig, BackendInfo, open_backend
from repsam_ros.perception.canvas import depth_at, fit, to_frame
from repsam_ros.perception.clouds import CloudSettings, build_cloud
from repsam_ros.perception.fragments import FragmentSettings, group_fragments
from repsam_ros.perception.masks import (
    MaskSettings,
    label_map,
    mask_thresholds,
    stability,
    suppress,
)
from repsam_ros.perception.prompts import find_prompts
from repsam_ros.structures import Instances, Intrinsics, RgbdFrame, SceneCloud


@dataclass(frozen=True)
class PipelineSettings:
    """Settings of the stages after the network.

    Attributes:
        min_prompt_score: Heatmap maxima below are not prompted.
        max_prompts: Prompts a frame at most.
        masks: How masks are chosen.
        fragments: How pieces of an object behind another are joined.
        cloud: How the cloud is made.
    """

    min_prompt_score: float = 0.2
    max_prompts: int = 40
    masks: MaskSettings = field(default_factory=MaskSettings)
    fragments: FragmentSettings = field(default_factory=FragmentSettings)
    cloud: CloudSettings = field(default_factory=CloudSettings)


@dataclass(frozen=True)
class Scene:
    """What is perceived in one frame."""

    instances: Instances
    cloud: SceneCloud


class Pipeline:
    """The chain from a frame to instances and clouds. Not thread-safe."""

    def __init__(self, backend: Backend, settings: PipelineSettings) -> None:
        self.backend = backend
        self.settings = settings

    @property
    def info(self) -> BackendInfo:
        """What is really running."""
        return self.backend.info()

    def segment(self, frame: RgbdFrame) -> Instances:
        """Instances of a frame, best first."""
        settings = self.settings
        canvas = fit(frame, self.backend.canvas_px)
        camera = canvas.intrinsics
        values = np.array([camera.fx, camera.fy, camera.cx, camera.cy], np.float32)
        encoded = self.backend.encode(canvas.color, canvas.depth_m, values)
        prompts = find_prompts(
            encoded.heatmap, self.backend.canvas_px, settings.min_prompt_score, settings.max_prompts
        )
        frame_px = frame.depth_m.shape
        if len(prompts.scores) == 0:
            return _nothing(frame_px)
        decoded = self.backend.decode(encoded, prompts.points_px)
        depth_m, mask_camera = depth_at(canvas, decoded.mask_logits.shape[1:])
        logits = decoded.mask_logits - mask_thresholds(decoded.mask_logits, depth_m, settings.masks)
        scores = decoded.predicted_iou * stability(logits, settings.masks.stability_offset)
        kept = suppress(logits > 0, scores, settings.masks)
        if len(kept) == 0:
            return _nothing(frame_px)
        groups = group_fragments(
            logits[kept], scores[kept], depth_m, mask_camera, settings.fragments
        )
        first = np.unique(groups)
        joined = np.stack([logits[kept[groups == k]].max(0) for k in first])
        kept = kept[first]
        full = to_frame(joined, canvas, frame_px)
        probabilities = expit(full, out=full)
        min_area = round(settings.masks.min_area_px * frame.depth_m.size / (640 * 480))
        labels, stays = label_map(probabilities, scores[kept], min_area)
        chosen = kept[stays]
        scale = np.array(
            [frame_px[1] / canvas.inner_px[1], frame_px[0] / canvas.inner_px[0]], np.float32
        )
        points = (prompts.points_px[chosen] + 0.5) * scale - 0.5
        return Instances(labels, scores[chosen].astype(np.float32), points.astype(np.float32))

    def perceive(self, frame: RgbdFrame) -> Scene:
        """Instances of a frame and the cloud of objects and surroundings."""
        instances = self.segment(frame)
        return Scene(instances, build_cloud(frame, instances, self.settings.cloud))

    def warm_up(self) -> None:
        """Runs once on an empty frame, so that the first real one is not slow."""
        height, width = self.backend.canvas_px
        camera = Intrinsics(width, width, 0.5 * width, 0.5 * height, width, height)
        blank = RgbdFrame(
            np.zeros((height, width, 3), np.uint8), np.ones((height, width), np.float32), camera
        )
        canvas = fit(blank, self.backend.canvas_px)
        encoded = self.backend.encode(
            canvas.color,
            canvas.depth_m,
            np.array([width, width, width / 2, height / 2], np.float32),
        )
        self.backend.decode(encoded, np.zeros((8, 2), np.float32))

    def close(self) -> None:
        """Frees the network."""
        self.backend.close()


def _nothing(frame_px: tuple[int, int]) -> Instances:
    return Instances(
        np.zeros(frame_px, np.uint16), np.zeros(0, np.float32), np.zeros((0, 2), np.float32)
    )


def open_pipeline(
    model: str = "repsam_tiny",
    backend: str = "torch",
    device: str = "cpu",
    settings: PipelineSettings | None = None,
    *,
    precision: str = "fp32",
    threads: int = 0,
    compiled: bool = False,
) -> Pipeline:
    """Loads a model on a backend and warms it up.

    Raises:
        BackendError, CheckpointError, ConfigError: See :func:`repsam_ros.backends.open_backend`.
    """
    config = BackendConfig(backend, model, device, precision, threads, compiled)
    pipeline = Pipeline(open_backend(config), settings or PipelineSettings())
    pipeline.warm_up()
    return pipeline
