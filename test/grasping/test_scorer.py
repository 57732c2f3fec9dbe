"""What the scorer sees of a grasp, its weights on disk, and grasps beside a given one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file
from scipy.spatial.transform import Rotation

from repsam_ros import model_files
from repsam_ros.errors import CheckpointError, ConfigError
from repsam_ros.grasping.collisions import find_obstacles
from repsam_ros.grasping.gripper import Gripper
from repsam_ros.grasping.planners import open_planner
from repsam_ros.grasping.scorer.crops import CHANNELS, COLUMNS, NUMBERS, ROWS, Cropper, Crops
from repsam_ros.grasping.scorer.network import FORMAT, GraspScorer, open_scorer
from repsam_ros.grasping.scorer.variants import beside, free_grasps
from repsam_ros.grasping.settings import HandSettings
from repsam_ros.structures import Grasp, SceneCloud

OCCUPIED = slice(0, 10)  # channels of points, which no line of sight decides on
FLIP = np.diag([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def cloud(scenes) -> SceneCloud:
    return scenes.view(
        scenes.box((0.05, 0.14, 0.12), (-0.14, 0.02), 0.4),
        scenes.cylinder(0.03, 0.1, (0.0, -0.06)),
        scenes.box((0.04, 0.15, 0.03), (0.08, 0.0)),
    ).cloud


@pytest.fixture(scope="module")
def grasps(cloud: SceneCloud) -> list[Grasp]:
    found = open_planner("antipodal", {"max_checked_per_object": 64})(cloud, [2]).grasps
    assert len(found) >= 3
    return found


def crops(cloud: SceneCloud, grasps: list[Grasp]) -> Crops:
    return Cropper(cloud, Gripper())(grasps)


def moved(grasp: Grasp, rotation: np.ndarray, offset_m: np.ndarray) -> Grasp:
    position_m, turned = rotation @ grasp.position_m + offset_m, rotation @ grasp.rotation
    return Grasp(position_m, turned, grasp.width_m, grasp.score, grasp.instance_id)


def assert_alike(first: Crops, second: Crops) -> None:
    """Equal up to points and places that rounding takes over the border of a cell."""
    assert np.allclose(first.numbers, second.numbers, atol=1e-3)
    differ = (first.pictures != second.pictures).mean(axis=(0, 1, 2))
    assert differ[OCCUPIED].max() < 0.005 and differ.max() < 0.02
    assert first.pictures[..., OCCUPIED].any()


def test_a_crop_moves_with_scene_and_grasp(scenes, cloud: SceneCloud, grasps: list[Grasp]) -> None:
    before = crops(cloud, grasps)
    assert before.pictures.shape == (len(grasps), ROWS, COLUMNS, CHANNELS)
    assert before.numbers.shape == (len(grasps), NUMBERS)
    for seed in range(3):
        rotation = Rotation.random(random_state=seed).as_matrix()
        offset_m = np.array([0.3, -0.2, 0.1]) * seed
        there = [moved(grasp, rotation, offset_m) for grasp in grasps]
        assert_alike(before, crops(scenes.moved(cloud, rotation, offset_m), there))


def test_half_turns_and_mirrored_scenes_give_the_same_crop(
    scenes, cloud: SceneCloud, grasps: list[Grasp]
) -> None:
    before = crops(cloud, grasps)
    half_turn = np.diag([-1.0, -1.0, 1.0])
    turned = [
        Grasp(g.position_m, g.rotation @ half_turn, g.width_m, 0.0, g.instance_id) for g in grasps
    ]
    after = crops(cloud, turned)
    assert np.array_equal(before.pictures, after.pictures)
    assert np.array_equal(before.numbers, after.numbers)
    mirrored = [
        Grasp(FLIP @ g.position_m, FLIP @ g.rotation @ FLIP, g.width_m, 0.0, g.instance_id)
        for g in grasps
    ]
    assert_alike(before, crops(scenes.moved(cloud, FLIP, np.zeros(3)), mirrored))


def test_points_out_of_reach_do_not_matter(cloud: SceneCloud, grasps: list[Grasp]) -> None:
    middle_m = np.mean([grasp.position_m for grasp in grasps], axis=0)
    far = np.linalg.norm(cloud.points_m - middle_m, axis=1) > 0.14
    assert far.any() and not far.all()
    points_m = cloud.points_m.copy()
    points_m[far & (cloud.instance_ids != 2)] += np.float32(0.05)
    changed = crops(type(cloud)(**{**vars(cloud), "points_m": points_m}), grasps)
    assert np.array_equal(
        changed.pictures[..., OCCUPIED], crops(cloud, grasps).pictures[..., OCCUPIED]
    )


def test_a_wider_hand_and_a_neighbour_are_seen(cloud: SceneCloud, grasps: list[Grasp]) -> None:
    one = grasps[0]
    first, wide = crops(cloud, [one, beside(one, (0, 0, 0), one.width_m / 2)]).pictures
    assert (first != wide).any(axis=(0, 1)).sum() == 1  # the channel of the hand alone
    near = SceneCloud(
        **{
            **vars(cloud),
            "points_m": np.vstack((cloud.points_m, one.position_m[None])).astype(np.float32),
            "colors": np.vstack((cloud.colors, cloud.colors[:1])),
            "instance_ids": np.append(cloud.instance_ids, np.uint32(3)),
            "scores": np.append(cloud.scores, np.float32(1)),
            "flags": np.append(cloud.flags, np.uint8(0)),
        }
    )
    assert (crops(near, [one]).pictures[..., OCCUPIED] != first[..., OCCUPIED]).sum() == 1


def test_only_free_neighbours_of_a_grasp_are_offered(
    cloud: SceneCloud, grasps: list[Grasp]
) -> None:
    settings = HandSettings()
    obstacles = find_obstacles(cloud, settings)
    one = grasps[0]
    assert free_grasps([one], obstacles, settings) == [one]
    plane = cloud.support_plane
    tip_m = float(plane.height_m(one.position_m)) if plane is not None else 0.0
    bad = [
        beside(one, (0, 0, tip_m), one.width_m),  # into the table
        beside(one, (0, one.width_m / 2 + 0.006, 0), one.width_m),  # a finger in the object
        beside(one, (0, 0, 0), settings.gripper.opening_m + 0.01),
        beside(one, (0, 0, 0), 0.0),
    ]
    assert free_grasps([*bad, one], obstacles, settings) == [one]
    moved_m = beside(one, (0.0, 0.01, -0.02), 0.05).position_m - one.position_m
    assert np.allclose(one.rotation.T @ moved_m, [0, 0.01, -0.02])


def random_weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {
        "conv1": (4, CHANNELS, 3, 3),
        "conv2": (5, 4, 3, 3),
        "conv3": (6, 5, 3, 3),
        "hidden": (8, 12 * 6 + NUMBERS),
        "logit": (1, 8),
    }
    weights = {f"{name}.weight": rng.normal(0, 0.3, shape) for name, shape in shapes.items()}
    weights |= {f"{name}.bias": rng.normal(0, 0.3, shape[0]) for name, shape in shapes.items()}
    return {name: value.astype(np.float32) for name, value in weights.items()}


def write(path: Path, weights: dict[str, np.ndarray], kind: str = FORMAT) -> Path:
    save_file(weights, path, {"format": kind})
    return path


def test_each_grasp_is_rated_by_itself(cloud: SceneCloud, grasps: list[Grasp]) -> None:
    score = GraspScorer(random_weights())
    together = score(crops(cloud, grasps))
    assert together.shape == (len(grasps),) and ((together > 0) & (together < 1)).all()
    alone = [score(crops(cloud, [grasp]))[0] for grasp in grasps]
    assert np.allclose(together, alone, atol=1.01e-4)  # four decimals
    assert len(set(alone)) > 1


def test_broken_and_foreign_weights_are_refused(tmp_path: Path) -> None:
    weights = random_weights()
    with pytest.raises(ConfigError, match="no such file"):
        open_scorer("nothing")
    with pytest.raises(CheckpointError, match="is for grasp-scorer-1, this version"):
        open_scorer(str(write(tmp_path / "old.safetensors", weights, "grasp-scorer-1")))
    lacking = {name: value for name, value in weights.items() if name != "hidden.bias"}
    with pytest.raises(CheckpointError, match="a grasp scorer has"):
        open_scorer(str(write(tmp_path / "lacking.safetensors", lacking)))
    with pytest.raises(CheckpointError, match="lack 'conv1.weight'"):
        open_scorer(str(write(tmp_path / "other.safetensors", {"x": np.zeros(3, np.float32)})))
    whole = write(tmp_path / "whole.safetensors", weights).read_bytes()
    for name, data in {"cut": whole[:-8], "text": b"what", "empty": b""}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(CheckpointError, match="not a readable safetensors file"):
            open_scorer(str(tmp_path / name))


@pytest.mark.parametrize(("kind", "named"), [("float64", "F64"), ("bfloat16", "BF16")])
def test_weights_of_another_precision_are_refused(tmp_path: Path, kind: str, named: str) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save_tensors

    weights = {name: torch.from_numpy(value) for name, value in random_weights().items()}
    weights["logit.bias"] = weights["logit.bias"].to(getattr(torch, kind))
    save_tensors(weights, tmp_path / "scorer.safetensors", {"format": FORMAT})
    with pytest.raises(CheckpointError, match=f"scorer.safetensors: .* F32, not {named}"):
        open_scorer(str(tmp_path / "scorer.safetensors"))


def test_weights_that_are_not_the_manifests_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model_files.share_dir() / "models"
    manifest = yaml.safe_load((folder / "manifest.yaml").read_text())
    entry = manifest["grasp_scorers"]["grasp_scorer"]
    (tmp_path / "models").mkdir()
    shutil.copy(folder / "manifest.yaml", tmp_path / "models")
    copy = Path(shutil.copy(folder / entry["file"], tmp_path / "models"))
    monkeypatch.setattr(model_files, "share_dir", lambda: tmp_path)
    open_scorer("grasp_scorer")
    data = bytearray(copy.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(data)
    with pytest.raises(CheckpointError, match="the manifest says " + entry["sha256"]):
        open_scorer("grasp_scorer")
    copy.unlink()
    with pytest.raises(CheckpointError, match="is missing"):
        open_scorer("grasp_scorer")


def test_the_card_is_of_the_weights_that_are_shipped() -> None:
    folder = model_files.share_dir() / "models"
    entry = yaml.safe_load((folder / "manifest.yaml").read_text())["grasp_scorers"]["grasp_scorer"]
    assert entry["sha256"] in (folder / "grasp_scorer.md").read_text()
    assert (folder / entry["file"]).stat().st_size == entry["size_bytes"] < 1_000_000
