"""What ``repsam cka`` can be told."""

from __future__ import annotations

from dataclasses import dataclass, field

from repsam_ros.adaptation.cka.sums import MIN_SCENES
from repsam_ros.datasets import DatasetPlace
from repsam_ros.errors import ConfigError
from repsam_ros.simulation.rendering import RenderSettings
from repsam_ros.simulation.scenes import SceneSettings
from repsam_ros.simulation.twins import TWINS
from repsam_ros.simulation.views import ViewSettings

COMPARISONS = ("paired", "covariance", "finetuned")
# What the robot style is compared with first; every other twin is a single factor.
SOURCE_TWIN = "source"


@dataclass(frozen=True)
class SimulatedPictures:
    """One view of each settled scene as the robot sees it.

    Scenes of different seeds differ, and none is a scene of a training or of a test set.
    """

    seed: int = 0
    sensor: str = "realsense"
    scene: SceneSettings = field(default_factory=SceneSettings)
    view: ViewSettings = field(default_factory=ViewSettings)
    render: RenderSettings = field(default_factory=RenderSettings)

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 800:
            raise ConfigError(f"seed of simulated pictures must lie in 0..799, got {self.seed}")


@dataclass(frozen=True)
class DatasetPictures(DatasetPlace):
    """Frames of a data set.

    Attributes:
        images_per_scene: Drawn from each scene; a scene is a folder of frames where there are
            several, else each frame is its own. Scenes with fewer are left out.
    """

    images_per_scene: int = 1


@dataclass(frozen=True)
class SourceStreamPictures:
    """The stream of source pictures on which a base is pretrained; each is a scene."""

    seed: int = 1000


@dataclass(frozen=True)
class PictureSettings:
    """Where pictures come from: one of the three."""

    simulated: SimulatedPictures | None = None
    dataset: DatasetPictures | None = None
    source_stream: SourceStreamPictures | None = None

    def __post_init__(self) -> None:
        given = (self.simulated, self.dataset, self.source_stream)
        if sum(one is not None for one in given) != 1:
            raise ConfigError("give exactly one of simulated, dataset and source_stream")


@dataclass(frozen=True)
class CkaConfig:
    """One comparison.

    Attributes:
        comparison: ``paired``: views of the robot and their twins in source style and with single
            factors changed, through one network. ``covariance``: unpaired source and target.
            ``finetuned``: target through ``model`` and ``finetuned_model``.
        model: Weight file or model name.
        backbone: Of official SAM checkpoints, which do not say it.
        target: What the robot sees.
        source: For ``covariance``.
        factors: Twins for ``paired``, see :data:`repsam_ros.simulation.twins.TWINS`.
        scenes: At most so many; a data set may have fewer.
        batch: Scenes that meet in one estimate. Sums over batches are unbiased for every size;
            larger ones vary less.
        tokens: Random tokens of each picture.
        resamples: Of the bootstrap and of the randomisation test.
        depth: Whether the encoder gets depth. Source pictures have none.
        workers: Processes that make pictures.
    """

    comparison: str
    model: str
    backbone: str | None = None
    finetuned_model: str | None = None
    target: PictureSettings = field(default_factory=lambda: PictureSettings(SimulatedPictures()))
    source: PictureSettings | None = None
    factors: tuple[str, ...] = tuple(TWINS)
    scenes: int = 500
    batch: int = 64
    tokens: int = 8
    resamples: int = 999
    seed: int = 0
    depth: bool = False
    workers: int = 2

    def __post_init__(self) -> None:
        if self.comparison not in COMPARISONS:
            known = ", ".join(COMPARISONS)
            raise ConfigError(f"unknown comparison {self.comparison!r}; there are: {known}")
        for name, wanted in (("source", "covariance"), ("finetuned_model", "finetuned")):
            if (getattr(self, name) is not None) != (self.comparison == wanted):
                raise ConfigError(f"{name} belongs to comparison {wanted}, and only there")
        if self.comparison == "paired" and self.target.simulated is None:
            raise ConfigError("paired: only simulated pictures have twins")
        if unknown := [name for name in self.factors if name not in TWINS]:
            raise ConfigError(f"unknown factor {unknown[0]!r}; there are: {', '.join(TWINS)}")
        if SOURCE_TWIN not in self.factors:
            raise ConfigError(f"factors must include {SOURCE_TWIN!r}")
        if min(self.scenes, self.batch) < MIN_SCENES:
            raise ConfigError(f"scenes and batch must be at least {MIN_SCENES}")
        if self.tokens < 1 or self.resamples < 1 or self.workers < 0:
            raise ConfigError("tokens and resamples must be at least 1, workers at least 0")
