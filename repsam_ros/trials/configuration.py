"""What ``repsam trials`` can be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from repsam_ros.config import check_name
from repsam_ros.errors import ConfigError
from repsam_ros.evaluation.modality import RGBD, check_modality
from repsam_ros.grasping.planners import planner_config
from repsam_ros.metrics.statistics import BootstrapSettings
from repsam_ros.perception.pipeline import PipelineSettings
from repsam_ros.trials.execution import ExecutionSettings
from repsam_ros.trials.scene import SceneSettings
from repsam_ros.trials.sensing import RENDERERS, CameraSettings

ORACLE, DBSCAN = "oracle", "dbscan"
SENSOR, EXACT = "sensor", "exact"
SINGLE_SHOT, CLUTTER = "single_shot", "clutter"
MCNEMAR, SIGN_FLIPS = "mcnemar", "sign_flips"
TESTS = (MCNEMAR, SIGN_FLIPS)
# Planner and segmenter may be tuned on the first; results come from the second, open-ended.
TUNING_SEEDS = range(1000, 2000)
FIRST_HELD_OUT_SEED = 500_000


@dataclass(frozen=True)
class VariantSettings:
    """One way from a picture to a grasp.

    Attributes:
        name: Of tables and files; letters, digits, underscores and hyphens.
        model: ``oracle`` (true masks), ``dbscan`` (no masks: what stands on the support plane,
            clustered), or a model: its name in models/manifest.yaml or the path of its weights.
        see: What the model gets of a frame: ``rgbd``, ``rgb`` or ``depth``. The cloud is made
            with depth in any case.
        depth: ``sensor``, or ``exact`` for depth as it truly is.
        mask_threshold: In place of ``pipeline.masks.mask_threshold``, which was chosen for the
            default model; other weights have other logits.
        planner: A file of ``repsam_ros/grasping/planners``.
        planner_settings: Of the planner.
    """

    name: str
    model: str
    see: str = RGBD
    depth: str = SENSOR
    mask_threshold: float | None = None
    planner: str = "antipodal"
    planner_settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name("variant", self.name)
        check_modality(self.see)
        if self.depth not in (SENSOR, EXACT):
            raise ConfigError(f"depth must be {SENSOR} or {EXACT}, got {self.depth!r}")
        planner_config(self.planner)  # refuses a name that no planner has

    @property
    def has_network(self) -> bool:
        """Whether weights are loaded."""
        return self.model not in (ORACLE, DBSCAN)


@dataclass(frozen=True)
class Stratum:
    """Scenes of one kind.

    Attributes:
        first_seed: Of the first scene; the others follow.
        scene: From what they are drawn.
    """

    first_seed: int
    scene: SceneSettings

    def seeds(self, scenes: int) -> range:
        """Scene seeds, so many."""
        return range(self.first_seed, self.first_seed + scenes)


@dataclass(frozen=True)
class Contrast:
    """Two variants, paired by snapshot or round: ``variant`` minus ``against``."""

    variant: str
    against: str


@dataclass(frozen=True)
class PrimaryContrast(Contrast):
    """The one comparison that an experiment is for, fixed before it is run.

    Attributes:
        test: ``mcnemar``, the exact test of single shots, or ``sign_flips``, of single shots or of
            the shares of objects that rounds of clutter removal took away.
        claim_points: Difference that it is held against, in points.
    """

    test: str
    claim_points: float

    def __post_init__(self) -> None:
        if self.test not in TESTS:
            raise ConfigError(f"test must be one of {', '.join(TESTS)}, got {self.test!r}")


@dataclass(frozen=True, kw_only=True)
class TrialsConfig:
    """The whole experiment.

    Attributes:
        protocol: ``single_shot``: one target and one picture a scene, the best grasp of each
            variant is executed from the same snapshot. ``clutter``: each variant picks until the
            table is empty.
        scenes: Snapshots or rounds of each stratum. May grow later, everything else may not
            change.
        objects_sha256: Of the set of objects and what it is made of, see
            :func:`repsam_ros.trials.object_set.objects_sha256`; the run refuses any other.
        strata: By name.
        variants: All get the same pictures.
        primary: What the experiment is for; tested on all strata together.
        secondary: Further comparisons by the same test, adjusted among each other (Holm).
        min_iou: An instance stands for an object from this IoU of their masks on.
        min_visible: Targets are drawn from objects of which at least this share is seen; where
            there is none, it is the one that is seen best.
        max_failures: A round of clutter removal ends after so many failures in a row.
        renderer: ``raster`` or ``photorealistic``.
        examples: Successes and failures of each stratum that the report shows; none for 0.
    """

    protocol: str
    scenes: int
    objects_sha256: str
    strata: dict[str, Stratum]
    variants: tuple[VariantSettings, ...]
    primary: PrimaryContrast | None = None
    secondary: tuple[Contrast, ...] = ()
    min_iou: float = 0.25
    min_visible: float = 0.3
    max_failures: int = 2
    renderer: str = "raster"
    camera: CameraSettings = field(default_factory=CameraSettings)
    pipeline: PipelineSettings = field(default_factory=PipelineSettings)
    execution: ExecutionSettings = field(default_factory=ExecutionSettings)
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)
    examples: int = 1

    def __post_init__(self) -> None:
        if self.protocol not in (SINGLE_SHOT, CLUTTER):
            raise ConfigError(f"protocol must be {SINGLE_SHOT} or {CLUTTER}, got {self.protocol!r}")
        if self.renderer not in RENDERERS:
            raise ConfigError(f"renderer must be one of {', '.join(RENDERERS)}")
        if not self.strata or not self.variants or self.scenes < 1:
            raise ConfigError("strata, variants and scenes must not be empty")
        names = [variant.name for variant in self.variants]
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise ConfigError(f"variant {twice[0]} is given twice")
        for each in (*self.secondary, *([self.primary] if self.primary else [])):
            for name in (each.variant, each.against):
                if name not in names:
                    raise ConfigError(f"contrast of {name}, which is no variant here")
        if not 0 < self.min_iou <= 1 or not 0 <= self.min_visible <= 1 or self.max_failures < 1:
            raise ConfigError("min_iou, min_visible or max_failures is out of range")
        if self.protocol == CLUTTER and self.test != SIGN_FLIPS:
            raise ConfigError(f"rounds of {CLUTTER} are compared by {SIGN_FLIPS} alone")
        self._check_seeds()

    @property
    def test(self) -> str:
        """By which variants are compared."""
        if self.primary is not None:
            return self.primary.test
        return SIGN_FLIPS if self.protocol == CLUTTER else MCNEMAR

    def _check_seeds(self) -> None:
        seeds = {name: self.seeds(name) for name in self.strata}
        check_strata(seeds)
        held_out = {name: some[0] >= FIRST_HELD_OUT_SEED for name, some in seeds.items()}
        for name, some in seeds.items():
            for_tuning = some[0] in TUNING_SEEDS and some[-1] in TUNING_SEEDS
            if not for_tuning and not held_out[name]:
                raise ConfigError(
                    f"{name}: seeds {some[0]} to {some[-1]} are neither for tuning "
                    f"({TUNING_SEEDS[0]} to {TUNING_SEEDS[-1]}) nor held out "
                    f"({FIRST_HELD_OUT_SEED} and above)"
                )
        if len(set(held_out.values())) > 1:
            raise ConfigError("seeds for tuning and held-out seeds must not be mixed")

    def seeds(self, stratum: str) -> range:
        """Scene seeds of a stratum."""
        return self.strata[stratum].seeds(self.scenes)

    @property
    def is_held_out(self) -> bool:
        """Whether the scenes are those that nothing was tuned on."""
        return next(iter(self.strata.values())).first_seed >= FIRST_HELD_OUT_SEED


def check_strata(seeds: Mapping[str, range]) -> None:
    """Refuses names that files cannot have, and strata that share a scene.

    Args:
        seeds: Scene seeds by the stratum's name.

    Raises:
        ConfigError: A name or a seed is of no use.
    """
    for name in seeds:
        check_name("stratum", name)
    for (one, first), (other, second) in combinations(seeds.items(), 2):
        if shared := range(max(first.start, second.start), min(first.stop, second.stop)):
            raise ConfigError(f"strata {one} and {other} share the seed {shared[0]}")
