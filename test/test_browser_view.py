"""The live view as a real browser draws it."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("viser", reason="needs the extra 'viewer'")

from repsam_ros.browser_view import BrowserView
from repsam_ros.presentation.overlay import instance_color
from repsam_ros.structures import Grasp, SceneCloud

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# No GPU here: the browser draws in software.
FLAGS = ("--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
PATIENCE_S = 240.0


@pytest.fixture
def view() -> Iterator[BrowserView]:
    shown = BrowserView(port=0)
    yield shown
    shown.close()


@pytest.fixture
def client(view: BrowserView, tmp_path: Path) -> Iterator[Any]:
    """A browser with the page open."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("no Chromium or Chrome on the PATH (Debian: apt install chromium)")
    command = [program, *FLAGS, f"--user-data-dir={tmp_path}", f"http://127.0.0.1:{view.port}"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as browser:
        try:
            end_s = time.monotonic() + PATIENCE_S
            while not view.server.get_clients():
                assert time.monotonic() < end_s, "no browser came"
                time.sleep(0.1)
            yield next(iter(view.server.get_clients().values()))
        finally:
            browser.terminate()


def wall(instance_id: int, left_m: float) -> SceneCloud:
    """A gray wall half a metre wide, 0.8 m ahead, that belongs to one instance."""
    x, y = np.meshgrid(np.linspace(left_m, left_m + 0.5, 251), np.linspace(-0.25, 0.25, 251))
    points_m = np.stack([x.ravel(), y.ravel(), np.full(x.size, 0.8)], axis=1).astype(np.float32)
    count = len(points_m)
    return SceneCloud(
        points_m=points_m,
        colors=np.full((count, 3), 128, np.uint8),
        instance_ids=np.full(count, instance_id, np.uint32),
        scores=np.ones(count, np.float32),
        flags=np.zeros(count, np.uint8),
        stamp_ns=1,
        frame_id="camera",
        support_plane=None,
        viewpoint_m=np.zeros(3),
    )


def test_a_browser_draws_the_objects_in_the_colors_of_their_masks(
    view: BrowserView, client: Any
) -> None:
    view.show_cloud(wall(2, -0.25))
    view.show_grasps([Grasp(np.array([0, 0, 0.7]), np.eye(3), 0.05, 0.9, 2)])
    view.show_masks(np.full((48, 64, 3), 200, np.uint8))
    optical = np.array([1.0, 0.0, 0.0, 0.0])
    wanted = np.array(instance_color(2))
    end_s = time.monotonic() + PATIENCE_S
    share = 0.0
    while share < 0.2 and time.monotonic() < end_s:
        picture = client.get_render(
            120, 160, wxyz=optical, position=np.zeros(3), fov=1.0, timeout=PATIENCE_S
        )
        near = np.abs(picture[..., :3].astype(int) - wanted).max(axis=-1) < 60
        share = float(near.mean())
    assert share >= 0.2
    view.show_grasps([])
