"""The learned planner: whose candidates it ranks, what it needs, what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from repsam_ros.errors import ConfigError
from repsam_ros.grasping.planners import open_planner, planner_config, weights_sha256
from repsam_ros.paths import share_dir
from repsam_ros.structures import SceneCloud


@pytest.fixture(scope="module")
def cloud(scenes) -> SceneCloud:
    return scenes.view(
        scenes.box((0.05, 0.1, 0.08), (-0.1, 0.02), 0.4), scenes.cylinder(0.03, 0.1, (0.05, 0.0))
    ).cloud


def test_with_the_analytic_score_alone_it_is_the_antipodal_planner(cloud: SceneCloud) -> None:
    own = planner_config("learned")()
    shared = {
        name: getattr(own, name)
        for name in ("min_contact", "max_behind_share", "similar_distance_m")
    }
    analytic = open_planner("antipodal", shared)(cloud)
    learned = open_planner("learned", {"analytic_share": 1.0, "refined": 0})(cloud)
    assert [(g.position_m.tolist(), g.score) for g in learned.grasps] == [
        (g.position_m.tolist(), pytest.approx(g.score)) for g in analytic.grasps
    ]


def test_the_network_changes_the_order_and_variants_only_raise_the_rating(
    cloud: SceneCloud,
) -> None:
    settings = {"analytic_share": 0.0, "refined": 0}
    plain = open_planner("learned", settings)(cloud).grasps
    analytic = open_planner("learned", settings | {"analytic_share": 1.0})(cloud).grasps
    assert [g.position_m.tolist() for g in plain] != [g.position_m.tolist() for g in analytic]
    refined = open_planner("learned", settings | {"refined": 8})(cloud).grasps
    assert len(refined) == len(plain)
    raised = [new.score - old.score for new, old in zip(refined, plain, strict=True)]
    assert min(raised) >= 0 and max(raised) > 0


# None in sys.modules would do, but SciPy looks there for array libraries.
WITHOUT_PYTORCH = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
"""


def test_its_weights_have_a_hash_and_those_of_others_have_none() -> None:
    assert weights_sha256("antipodal") is None
    card = (share_dir() / "models" / "grasp_scorer.md").read_text()
    assert f"`{weights_sha256('learned', {'gripper': 'panda'})}`" in card


def without_pytorch(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_PYTORCH + code]
    return subprocess.run(command, capture_output=True, text=True)


def test_it_plans_without_pytorch() -> None:
    result = without_pytorch(
        "from repsam_ros.grasping.planners import open_planner\nopen_planner('learned')\n"
    )
    assert result.returncode == 0, result.stderr


def test_training_without_pytorch_says_what_is_missing(tmp_path: Path) -> None:
    result = without_pytorch(
        "from repsam_ros.cli.main import main\n"
        f"sys.exit(main(['scorer', 'train', 'grasp_scorer', '--out', {str(tmp_path)!r}]))\n"
    )
    assert result.returncode == 2
    assert "needs the package torch: pip install 'repsam_ros[torch]'" in result.stderr


@pytest.mark.parametrize(
    "settings",
    [{"scorer": "no_such"}, {"offers": 0}, {"analytic_share": 1.5}, {"search_share": 0.0}],
)
def test_unusable_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        open_planner("learned", settings)
