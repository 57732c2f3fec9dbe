"""Graphs as ONNX files."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from repsam_ros.export.graphs import STATE, DecoderGraph, EncoderGraph, prepared
from repsam_ros.network.build import RepSam
from repsam_ros.paths import file_sha256

# Attention is one operator from 23 on, which compilers for GPUs fuse.
OPSETS = {"fp32": 20, "fp16": 23}
PROMPTS = "prompts"
_EXAMPLE_PROMPTS = 5


def write_graphs(network: RepSam, precision: str, folder: Path) -> dict[str, Any]:
    """Writes ``encoder.PRECISION.onnx`` and ``decoder.PRECISION.onnx``; external data over 2 GB.

    Returns:
        What the manifest says of each of the two.
    """
    ready = prepared(network, precision)
    height, width = network.spec.canvas_px
    canvas = {
        "color": torch.zeros((1, height, width, 3), dtype=torch.uint8),
        "depth_m": torch.ones((1, height, width)),
        "intrinsics": torch.tensor([[width, width, width / 2, height / 2]], dtype=torch.float32),
    }
    opset = OPSETS[precision]
    path = folder / f"encoder.{precision}.onnx"
    encoder = _write(EncoderGraph(ready), canvas, ("heatmap", *STATE), path, opset)
    # Exporting needs shapes only: running ViT-H on a CPU for its state would take minutes.
    inputs = {name: _zeros(encoder["outputs"][name]) for name in STATE}
    inputs["points_px"] = torch.zeros((_EXAMPLE_PROMPTS, 2))
    path = folder / f"decoder.{precision}.onnx"
    outputs = ("mask_logits", "predicted_iou")
    return {
        "encoder": encoder,
        "decoder": _write(DecoderGraph(ready), inputs, outputs, path, opset),
    }


def _write(
    graph: nn.Module, inputs: dict[str, Tensor], outputs: tuple[str, ...], path: Path, opset: int
) -> dict[str, Any]:
    prompts = {"points_px": {0: torch.export.Dim(PROMPTS, min=1, max=4096)}}
    with _quiet():
        program = torch.onnx.export(
            graph.eval(),
            tuple(inputs.values()),
            dynamo=True,
            opset_version=opset,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes={name: prompts.get(name) for name in inputs},
            verbose=False,
        )
    assert program is not None
    program.save(path)
    return _described(path, opset)


def _described(path: Path, opset: int) -> dict[str, Any]:
    data = path.with_name(f"{path.name}.data")
    model = onnx.load(str(path), load_external_data=False)
    return {
        "file": path.name,
        "sha256": file_sha256(path),
        "data": {data.name: file_sha256(data)} if data.is_file() else {},
        "opset": opset,
        "inputs": {value.name: _tensor(value) for value in model.graph.input},
        "outputs": {value.name: _tensor(value) for value in model.graph.output},
    }


def _tensor(value: onnx.ValueInfoProto) -> dict[str, Any]:
    kind = value.type.tensor_type
    return {
        "dtype": onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name,
        "shape": [dim.dim_param or dim.dim_value for dim in kind.shape.dim],
    }


def _zeros(described: dict[str, Any]) -> Tensor:
    return torch.zeros(described["shape"], dtype=getattr(torch, described["dtype"]))


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of its own internals and reports each step on standard output."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
