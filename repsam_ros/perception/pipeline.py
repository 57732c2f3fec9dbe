"""The online flow of one frame: canvas, encoder, prompts, masks, label map, cloud."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from repsam_ros.backends import (
    Backend,
    BackendConfig,
    BackendInfo,
    Decoded,
    Encoded,
    open_backend,
)
from repsam_ros.backends._handover import HandoverBackend
from repsam_ros.errors import BackendError, ConfigError
from repsam_ros.perception.canvas import (
    Canvas,
    depth_at,
    fit,
    inside_on_frame,
    points_on_canvas,
    points_on_frame,
)
from repsam_ros.perception.closer_look import CloserLookSettings, closer_region
from repsam_ros.perception.clouds import CloudSettings, build_cloud
from repsam_ros.perception.fragments import FragmentSettings, group_fragments
from repsam_ros.perception.guidance import (
    Guidance,
    points_inside,
    wanted_mask,
    without_ignored,
)
from repsam_ros.perception.masks import (
    MaskSettings,
    label_map,
    rate_masks,
    suppress,
)
from repsam_ros.perception.prompts import find_prompts
from repsam_ros.perception.region import RegionSettings
from repsam_ros.structures import Instances, Intrinsics, RgbdFrame, SceneCloud

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PipelineSettings:
    """Settings of the stages after the network.

    Attributes:
        min_prompt_score: Heatmap maxima below are not prompted.
        max_prompts: Prompts a frame at most.
        region: The part of the picture that is segmented; the rest is surroundings.
        masks: How masks are chosen.
        fragments: How pieces of an object behind another are joined.
        closer_look: When a frame of small objects is segmented a second time, closer.
        cloud: How the cloud is made.
    """

    min_prompt_score: float = 0.2
    max_prompts: int = 40
    region: RegionSettings = field(default_factory=RegionSettings)
    masks: MaskSettings = field(default_factory=MaskSettings)
    fragments: FragmentSettings = field(default_factory=FragmentSettings)
    closer_look: CloserLookSettings = field(default_factory=CloserLookSettings)
    cloud: CloudSettings = field(default_factory=CloudSettings)

    def __post_init__(self) -> None:
        if not 0 <= self.min_prompt_score <= 1:
            raise ConfigError(f"min_prompt_score must lie in 0..1, got {self.min_prompt_score}")
        if self.max_prompts < 1:
            raise ConfigError(f"max_prompts must be at least 1, got {self.max_prompts}")


@dataclass(frozen=True)
class Scene:
    """What is perceived in one frame."""

    instances: Instances
    cloud: SceneCloud


class Pipeline:
    """The chain from a frame to instances and clouds. Not thread-safe.

    ``settings`` may be replaced at any time, from any thread: a frame in work keeps those that it
    began with.
    """

    def __init__(self, backend: Backend, settings: PipelineSettings) -> None:
        self.backend = backend
        self.settings = settings

    @property
    def info(self) -> BackendInfo:
        """What is really running."""
        return self.backend.info()

    def segment(self, frame: RgbdFrame, guidance: Guidance | None = None) -> Instances:
        """Instances of a frame, best first; with a prompt from outside, the one it means.

        Raises:
            FrameError: ``ignore_mask_size``, ``bad_prompt``, ``region_outside``.
        """
        return self._segment(frame, guidance or Guidance(), self.settings)

    def encode(self, frame: RgbdFrame) -> tuple[Canvas, Encoded]:
        """The frame on the network's canvas, and what the encoder makes of it."""
        canvas = fit(frame, self.backend.canvas_px)
        values = canvas.intrinsics.values
        return canvas, self.backend.encode(canvas.color, canvas.depth_m, values)

    def _segment(
        self, frame: RgbdFrame, guidance: Guidance, settings: PipelineSettings
    ) -> Instances:
        guidance.check(frame.depth_m.shape)
        if not settings.region.is_set:
            return self._look(frame, guidance, settings)
        part, part_guidance = settings.region.cut(frame, guidance)
        part_guidance.check(part.depth_m.shape)
        instances = self._look(part, part_guidance, settings)
        return settings.region.paste(instances, frame.depth_m.shape)

    def _look(self, frame: RgbdFrame, guidance: Guidance, settings: PipelineSettings) -> Instances:
        instances = self._segment_part(frame, guidance, settings)
        # A prompt from outside says where to look, and may reach beyond what is found.
        if guidance.outline_px is not None:
            return instances
        region = closer_region(instances, self.backend.canvas_px, settings.closer_look)
        if region is None:
            return instances
        part, part_guidance = region.cut(frame, guidance)
        closer = self._segment_part(part, part_guidance, settings)
        found = len(closer.scores) > 0
        return region.paste(closer, frame.depth_m.shape) if found else instances

    def _segment_part(
        self, frame: RgbdFrame, guidance: Guidance, settings: PipelineSettings
    ) -> Instances:
        frame_px = frame.depth_m.shape
        canvas, encoded = self.encode(frame)
        points_px = _points_to_prompt(encoded, canvas, frame_px, guidance, settings)
        if len(points_px) == 0:
            return _nothing(frame_px)
        decoded = self.backend.decode(encoded, points_px)
        kept, joined, scores = _choose(decoded, canvas, frame_px, guidance, settings)
        if len(kept) == 0:
            return _nothing(frame_px)
        parts = (inside_on_frame(mask, canvas, frame_px) for mask in joined)
        min_area = round(settings.masks.min_area_px * frame.depth_m.size / (640 * 480))
        if guidance.ignored is not None:
            lost = np.where(guidance.ignored, np.float32(-np.inf), np.float32(0))
            parts = ((mask + lost[box], box) for mask, box in parts)
        if guidance.outline_px is not None:
            min_area = 1
        labels, stays = label_map(parts, scores[kept], frame_px, min_area)
        chosen = kept[stays]
        prompts_px = points_on_frame(points_px[chosen], canvas, frame_px)
        return Instances(labels, scores[chosen].astype(np.float32), prompts_px)

    def perceive(self, frame: RgbdFrame, guidance: Guidance | None = None) -> Scene:
        """Instances of a frame and the cloud of objects and surroundings.

        Raises:
            FrameError: See :meth:`segment`.
        """
        settings = self.settings
        instances = self._segment(frame, guidance or Guidance(), settings)
        if guidance is not None:
            frame = without_ignored(frame, guidance.ignored, settings.cloud.edge_px)
        return Scene(instances, build_cloud(frame, instances, settings.cloud))

    @property
    def swap_state(self) -> str:
        """How far the backend is that will take over; empty where none is waited for."""
        if not isinstance(self.backend, HandoverBackend):
            return ""
        if self.backend.failure is not None:
            return f"failed: {self.backend.failure}"
        progress = self.backend.progress
        return "" if progress is None else f"building {progress[1]}, {100 * progress[0]:.0f} %"

    def warm_up(self) -> None:
        """Runs once on an empty frame, so that the first real one is not slow."""
        height, width = self.backend.canvas_px
        camera = Intrinsics(width, width, 0.5 * width, 0.5 * height, width, height)
        blank = RgbdFrame(
            np.zeros((height, width, 3), np.uint8), np.ones((height, width), np.float32), camera
        )
        _, encoded = self.encode(blank)
        self.backend.decode(encoded, np.zeros((8, 2), np.float32))

    def close(self) -> None:
        """Frees the network."""
        self.backend.close()


