from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from repsam_ros.errors import ConfigError
from repsam_ros.grasping.conventions import CONVENTIONS, grasp_from, pose_in
from repsam_ros.grasping.gripper import Gripper, load_gripper
from repsam_ros.structures import Grasp

PANDA = Gripper()
# 10 cm over the origin, straight down, closing along the world's y.
DOWN = Grasp(np.array([0, 0, 0.1]), np.diag([-1.0, 1, -1]), 0.05, 0.7, 3)


@given(
    convention=st.sampled_from(CONVENTIONS),
    turn=st.lists(st.floats(-3, 3), min_size=3, max_size=3),
    place=st.lists(st.floats(-2, 2), min_size=3, max_size=3),
    hand=st.sampled_from(["panda", "robotiq_2f_85"]),
    depth_m=st.one_of(st.none(), st.floats(0.005, 0.04)),
)
def test_there_and_back_is_the_same_grasp(
    convention: str, turn: list[float], place: list[float], hand: str, depth_m: float | None
) -> None:
    gripper = load_gripper(hand)
    grasp = Grasp(np.array(place), Rotation.from_rotvec(turn).as_matrix(), 0.04, 0.5, 7)
    pose = pose_in(convention, grasp, gripper, depth_m)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)
    back = grasp_from(
        convention, pose, gripper, width_m=0.04, score=0.5, instance_id=7, depth_m=depth_m
    )
    assert np.allclose(back.position_m, grasp.position_m, atol=1e-12)
    assert np.allclose(back.rotation, grasp.rotation, atol=1e-12)
    assert (back.width_m, back.score, back.instance_id) == (0.04, 0.5, 7)


@pytest.mark.parametrize(
    ("convention", "approach", "closing", "height_m"),
    [
        ("panda_hand", 2, 1, 0.1 + 0.1034),
        ("contact_graspnet", 2, 0, 0.1 + 0.1034),
        ("gpd", 0, 1, 0.1 - 0.01 + 0.045),
        ("graspnet", 0, 1, 0.1),
    ],
)
def test_axes_and_origin_are_those_of_the_convention(
    convention: str, approach: int, closing: int, height_m: float
) -> None:
    pose = pose_in(convention, DOWN, PANDA)
    assert np.allclose(pose[:3, approach], (0, 0, -1))
    assert np.allclose(pose[:3, closing], (0, 1, 0))
    assert np.allclose(pose[:3, 3], (0, 0, height_m))


@given(depth_m=st.floats(0.005, 0.04))
def test_graspnets_fingers_end_where_ours_do(depth_m: float) -> None:
    pose = pose_in("graspnet", DOWN, PANDA, depth_m)
    assert np.allclose(pose[:3, 3] + depth_m * pose[:3, 0], (0, 0, 0.1 - PANDA.tip_m))


@given(width_m=st.floats(0.01, 0.08), turn=st.lists(st.floats(-3, 3), min_size=3, max_size=3))
def test_contacts_of_contact_graspnet_lie_at_the_pads(width_m: float, turn: list[float]) -> None:
    """Its pose is contact + width / 2 * base direction - 0.1034 * approach (build_6d_grasp)."""
    grasp = Grasp(np.ones(3), Rotation.from_rotvec(turn).as_matrix(), width_m, 0.5, 1)
    pose = pose_in("contact_graspnet", grasp, PANDA)
    base, approach = pose[:3, 0], pose[:3, 2]
    contact_m = pose[:3, 3] - width_m / 2 * base + 0.1034 * approach
    pad_m = (contact_m - grasp.position_m) @ grasp.rotation
    assert np.allclose(np.abs(pad_m), (0, width_m / 2, 0), atol=1e-12)


def test_unknown_conventions_are_refused() -> None:
    with pytest.raises(ConfigError, match="there are: panda_hand"):
        pose_in("dexnet", DOWN, PANDA)
