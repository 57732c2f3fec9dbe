"""The depth sensor: each effect has the size its setting says, and none where it is off."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from repsam_ros.errors import ConfigError
from repsam_ros.simulation.sensor import SensedScene, SensorSettings, load_sensor, sense

HEIGHT, WIDTH = 240, 320
SHAPE = (1, HEIGHT, WIDTH)
PERFECT = SensorSettings(
    axial_scale=(0.0, 0.0),
    axial_smooth=(0.5, 0.5),
    lateral_px=(0.0, 0.0),
    fatten_px=(0.0, 0.0),
    ragged_px=(0.0, 0.0),
    thin_dropout=(0.0, 0.0),
    mixing=(0.0, 0.0),
    projector_m=(0.0, 0.0),
    depth_camera_m=(0.0, 0.0),
    shift_px=0.0,
    shift_scale=0.0,
    quantised_share=0.0,
    grazing_deg=(180.0, 180.0),
    edge_dropout=(0.0, 0.0),
    edge_band_px=(0.0, 0.0),
    dark_dropout=(0.0, 0.0),
    speckle_holes=0.0,
    outlier_share=(0.0, 0.0),
    near_m=(0.0, 0.0),
    far_m=(100.0, 100.0),
    border_px=(0.0, 0.0),
    border_right_px=(0.0, 0.0),
    glass_missing=(0.0, 0.0),
    glass_surface=(1.0, 1.0),
    glass_bend=(0.0, 0.0),
    crop_share=0.0,
)


def scene_of(depth_m: torch.Tensor, **changes: torch.Tensor) -> SensedScene:
    no = torch.zeros(depth_m.shape, dtype=torch.bool)
    zero = torch.zeros(depth_m.shape)
    values = {
        "depth_m": depth_m,
        "through_m": depth_m,
        "incidence_rad": zero,
        "glass": no,
        "dropout": zero,
        "on_table": ~no,
    }
    return SensedScene(**{**values, **changes})


def flat(depth_m: float = 1.0, pictures: int = 1, **changes: torch.Tensor) -> SensedScene:
    return scene_of(torch.full((pictures, HEIGHT, WIDTH), depth_m), **changes)


def block(near_m: float = 0.8, far_m: float = 1.2, half: int = 60) -> SensedScene:
    """A near square before a far wall."""
    depth = torch.full(SHAPE, far_m)
    depth[:, 120 - half : 120 + half, 160 - half : 160 + half] = near_m
    return scene_of(depth)


def sensed(scene: SensedScene, seed: int = 0, **changes: Any) -> torch.Tensor:
    settings = dataclasses.replace(PERFECT, **changes)
    return sense(scene, settings, torch.Generator().manual_seed(seed))


def random_scene(pictures: int) -> SensedScene:
    draw = torch.Generator().manual_seed(9)
    depth = 0.5 + 2 * torch.rand((pictures, HEIGHT // 8, WIDTH // 8), generator=draw)
    depth = depth.repeat_interleave(8, 1).repeat_interleave(8, 2)
    glass = torch.rand(depth.shape, generator=draw) < 0.2
    return scene_of(depth, through_m=depth + 0.3 * glass, glass=glass)


def test_a_perfect_sensor_gives_the_true_depth() -> None:
    scene = random_scene(2)
    assert torch.equal(sensed(scene), scene.depth_m)


def test_the_same_seed_gives_the_same_depth() -> None:
    scene, settings = random_scene(2), SensorSettings()
    first, second, other = (
        sense(scene, settings, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert first.dtype == torch.float32
    assert torch.all(first >= 0) and torch.all(torch.isfinite(first))


def test_a_picture_does_not_depend_on_what_the_others_show() -> None:
    scene = random_scene(3)
    changed = {name: value.clone() for name, value in vars(scene).items()}
    changed["depth_m"][1:] = 1.0
    changed["glass"][1:] = False
    first, second = (
        sense(one, SensorSettings(), torch.Generator().manual_seed(1))
        for one in (scene, SensedScene(**changed))
    )
    assert torch.equal(first[0], second[0])


@pytest.mark.parametrize("depth_m", [0.6, 1.0, 2.0, 3.0])
def test_axial_noise_follows_nguyen(depth_m: float) -> None:
    error = sensed(flat(depth_m, pictures=4), axial_scale=(1.0, 1.0)) - depth_m
    expected_m = 0.0012 + 0.0019 * (depth_m - 0.4) ** 2
    assert error.std().item() == pytest.approx(expected_m, rel=0.06)
    assert abs(error.mean().item()) < 0.1 * expected_m


def test_axial_noise_grows_on_steep_surfaces() -> None:
    theta = math.radians(75)
    steep = torch.full((4, HEIGHT, WIDTH), theta)
    error = sensed(flat(1.0, pictures=4, incidence_rad=steep), axial_scale=(1.0, 1.0)) - 1.0
    expected_m = 0.0012 + 0.0019 * 0.36 + 1e-4 * theta**2 / (math.pi / 2 - theta) ** 2
    assert error.std().item() == pytest.approx(expected_m, rel=0.06)


def test_smooth_noise_is_alike_in_neighbours() -> None:
    def likeness(share: float) -> float:
        changes = {"axial_scale": (1.0, 1.0), "axial_smooth": (share, share)}
        error = sensed(flat(pictures=4), **changes) - 1.0
        return float((error[..., 1:] * error[..., :-1]).mean() / error.var())

    assert likeness(0.0) == pytest.approx(0, abs=0.03)
    assert 0.4 < likeness(1.0) < 1


def test_depth_comes_in_disparity_steps() -> None:
    ramp = torch.linspace(0.6, 3.0, WIDTH).expand(SHAPE).contiguous()
    depth = sensed(scene_of(ramp), quantised_share=1.0, disparity_steps_m=(348.0, 348.0))
    steps = 348.0 / depth
    assert torch.allclose(steps, steps.round(), atol=2e-3)
    assert torch.all((depth - ramp).abs() <= 0.51 * ramp**2 / 348 + 1e-4)


def width_px(depth: torch.Tensor, near_m: float = 0.8) -> float:
    """Mean number of near columns in the rows through the middle of :func:`block`."""
    return float(((depth[0, 70:170] - near_m).abs() < 0.05).sum(1).float().mean())


@pytest.mark.parametrize("fatten_px", [2.0, 4.0])
def test_near_things_grow_on_both_sides(fatten_px: float) -> None:
    depth = sensed(block(), fatten_px=(fatten_px, fatten_px))[0]
    near = (depth - 0.8).abs() < 0.05
    reach = round(fatten_px * WIDTH / 640)
    middle = torch.nonzero(near[120]).flatten()
    assert middle.min() == 100 - reach
    assert middle.max() == 219 + reach
    assert torch.nonzero(near[:, 160]).flatten().min() >= 60 - reach // 2


def test_edges_are_ragged_but_right_on_average() -> None:
    depth = sensed(block(), ragged_px=(1.5, 1.5))[0]
    near = ((depth - 0.8).abs() < 0.05)[70:170]
    first = near.float().argmax(1).float()
    assert 0.2 < first.std() < 1.5
    assert abs(width_px(depth[None]) - 120) < 2
    # Neighbouring rows err alike: an edge is made of blocks, not of single pixels.
    error = first - first.mean()
    assert (error[1:] * error[:-1]).mean() > 0.3 * error.var()


@pytest.mark.parametrize(
    ("setting", "columns"), [("projector_m", (80, 100)), ("depth_camera_m", (220, 240))]
)
def test_shadows_lie_on_the_right_side_and_have_the_right_width(
    setting: str, columns: tuple[int, int]
) -> None:
    lost = sensed(block(), **{setting: (0.05, 0.05)})[0] == 0
    expected_px = 525 * WIDTH / 640 * 0.05 * (1 / 0.8 - 1 / 1.2)
    across = lost[70:170].sum(1).float()
    assert torch.all((across - expected_px).abs() <= 1)
    assert lost[:, slice(*columns)].sum() == lost.sum()
    assert not lost[:55].any() and not lost[185:].any()


def test_glass_casts_no_shadow() -> None:
    solid = block()
    wall = torch.full(SHAPE, 1.2)
    scene = dataclasses.replace(solid, through_m=wall, glass=solid.depth_m < 1)
    assert torch.all(sensed(scene, projector_m=(0.05, 0.05)) > 0)


def test_thin_things_vanish_and_thick_ones_stay() -> None:
    depth = torch.full(SHAPE, 1.2)
    depth[:, :, 100:102] = 1.0
    depth[:, 40:200, 160:200] = 1.0
    results = [sensed(scene_of(depth), seed, thin_dropout=(1.0, 1.0))[0] for seed in range(8)]
    for result in results:
        assert torch.all((result[:, 100:102] - 1.0).abs() > 0.1)
        assert torch.equal(result[40:200, 160:200], depth[0, 40:200, 160:200])
    behind = [bool((result[:, 100] == 1.2).all()) for result in results]
    assert any(behind) and not all(behind)


def test_mixing_puts_depths_between_the_two_sides_of_an_edge() -> None:
    def between_sides(share: float) -> float:
        depth = sensed(block(), mixing=(share, share))
        return float(((depth > 0.82) & (depth < 1.18)).float().mean())

    assert between_sides(0.0) == 0
    assert between_sides(0.5) > 0.01


def test_steep_surfaces_lose_depth_from_the_limit_on() -> None:
    def lost(angle_deg: float) -> float:
        incidence = torch.full(SHAPE, math.radians(angle_deg))
        depth = sensed(flat(incidence_rad=incidence), grazing_deg=(76.0, 76.0))
        return float((depth == 0).float().mean())

    assert lost(60) < 0.01
    assert 0.35 < lost(76) < 0.65
    assert lost(88) > 0.95


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_edges_lose_their_share(share: float) -> None:
    lost = [
        (sensed(block(), seed, edge_dropout=(share, share)) == 0).sum().item() for seed in range(6)
    ]
    edge_pixels = 4 * 2 * 120
    assert sum(lost) / len(lost) == pytest.approx(share * edge_pixels, rel=0.2)


def test_stereo_loses_a_band_on_the_far_side_of_edges() -> None:
    lost = sensed(block(), edge_band_px=(8.0, 8.0))[0] == 0
    assert not lost[60:180, 100:220].any()
    beside = {
        "left": lost[80:160, :100].sum(1),
        "right": lost[80:160, 220:].sum(1),
        "above": lost[:60, 120:200].sum(0),
        "below": lost[180:, 120:200].sum(0),
    }
    for side, width in beside.items():
        assert width.float().mean().item() * 640 / WIDTH == pytest.approx(8.0, rel=0.25), side


def test_a_steep_plane_has_no_edges() -> None:
    rows = torch.linspace(-0.4, 0.4, HEIGHT)[:, None].expand(HEIGHT, WIDTH)
    plane = 1 / (1.0 - 1.6 * rows)[None]
    scene = scene_of(plane.contiguous())
    depth = sensed(scene, edge_band_px=(10.0, 10.0), edge_dropout=(1.0, 1.0))
    assert torch.equal(depth, scene.depth_m)


@pytest.mark.parametrize("dropout", [0.1, 0.5])
def test_dark_things_lose_their_share(dropout: float) -> None:
    scene = flat(pictures=4, dropout=torch.full((4, HEIGHT, WIDTH), dropout))
    lost = (sensed(scene, dark_dropout=(1.0, 1.0)) == 0).float().mean().item()
    assert lost == pytest.approx(dropout, abs=0.04)


def test_nothing_is_measured_too_near_or_too_far() -> None:
    ramp = torch.linspace(0.2, 5.0, WIDTH).expand(SHAPE).contiguous()
    measured = sensed(scene_of(ramp), near_m=(0.45, 0.45), far_m=(4.0, 4.0)) > 0
    assert torch.equal(measured, (ramp >= 0.45) & (ramp <= 4.0))


def test_the_border_has_no_depth() -> None:
    lost = sensed(flat(), border_px=(8.0, 8.0), border_right_px=(66.0, 66.0))[0] == 0
    inner = torch.zeros_like(lost)
    inner[4:-4, 4:-33] = True
    assert torch.equal(~lost, inner)


def test_outliers_and_holes_are_as_rare_as_set() -> None:
    depth = sensed(flat(pictures=16), outlier_share=(0.01, 0.01))
    assert ((depth - 1).abs() > 1e-3).float().mean().item() == pytest.approx(0.01, rel=0.4)
    holes = sensed(flat(pictures=16), speckle_holes=6.0) == 0
    assert 0 < holes.float().mean() < 0.01


def test_depth_is_shifted_against_colour() -> None:
    offsets = []
    for seed in range(30):
        near = (sensed(block(), seed, shift_px=4.0)[0] - 0.8).abs() < 0.01
        columns = torch.nonzero(near.any(0)).flatten()
        assert len(columns) == 120
        offsets.append(float(columns[0] - 100) * 640 / WIDTH)
    assert torch.tensor(offsets).std().item() == pytest.approx(4.0, rel=0.35)


def test_glass_shares() -> None:
    glass = torch.ones((8, HEIGHT, WIDTH), dtype=torch.bool)
    behind = torch.full(glass.shape, 1.5)
    depth = sensed(
        flat(pictures=8, glass=glass, through_m=behind),
        glass_missing=(0.35, 0.35),
        glass_surface=(0.15, 0.15),
        glass_bend=(0.02, 0.02),
    )
    shares = [(depth == 0), (depth == 1.0), (depth > 1.2)]
    for share, expected in zip(shares, (0.35, 0.15, 0.5), strict=True):
        assert share.float().mean().item() == pytest.approx(expected, abs=0.04)
    assert depth[depth > 1.2].std().item() == pytest.approx(0.03, rel=0.1)
    # Patches, not single pixels: neighbours mostly share their fate.
    lost = (depth == 0).float()
    assert (lost[..., 1:] != lost[..., :-1]).float().mean() < 0.15


def test_depth_is_cut_to_the_table_or_gone() -> None:
    table = torch.zeros(SHAPE, dtype=torch.bool)
    table[:, 100:] = True
    cut = sensed(flat(on_table=table), crop_share=1.0)
    assert torch.equal(cut > 0, table)
    assert not sensed(flat(), blackout_share=1.0).any()


@pytest.mark.parametrize("name", ["kinect", "realsense"])
def test_presets_differ_from_the_training_mix(name: str) -> None:
    settings = load_sensor(name)
    assert settings != SensorSettings()
    depth = sense(block(), settings, torch.Generator().manual_seed(0))
    assert 0.5 < (depth > 0).float().mean() < 1


def test_a_sensor_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("near_m: [0.3, 0.4]\n")
    assert load_sensor(path) == SensorSettings(near_m=(0.3, 0.4))
    path.write_text("nearest: 0.3\n")
    with pytest.raises(ConfigError, match="nearest"):
        load_sensor(path)
    with pytest.raises(ConfigError, match="kinect, realsense"):
        load_sensor("kinekt")


@pytest.mark.parametrize(
    "wrong",
    [
        {"far_m": (6.0, 1.0)},
        {"near_m": (-0.1, 0.2)},
        {"crop_share": 1.5},
        {"glass_missing": (0, 2)},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SensorSettings(**wrong)
