"""Traced pictures: the fast renderer's geometry and textures, real glass, the same bytes twice."""

from __future__ import annotations

import dataclasses
import importlib
import logging
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from repsam_ros.errors import BackendError, ConfigError
from repsam_ros.simulation import photorealistic
from repsam_ros.simulation.mitsuba_mesh import smooth_normals
from repsam_ros.simulation.photorealistic import (
    LLVM_PATH,
    SCALAR,
    PhotorealisticRenderer,
    TracingSettings,
    find_llvm,
)
from repsam_ros.simulation.rendering import FastRenderer, RenderSettings
from repsam_ros.simulation.scenes import Scene, settle_scene
from repsam_ros.simulation.solids import Lathe
from repsam_ros.simulation.textures import texture_atlas
from repsam_ros.simulation.views import (
    AMBIENT,
    FILL_STRENGTH,
    GLASS,
    GLOSS,
    LAMP_COLOR,
    LAMP_STRENGTH,
    MAX_OBJECTS,
    SCALE,
    TABLE,
    TEXTURE,
    TINT,
    TINT_SHARE,
    View,
    ViewSettings,
    draw_view,
)

SIZE = (60, 80)
TEXTURES = 18
LABELS = (6, 7, 8)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [settle_scene(seed) for seed in (2, 14, 11)]


@pytest.fixture(scope="module")
def renderer() -> PhotorealisticRenderer:
    try:
        return PhotorealisticRenderer(RenderSettings(textures=TEXTURES))
    except BackendError as error:
        pytest.skip(str(error))


def drawn(scene: Scene, seed: int, glass: float = 0.0, size: tuple[int, int] = SIZE) -> View:
    settings = ViewSettings(glass_scene_share=1.0, glass_share=glass, textures=TEXTURES)
    return draw_view(scene, (seed,), settings, size)


def changed(view: View, light: dict[int, Any] | None = None, **arrays: Any) -> View:
    """``view`` with other entries of the light, and other arrays."""
    lit = view.arrays["light"].copy()
    for entry, value in (light or {}).items():
        lit[entry] = value
    return dataclasses.replace(view, arrays={**view.arrays, "light": lit, **arrays})


def in_flat_light(view: View, **arrays: Any) -> View:
    light = {AMBIENT: 1, LAMP_STRENGTH: 0, FILL_STRENGTH: 0}
    light |= {LAMP_COLOR + channel: 1 for channel in range(3)}
    return changed(view, light, **arrays)


def test_only_the_colour_is_traced(renderer: PhotorealisticRenderer, scenes: list[Scene]) -> None:
    views = [drawn(scene, 1, glass=0.8) for scene in scenes]
    traced = renderer.render(views)
    fast = FastRenderer(RenderSettings(textures=TEXTURES)).render(views)
    assert torch.equal(traced.ids, fast.ids)
    assert torch.equal(traced.sight.through_m, fast.sight.through_m)
    assert traced.color.shape == fast.color.shape and traced.color.dtype == torch.float32
    assert traced.color.min() >= 0 and traced.color.max() <= 1
    brightness = traced.color.mean(dim=(1, 2, 3)) / fast.color.mean(dim=(1, 2, 3))
    assert torch.all((brightness > 0.6) & (brightness < 1.6))


def test_a_view_gives_the_same_bytes_alone_and_among_others(
    renderer: PhotorealisticRenderer, scenes: list[Scene]
) -> None:
    first, second = drawn(scenes[0], 1, glass=1.0), drawn(scenes[1], 2, glass=1.0)
    together = renderer.render([first, second]).color
    assert torch.equal(renderer.render([second]).color[0], together[1])
    assert torch.equal(renderer.render([first]).color[0], together[0])


def test_threads_change_nothing_but_the_speed(
    renderer: PhotorealisticRenderer, scenes: list[Scene]
) -> None:
    view = drawn(scenes[0], 1, glass=1.0)
    colors = []
    for threads in (1, 2):  # a renderer sets it for the whole process when it is made
        tracing = TracingSettings(threads=threads)
        made = PhotorealisticRenderer(RenderSettings(textures=TEXTURES), tracing)
        colors.append(made.render([view]).color)
    assert torch.equal(*colors)