def _points_to_prompt(
    encoded: Encoded,
    canvas: Canvas,
    frame_px: tuple[int, ...],
    guidance: Guidance,
    settings: PipelineSettings,
) -> NDArray[np.float32]:
    """(N, 2) pixels of the canvas."""
    if guidance.outline_px is not None:
        points_px = points_inside(guidance.outline_px, (frame_px[0], frame_px[1]))
        points_px = points_on_canvas(points_px, canvas, frame_px)
    else:
        points_px = find_prompts(
            encoded.heatmap, canvas.depth_m.shape, settings.min_prompt_score, settings.max_prompts
        ).points_px
    if guidance.ignored is None:
        return points_px
    columns, rows = np.rint(points_on_frame(points_px, canvas, frame_px)).astype(int).T
    rows, columns = rows.clip(0, frame_px[0] - 1), columns.clip(0, frame_px[1] - 1)
    seen: NDArray[np.float32] = points_px[~guidance.ignored[rows, columns]]
    return seen


def _choose(
    decoded: Decoded,
    canvas: Canvas,
    frame_px: tuple[int, ...],
    guidance: Guidance,
    settings: PipelineSettings,
) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.float32]]:
    """Indices of the masks that stay, their logits (N, h, w), and the scores of all masks."""
    depth_m, mask_camera = depth_at(canvas, decoded.mask_logits.shape[1:])
    logits, thresholds, scores = rate_masks(
        decoded.mask_logits, decoded.predicted_iou, depth_m, settings.masks
    )
    if guidance.outline_px is not None:
        on_canvas = points_on_canvas(guidance.outline_px, canvas, frame_px)
        step = logits.shape[1] / canvas.depth_m.shape[0]
        best = wanted_mask(logits > 0, scores, (on_canvas + 0.5) * np.float32(step) - 0.5)
        return np.array([best]), logits[[best]], scores
    kept = suppress(decoded.mask_logits, thresholds, scores, settings.masks)
    if len(kept) == 0:
        return kept, logits[:0], scores
    groups = group_fragments(logits[kept], scores[kept], depth_m, mask_camera, settings.fragments)
    first = np.unique(groups)
    joined = np.stack([logits[kept[groups == k]].max(0) for k in first])
    return kept[first], joined, scores


def _nothing(frame_px: tuple[int, ...]) -> Instances:
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
    swap: bool = False,
) -> Pipeline:
    """Loads a model on a backend and warms it up.

    Args:
        swap: Where the backend has to be built first, which takes minutes, serve with another one
            until it is ready.

    Raises:
        BackendError, CheckpointError, ConfigError: See :func:`repsam_ros.backends.open_backend`.
        FrameError: ``out_of_memory`` where the device has none for the first image.
    """
    config = BackendConfig(backend, model, device, precision, threads, compiled)
    opened = _serving_at_once(config) if swap else open_backend(config)
    pipeline = Pipeline(opened, settings or PipelineSettings())
    pipeline.warm_up()
    return pipeline


def _serving_at_once(config: BackendConfig) -> Backend:
    if config.name != "tensorrt":
        return open_backend(config)
    from repsam_ros.backends.tensorrt import serve_while_building

    first = replace(config, name="onnxruntime", precision="fp32")
    try:
        return serve_while_building(config, first)
    except BackendError as error:
        _log.warning("until TensorRT is ready, the CPU serves: %s", error)
        return serve_while_building(config, replace(first, device="cpu"))
