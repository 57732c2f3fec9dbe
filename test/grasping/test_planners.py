"""What every planner promises, whatever it does inside."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from repsam_ros.config import to_plain
from repsam_ros.errors import ConfigError
from repsam_ros.grasping.gripper import Gripper, load_gripper
from repsam_ros.grasping.planners import open_planner, planner_config, planner_names
from repsam_ros.structures import Grasp, SceneCloud


@pytest.fixture(scope="module")
def cloud(scenes) -> SceneCloud:
    return scenes.view(
        scenes.box((0.05, 0.14, 0.12), (-0.14, 0.02), 0.4),
        scenes.cylinder(0.03, 0.1, (0.0, -0.06)),
        scenes.box((0.2, 0.15, 0.03), (0.2, 0.16)),
    ).cloud


def as_row(grasp: Grasp) -> tuple:
    place = (*grasp.position_m, *grasp.rotation.ravel())
    return (grasp.instance_id, grasp.score, grasp.width_m, *place)


def test_there_are_the_planners_that_are_told_of() -> None:
    assert {"antipodal", "random_antipodal", "top_down"} <= set(planner_names())


@pytest.mark.parametrize("name", planner_names())
def test_grasps_are_well_formed_free_and_reproducible(name: str, cloud: SceneCloud) -> None:
    settings = planner_config(name)()
    first, again = (open_planner(name)(cloud) for _ in range(2))
    assert {grasp.instance_id for grasp in first.grasps} >= {1, 2}
    assert [as_row(grasp) for grasp in first.grasps] == [as_row(grasp) for grasp in again.grasps]
    assert first.rejected == again.rejected and first.unfinished == ()
    scores = [grasp.score for grasp in first.grasps]
    assert scores == sorted(scores, reverse=True) and 0 <= min(scores) <= max(scores) <= 1
    assert np.bincount([g.instance_id for g in first.grasps]).max() <= 8
    high = cloud.support_plane.height_m(cloud.points_m) >= settings.table_clearance_m
    for grasp in first.grasps:
        assert np.allclose(grasp.rotation.T @ grasp.rotation, np.eye(3), atol=1e-9)
        assert np.linalg.det(grasp.rotation) == pytest.approx(1)
        assert 0 < grasp.width_m <= settings.gripper.opening_m
        local = (cloud.points_m[high] - grasp.position_m) @ grasp.rotation
        for low, top in settings.gripper.boxes(grasp.width_m, settings.approach_m):
            assert not ((local > low + 1e-5) & (local < top - 1e-5)).all(axis=1).any()
        assert cloud.support_plane.height_m(grasp.position_m) > 0


@pytest.mark.parametrize("name", planner_names())
def test_only_targets_are_planned_for(name: str, cloud: SceneCloud) -> None:
    plan = open_planner(name)
    everything = [as_row(grasp) for grasp in plan(cloud).grasps if grasp.instance_id == 2]
    assert [as_row(grasp) for grasp in plan(cloud, [2]).grasps] == everything
    assert plan(cloud, [99]).grasps == []


@pytest.mark.parametrize("name", planner_names())
def test_nothing_is_grasped_outside_the_workspace(name: str, cloud: SceneCloud) -> None:
    everywhere = open_planner(name)(cloud).grasps
    limit_m = float(np.median([grasp.position_m[0] for grasp in everywhere]))
    settings = {"workspace_high_m": [limit_m, 100.0, 100.0]}
    result = open_planner(name, settings)(cloud)
    assert result.rejected["workspace"] > 0 and result.grasps
    assert max(grasp.position_m[0] for grasp in result.grasps) <= limit_m


@pytest.mark.parametrize("name", planner_names())
def test_a_deadline_cuts_the_work_and_says_so(name: str, cloud: SceneCloud) -> None:
    result = open_planner(name, {"deadline_s": 1e-9})(cloud)
    assert result.unfinished == (1, 2, 3) and result.grasps == []


@pytest.mark.parametrize("name", planner_names())
def test_what_is_found_by_the_deadline_is_returned(
    name: str, cloud: SceneCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock that each look at it moves on, so that speed does not matter."""
    everything = [as_row(grasp) for grasp in open_planner(name)(cloud).grasps]
    counts = []
    for looks in (2.5, 6.5, 1000.0):
        clock = itertools.count()
        monkeypatch.setattr("time.monotonic", lambda clock=clock: float(next(clock)))
        result = open_planner(name, {"deadline_s": looks})(cloud)
        monkeypatch.undo()
        assert next(clock) <= looks + 8
        finished = {1, 2, 3} - set(result.unfinished)
        found = [as_row(grasp) for grasp in result.grasps]
        assert [row for row in found if row[0] in finished] == [
            row for row in everything if row[0] in finished
        ]
        counts.append(len(finished))
    assert counts[0] < 3 and counts == sorted(counts) and counts[-1] == 3


@pytest.mark.parametrize("name", planner_names())
def test_a_random_seed_is_a_setting(name: str, cloud: SceneCloud) -> None:
    one, other = (open_planner(name, {"seed": seed})(cloud).grasps for seed in (1, 2))
    different = [as_row(grasp) for grasp in one] != [as_row(grasp) for grasp in other]
    assert different == (name != "top_down")


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="antipodal, "):
        open_planner("telepathic")
    with pytest.raises(ConfigError, match="finger"):
        open_planner("antipodal", {"finger": 3})
    with pytest.raises(ConfigError, match=r"unknown gripper 'claw'; there are: panda"):
        open_planner("antipodal", {"gripper": "claw"})


def test_the_gripper_is_a_name_a_file_or_its_sizes(tmp_path: Path, cloud: SceneCloud) -> None:
    assert load_gripper("panda") == Gripper()
    mine = tmp_path / "mine.yaml"
    mine.write_text("opening_m: 0.03\n")
    for gripper in (str(mine), {"opening_m": 0.03}):
        assert open_planner("antipodal", {"gripper": gripper})(cloud).grasps == []
    wide = to_plain(Gripper(opening_m=0.3))
    found = open_planner("antipodal", {"gripper": wide})(cloud).grasps
    assert max(grasp.width_m for grasp in found) > Gripper().opening_m
    mine.write_text("fingers: 5\n")
    with pytest.raises(ConfigError, match="fingers"):
        load_gripper(mine)
