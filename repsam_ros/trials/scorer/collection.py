"""Grasps of many kinds, executed in simulated physics: what the scorer learns from.

How a grasp ends does not depend on how the scene was seen. So each one is executed once and shown
to the network in several clouds of the same view: true masks with exact depth, true masks with
that of the sensor, and a model's masks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.config import build_config, differences, read_yaml, to_plain, write_yaml
from repsam_ros.errors import ConfigError
from repsam_ros.grasping.collisions import find_obstacles
from repsam_ros.grasping.planners import Planner, open_planner, planner_config
from repsam_ros.grasping.scorer.variants import beside, free_grasps
from repsam_ros.grasping.settings import HandSettings
from repsam_ros.network.weights import find_model
from repsam_ros.perception.clouds import build_cloud
from repsam_ros.progress import track
from repsam_ros.simulation.workers import map_here, one_thread
from repsam_ros.structures import Grasp, SceneCloud
from repsam_ros.trials.configuration import EXACT, ORACLE, VariantSettings
from repsam_ros.trials.execution import Outcome, execute
from repsam_ros.trials.object_set import check_objects
from repsam_ros.trials.protocol import best_match
from repsam_ros.trials.scene import TrialScene, make_scene
from repsam_ros.trials.scorer.examples import ExampleScene, save_examples
from repsam_ros.trials.scorer.settings import ScorerConfig
from repsam_ros.trials.segmenters import Segmenter, given_frame, open_segmenter
from repsam_ros.trials.sensing import View, sense

# The clouds of each scene, in this order.
CLOUDS = ("true masks, exact depth", "true masks, sensor depth", "a model's masks, sensor depth")
_SAMPLE = 7
PLAN = "collection.yaml"
# Of the configuration, what does not change the examples of a scene.
_FREE = ("scenes", "training")


@dataclass(frozen=True)
class _Shown:
    """One cloud of a view.

    Attributes:
        labels: (H, W) ids of its instances.
        objects: (I + 1,) object that each instance covers most, 0 = none.
    """

    cloud: SceneCloud
    labels: NDArray[np.uint16]
    objects: NDArray[np.int64]


@dataclass(frozen=True)
class _Tools:
    """What stays open from scene to scene."""

    variants: tuple[VariantSettings, ...]
    segmenters: tuple[Segmenter, ...]
    offers: Planner
    random: Planner
    hand: HandSettings


def example_files(config: ScorerConfig, out: Path) -> dict[Path, tuple[str, int]]:
    """File, stratum and seed of every scene, the first of each stratum before any second."""
    return {
        out / "examples" / f"{name}-{config.seeds(name)[place]}.npz": (
            name,
            config.seeds(name)[place],
        )
        for place in range(config.scenes)
        for name in config.strata
    }


def collect(config: ScorerConfig, out: Path, *, processes: int = 1) -> list[Path]:
    """Executes what is left of the examples; returns the files of all scenes.

    Raises:
        ConfigError: The set of objects is not the configuration's, or ``out`` holds examples of
            another configuration or of other weights.
        BackendError, CheckpointError: The model cannot be opened.
    """
    check_objects(config.objects_sha256)
    if not check_examples(config, out):
        write_yaml(out / PLAN, _plan(config))
    files = example_files(config, out)
    left = [(path, *where) for path, where in files.items() if not path.is_file()]
    work = partial(_collect_scene, json.dumps(to_plain(config), sort_keys=True))
    with closing(map_here(work, left, processes)) as results:
        for _ in track(results, len(left), "scenes"):
            pass
    return list(files)


def check_examples(config: ScorerConfig, out: Path) -> bool:
    """Whether the folder has a plan, which is then that of the configuration.

    Raises:
        ConfigError: It is another.
    """
    path = out / PLAN
    if not path.is_file():
        return False
    if changed := list(differences(read_yaml(path), _plan(config))):
        raise ConfigError(f"{path} is of other examples, remove them: {changed[0]}")
    return True


def _plan(config: ScorerConfig) -> dict[str, Any]:
    """What the examples follow from."""
    plan = {key: value for key, value in to_plain(config).items() if key not in _FREE}
    return {**plan, "model_sha256": find_model(config.model).sha256}


def _collect_scene(plain_config: str, job: tuple[Path, str, int]) -> Path:
    path, stratum, seed = job
    config, tools = _opened(plain_config)
    with one_thread():
        scene = make_scene(config.strata[stratum].scene, seed)
        view = sense(scene, config.camera, 0)
        shown = [
            _shown(view, *each, config)
            for each in zip(tools.variants, tools.segmenters, strict=True)
        ]
        save_examples(path, _executed(scene, view, shown, config, tools))
    return path


@lru_cache(maxsize=1)
def _opened(plain_config: str) -> tuple[ScorerConfig, _Tools]:
    config = build_config(ScorerConfig, json.loads(plain_config), "scorer")
    variants = (
        VariantSettings("exact", ORACLE, depth=EXACT),
        VariantSettings("sensor", ORACLE),
        VariantSettings("model", config.model),
    )
    segmenters = tuple(open_segmenter(each, config.pipeline) for each in variants)
    hand = {"gripper": to_plain(config.execution.hand.shape)}
    offers = open_planner("antipodal", hand | config.sampling.offers)
    random = open_planner("random_antipodal", hand | config.sampling.random)
    settings = build_config(planner_config("antipodal"), hand | config.sampling.offers, "offers")
    return config, _Tools(variants, segmenters, offers, random, settings)


def _shown(
    view: View, variant: VariantSettings, segment: Segmenter, config: ScorerConfig
) -> _Shown:
    instances = segment(view)
    labels = instances.labels
    objects = np.zeros(len(instances) + 1, np.int64)
    for instance in range(1, len(objects)):
        covered = np.bincount(view.true_labels[labels == instance], minlength=1)
        covered[0] = 0
        objects[instance] = covered.argmax()
    cloud = build_cloud(given_frame(view, variant), instances, config.pipeline.cloud)
    return _Shown(cloud, labels, objects)


def _executed(
    scene: TrialScene,
    view: View,
    shown: Sequence[_Shown],
    config: ScorerConfig,
    tools: _Tools,
) -> ExampleScene:
    rng = np.random.default_rng([scene.seed, _SAMPLE])
    attempts = [
        len(part) for part in np.array_split(np.arange(config.sampling.attempts), len(shown))
    ]
    drawn = [
        (source, int(one.objects[grasp.instance_id]), grasp)
        for source, (one, count) in enumerate(zip(shown, attempts, strict=True))
        for grasp in _draw(one.cloud, count, rng, config, tools)
        if one.objects[grasp.instance_id] > 0
    ]
    outcomes = [
        execute(scene, view.in_world(grasp), target, config.execution).outcome
        for _, target, grasp in drawn
    ]
    targets = [target for _, target, _ in drawn]
    return ExampleScene(
        clouds=[one.cloud for one in shown],
        instances=np.array(
            [_standing_for(one, targets, view, config.min_iou) for one in shown], np.int64
        ),
        sources=np.array([source for source, _, _ in drawn], np.int64),
        positions_m=np.array([grasp.position_m for _, _, grasp in drawn]).reshape(-1, 3),
        rotations=np.array([grasp.rotation for _, _, grasp in drawn]).reshape(-1, 3, 3),
        widths_m=np.array([grasp.width_m for _, _, grasp in drawn], np.float64),
        succeeded=np.array([outcome is Outcome.SUCCESS for outcome in outcomes], bool),
        glass=np.array([scene.is_glass(target) for target in targets], bool),
    )


def _standing_for(one: _Shown, targets: Sequence[int], view: View, min_iou: float) -> list[int]:
    """The instance that stands for each target, 0 where none does or none is in the cloud."""
    present = set(np.unique(one.cloud.instance_ids).tolist())
    known: dict[int, int] = {}
    for target in set(targets):
        instance, iou = best_match(one.labels, view.true_labels == target)
        known[target] = instance if iou >= min_iou and instance in present else 0
    return [known[target] for target in targets]


def _draw(
    cloud: SceneCloud,
    count: int,
    rng: np.random.Generator,
    config: ScorerConfig,
    tools: _Tools,
) -> list[Grasp]:
    """Grasps of a cloud, each object as likely as any other, a share of them moved."""
    sampling = config.sampling
    pools = [_by_object(plan(cloud).grasps) for plan in (tools.offers, tools.random)]
    obstacles = find_obstacles(cloud, tools.hand)
    drawn = []
    for _ in range(count):
        pool = pools[int(rng.random() < sampling.random_share)]
        if not pool:
            continue
        some = pool[int(rng.integers(len(pool)))]
        grasp = some[int(rng.integers(len(some)))]
        if rng.random() < sampling.moved_share:
            width_m = rng.uniform(grasp.width_m / 2, tools.hand.gripper.opening_m)
            moved = beside(grasp, rng.normal(0, sampling.moved_m), width_m)
            drawn += free_grasps([moved], obstacles, tools.hand) or [grasp]
        else:
            drawn.append(grasp)
    return drawn


def _by_object(grasps: Sequence[Grasp]) -> list[list[Grasp]]:
    ids = sorted({grasp.instance_id for grasp in grasps})
    return [[grasp for grasp in grasps if grasp.instance_id == each] for each in ids]
