"""What is done with a scene: single shots at one target, or picking until nothing is left."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from repsam_ros.structures import Grasp
from repsam_ros.trials.chains import Answer, Chain
from repsam_ros.trials.configuration import EXACT, TrialsConfig
from repsam_ros.trials.execution import Attempt, Outcome, execute
from repsam_ros.trials.rows import AttemptRow, AttemptTimes, WrittenGrasp, rounded
from repsam_ros.trials.scene import WORKSPACE_M, TrialScene, make_scene
from repsam_ros.trials.sensing import View, sense

GLASS, OPAQUE = "glass", "opaque"
# Of the middle of the table along x and y; a robot's cell is known, what lies beyond it is not
# picked.
REACH_M = WORKSPACE_M + 0.1


@dataclass(frozen=True)
class Trials:
    """What one scene gave."""

    rows: tuple[AttemptRow, ...]
    times: tuple[AttemptTimes, ...]

    def __add__(self, other: Trials) -> Trials:
        return Trials(self.rows + other.rows, self.times + other.times)


@dataclass(frozen=True)
class Place:
    """Where an attempt belongs: the first columns of its row."""

    stratum: str
    scene_seed: int
    attempt: int
    variant: str


@dataclass(frozen=True)
class Picked:
    """What a chain made of a view.

    Attributes:
        target_id: The object that is to be lifted; None where nothing is.
        mask_iou: Of the instance taken for it.
        grasps: Offered on that instance.
        grasp: The one to execute, in the world frame; None where there is none.
    """

    answer: Answer
    target_id: int | None
    mask_iou: float | None
    grasps: int
    grasp: WrittenGrasp | None
    detected: bool


def single_shot(
    config: TrialsConfig, stratum: str, seed: int, chains: Mapping[str, Chain]
) -> Trials:
    """One attempt of every variant at one target, from the same snapshot and picture."""
    scene = make_scene(config.strata[stratum].scene, seed)
    view, sense_s = take_picture(config, scene, 0)
    target_id = choose_target(view, scene, config.min_visible, seed)
    trials = Trials((), ())
    for variant, chain in chains.items():
        picked = aim_at(view, target_id, chain, config.min_iou)
        place = Place(stratum, seed, 0, variant)
        trials += attempt(config, place, scene, view, picked, sense_s)[0]
    return trials


def clear_table(
    config: TrialsConfig, stratum: str, seed: int, chains: Mapping[str, Chain]
) -> Trials:
    """A round of every variant: pick what looks best until nothing is left or it fails.

    All that was lifted is taken away. A round ends when no object is left or ``max_failures``
    attempts in a row failed; one without a grasp is among them.
    """
    start = make_scene(config.strata[stratum].scene, seed)
    trials = Trials((), ())
    for variant, chain in chains.items():
        scene, failures, number = start, 0, 0
        while scene.object_ids and failures < config.max_failures:
            view, sense_s = take_picture(config, scene, number)
            picked = aim_anywhere(view, scene, chain)
            place = Place(stratum, seed, number, variant)
            done, result = attempt(config, place, scene, view, picked, sense_s)
            trials += done
            number += 1
            succeeded = result is not None and result.outcome is Outcome.SUCCESS
            failures = 0 if succeeded else failures + 1
            scene = result.scene_after if result is not None else scene
    return trials


def take_picture(config: TrialsConfig, scene: TrialScene, number: int) -> tuple[View, float]:
    """The picture before attempt ``number``, each from another place, and how long it took."""
    start_s = time.perf_counter()
    view = sense(scene, config.camera, number, config.renderer)
    return view, time.perf_counter() - start_s


def choose_target(view: View, scene: TrialScene, min_visible: float, seed: int) -> int:
    """One of the objects that are seen well enough, or else the one that is seen best."""
    shares = {each: view.visible_share.get(each, 0.0) for each in scene.object_ids}
    seen_well = [each for each, share in shares.items() if share >= max(min_visible, 1e-9)]
    if not seen_well:
        return max(shares, key=lambda each: shares[each])
    return int(np.random.default_rng([seed, 2]).choice(seen_well))


def aim_at(view: View, target_id: int, chain: Chain, min_iou: float) -> Picked:
    """The best grasp on the instance that stands for the target."""
    truth = view.true_labels == target_id

    def wanted(labels: NDArray[np.integer]) -> Collection[int]:
        instance, iou = best_match(labels, truth)
        return (instance,) if iou >= min_iou else ()

    answer = chain(view, wanted)
    instance, iou = best_match(answer.labels, truth)
    detected = iou >= min_iou
    grasps = [grasp for grasp in answer.grasps if detected and grasp.instance_id == instance]
    best = WrittenGrasp.of(view.in_world(grasps[0])) if grasps else None
    return Picked(answer, target_id, iou, len(grasps), best, detected)


def aim_anywhere(view: View, scene: TrialScene, chain: Chain) -> Picked:
    """The best grasp on anything.

    Its target is the object that its instance covers most, or the nearest one where it covers
    none.
    """
    answer = chain(view, lambda labels: None)
    detected = bool(answer.labels.any())
    grasps = [grasp for grasp in answer.grasps if _in_reach(view.in_world(grasp))]
    if not grasps:
        return Picked(answer, None, None, 0, None, detected)
    grasp = WrittenGrasp.of(view.in_world(grasps[0]))
    inside = answer.labels == grasps[0].instance_id
    covered = np.bincount(view.true_labels[inside], minlength=1)
    covered[0] = 0
    target_id = int(covered.argmax())
    if not covered.any():
        place_m = grasp.grasp().position_m
        apart_m = [np.linalg.norm(one.position_m - place_m) for one in scene.placed()]
        target_id = scene.object_ids[int(np.argmin(apart_m))]
    iou = best_match(inside.astype(np.uint16), view.true_labels == target_id)[1]
    return Picked(answer, target_id, iou, len(grasps), grasp, detected)


def _in_reach(grasp: Grasp) -> bool:
    return bool(np.abs(grasp.position_m[:2]).max() <= REACH_M)


def best_match(labels: NDArray[np.integer], truth: NDArray[np.bool_]) -> tuple[int, float]:
    """The id whose mask has the largest IoU with ``truth``, and that IoU; 0 where none meets it."""
    common = np.bincount(labels[truth], minlength=1).astype(np.float64)
    union = np.bincount(labels.ravel(), minlength=len(common))[: len(common)] + truth.sum() - common
    common[0] = 0
    iou = common / np.maximum(union, 1)
    best = int(iou.argmax())
    return best, float(iou[best])


def attempt(
    config: TrialsConfig,
    place: Place,
    scene: TrialScene,
    view: View,
    picked: Picked,
    sense_s: float,
) -> tuple[Trials, Attempt | None]:
    """Executes what was picked, if anything, and writes it down."""
    result, execute_s = None, None
    if picked.grasp is not None and picked.target_id is not None:
        start_s = time.perf_counter()
        result = execute(scene, picked.grasp.grasp(), picked.target_id, config.execution)
        execute_s = time.perf_counter() - start_s
    row = _row(config, place, scene, view, picked, result)
    times = AttemptTimes(
        **asdict(place),
        sense_s=sense_s,
        segment_s=picked.answer.segment_s,
        plan_s=picked.answer.plan_s,
        execute_s=execute_s,
    )
    return Trials((row,), (times,)), result


def _row(
    config: TrialsConfig,
    place: Place,
    scene: TrialScene,
    view: View,
    picked: Picked,
    result: Attempt | None,
) -> AttemptRow:
    target = picked.target_id
    is_exact = any(v.name == place.variant and v.depth == EXACT for v in config.variants)
    error_m, missing = depth_error(view, target, is_exact) if target else (None, None)
    none = Outcome.NO_GRASP if picked.detected else Outcome.NOT_DETECTED
    written = asdict(picked.grasp) if picked.grasp else {f.name: None for f in fields(WrittenGrasp)}
    return AttemptRow(
        **asdict(place),
        objects=len(scene.object_ids),
        target_id=target,
        family=scene.family(target) if target else None,
        material=(GLASS if scene.is_glass(target) else OPAQUE) if target else None,
        visible_share=rounded(view.visible_share.get(target, 0.0)) if target else None,
        depth_error_m=None if error_m is None else rounded(error_m),
        depth_missing=None if missing is None else rounded(missing),
        instances=int(np.count_nonzero(np.unique(picked.answer.labels))),
        mask_iou=None if picked.mask_iou is None else rounded(picked.mask_iou),
        grasps=picked.grasps,
        **written,
        outcome=(result.outcome if result else none).value,
        lifted_m=rounded(result.lifted_m) if result else None,
        held_s=rounded(result.held_s) if result else None,
        lifted=" ".join(map(str, sorted(result.lifted_ids))) if result else "",
    )


def depth_error(view: View, target: int, exact: bool) -> tuple[float | None, float | None]:
    """Median absolute error of the given depth on an object, metres, and the share without any."""
    on = view.true_labels == target
    if not on.any():
        return None, None
    truth_m = view.true_frame.depth_m[on]
    given_m = truth_m if exact else view.frame.depth_m[on]
    measured = given_m > 0
    error_m = np.abs(given_m - truth_m)[measured]
    return (
        float(np.median(error_m.astype(np.float64))) if len(error_m) else None,
        1.0 - float(measured.mean()),
    )