@pytest.mark.parametrize("index", range(3))
def test_outlines_are_those_of_the_ids(
    renderer: PhotorealisticRenderer, scenes: list[Scene], index: int
) -> None:
    view = drawn(scenes[index], 5 + index, size=(120, 160))
    materials = view.arrays["materials"].copy()
    materials[:, [TINT_SHARE, GLOSS, GLASS]] = 1, 0, 0
    materials[:MAX_OBJECTS, TINT : TINT + 3] = 1
    materials[MAX_OBJECTS:, TINT : TINT + 3] = 0
    rendered = renderer.render([in_flat_light(view, materials=materials)])
    sky = ~(rendered.sight.depth_m[0] > 0).numpy()
    white = rendered.color[0].mean(0).numpy() > 0.24
    objects = (rendered.ids[0] > 0).numpy()
    around = np.ones((3, 3), np.uint8)
    inside = cv2.erode(objects.astype(np.uint8), around) > 0
    outside = cv2.dilate((objects | sky).astype(np.uint8), around) == 0
    assert inside.sum() > 100
    assert white[inside].mean() > 0.99  # a few lie deep in a gap
    assert not white[outside].any()

    def agreement(mask: np.ndarray) -> float:
        return float((mask & objects).sum() / (mask | objects).sum())

    for axis in (0, 1):
        either_side = [agreement(np.roll(white, step, axis)) for step in (-1, 1)]
        # Half a pixel off, one of them would be as good as the picture itself.
        assert abs(either_side[0] - either_side[1]) < 0.3 * (1 - np.mean(either_side))
        assert agreement(white) > max(either_side)


def test_textures_lie_where_the_fast_renderer_puts_them(
    renderer: PhotorealisticRenderer, scenes: list[Scene]
) -> None:
    view = drawn(scenes[2], 4, size=(120, 160))
    materials = view.arrays["materials"].copy()
    materials[:, [TINT_SHARE, GLOSS, GLASS]] = 0
    # Printed labels, which have no symmetry; stretched over a face, and repeated.
    materials[:, TEXTURE] = LABELS[0] + np.arange(len(materials)) % len(LABELS)
    materials[:, SCALE] = np.where(np.arange(len(materials)) % 2, 0.0, 0.2)
    view = in_flat_light(view, materials=materials)
    traced = renderer.render([view])
    near = (traced.sight.depth_m[0] > 0) & (traced.sight.depth_m[0] < 1.5)
    atlas = texture_atlas(RenderSettings().texture_seed, TEXTURES)

    def likeness(textures: np.ndarray) -> float:
        flat = FastRenderer(atlas=np.ascontiguousarray(textures)).render([view]).color
        return float(np.corrcoef(traced.color[0][:, near].ravel(), flat[0][:, near].ravel())[0, 1])

    right = likeness(atlas)
    assert right > 0.8
    for wrong in (atlas[:, ::-1], atlas[:, :, ::-1], np.roll(atlas, 32, 1), np.roll(atlas, 32, 2)):
        assert likeness(wrong) < right - 0.15


def test_glass_shows_what_is_behind_and_bends_it(
    renderer: PhotorealisticRenderer, scenes: list[Scene]
) -> None:
    view = drawn(scenes[0], 1)
    materials = view.arrays["materials"].copy()
    materials[:, TINT_SHARE] = 1
    materials[:MAX_OBJECTS, TINT : TINT + 3] = 0.9, 0.05, 0.05
    materials[TABLE, TINT : TINT + 3] = 0.05, 0.9, 0.05
    glass = materials.copy()
    glass[:MAX_OBJECTS, GLASS] = 1
    opaque, clear = renderer.render(
        [in_flat_light(view, materials=rows) for rows in (materials, glass)]
    ).color
    on_object = FastRenderer().render([view]).ids[0] > 0
    redness = [(picture[0] - picture[1])[on_object] for picture in (opaque, clear)]
    assert (redness[0] > 0.2).float().mean() > 0.9
    assert (redness[1] < -0.1).float().mean() > 0.5
    assert clear[1][on_object].std() > 0.05  # no pane of one colour


