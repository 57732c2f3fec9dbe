"""The online path on a folder of graphs, where nothing of the offline one can be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from repsam_ros.perception.pipeline import open_pipeline
from repsam_ros.simulation.frames import render_frames

BLOCKED = ("torch", "torchvision", "segment_anything", "onnx", "onnxscript")
SEGMENT = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))
import numpy as np
from repsam_ros.perception.pipeline import open_pipeline
from repsam_ros.structures import Intrinsics, RgbdFrame
data = np.load(sys.argv[2])
frame = RgbdFrame(data["color"], data["depth_m"], Intrinsics(*data["camera"], 320, 240))
pipeline = open_pipeline(sys.argv[3], sys.argv[4], threads=1)
print(pipeline.info.name)
np.save(sys.argv[5], pipeline.segment(frame).labels)
"""


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "auto"])
def test_the_same_label_map_without_torch(name: str, exported: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino" if name == "openvino" else "onnxruntime")
    (sample,) = render_frames(seed=3, count=1, width=320, height=240)
    expected = open_pipeline(threads=1).segment(sample.frame).labels
    camera = sample.frame.intrinsics
    np.savez(
        tmp_path / "frame.npz",
        color=sample.frame.color,
        depth_m=sample.frame.depth_m,
        camera=[camera.fx, camera.fy, camera.cx, camera.cy],
    )
    files = [str(tmp_path / "frame.npz"), str(exported), name, str(tmp_path / "labels.npy")]
    done = subprocess.run(
        [sys.executable, "-c", SEGMENT, ",".join(BLOCKED), *files],
        env={"XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    labels = np.load(tmp_path / "labels.npy")
    assert labels.max() == expected.max() > 1
    # Rounding may move a pixel where two objects want it equally.
    assert np.mean(labels != expected) < 1e-3
