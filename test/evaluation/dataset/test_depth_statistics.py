"""Statistics of sensed depth, from pictures whose errors are known."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from repsam_ros.cli import _data_depth
from repsam_ros.datasets import Sample
from repsam_ros.errors import DatasetError
from repsam_ros.evaluation.dataset.depth_edges import (
    edges_by_side,
    find_edges,
    plane_noise,
    raggedness_px,
)
from repsam_ros.evaluation.dataset.depth_statistics import (
    depth_statistics,
    read_statistics,
    write_statistics,
)
from repsam_ros.evaluation.dataset.depth_table import markdown
from repsam_ros.structures import Intrinsics, RgbdFrame

HEIGHT, WIDTH = 240, 320
CAMERA = Intrinsics(fx=260.0, fy=260.0, cx=159.5, cy=119.5, width=WIDTH, height=HEIGHT)


def sample_of(
    depth_m: NDArray[np.float32],
    true_depth_m: NDArray[np.float32] | None = None,
    transparent: NDArray[np.bool_] | None = None,
    name: str = "a",
) -> Sample:
    color = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    return Sample(
        name,
        RgbdFrame(color, depth_m.astype(np.float32), CAMERA),
        np.zeros((HEIGHT, WIDTH), np.uint16),
        np.zeros((HEIGHT, WIDTH), bool),
        transparent=transparent,
        true_depth_m=None if true_depth_m is None else true_depth_m.astype(np.float32),
    )


def glass_sample(name: str = "a") -> Sample:
    """Glass of 100 x 100 px: 20 rows missing, 30 right, 50 read 100 mm too far."""
    true = np.full((HEIGHT, WIDTH), 1.0)
    depth = true.copy()
    glass = np.zeros((HEIGHT, WIDTH), bool)
    glass[50:150, 50:150] = True
    depth[50:70, 50:150] = 0
    depth[100:150, 50:150] = 1.1
    return sample_of(depth, true, glass, name)


def step_depth(gap_px: int) -> NDArray[np.float32]:
    """A near wall in the right half, missing pixels left of it."""
    depth = np.full((HEIGHT, WIDTH), 1.2, np.float32)
    depth[:, 160:] = 0.8
    depth[:, 160 - gap_px : 160] = 0
    return depth


def test_errors_on_glass_are_counted_by_hand() -> None:
    statistics = depth_statistics([glass_sample(), glass_sample("b")])
    assert [row["name"] for row in statistics["frames"]] == ["a", "b"]
    for row in (statistics["frames"][0], statistics["glass"]):
        assert row["missing_share"] == pytest.approx(0.2)
        assert row["close_share"] == pytest.approx(3 / 8)
        assert row["wrong_share"] == pytest.approx(5 / 8)
        assert row["median_abs_error_m"] == pytest.approx(0.1, abs=1e-6)
        assert row["quantiles_m"][0] == pytest.approx(0.0, abs=1e-6)
    assert statistics["glass"]["compared"] == 2 * 8000
    assert statistics["opaque"]["missing_share"] == 0
    assert statistics["opaque"]["close_share"] == 1


def test_glass_without_depth_or_truth_has_no_errors() -> None:
    full = np.ones((HEIGHT, WIDTH), bool)
    nothing = np.zeros((HEIGHT, WIDTH))
    for depth, true in ((nothing, nothing + 1), (nothing + 1, nothing)):
        row = depth_statistics([sample_of(depth, true, full)])["glass"]
        assert row["compared"] == 0
        assert row["median_abs_error_m"] is None
    assert depth_statistics([sample_of(nothing + 1)])["glass"] is None
    with pytest.raises(DatasetError, match="no frames"):
        depth_statistics([])


@pytest.mark.parametrize("gap_px", [0, 3])
def test_an_edge_is_found_with_its_gap_and_step(gap_px: int) -> None:
    edges = find_edges(step_depth(gap_px), CAMERA.fx)
    assert np.array_equal(edges.row, np.arange(HEIGHT))
    assert np.all(edges.column == 160)
    assert np.all(edges.gap_px == gap_px)
    assert edges.step == pytest.approx(2 * 260 * (1 / 0.8 - 1 / 1.2), rel=1e-5)


def test_edges_are_told_apart_by_side() -> None:
    depth = np.full((HEIGHT, WIDTH), 1.2, np.float32)
    depth[80:140, 100:200] = 0.8
    gaps = {"left": 5, "right": 4, "up": 3, "down": 2}
    depth[80:140, 95:100] = depth[80:140, 200:204] = 0
    depth[77:80, 100:200] = depth[140:142, 100:200] = 0
    for side, edges in edges_by_side(sample_of(depth).frame).items():
        expected = 60 if side in ("left", "right") else 100
        middle = edges.gap_px == gaps[side]
        assert middle.sum() == expected, side


def test_a_steep_plane_is_not_an_edge() -> None:
    ramp = np.broadcast_to(1 / np.linspace(0.7, 1.6, WIDTH), (HEIGHT, WIDTH))
    assert len(find_edges(ramp.astype(np.float32), CAMERA.fx).row) == 0


def test_raggedness_is_the_scatter_about_a_line() -> None:
    draw = np.random.default_rng(0)
    depth = np.full((HEIGHT, WIDTH), 1.2, np.float32)
    slanted = np.arange(HEIGHT) // 4 + 100
    for row in range(HEIGHT):
        depth[row, slanted[row] + draw.integers(-1, 2) :] = 0.8
    # A uniform choice of -1, 0, 1 has sigma 0.82; a line fitted to 11 rows takes 2 of 11 parts.
    expected = np.sqrt(2 / 3 * 9 / 11)
    scatter = raggedness_px(find_edges(depth, CAMERA.fx))
    assert np.median(scatter) == pytest.approx(expected, rel=0.15)
    assert np.median(raggedness_px(find_edges(step_depth(2), CAMERA.fx))) == 0


@pytest.mark.parametrize("tilt", [0.0, 0.5])
def test_noise_is_measured_about_the_plane(tilt: float) -> None:
    y = np.linspace(-0.4, 0.4, HEIGHT)[:, None] * np.ones(WIDTH)
    plane = 1.2 / (1 - tilt * y)
    noisy = plane + np.random.default_rng(1).normal(0, 0.002, plane.shape)
    windows = plane_noise(noisy.astype(np.float32), np.ones(plane.shape, bool))
    assert np.median(windows[:, 1]) == pytest.approx(0.002, rel=0.1)
    assert np.median(windows[:, 2]) == pytest.approx(0.002, rel=0.1)
    assert len(plane_noise(np.zeros_like(plane, np.float32), np.ones(plane.shape, bool))) == 0


def test_border_and_nearest_depth() -> None:
    first, second = step_depth(0), step_depth(0)
    first[:, :7] = first[-3:] = 0
    second[:, :5] = second[:2] = second[-4:] = second[:, -1:] = 0
    statistics = depth_statistics([sample_of(first), sample_of(second)])
    assert statistics["border_px"] == {"left": 10, "right": 0, "up": 0, "down": 6}
    assert statistics["nearest_m"] == pytest.approx(0.8)
    assert depth_statistics([sample_of(np.zeros((HEIGHT, WIDTH)))])["nearest_m"] is None


def test_tables_put_data_sets_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "depth.json"
    write_statistics(path, depth_statistics([glass_sample()]), "glass")
    first = read_statistics(path)
    write_statistics(path, depth_statistics([sample_of(step_depth(3))]), "opaque")
    table = markdown([first, read_statistics(path)])
    lines = table.splitlines()
    assert "|  | glass | opaque |" in lines
    assert "| missing | 20.0 % | - |" in lines
    assert "| median absolute error | 100.0 mm | - |" in lines
    assert any("100 %, 6.0 px" in line and line.startswith("| left") for line in lines)


def test_another_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    for content in ("{}", "[]", "{"):
        path.write_text(content)
        with pytest.raises(DatasetError, match=r"other\.json"):
            read_statistics(path)
    with pytest.raises(DatasetError, match=r"none\.json"):
        read_statistics(tmp_path / "none.json")


def test_command_on_real_glass(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    _data_depth.add_arguments(parser)
    root = str(shared_data / "cleargrasp_real")
    command = ["cleargrasp", root, "--out", str(tmp_path / "a"), "--title", "real"]
    assert _data_depth.run(parser.parse_args(command)) == 0
    against = ["--against", str(tmp_path / "a" / "depth.json"), "--out", str(tmp_path / "b")]
    assert _data_depth.run(parser.parse_args([*command[:2], *against])) == 0
    frames = json.loads((tmp_path / "a" / "depth.json").read_text())["frames"]
    missing = sorted(frame["missing_share"] for frame in frames)
    assert missing == pytest.approx([0.292, 0.490], abs=0.001)
    assert "|  | cleargrasp | real |" in (tmp_path / "b" / "depth.md").read_text()
    assert "over 50 mm" in capsys.readouterr().out
