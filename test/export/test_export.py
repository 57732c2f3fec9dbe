"""``repsam export``: graphs of the default model, their manifest and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
import torch

from repsam_ros.backends import BackendConfig, open_backend
from repsam_ros.backends._check import check_backend
from repsam_ros.backends._graph_folder import GraphFolder
from repsam_ros.cli.main import main
from repsam_ros.errors import BackendError, CheckpointError
from repsam_ros.export import graphs as graphs_module
from repsam_ros.export import parity as parity_module
from repsam_ros.export.onnx_files import write_graphs
from repsam_ros.methods import Training, open_method, resolved_config
from repsam_ros.network import sam
from repsam_ros.network.adapter_files import AdapterRecord, save_adapter
from repsam_ros.network.build import NetworkConfig, build_network
from repsam_ros.network.sam import BackboneSpec


def test_the_manifest_describes_the_graphs(exported: Path) -> None:
    manifest = json.loads((exported / "manifest.json").read_text())
    assert manifest["model"]["name"] == "repsam_tiny"
    assert manifest["model"]["network"] == {"backbone": "vit_tiny"}
    assert {p: g["encoder"]["opset"] for p, g in manifest["graphs"].items()} == {
        "fp32": 20,
        "fp16": 23,
    }
    folder = GraphFolder(exported)
    for precision, graphs in manifest["graphs"].items():
        for name in ("encoder", "decoder"):
            model = onnx.load(str(folder.graph(precision, name)))
            onnx.checker.check_model(model, full_check=True)
            assert {value.name for value in model.graph.input} == graphs[name]["inputs"].keys()
            assert tuple(graphs[name]["outputs"]) == folder.outputs(name)
        assert graphs["decoder"]["inputs"]["points_px"] == {
            "dtype": "float32",
            "shape": ["prompts", 2],
        }
        assert {k: v for k, v in graphs["decoder"]["inputs"].items() if k != "points_px"} == {
            k: v for k, v in graphs["encoder"]["outputs"].items() if k != "heatmap"
        }
    assert sorted(path.name for path in exported.iterdir()) == [
        "config.yaml",
        "decoder.fp16.onnx",
        "decoder.fp32.onnx",
        "encoder.fp16.onnx",
        "encoder.fp32.onnx",
        "manifest.json",
    ]


def test_the_manifest_holds_the_parity(exported: Path) -> None:
    parity = json.loads((exported / "manifest.json").read_text())["parity"]
    assert max(parity["fp32"]["relative_error"].values()) < 1e-5
    for iou in ("mask_iou", "mask_iou_min"):
        assert parity["fp32"][iou] >= 0.999 and parity["fp16"][iou] >= 0.99
    assert parity["fp32"]["cases"] == parity["fp16"]["cases"] == 12


@pytest.mark.parametrize(
    ("name", "precision", "limit"),
    [
        ("onnxruntime", "fp32", 1e-5),
        ("openvino", "fp32", 1e-5),
        ("openvino", "bf16", 0.02),
        ("onnxruntime", "fp16", 0.01),
    ],
)
def test_every_backend_computes_what_torch_computes(
    exported: Path, name: str, precision: str, limit: float
) -> None:
    pytest.importorskip(name)
    reference = open_backend(BackendConfig("torch", threads=1))
    try:
        backend = open_backend(BackendConfig(name, str(exported), precision=precision, threads=1))
    except BackendError as error:
        if "instructions" not in str(error):
            raise
        pytest.skip(str(error))
    report = check_backend(backend, reference)
    assert report.relative_error < limit and report.mask_iou > 0.999 - (precision != "fp32") / 100


def test_attention_has_no_bias_of_all_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random weights on a backbone with windows and relative positions, through the command."""
    spec = BackboneSpec((64, 96), 32, 2, 2, (1,), 3, True, 32, 32, 3, 8)
    monkeypatch.setitem(sam.BACKBONES, "small", spec)
    monkeypatch.setattr(graphs_module, "_BIAS_SIZE", 2 * 4 * 6 * 6)  # two of four rows of tokens
    arguments = ["--backbone", "small", "--seed", "3", "--set", "precisions=[fp32]"]
    assert main(["export", *arguments, "--out", str(tmp_path)]) == 0
    graph = onnx.load(str(tmp_path / "encoder.fp32.onnx")).graph
    # Once in a window of 3 x 3 tokens, twice where all of them are seen.
    assert [node.op_type for node in graph.node].count("Softmax") == 3
    write_graphs(build_network(NetworkConfig("small")), "fp16", tmp_path)
    graph = onnx.load(str(tmp_path / "encoder.fp16.onnx")).graph
    attentions = [node for node in graph.node if node.op_type == "Attention"]
    assert len(attentions) == 2 and not any(any(node.input[3:]) for node in attentions)


def test_weights_too_large_for_one_file_lie_beside_the_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of ViT-H in float32 are; here the limit is lower."""
    monkeypatch.setattr("torch.onnx._internal.exporter._onnx_program._LARGE_MODEL_THRESHOLD", 1000)
    spec = BackboneSpec((64, 96), 32, 2, 2, (1,), 0, False, 32, 32, 3, 8)
    monkeypatch.setitem(sam.BACKBONES, "small", spec)
    arguments = ["--backbone", "small", "--set", "precisions=[fp32]"]
    assert main(["export", *arguments, "--out", str(tmp_path)]) == 0
    files = {path.name for path in tmp_path.iterdir()}
    assert {"encoder.fp32.onnx.data", "decoder.fp32.onnx.data"} <= files
    folder, backend = (
        GraphFolder(tmp_path),
        open_backend(BackendConfig("onnxruntime", str(tmp_path))),
    )
    assert backend.canvas_px == (64, 96)
    data = tmp_path / "encoder.fp32.onnx.data"
    assert folder.graph("fp32", "encoder").stat().st_size < data.stat().st_size
    data.write_bytes(data.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match="encoder.fp32.onnx.data: sha256"):
        folder.graph("fp32", "encoder")


def test_nothing_is_written_when_parity_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = BackboneSpec((64, 96), 32, 2, 2, (1,), 0, False, 32, 32, 3, 8)
    monkeypatch.setitem(sam.BACKBONES, "small", spec)
    monkeypatch.setitem(parity_module.LIMITS, "fp32", (0.0, 1.0))
    arguments = ["--backbone", "small", "--set", "precisions=[fp32]"]
    assert main(["export", *arguments, "--out", str(tmp_path)]) == 2
    assert "do not compute what the network computes" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_merged_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    network = build_network(NetworkConfig())
    method = open_method("hq_token")
    method.prepare(network, Training())
    path = tmp_path / "adapter.safetensors"
    network_config = {"backbone": "vit_tiny"}
    record = AdapterRecord("hq_token", resolved_config(method), network_config, "base", "0", 0)
    save_adapter(path, network, record)
    assert main(["export", "--model", str(path), "--out", str(tmp_path / "out")]) == 2
    assert "adapted with hq_token" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