def test_one_kernel_serves_all_scenes(
    renderer: PhotorealisticRenderer, scenes: list[Scene]
) -> None:
    drjit = importlib.import_module("drjit")
    renderer.render([drawn(scenes[0], 1, glass=1.0)])
    with drjit.scoped_set_flag(drjit.JitFlag.KernelHistory, True):
        drjit.kernel_history_clear()
        renderer.render([drawn(scenes[1], 8), drawn(scenes[2], 9, glass=1.0)])
        kernels = [entry for entry in drjit.kernel_history() if "cache_hit" in entry]
    assert kernels
    assert all(entry["cache_hit"] for entry in kernels)


def test_the_slow_variant_traces_the_same_picture(
    renderer: PhotorealisticRenderer, scenes: list[Scene]
) -> None:
    view = drawn(scenes[0], 1, glass=0.5, size=(24, 32))
    slow = PhotorealisticRenderer(RenderSettings(textures=TEXTURES), TracingSettings(4, SCALAR))
    difference = (slow.render([view]).color - renderer.render([view]).color).abs()
    assert difference.mean() < 0.06


def test_pixels_must_be_square(renderer: PhotorealisticRenderer, scenes: list[Scene]) -> None:
    view = drawn(scenes[0], 1)
    stretched = view.arrays["intrinsics"] * np.array([1, 1.1, 1, 1], np.float32)
    with pytest.raises(ConfigError, match="square"):
        renderer.render([changed(view, intrinsics=stretched)])


def test_variant_and_denoiser_are_logged(
    renderer: PhotorealisticRenderer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        PhotorealisticRenderer(RenderSettings(textures=1), TracingSettings(threads=1))
    assert "llvm_ad_rgb" in caplog.text and "LLVM" in caplog.text
    assert "OIDN" in caplog.text


def test_the_newest_llvm_that_works_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(LLVM_PATH, raising=False)
    monkeypatch.setattr(photorealistic, "LLVM_FOLDERS", (str(tmp_path / "*-gnu"),))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(BackendError, match="found none: apt-get install libllvm19"):
        find_llvm()
    folder = tmp_path / "some-gnu"
    folder.mkdir()
    for name in ("libLLVM-15.so.1", "libLLVM-14.so", "libLLVMSupport.a"):
        (folder / name).touch()
    with pytest.raises(BackendError, match=r"found 14, 15: .*scalar_rgb"):
        find_llvm()
    for name in ("libLLVM-19.so", "libLLVM.so.19.1", "libLLVM.so.22.1"):
        (folder / name).touch()
    assert find_llvm() == folder / "libLLVM.so.22.1"
    monkeypatch.setenv(LLVM_PATH, "/somewhere/libLLVM.so")
    assert find_llvm() == Path("/somewhere/libLLVM.so")


@pytest.mark.parametrize("package", ["mitsuba", "pyoidn"])
def test_a_missing_package_is_named(
    renderer: PhotorealisticRenderer, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BackendError, match=r"pip install 'repsam_ros\[photorealistic\]'"):
        PhotorealisticRenderer(RenderSettings(textures=1))


@pytest.mark.parametrize("wrong", [{"variant": "fast"}, {"samples": 0}, {"threads": -1}])
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        TracingSettings(**wrong)


def test_normals_are_smooth_but_across_creases() -> None:
    mesh = Lathe(np.array([[0, -0.05], [0.03, -0.05], [0.03, 0.05], [0, 0.05]])).mesh()
    normals = smooth_normals(mesh.vertices.astype(float), mesh.faces)
    corners = mesh.vertices[mesh.faces]
    on_side = np.ptp(corners[..., 2], axis=1) > 0.01
    outward = corners[on_side] * [1, 1, 0] / 0.03
    assert np.abs(normals[on_side] - outward).max() < 0.05
    assert np.allclose(np.abs(normals[~on_side]), [0, 0, 1], atol=1e-6)
