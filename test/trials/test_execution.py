"""Controls that prove the physics: what holds, what slips, what collides, what is missed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from repsam_ros.errors import ConfigError
from repsam_ros.simulation.objects import SimObject
from repsam_ros.simulation.scenes import Scene
from repsam_ros.structures import Grasp
from repsam_ros.trials.execution import LIFTED_M, Attempt, ExecutionSettings, Outcome, execute
from repsam_ros.trials.hand import HandSettings
from repsam_ros.trials.scene import SceneSettings, TrialScene, make_scene

G_M_S2 = 9.81
TALL_BOX = (0.02, 0.03, 0.03)


def thing(family: str, *sizes: float) -> SimObject:
    dimensions = np.zeros(8, np.float32)
    dimensions[: len(sizes)] = sizes
    return SimObject(family, dimensions)


def on_table(*objects: tuple[SimObject, tuple[float, float]]) -> TrialScene:
    """Objects that stand upright at x and y."""
    items = tuple(item for item, _ in objects)
    positions = np.array([[*xy, item.half_extents()[2]] for item, xy in objects])
    quaternions = np.tile([1.0, 0.0, 0.0, 0.0], (len(items), 1))
    scene = Scene("packed", items, positions, quaternions, np.zeros((0, 6)))
    absent = np.zeros(len(items), bool)
    return TrialScene(1, scene, absent, positions, quaternions, ~absent)


def box(half: tuple[float, float, float] = TALL_BOX) -> TrialScene:
    return on_table((thing("carton", *half), (0.0, 0.0)))


def down(
    x: float, y: float, z: float, width_m: float = 0.06, yaw: float = 0.0, tilt: float = 0.0
) -> Grasp:
    """A grasp from above that closes along x turned by ``yaw``; ``tilt`` leans it sideways."""
    turn = Rotation.from_euler("ZX", [yaw, np.pi + tilt]) * Rotation.from_euler("z", np.pi / 2)
    return Grasp(np.array([x, y, z]), turn.as_matrix(), width_m, 1.0, 1)


def fruit_by_its_top(share: float, friction: float) -> tuple[TrialScene, Grasp, HandSettings]:
    """A fruit held above its middle, at this share of its height: the fingers squeeze it out."""
    item = thing("fruit", 0.025, 0.025, 0.03)
    grasp = down(0, 0, share * 2 * item.half_extents()[2], 0.075)
    return on_table((item, (0, 0))), grasp, HandSettings(friction=friction)


def ended_same(one: Attempt, other: Attempt) -> bool:
    return (
        (one.outcome, one.lifted_m, one.held_s, one.lifted_ids)
        == (other.outcome, other.lifted_m, other.held_s, other.lifted_ids)
        and one.scene_after.positions_m.tobytes() == other.scene_after.positions_m.tobytes()
        and one.scene_after.quaternions.tobytes() == other.scene_after.quaternions.tobytes()
    )


def test_an_ideal_grasp_lifts_and_holds_a_box() -> None:
    attempt = execute(box(), down(0, 0, 0.04), 1)
    assert attempt.outcome is Outcome.SUCCESS
    assert attempt.lifted_m == pytest.approx(ExecutionSettings().lift_m, abs=0.005)
    assert attempt.held_s == pytest.approx(ExecutionSettings().hold_s)
    assert attempt.lifted_ids == (1,)
    assert attempt.scene_after.object_ids == ()


def test_a_grasp_beside_the_box_misses() -> None:
    # The box is 60 mm long: 30 mm beside its end nothing is between the fingers.
    attempt = execute(box(), down(0, 0.06 + 0.01, 0.04), 1)
    assert attempt.outcome is Outcome.MISSED
    assert attempt.lifted_ids == ()
    assert abs(attempt.lifted_m) < 1e-3


def test_a_finger_on_top_of_the_box_is_a_collision() -> None:
    attempt = execute(box(), down(0.03, 0, 0.04), 1)
    assert attempt.outcome is Outcome.APPROACH_COLLISION


def test_a_hand_that_starts_in_an_object_collides_before_it_moves() -> None:
    tower = on_table((thing("carton", 0.02, 0.03, 0.12), (0, 0)))
    attempt = execute(tower, down(0.03, 0, 0.04), 1)
    assert attempt.outcome is Outcome.PREGRASP_COLLISION
    assert np.array_equal(attempt.scene_after.positions_m, tower.positions_m)


def test_a_grasp_into_the_table_hits_it() -> None:
    flat = box((0.02, 0.03, 0.01))
    assert execute(flat, down(0, 0, -0.005), 1).outcome is Outcome.HIT_TABLE


def test_a_palm_below_the_table_hits_it_at_the_start() -> None:
    attempt = execute(box(), down(0, 0, 0.02, tilt=np.pi / 2), 1)
    assert attempt.outcome is Outcome.HIT_TABLE


@pytest.mark.parametrize(("share", "outcome"), [(0.7, Outcome.SLIPPED), (1.5, Outcome.SUCCESS)])
def test_friction_decides_at_the_weight_of_the_object(share: float, outcome: Outcome) -> None:
    scene = box((0.03, 0.04, 0.05))
    weight_n = scene.start.objects[0].mass_kg * G_M_S2
    hand = HandSettings(force_n=5.0, friction=share * weight_n / (2 * 5.0))
    attempt = execute(scene, down(0, 0, 0.07, 0.075), 1, ExecutionSettings(hand=hand))
    assert attempt.outcome is outcome


def test_the_neighbour_between_the_fingers_is_the_wrong_object() -> None:
    item = thing("carton", *TALL_BOX)
    scene = on_table((item, (0.0, 0.0)), (item, (0.15, 0.0)))
    attempt = execute(scene, down(0, 0, 0.04), 2)
    assert attempt.outcome is Outcome.WRONG_OBJECT
    assert attempt.lifted_ids == (1,)
    assert attempt.scene_after.object_ids == (2,)


def test_a_pushed_neighbour_is_a_collision() -> None:
    item = thing("carton", *TALL_BOX)
    scene = on_table((item, (0.0, 0.0)), (item, (0.047, 0.0)))
    assert execute(scene, down(0, 0, 0.04), 1).outcome is Outcome.APPROACH_COLLISION


@pytest.mark.parametrize("yaw", [0.0, 0.5, 2.0])
def test_a_standing_mug_is_held_by_its_rim(yaw: float) -> None:
    mug = thing("cup", 0.035, 0.045, 0.09, 0.003, 0.0)
    rim_m = np.array([np.cos(yaw), np.sin(yaw)]) * 0.0435
    attempt = execute(on_table((mug, (0, 0))), down(*rim_m, 0.08, 0.03, yaw), 1)
    assert attempt.outcome is Outcome.SUCCESS


def test_a_roll_of_tape_is_hollow() -> None:
    roll = thing("tape", 0.035, 0.045, 0.03)
    scene = on_table((roll, (0, 0)))
    assert execute(scene, down(0.04, 0, 0.022, 0.035), 1).outcome is Outcome.SUCCESS


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(["can", "fruit", "carton"]),
    st.floats(0.008, 0.026),
    st.floats(-0.008, 0.008),
    st.floats(0, np.pi),
)
def test_a_thing_within_the_opening_is_lifted_wherever_it_stands(
    family: str, radius_m: float, aside_m: float, yaw: float
) -> None:
    sizes = (radius_m, 0.07) if family == "can" else (radius_m, radius_m, 0.03)
    item = thing(family, *sizes)
    scene = on_table((item, (0, 0)))
    top_m = 2 * item.half_extents()[2]
    along = np.array([-np.sin(yaw), np.cos(yaw)]) * min(aside_m, 0.4 * radius_m)
    turned = yaw if family != "carton" else 0.0
    grasp = down(*along, 0.5 * top_m + 0.005, 0.08, turned)
    settings = ExecutionSettings(shake_m=0.005)
    assert execute(scene, grasp, 1, settings).outcome is Outcome.SUCCESS


def test_the_same_attempt_ends_the_same_byte_for_byte() -> None:
    scene = make_scene(SceneSettings("pile"), 1001)
    at_m = scene.positions_m[int(np.argmax(scene.positions_m[:, 2]))]
    grasp = down(at_m[0], at_m[1], max(at_m[2], 0.02), 0.08, 0.4)
    assert ended_same(execute(scene, grasp, 1), execute(scene, grasp, 1))


def test_a_film_changes_nothing_and_shows_motion() -> None:
    pictures: list[np.ndarray] = []
    scene, grasp = box(), down(0, 0, 0.04)
    filmed = execute(scene, grasp, 1, film=pictures.append)
    assert ended_same(filmed, execute(scene, grasp, 1))
    assert len(pictures) > 10
    assert pictures[0].dtype == np.uint8
    assert all(picture.shape == pictures[0].shape for picture in pictures)
    assert np.abs(pictures[0].astype(int) - pictures[-1]).max() > 50


def test_what_falls_out_of_the_hand_is_at_rest_afterwards() -> None:
    scene = box((0.03, 0.04, 0.05))
    weak = ExecutionSettings(hand=HandSettings(force_n=1.0, friction=0.2))
    after = execute(scene, down(0, 0, 0.07, 0.075), 1, weak).scene_after
    assert after.object_ids == (1,)
    assert np.allclose(after.at_rest().positions_m, after.positions_m, atol=1e-3)


def test_what_falls_when_the_hold_ends_was_not_held() -> None:
    scene, grasp, hand = fruit_by_its_top(0.85, 0.5)
    whole = execute(scene, grasp, 1, ExecutionSettings(hand=hand, hold_s=3.0))
    assert whole.outcome is Outcome.SLIPPED and whole.held_s > 0.5
    # It was then below the height that counts; a little before it was falling above that.
    brief = ExecutionSettings(hand=hand, hold_s=whole.held_s - 0.04)
    attempt = execute(scene, grasp, 1, brief)
    assert attempt.lifted_m > LIFTED_M
    assert attempt.outcome is Outcome.SLIPPED
    assert (attempt.lifted_ids, attempt.scene_after.object_ids) == ((), (1,))


def test_what_falls_from_high_up_is_still_on_the_table_afterwards() -> None:
    scene, grasp, hand = fruit_by_its_top(0.95, 0.8)
    attempt = execute(scene, grasp, 1, ExecutionSettings(hand=hand))
    assert attempt.outcome is Outcome.SLIPPED
    assert attempt.lifted_m > LIFTED_M
    assert (attempt.lifted_ids, attempt.scene_after.object_ids) == ((), (1,))


def test_fingers_that_do_not_close_in_time_are_refused() -> None:
    hand = HandSettings(speed_m_s=0.01)
    with pytest.raises(ConfigError, match=r"speed_m_s.*close within 1\.2 s"):
        ExecutionSettings(hand=hand)


@pytest.mark.parametrize(
    "changes", [{"hold_s": 0.0}, {"lift_m": LIFTED_M}, {"shake_m": -1.0}, {"max_force_n": 0.0}]
)
def test_impossible_settings_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        replace(ExecutionSettings(), **changes)
