"""Varied pictures stay views of one scene: geometry, truth and colour belong together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repsam_ros.adaptation.augmentation import (
    IGNORED,
    AugmentationSettings,
    Picture,
    plain_picture,
    renumbered,
    varied_picture,
    vary_color,
    vary_depth,
)
from repsam_ros.datasets import Sample
from repsam_ros.errors import ConfigError
from repsam_ros.simulation.views import MAX_OBJECTS
from repsam_ros.structures import Intrinsics, RgbdFrame

CANVAS = (48, 64)
STILL = AugmentationSettings(
    zoom=(1, 1),
    flip_share=0,
    exposure=(1, 1),
    white_balance=0,
    contrast=(1, 1),
    gamma=(1, 1),
    saturation=(1, 1),
    hue_rad=0,
    blur_px=(0, 0),
    noise=(0, 0),
    jpeg_share=0,
    depth_scale=(1, 1),
    hole_share=0,
    block_share=0,
)
FRAMES = st.tuples(st.integers(40, 130), st.integers(40, 130))
SEEDS = st.integers(0, 2**31)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def plane_sample(normal: np.ndarray, offset_m: float, size: tuple[int, int]) -> Sample:
    """A tilted plane in front of an off-centre camera; labels are bands of depth."""
    height, width = size
    camera = Intrinsics(1.1 * width, 1.2 * width, 0.45 * width, 0.6 * height, width, height)
    v, u = np.mgrid[:height, :width]
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(size)], -1)
    depth_m = (offset_m / (rays @ normal)).astype(np.float32)
    labels = ((depth_m - depth_m.min()) / (np.ptp(depth_m) + 1e-6) * 4.99).astype(np.uint16)
    ignore = labels == 3
    color = np.repeat((labels * 50).astype(np.uint8)[..., None], 3, axis=2)
    frame = RgbdFrame(color, depth_m, camera)
    return Sample("plane", frame, np.where(ignore, 0, labels).astype(np.uint16), ignore)


def points_m(picture: Picture) -> np.ndarray:
    """(N, 3) points of all measured pixels."""
    assert picture.depth_m is not None
    fx, fy, cx, cy = picture.intrinsics.astype(np.float64)
    v, u = np.nonzero(picture.depth_m)
    z = picture.depth_m[v, u].astype(np.float64)
    return np.stack([(u - cx) / fx * z, (v - cy) / fy * z, z], -1)


@given(FRAMES, SEEDS, st.floats(1, 2.5), st.booleans(), st.floats(0.8, 1.25))
def test_points_lie_on_the_same_plane_after_crop_flip_and_scaling(
    size: tuple[int, int], seed: int, zoom: float, flip: bool, factor: float
) -> None:
    draw = rng(seed)
    normal = np.array([*draw.uniform(-0.5, 0.5, 2), 1.0])
    sample = plane_sample(normal, 0.8, size)
    settings = replace(
        STILL, zoom=(zoom, zoom), flip_share=float(flip), depth_scale=(factor, factor)
    )
    points = points_m(varied_picture(sample, CANVAS, settings, draw))
    seen_normal = normal * (-1 if flip else 1, 1, 1)
    camera = sample.frame.intrinsics
    # Depth is sampled at the nearest pixel, which lies up to half a pixel off.
    half_pixel = 0.51 * (abs(normal[0]) / camera.fx + abs(normal[1]) / camera.fy)
    distance = np.abs(points @ seen_normal - factor * 0.8)
    assert len(points)
    assert (distance <= half_pixel * points[:, 2] + 1e-4).all()


@given(FRAMES, SEEDS, st.floats(1, 2.5), st.booleans())
def test_truth_and_ignored_pixels_move_with_depth(
    size: tuple[int, int], seed: int, zoom: float, flip: bool
) -> None:
    sample = plane_sample(np.array([0.4, 0.3, 1.0]), 0.8, size)
    bands = np.where(sample.ignore, 3, sample.labels)
    marked = replace(sample.frame, depth_m=(1 + bands).astype(np.float32))
    settings = replace(STILL, zoom=(zoom, zoom), flip_share=float(flip))
    picture = varied_picture(replace(sample, frame=marked), CANVAS, settings, rng(seed))
    assert picture.depth_m is not None
    inner = picture.depth_m > 0
    assert ((picture.truth == 0) == (picture.depth_m <= 1)).all()
    assert (picture.truth[inner & (picture.depth_m == 4)] == IGNORED).all()
    for band in (2, 3, 5):
        assert len(np.unique(picture.truth[picture.depth_m == band])) <= 1


def test_colour_moves_with_depth() -> None:
    """A bright pixel block of the frame is where depth says it is."""
    sample = plane_sample(np.array([0.0, 0.0, 1.0]), 1.0, (96, 128))
    color, depth_m = sample.frame.color.copy(), sample.frame.depth_m.copy()
    color[40:60, 20:50] = 255
    depth_m[40:60, 20:50] = 3
    marked = replace(sample, frame=replace(sample.frame, color=color, depth_m=depth_m))
    for seed in range(8):
        settings = replace(STILL, zoom=(1, 1.5), flip_share=0.5)
        picture = varied_picture(marked, CANVAS, settings, rng(seed))
        assert picture.depth_m is not None
        near = picture.depth_m == 3
        assert near.any()
        # Colour is averaged, depth is sampled: they may differ in the pixels of the outline.
        assert np.mean((picture.color[..., 0] > 127) != near) < 0.05


def test_what_the_frame_does_not_cover_stays_empty() -> None:
    sample = plane_sample(np.array([0.1, 0.2, 1.0]), 0.8, (100, 60))
    bright = replace(sample, frame=replace(sample.frame, color=np.full((100, 60, 3), 90, np.uint8)))
    settings = replace(AugmentationSettings(), zoom=(1, 1), flip_share=1, exposure=(1.4, 1.4))
    picture = varied_picture(bright, CANVAS, settings, rng(0))
    assert picture.depth_m is not None
    covered = round(60 * 48 / 100)
    assert not picture.color[:, covered:].any()
    assert not picture.depth_m[:, covered:].any() and not picture.truth[:, covered:].any()
    assert picture.color[:, :covered].all()


@given(SEEDS)
def test_truth_keeps_the_largest_and_does_not_depend_on_the_ids(seed: int) -> None:
    draw = rng(seed)
    labels = np.zeros((60, 200), np.uint16)
    sizes = draw.permutation(np.arange(1, 31))
    for index, side in enumerate(sizes):
        row, column = divmod(index, 10)
        labels[row * 20 : row * 20 + 20, column * 20 : column * 20 + 20].flat[: side * 12] = (
            index + 1
        )
    truth = renumbered(labels)
    areas = np.bincount(truth.ravel(), minlength=256)[1 : MAX_OBJECTS + 1]
    assert areas.tolist() == [12 * side for side in range(30, 10, -1)]
    assert (truth == IGNORED).sum() == 12 * sum(range(1, 11))
    renamed = np.concatenate([[0], draw.choice(np.arange(1, 60000), 30, replace=False)])
    assert np.array_equal(truth, renumbered(renamed.astype(np.uint16)[labels]))


def test_slivers_are_ignored() -> None:
    labels = np.zeros((100, 100), np.uint16)
    labels[0, :7], labels[5, :8] = 4, 9
    assert np.bincount(renumbered(labels).ravel())[[1, IGNORED]].tolist() == [8, 7]


def test_the_same_draw_gives_the_same_picture_and_leaves_the_sample_alone() -> None:
    sample = plane_sample(np.array([0.1, 0.2, 1.0]), 0.8, (96, 128))
    for array in (sample.frame.color, sample.frame.depth_m, sample.labels, sample.ignore):
        array.flags.writeable = False
    first, second, other = (
        varied_picture(sample, CANVAS, AugmentationSettings(), rng(seed)) for seed in (1, 1, 2)
    )
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(first.color, other.color)


def test_nothing_varied_is_the_plain_picture() -> None:
    sample = plane_sample(np.array([0.1, 0.2, 1.0]), 0.8, (96, 128))
    still, plain = varied_picture(sample, CANVAS, STILL, rng(0)), plain_picture(sample, CANVAS)
    for a, b in zip(still, plain, strict=True):
        assert np.array_equal(a, b)


COLOR = np.random.default_rng(0).integers(60, 180, (40, 50, 3)).astype(np.uint8)
PATCH = np.full((40, 50, 3), (90, 120, 60), np.uint8)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"exposure": (1.2, 1.2)}, PATCH * 1.2),
        ({"contrast": (0.5, 0.5)}, (PATCH - 127.5) * 0.5 + 127.5),
        ({"gamma": (2.0, 2.0)}, (PATCH / 255) ** 2 * 255),
        ({"saturation": (0.0, 0.0)}, np.full(PATCH.shape, 0.299 * 90 + 0.587 * 120 + 0.114 * 60)),
        ({"blur_px": (2.0, 2.0)}, PATCH),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_each_change_of_colour_is_what_its_setting_says(
    change: dict[str, tuple[float, float]], expected: np.ndarray
) -> None:
    varied = vary_color(PATCH, replace(STILL, **change), rng(0))
    assert np.abs(varied - expected).max() <= 1.01


def test_hue_keeps_brightness_sum_and_noise_has_its_deviation() -> None:
    turned = vary_color(PATCH, replace(STILL, hue_rad=0.3), rng(0)).astype(float)
    assert not np.array_equal(turned, PATCH)
    assert np.abs(turned.sum(-1) - PATCH.sum(-1, dtype=float)).max() <= 3
    noisy = vary_color(PATCH, replace(STILL, noise=(0.02, 0.02)), rng(0)).astype(float)
    assert np.std(noisy - PATCH) == pytest.approx(5.1, rel=0.1)


def test_jpeg_loses_more_at_a_lower_quality() -> None:
    errors = [
        np.abs(
            vary_color(
                COLOR, replace(STILL, jpeg_share=1, jpeg_quality=(quality, quality)), rng(0)
            ).astype(float)
            - COLOR
        ).mean()
        for quality in (95, 30)
    ]
    assert 0 < errors[0] < errors[1]


@given(SEEDS)
def test_depth_is_lost_in_parts_and_never_invented(seed: int) -> None:
    depth_m = rng(seed).uniform(0.5, 2, (48, 64)).astype(np.float32)
    depth_m[:10] = 0
    settings = replace(STILL, hole_share=1, block_share=1, depth_scale=(1.1, 1.1))
    varied = vary_depth(depth_m, settings, rng(seed))
    kept = varied > 0
    assert np.array_equal(varied[kept], (depth_m * np.float32(1.1))[kept])
    assert not varied[:10].any()
    assert kept.sum() < (depth_m > 0).sum()


def test_all_depth_is_lost_where_asked() -> None:
    depth_m = np.ones((48, 64), np.float32)
    assert not vary_depth(depth_m, replace(STILL, depth_loss_share=1), rng(0)).any()
    assert depth_m.all()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"zoom": (0.5, 1.0)}, "zoom"),
        ({"noise": (0.2, 0.1)}, "noise"),
        ({"flip_share": 1.5}, "flip_share"),
    ],
)
def test_impossible_settings_are_named(change: dict[str, object], name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        replace(STILL, **change)
