"""Engines ahead of time: every graph compiles without a warning, on a machine without a GPU."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest

from repsam_ros.backends._engine_build import EngineError, EngineRequest, build_engine
from repsam_ros.backends._graph_folder import GraphFolder
from repsam_ros.backends.tensorrt import prompt_profiles
from repsam_ros.cli.export import _print_engines
from repsam_ros.cli.main import main
from repsam_ros.errors import BackendError, ConfigError
from repsam_ros.paths import file_sha256

rtx = pytest.importorskip("tensorrt_rtx")
torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnx.parser")

from repsam_ros.export.engines import write_engines  # noqa: E402


def write_manifest(folder: Path, graphs: dict[str, Any], state: tuple[str, ...] = ()) -> None:
    model = {"name": "a model", "sha256": "0" * 64, "canvas_px": [240, 320]}
    content = {"format": 1, "model": model, "graphs": graphs, "state": list(state)}
    (folder / "manifest.json").write_text(json.dumps(content))


def test_all_graphs_of_the_compact_model_compile_without_warnings(exported, tmp_path, capsys):
    shutil.copytree(exported, tmp_path, dirs_exist_ok=True)
    _print_engines(tmp_path, ["SM89"])
    folder = GraphFolder(tmp_path)
    names = [f"{g}.{p}.sm89.engine" for p in ("fp32", "fp16") for g in ("encoder", "decoder")]
    assert [entry["file"] for entry in folder.engines] == names
    assert {entry["warnings"] for entry in folder.engines} == {0}
    for entry in folder.engines:
        path = tmp_path / entry["file"]
        assert (entry["sha256"], entry["bytes"]) == (file_sha256(path), path.stat().st_size)
        assert (entry["module"], entry["version"]) == ("tensorrt_rtx", rtx.__version__)
        assert entry["seconds"] > 0 and 1e6 < entry["activation_bytes"] < 150e6
        assert entry["built_for"]["target"] == "SM89"
    said = capsys.readouterr().out.splitlines()
    compiled = f"compiles with tensorrt_rtx {rtx.__version__}"
    assert len(said) == 4 and all(compiled in line for line in said)


@pytest.mark.slow
def test_activations_of_vit_b_at_1024_are_small(tmp_path):
    """A bias of tokens x tokens, as in SAM's own attention, would need several times as much."""
    from repsam_ros.export.onnx_files import write_graphs
    from repsam_ros.network.build import NetworkConfig, build_network

    network = build_network(NetworkConfig("vit_b"))
    assert network.spec.canvas_px == (1024, 1024)
    write_graphs(network, "fp16", tmp_path)
    request = EngineRequest(tmp_path / "encoder.fp16.onnx", "tensorrt_rtx", {}, "SM89")
    report = build_engine(request, tmp_path / "encoder.engine")
    assert report.warnings == () and report.activation_bytes is not None
    assert report.activation_bytes <= 150e6


# TensorRT transposes no bytes.
_REFUSED = """
<ir_version: 10, opset_import: ["": 20]>
refused (uint8[1,4,6] color) => (float[1,6,4] heatmap) {
    turned = Transpose<perm=[0,2,1]>(color)
    heatmap = Cast<to=1>(turned)
}
"""
_ACCEPTED = """
<ir_version: 10, opset_import: ["": 20]>
accepted (uint8[1,4,6] color) => (float[1,6,4] heatmap) {
    pixels = Cast<to=1>(color)
    heatmap = Transpose<perm=[0,2,1]>(pixels)
}
"""


def write_text_graph(folder: Path, name: str, text: str) -> dict[str, Any]:
    path = folder / f"{name}.fp32.onnx"
    onnx.save(onnx.parser.parse_model(text), str(path))
    return {"file": path.name, "sha256": file_sha256(path), "data": {}}


