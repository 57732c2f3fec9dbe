"""Graphs of a backbone of the official size: all of the export, as it is called."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

PEAK_BYTES = 10e9


@pytest.mark.slow
def test_vit_b_at_1024_is_exported_with_parity(tmp_path: Path) -> None:
    """Random weights, of which none is zero; about ten minutes on two cores."""
    command = [sys.executable, "-m", "repsam_ros.cli.main", "export", "--backbone", "vit_b"]
    subprocess.run([*command, "--seed", "0", "--out", str(tmp_path)], check=True)
    assert 1e3 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < PEAK_BYTES
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["model"]["canvas_px"] == [1024, 1024]
    assert {graph.name for graph in tmp_path.glob("*.onnx")} == {
        f"{graph}.{precision}.onnx"
        for graph in ("encoder", "decoder")
        for precision in ("fp32", "fp16")
    }
    exact = manifest["parity"]["fp32"]
    assert max(exact["relative_error"].values()) <= 1e-5
    assert min(exact["mask_iou"], exact["mask_iou_min"]) >= 0.999
    half = manifest["parity"]["fp16"]
    assert min(half["mask_iou"], half["mask_iou_min"]) >= 0.99
