"""Single shots and clutter removal, in real pictures and real physics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from repsam_ros.structures import Grasp
from repsam_ros.trials.chains import Answer, OfflineChain, Wanted
from repsam_ros.trials.configuration import TrialsConfig
from repsam_ros.trials.execution import execute
from repsam_ros.trials.protocol import (
    Trials,
    aim_anywhere,
    aim_at,
    best_match,
    choose_target,
    clear_table,
    depth_error,
    single_shot,
    take_picture,
)
from repsam_ros.trials.rows import WrittenGrasp
from repsam_ros.trials.scene import TrialScene, make_scene
from repsam_ros.trials.sensing import View

Make = Callable[..., TrialsConfig]


@pytest.fixture(scope="module")
def config(tiny: Make) -> TrialsConfig:
    return tiny()


@pytest.fixture(scope="module")
def chains(config: TrialsConfig) -> dict[str, OfflineChain]:
    return {v.name: OfflineChain(v, config) for v in config.variants}


@pytest.fixture(scope="module")
def scene(config: TrialsConfig) -> TrialScene:
    return make_scene(config.strata["packed"].scene, 1900)


@pytest.fixture(scope="module")
def view(config: TrialsConfig, scene: TrialScene) -> View:
    return take_picture(config, scene, 0)[0]


@pytest.fixture(scope="module")
def shots(config: TrialsConfig, chains: dict[str, OfflineChain]) -> Trials:
    return single_shot(config, "packed", 1900, chains)


def nothing(view: View, wanted: Wanted, /) -> Answer:
    return Answer(np.zeros(view.true_labels.shape, np.uint16), [], 0.0, 0.0)


def test_all_variants_shoot_once_at_one_target(config: TrialsConfig, shots: Trials) -> None:
    assert [row.variant for row in shots.rows] == [v.name for v in config.variants]
    assert len({(row.target_id, row.family, row.visible_share) for row in shots.rows}) == 1
    assert {row.objects for row in shots.rows} == {3}
    by_name = {row.variant: row for row in shots.rows}
    assert by_name["exact"].mask_iou == by_name["random"].mask_iou == 1.0
    assert by_name["exact"].depth_error_m == by_name["exact"].depth_missing == 0.0
    assert 0 < (by_name["random"].depth_error_m or 0) < 0.5
    assert 0 < (by_name["no_masks"].mask_iou or 0) < 1
    assert any(row.x_m is not None for row in shots.rows)
    times = [(t.variant, t.execute_s is None) for t in shots.times]
    assert times == [(row.variant, row.x_m is None) for row in shots.rows]


def test_an_attempt_can_be_done_again_from_its_row(
    config: TrialsConfig, scene: TrialScene, shots: Trials
) -> None:
    for row in shots.rows:
        written = WrittenGrasp.of_row(row)
        if written is None or row.target_id is None:
            continue
        again = execute(scene, written.grasp(), row.target_id, config.execution)
        assert again.outcome.value == row.outcome
        assert round(again.lifted_m, 6) == row.lifted_m
        assert " ".join(map(str, again.lifted_ids)) == row.lifted


def test_a_round_ends_with_an_empty_table_or_failures_in_a_row(
    tiny: Make, chains: dict[str, OfflineChain]
) -> None:
    config = tiny(protocol="clutter", max_failures=2)
    rows = clear_table(config, "packed", 1900, chains).rows
    for variant in chains:
        own = [row for row in rows if row.variant == variant]
        assert [row.attempt for row in own] == list(range(len(own)))
        left = own[0].objects
        for row in own:
            # What rolls off the table while another is picked is gone, too.
            assert row.objects <= left
            left = row.objects - len(row.lifted.split())
        failed = [row.outcome != "success" for row in own]
        assert left == 0 or failed[-2:] == [True, True]
        assert not any(a and b for a, b in zip(failed[:-2], failed[1:-1], strict=False))
    exact = [row for row in rows if row.variant == "exact"]
    assert sum(row.outcome == "success" for row in exact) >= 1


def test_pictures_of_a_scene_are_taken_from_different_places(
    config: TrialsConfig, scene: TrialScene, view: View
) -> None:
    again, other = (take_picture(config, scene, number)[0] for number in (0, 1))
    assert np.array_equal(again.frame.depth_m, view.frame.depth_m)
    assert not np.allclose(other.camera_from_world, view.camera_from_world, atol=0.01)


def test_what_is_not_seen_is_not_detected(config: TrialsConfig) -> None:
    (row, *_) = single_shot(config, "packed", 1900, {"exact": nothing}).rows
    assert (row.outcome, row.mask_iou, row.grasps, row.x_m) == ("not_detected", 0.0, 0, None)
    rows = clear_table(config, "packed", 1900, {"exact": nothing}).rows
    assert [(row.outcome, row.target_id, row.lifted) for row in rows] == 2 * [
        ("not_detected", None, "")
    ]


def test_only_grasps_on_the_targets_instance_count(view: View, config: TrialsConfig) -> None:
    target = int(np.unique(view.true_labels)[1])
    labels = (1 + (view.true_labels == target)).astype(np.uint16)
    asked: list[object] = []

    def grasps_on(*ids: int) -> Callable[[View, Wanted], Answer]:
        def chain(view: View, wanted: Wanted, /) -> Answer:
            asked.append(wanted(labels))
            found = [Grasp(np.zeros(3), np.eye(3), 0.05, 0.5, k) for k in ids]
            return Answer(labels, found, 0.0, 0.0)

        return chain

    picked = aim_at(view, target, grasps_on(1, 2, 1), config.min_iou)
    assert (picked.mask_iou, picked.grasps, picked.detected) == (1.0, 1, True)
    assert asked == [(2,)]
    assert aim_at(view, target, grasps_on(1), config.min_iou).grasp is None


def test_grasps_beyond_the_table_are_not_taken(view: View, scene: TrialScene) -> None:
    def chain(view: View, wanted: Wanted, /) -> Answer:
        far = Grasp(np.array([0.0, 0.0, 9.0]), np.eye(3), 0.05, 0.9, 1)
        return Answer(view.true_labels.astype(np.uint16), [far], 0.0, 0.0)

    picked = aim_anywhere(view, scene, chain)
    assert (picked.detected, picked.grasps, picked.grasp) == (True, 0, None)


def test_targets_are_seen_well_or_as_well_as_can_be(view: View, scene: TrialScene) -> None:
    ids = scene.object_ids
    shares = {ids[0]: 0.1, ids[1]: 0.5, ids[2]: 0.9}
    seen = replace(view, visible_share=shares)
    chosen = {choose_target(seen, scene, 0.3, seed) for seed in range(40)}
    assert chosen == {ids[1], ids[2]}
    assert {choose_target(seen, scene, 1.0, seed) for seed in range(5)} == {ids[2]}


@given(seed=st.integers(0, 10**6))
def test_best_match_has_the_largest_iou(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels: NDArray[np.integer] = rng.integers(0, 4, (6, 6)).astype(np.uint16)
    truth = rng.random((6, 6)) < rng.random()
    ious = {
        k: float((truth & (labels == k)).sum() / (truth | (labels == k)).sum())
        for k in (1, 2, 3)
        if (truth & (labels == k)).any()
    }
    instance, iou = best_match(labels, truth)
    assert iou == pytest.approx(max(ious.values(), default=0.0))
    assert iou == pytest.approx(ious.get(instance, 0.0))


def test_depth_error_is_of_the_target_alone(view: View) -> None:
    target = int(np.unique(view.true_labels)[1])
    on = view.true_labels == target
    sensed = view.true_frame.depth_m.copy()
    sensed[on] += 0.01
    rows, columns = (index[: on.sum() // 4] for index in np.nonzero(on))
    sensed[rows, columns] = 0
    sensed[~on] = 5.0
    changed = replace(view, frame=replace(view.frame, depth_m=sensed))
    error_m, missing = depth_error(changed, target, exact=False)
    assert error_m == pytest.approx(0.01, abs=1e-6)
    assert missing == pytest.approx((on.sum() // 4) / on.sum())
    assert depth_error(changed, target, exact=True) == (0.0, 0.0)
    assert depth_error(changed, 99, exact=False) == (None, None)


def test_rows_say_where_they_belong(shots: Trials) -> None:
    assert {(row.stratum, row.scene_seed, row.attempt) for row in shots.rows} == {
        ("packed", 1900, 0)
    }
    names = {item.name for item in fields(WrittenGrasp)}
    for row in shots.rows:
        present = {name for name in names if getattr(row, name) is not None}
        assert present in (set(), names)
