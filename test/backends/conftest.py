"""Small graphs with the interface and the kinds of layers of the exported ones."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from repsam_ros.backends import _cuda_driver
from repsam_ros.paths import file_sha256

CANVAS_PX = (32, 40)

_ENCODER = """
<ir_version: 10, opset_import: ["": 20]>
encoder (uint8[1,32,40,3] color, float[1,32,40] depth_m, float[1,4] intrinsics)
=> (float[1,8,10] heatmap, float[1,8,8,10] embedding, float[1,3,16,20] skip)
{
    pixels = Cast<to=1>(color)
    scaled = Mul(pixels, scale)
    image = Transpose<perm=[0,3,1,2]>(scaled)
    depth = Unsqueeze(depth_m, one)
    both = Concat<axis=1>(image, depth)
    skip = AveragePool<kernel_shape=[2,2], strides=[2,2]>(image)
    patches = Conv<kernel_shape=[4,4], strides=[4,4]>(both, patch_weight)
    last = Transpose<perm=[0,2,3,1]>(patches)
    tokens = Reshape(last, token_shape)
    normed = LayerNormalization<axis=-1>(tokens, norm_weight, norm_bias)
    queries = MatMul(normed, query_weight)
    keys = MatMul(normed, key_weight)
    turned = Transpose<perm=[0,2,1]>(keys)
    scores = MatMul(queries, turned)
    shares = Softmax<axis=-1>(scores)
    seen = MatMul(shares, normed)
    mixed = Add(tokens, seen)
    focal = ReduceMean<keepdims=1>(intrinsics)
    focal_scaled = Mul(focal, scale)
    focal_token = Unsqueeze(focal_scaled, one)
    out = Add(mixed, focal_token)
    logit = MatMul(out, heat_weight)
    probability = Sigmoid(logit)
    heatmap = Reshape(probability, heat_shape)
    grid = Reshape(out, grid_shape)
    embedding = Transpose<perm=[0,3,1,2]>(grid)
}
"""

_DECODER = """
<ir_version: 10, opset_import: ["": 20]>
decoder (float[1,8,8,10] embedding, float[1,3,16,20] skip, float[N,2] points_px)
=> (float[N,16,20] mask_logits, float[N] predicted_iou)
{
    scaled = Mul(points_px, quarter)
    index = Cast<to=7>(scaled)
    all_turned = Transpose<perm=[3,2,1,0]>(embedding)
    turned = Squeeze(all_turned, three)
    prompt = GatherND(turned, index)
    tokens = Reshape(embedding, token_shape)
    scores = MatMul(prompt, tokens)
    small = Reshape(scores, small_shape)
    large = Resize<mode="linear", coordinate_transformation_mode="half_pixel">(small, , scales)
    detail = ReduceMean<keepdims=1>(skip, one)
    summed = Add(large, detail)
    mask_logits = Squeeze(summed, one)
    mean = ReduceMean<keepdims=0>(scores, one)
    predicted_iou = Sigmoid(mean)
}
"""


def _constants(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)

    def weight(*shape: int) -> np.ndarray:
        return random.normal(0, 0.15, shape).astype(np.float32)

    return {
        "scale": np.float32([1 / 255]),
        "one": np.int64([1]),
        "three": np.int64([3]),
        "quarter": np.float32([0.25]),
        "patch_weight": weight(8, 4, 4, 4),
        "token_shape": np.int64([1, 80, 8]),
        "norm_weight": 1 + weight(8),
        "norm_bias": weight(8),
        "query_weight": weight(8, 8),
        "key_weight": weight(8, 8),
        "heat_weight": weight(8, 1),
        "heat_shape": np.int64([1, 8, 10]),
        "grid_shape": np.int64([1, 8, 10, 8]),
        "small_shape": np.int64([-1, 1, 8, 10]),
        "scales": np.float32([1, 1, 2, 2]),
    }


def write_graphs(folder: Path, precision: str = "fp32", seed: int = 0) -> None:
    """Writes an encoder and a decoder; another seed makes another network."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnx.parser")
    for name, text in (("encoder", _ENCODER), ("decoder", _DECODER)):
        model = onnx.parser.parse_model(text)
        constants = _constants(seed)
        if name == "decoder":
            constants["token_shape"] = np.int64([8, 80])
        used = {each for node in model.graph.node for each in node.input}
        for key in used & constants.keys():
            model.graph.initializer.append(onnx.numpy_helper.from_array(constants[key], key))
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, str(folder / f"{name}.{precision}.onnx"))


def write_manifest(folder: Path) -> None:
    """Describes all graphs of the folder, as the export does."""
    graphs: dict[str, dict[str, object]] = {}
    for path in sorted(folder.glob("*.onnx")):
        name, precision, _ = path.name.split(".")
        entry = {"file": path.name, "sha256": file_sha256(path), "data": {}}
        graphs.setdefault(precision, {})[name] = entry
    model = {"name": "small", "sha256": "0" * 64, "canvas_px": list(CANVAS_PX)}
    content = {"format": 1, "model": model, "graphs": graphs, "state": ["embedding", "skip"]}
    (folder / "manifest.json").write_text(json.dumps(content))


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of graphs: the seed of the network in each precision."""

    def make(**seeds: int) -> Path:
        folder = tmp_path / "model"
        folder.mkdir()
        for precision, seed in seeds.items():
            write_graphs(folder, precision, seed)
        write_manifest(folder)
        return folder

    return make


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    """The module ``tensorrt`` and a driver over host memory, here and in child processes."""
    pytest.importorskip("onnxruntime")
    place = str(Path(__file__).parent / "host_gpu")
    monkeypatch.syspath_prepend(place)
    monkeypatch.setenv("PYTHONPATH", place, prepend=os.pathsep)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sys.modules.pop("tensorrt", None)
    module = importlib.import_module("tensorrt")
    monkeypatch.setattr(_cuda_driver, "_load_driver", lambda: module.driver)
    yield module
    sys.modules.pop("tensorrt", None)


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``encoder.fp32.onnx`` and ``decoder.fp32.onnx``."""
    folder = tmp_path_factory.mktemp("graphs")
    write_graphs(folder)
    return folder
