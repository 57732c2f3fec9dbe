"""What ``repsam ablate`` can be told."""

from __future__ import annotations

from dataclasses import dataclass, field

from repsam_ros.adaptation.ablation.verdict import VerdictSettings
from repsam_ros.adaptation.cka.pictures import FIRST_SCENE
from repsam_ros.adaptation.cka.report import ROWS
from repsam_ros.adaptation.simulated_frames import SimulatedFrames
from repsam_ros.adaptation.training_config import TrainConfig, refuse_set
from repsam_ros.datasets import DatasetPlace
from repsam_ros.errors import ConfigError
from repsam_ros.network.adapters import MODULES
from repsam_ros.perception.pipeline import PipelineSettings

# Arm -> policy, comparison whose CKA it follows, gamma. Arms that are missing here are methods.
RANKED = {
    "uniform": ("uniform", None, 1.0),
    "cka": ("cka", "paired", 1.0),
    "covariance": ("cka", "covariance", 1.0),
    "finetuned": ("cka", "finetuned", 1.0),
    "reversed": ("reversed", "paired", 1.0),
    "random": ("random", "paired", 1.0),
    "early": ("early", "paired", 1.0),
    "late": ("late", "paired", 1.0),
    "printed_formula": ("printed_formula", "paired", 1.0),
    "gamma_0.5": ("cka", "paired", 0.5),
    "gamma_2": ("cka", "paired", 2.0),
}
METHODS = ("eva", "gradient", "full_finetuning")
# No adapter at all, and adapters in one block alone.
NONE, BLOCK = "none", "block"
ARMS = (*RANKED, *METHODS, NONE, BLOCK)


@dataclass(frozen=True)
class ArmSettings:
    """Runs of one way to choose ranks.

    Attributes:
        arm: One of ``ARMS``. ``random`` stands for several permutations of the CKA values,
            ``block`` for one arm a block, in which that block alone is adapted.
        mean_ranks: Budgets, as the rank that ``uniform`` gives every block; of ``block``, the
            rank of the one block.
        seeds: Number of runs at each budget, with seeds 0, 1, ...
        fusion: RGB-D where true, RGB where false.
    """

    arm: str
    mean_ranks: tuple[int, ...]
    seeds: int
    fusion: tuple[bool, ...] = (True,)

    def __post_init__(self) -> None:
        if self.arm not in ARMS:
            raise ConfigError(f"unknown arm {self.arm!r}; there are: {', '.join(ARMS)}")
        if not self.mean_ranks or min(self.mean_ranks) < 1 or self.seeds < 1 or not self.fusion:
            raise ConfigError(f"arm {self.arm}: mean_ranks, seeds and fusion must not be empty")


@dataclass(frozen=True)
class CkaSettings:
    """How CKA is measured.

    Attributes:
        scenes: Simulated scenes, which no training and no test shows.
        seed: Of the scenes.
        sensor: Through which the robot sees them.
        rows: Row definition whose values ranks follow.
    """

    scenes: int = 500
    seed: int = 0
    sensor: str = "realsense"
    tokens: int = 8
    batch: int = 64
    rows: str = "image_mean"

    def __post_init__(self) -> None:
        if self.rows not in ROWS:
            raise ConfigError(f"unknown row definition {self.rows!r}; there are {', '.join(ROWS)}")


@dataclass(frozen=True)
class AblationConfig:
    """The whole experiment.

    Attributes:
        base: Weight file or model name that every run starts from.
        train: Of every run, network included; method, options, seed, learning rate, base and
            validation are the experiment's.
        arms: What is run.
        modules: Adapted layers of a block.
        parts: Parts of the network that every run trains along.
        fusion_parts: Further parts in runs with depth. Runs without it get none, in training and
            in evaluation.
        alpha_per_rank: See ``network.adapters.AdapterConfig``.
        permutations: Of the CKA values, in the arm ``random``.
        learning_rates: The best one of ``uniform`` on the validation frames is that of every run;
            one alone is taken as it is.
        full_learning_rates: The same for full fine-tuning, an arm and the comparison ``finetuned``.
        test: Simulated test frames.
        validation: On which the learning rate is chosen.
        real: Real test frames.
        pipeline: How masks become instances, the same for all.
        verdict: What is judged, fixed before the run.
    """

    base: str
    train: TrainConfig
    arms: tuple[ArmSettings, ...]
    test: SimulatedFrames
    validation: SimulatedFrames
    modules: tuple[str, ...] = ("qkv", "proj")
    parts: tuple[str, ...] = ("prompt_head",)
    fusion_parts: tuple[str, ...] = ("fusion",)
    alpha_per_rank: float = 1.0
    permutations: int = 3
    learning_rates: tuple[float, ...] = (1e-3,)
    full_learning_rates: tuple[float, ...] = (3e-4,)
    cka: CkaSettings = field(default_factory=CkaSettings)
    real: DatasetPlace | None = None
    pipeline: PipelineSettings = field(default_factory=PipelineSettings)
    verdict: VerdictSettings = field(default_factory=VerdictSettings)

    def __post_init__(self) -> None:
        if unknown := [name for name in self.modules if name not in MODULES]:
            raise ConfigError(f"unknown module {unknown[0]!r}; there are {', '.join(MODULES)}")
        if self.test.seed == self.validation.seed:
            raise ConfigError("test and validation must differ in seed")
        if not self.learning_rates or not self.full_learning_rates:
            raise ConfigError("learning_rates and full_learning_rates must not be empty")
        self._check_train()

    def _check_train(self) -> None:
        given = ("method", "options", "seed", "learning_rate", "start_from", "validation")
        refuse_set(self.train, given)
        pool = self.train.data.pool
        if pool is None:
            raise ConfigError("train.data must be a pool: all runs draw the same pictures")
        if pool.scene_seed + pool.scene_count > FIRST_SCENE:
            raise ConfigError(
                f"train.data.pool: scenes from {FIRST_SCENE} on are for CKA and tests"
            )
