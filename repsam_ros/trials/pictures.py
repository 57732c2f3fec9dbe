"""Short films of attempts: what the variant saw, and how the grasp went, side by side."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from repsam_ros.config import to_plain
from repsam_ros.errors import BackendError
from repsam_ros.paths import atomic_path
from repsam_ros.presentation.overlay import draw_overlay
from repsam_ros.progress import track
from repsam_ros.simulation.workers import map_here, one_thread
from repsam_ros.structures import Grasp, Instances
from repsam_ros.trials.chains import Chain
from repsam_ros.trials.configuration import TrialsConfig
from repsam_ros.trials.examples import Example, choose_examples
from repsam_ros.trials.execution import PICTURES_PER_S, execute
from repsam_ros.trials.protocol import take_picture
from repsam_ros.trials.rows import AttemptRow, WrittenGrasp, read_rows
from repsam_ros.trials.runner import open_chains
from repsam_ros.trials.scene import TrialScene, make_scene
from repsam_ros.trials.segmenters import instances_of
from repsam_ros.trials.sensing import View

logger = logging.getLogger(__name__)

Picture = NDArray[np.uint8]

_HEIGHT_PX = 300
_QUALITY = 60
_LAST_MS = 1500
_PANEL = 70
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


@dataclass(frozen=True)
class _Wanted:
    """An example to film, and the rows of its round up to it, its own last."""

    config: TrialsConfig
    example: Example
    history: tuple[AttemptRow, ...]
    out: Path
    device: str


def show_examples(config: TrialsConfig, out: Path, *, device: str, processes: int = 1) -> None:
    """Films the attempts that the report shows, as far as they are not there.

    Each is done again from its row: scenes, pictures and physics are the same every time, as long
    as the code is.

    Raises:
        BackendError: OpenCV is too old to write films.
        DatasetError: The table is missing or broken.
    """
    rows = read_rows(out / "attempts.csv", AttemptRow)
    missing = [e for e in choose_examples(config, rows) if not (out / e.file).is_file()]
    if missing and not hasattr(cv2, "imwriteanimation"):
        raise BackendError("films need OpenCV 4.11 or later; --set examples=0 leaves them out")
    wanted = [_Wanted(config, e, _history(rows, e.row), out, device) for e in missing]
    for problem in track(map_here(_film, wanted, processes), len(wanted), "films"):
        if problem is not None:
            logger.error("%s", problem)


def _history(rows: Sequence[AttemptRow], last: AttemptRow) -> tuple[AttemptRow, ...]:
    key = (last.stratum, last.scene_seed, last.variant)
    own = [row for row in rows if (row.stratum, row.scene_seed, row.variant) == key]
    return tuple(row for row in own if row.attempt <= last.attempt)


def _film(wanted: _Wanted) -> str | None:
    """Writes one film; returns what is wrong where the attempt ends in another way now."""
    config, row = wanted.config, wanted.example.row
    with one_thread():
        scene = make_scene(config.strata[row.stratum].scene, row.scene_seed)
        for earlier in wanted.history[:-1]:
            scene, _ = _again(config, scene, earlier)
        view, _ = take_picture(config, scene, row.attempt)
        pictures: list[Picture] = []
        _, outcome = _again(config, scene, row, pictures.append)
        if outcome != row.outcome:
            return f"{wanted.example.file}: the attempt ends with {outcome} now, not filmed"
        chains = open_chains(json.dumps(to_plain(config), sort_keys=True), wanted.device)
        seen = _seen(view, row, chains[row.variant])
    shown = pictures or [_panel(row.outcome.replace("_", " "))]
    write_film(wanted.out / wanted.example.file, [_beside(seen, each) for each in shown])
    return None


def _again(
    config: TrialsConfig,
    scene: TrialScene,
    row: AttemptRow,
    film: Callable[[Picture], None] | None = None,
) -> tuple[TrialScene, str]:
    """Executes the grasp of a row, if it has one; the scene after it and the outcome."""
    grasp = WrittenGrasp.of_row(row)
    if grasp is None or row.target_id is None:
        return scene, row.outcome
    result = execute(scene, grasp.grasp(), row.target_id, config.execution, film)
    return result.scene_after, result.outcome.value


def _seen(view: View, row: AttemptRow, chain: Chain) -> Picture:
    """The variant's instances and the grasp in its picture, the target outlined in white."""
    instances = instances_of(chain(view, lambda labels: ()).labels)
    unscored = Instances(instances.labels, 0 * instances.scores, instances.prompts_px)
    written = WrittenGrasp.of_row(row)
    grasps = [] if written is None else [_in_camera(written.grasp(), view)]
    picture = draw_overlay(view.frame.color, unscored, grasps, view.frame.intrinsics)
    if row.target_id is not None:
        mask = (view.true_labels == row.target_id).astype(np.uint8)
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for ink, width in ((_BLACK, 4), (_WHITE, 2)):
            cv2.drawContours(picture, outlines, -1, ink, width, cv2.LINE_AA)
    return _of_height(picture)


def _in_camera(grasp: Grasp, view: View) -> Grasp:
    turn, shift_m = view.camera_from_world[:3, :3], view.camera_from_world[:3, 3]
    position_m = turn @ grasp.position_m + shift_m
    return replace(grasp, position_m=position_m, rotation=turn @ grasp.rotation)


def _panel(words: str) -> Picture:
    """What stands in place of a film where the hand never moved."""
    panel = np.full((_HEIGHT_PX, 4 * _HEIGHT_PX // 3, 3), _PANEL, np.uint8)
    width = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, 0.7, 1)[0][0]
    place = ((panel.shape[1] - width) // 2, _HEIGHT_PX // 2)
    cv2.putText(panel, words, place, cv2.FONT_HERSHEY_SIMPLEX, 0.7, _WHITE, 1, cv2.LINE_AA)
    return panel


def _beside(seen: Picture, picture: Picture) -> Picture:
    return np.concatenate((seen, _of_height(picture)), axis=1)


def _of_height(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    size = (round(width * _HEIGHT_PX / height), _HEIGHT_PX)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def write_film(path: Path, pictures: Sequence[Picture]) -> None:
    """Writes (H, W, 3) RGB pictures as an animated WebP, which repeats and rests at its end.

    Raises:
        BackendError: OpenCV cannot write WebP, or could not write this one: it does not say why.
    """
    film = cv2.Animation()
    film.frames = [np.ascontiguousarray(picture[..., ::-1]) for picture in pictures]
    film.durations = [1000 // PICTURES_PER_S] * (len(pictures) - 1) + [_LAST_MS]
    with atomic_path(path) as temporary:
        if not cv2.imwriteanimation(str(temporary), film, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY]):
            able = cv2.haveImageWriter(path.name)
            reason = (
                "could not be written whole, is the disk full?"
                if able
                else "needs OpenCV with WebP"
            )
            raise BackendError(f"{path}: {reason}")