def test_a_graph_that_does_not_compile_leaves_no_engine(tmp_path):
    encoder = write_text_graph(tmp_path, "encoder", _ACCEPTED)
    decoder = write_text_graph(tmp_path, "decoder", _REFUSED)
    write_manifest(tmp_path, {"fp32": {"encoder": encoder, "decoder": decoder}})
    before = (tmp_path / "manifest.json").read_bytes()
    with pytest.raises(BackendError, match=r"(?s)decoder.fp32.onnx cannot be parsed: .*UInt8"):
        write_engines(tmp_path, ["SM89"])
    assert not list(tmp_path.glob("*.engine"))
    assert (tmp_path / "manifest.json").read_bytes() == before


def test_a_graph_that_was_changed_since_its_export_is_refused(tmp_path):
    encoder = write_text_graph(tmp_path, "encoder", _ACCEPTED)
    write_manifest(tmp_path, {"fp32": {"encoder": {**encoder, "sha256": "0" * 64}}})
    with pytest.raises(RuntimeError, match="the manifest says 000"):
        write_engines(tmp_path, ["SM89"])


@pytest.mark.parametrize(
    ("targets", "message"),
    [(["SM89", "SM90"], "cannot build for 'SM90'; it can for SM75"), ([], "no target given")],
)
def test_targets_that_cannot_be_built_for_are_named(tmp_path, targets, message):
    with pytest.raises(ConfigError, match=message):
        write_engines(tmp_path, targets)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--targets", "SM89"], "add --engine"),
        (["--engine"], "no target given; there are SM75"),
        (["--engine", "--targets", "SM89,sm90"], "cannot build for 'sm90'"),
    ],
)
def test_the_command_says_so_before_it_exports(tmp_path, capsys, options, message):
    assert main(["export", "--out", str(tmp_path / "out"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_upstreams_own_export_does_not_compile(tmp_path):
    """The negative control: its size of the picture is a float that shapes depend on."""
    from segment_anything.modeling import (
        ImageEncoderViT,
        MaskDecoder,
        PromptEncoder,
        Sam,
        TwoWayTransformer,
    )
    from segment_anything.utils.onnx import SamOnnxModel

    dim, grid, size = 32, (4, 4), (64, 64)
    transformer = TwoWayTransformer(depth=2, embedding_dim=dim, mlp_dim=64, num_heads=4)
    sam = Sam(
        ImageEncoderViT(img_size=64, embed_dim=32, depth=1, num_heads=2, out_chans=dim),
        PromptEncoder(dim, grid, size, mask_in_chans=16),
        MaskDecoder(transformer_dim=dim, transformer=transformer),
    )
    inputs = {
        "image_embeddings": torch.rand(1, dim, *grid),
        "point_coords": torch.rand(1, 2, 2),
        "point_labels": torch.ones(1, 2),
        "mask_input": torch.rand(1, 1, 16, 16),
        "has_mask_input": torch.ones(1),
        "orig_im_size": torch.tensor([60.0, 64.0]),
    }
    path = tmp_path / "upstream.onnx"
    with warnings.catch_warnings():  # of the exporter that upstream uses
        warnings.simplefilter("ignore")
        torch.onnx.export(
            SamOnnxModel(sam.eval(), return_single_mask=True),
            tuple(inputs.values()),
            path,
            opset_version=17,
            input_names=list(inputs),
            dynamic_axes={"point_coords": {1: "points"}, "point_labels": {1: "points"}},
            dynamo=False,
        )
    profiles = {
        "point_coords": ((1, 1, 2), (1, 2, 2), (1, 5, 2)),
        "point_labels": ((1, 1), (1, 2), (1, 5)),
    }
    with pytest.raises(
        EngineError, match=r"(?s)cannot be parsed: .*orig_im_size is a shape tensor"
    ):
        build_engine(EngineRequest(path, "tensorrt_rtx", profiles, "SM89"), tmp_path / "out")


@pytest.mark.parametrize(
    ("canvas_px", "usual", "largest"),
    [((240, 320), 8, 40), ((512, 512), 8, 32), ((1024, 1024), 8, 8), ((2048, 2048), 2, 2)],
)
def test_engines_decode_fewer_prompts_at_once_on_large_canvases(canvas_px, usual, largest):
    shapes = ((1, 2), (usual, 2), (largest, 2))
    assert prompt_profiles("decoder", canvas_px) == {"points_px": shapes}
    assert prompt_profiles("encoder", canvas_px) == {}
