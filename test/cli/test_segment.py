"""``repsam segment`` as a user calls it, with the shipped model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from repsam_ros.cli.main import main
from repsam_ros.images import read_color, read_labels, write_png

CAMERA = {"fx": 80, "fy": 80, "cx": 63.5, "cy": 47.5, "width": 128, "height": 96}


def write_frame(folder: Path, stem: str) -> None:
    """A box 12 cm high on a table 0.8 m below the camera."""
    steps = np.full((96, 128), 800, np.uint16)
    steps[30:60, 40:80] = 680
    color = np.full((96, 128, 3), 150, np.uint8)
    color[30:60, 40:80] = 200, 40, 40
    write_png(folder / "color" / f"{stem}.png", color)
    write_png(folder / "depth" / f"{stem}.png", steps)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for stem in ("one", "a b"):
        write_frame(tmp_path, stem)
    (tmp_path / "k.json").write_text(json.dumps(CAMERA | {"depth_scale_m": 0.001}))
    return tmp_path


def run_segment(folder: Path, *more: str, name: str = "", intrinsics: str = "k.json") -> int:
    paths = {what: str(folder / what / name) for what in ("color", "depth")}
    arguments = ["--color", paths["color"], "--depth", paths["depth"]]
    arguments += ["--intrinsics", str(folder / intrinsics), "--out", str(folder / "out")]
    return main(["segment", *arguments, *more])


def test_folders(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_segment(folder) == 0
    out = folder / "out"
    for kind, suffix in (
        ("labels", "png"),
        ("overlays", "png"),
        ("points", "ply"),
        ("instances", "json"),
    ):
        names = sorted(path.name for path in (out / kind).iterdir())
        assert names == [f"a b.{suffix}", f"one.{suffix}"]
    labels = read_labels(out / "labels" / "one.png")
    assert labels.shape == (96, 128)
    content = json.loads((out / "instances" / "one.json").read_text())
    ids = [instance["id"] for instance in content["instances"]]
    assert set(np.unique(labels)) - {0} <= set(ids)
    assert all(0 <= instance["score"] <= 1 for instance in content["instances"])
    for instance in content["instances"]:
        assert instance["area_px"] == np.count_nonzero(labels == instance["id"])
    assert (out / "points" / "one.ply").read_bytes().startswith(b"ply\n")
    assert read_color(out / "overlays" / "one.png").shape == (96, 128, 3)
    assert yaml.safe_load((out / "config.yaml").read_text())["model"] == "repsam_tiny"
    assert "2 frames" in capsys.readouterr().out


def test_single_files_and_depth_scale(folder: Path) -> None:
    assert run_segment(folder, "--depth-scale-m", "0.002", name="one.png") == 0
    content = json.loads((folder / "out" / "instances" / "one.json").read_text())
    plane = content["support_plane"]
    assert plane is not None and plane["offset_m"] == pytest.approx(1.6, abs=0.02)


def test_camera_info_with_distortion_is_warned_about(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "k.yaml").write_text(
        "width: 128\nheight: 96\nd: [0.2, 0, 0, 0, 0]\nk: [80, 0, 63.5, 0, 80, 47.5, 0, 0, 1]\n"
    )
    assert run_segment(folder, name="one.png", intrinsics="k.yaml") == 0
    assert "lens distortion" in caplog.text


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "depth of another size": (
        lambda f: write_png(f / "depth" / "one.png", np.ones((48, 64), np.uint16)),
        "depth/one.png: 64x48 pixels, expected 128x96",
    ),
    "colour of another size": (
        lambda f: write_png(f / "color" / "one.png", np.ones((48, 64, 3), np.uint8)),
        "color/one.png: 64x48 pixels, expected 128x96",
    ),
    "missing depth": (
        lambda f: (f / "depth" / "one.png").unlink(),
        "depth: no partner of the same name for one.png",
    ),
    "depth all zero": (
        lambda f: write_png(f / "depth" / "one.png", np.zeros((96, 128), np.uint16)),
        "depth/one.png: no pixel has a valid depth",
    ),
    "8-bit depth": (
        lambda f: write_png(f / "depth" / "one.png", np.ones((96, 128), np.uint8)),
        "depth/one.png: expected 16-bit depth",
    ),
    "truncated colour": (lambda f: truncate(f / "color" / "one.png"), "color/one.png: truncated"),
    "truncated depth": (lambda f: truncate(f / "depth" / "one.png"), "depth/one.png: truncated"),
    "no image": (
        lambda f: (f / "color" / "one.png").write_bytes(b"GIF89a"),
        "color/one.png: not a readable image",
    ),
    "a folder where a file should be": (
        lambda f: (f / "k.json").unlink() or (f / "k.json").mkdir(),
        "k.json: Is a directory",
    ),
    "focal length 0": (
        lambda f: (f / "k.json").write_text(json.dumps(CAMERA | {"fx": 0})),
        "k.json: fx of 0.0 px: a focal length must be positive",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_bad_input_is_named_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    spoil, message = DAMAGES[damage]
    (folder / "color" / "a b.png").unlink()
    (folder / "depth" / "a b.png").unlink()
    spoil(folder)
    assert run_segment(folder) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert not (folder / "out" / "labels" / "one.png").exists()


def test_a_later_bad_frame_is_named_and_earlier_results_stay(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truncate(folder / "depth" / "one.png")
    assert run_segment(folder) == 2
    err = capsys.readouterr().err
    assert "depth/one.png: truncated" in err and err.count("\n") == 1
    assert [path.name for path in (folder / "out" / "labels").iterdir()] == ["a b.png"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--depth-scale-m", "0"), "depth_scale_m must be between 0 and 1"),
        (("--set", "pipeline.no_such_key=1"), "no_such_key"),
        (("--model", "no_such_model"), "no_such_model"),
        (("--backend", "no_such_backend"), "no_such_backend"),
    ],
)
def test_bad_settings_are_named_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], message: str
) -> None:
    assert run_segment(folder, *more) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
