"""OpenVINO: exported graphs on CPUs, in float32 or bfloat16."""

from __future__ import annotations

from typing import Any

import openvino as ov
from openvino import opset13, properties

from repsam_ros.backends import BackendConfig, BackendInfo
from repsam_ros.backends._graph_backend import Arrays, GraphBackend, Run
from repsam_ros.backends._graph_folder import GRAPHS, GraphFolder, open_graphs
from repsam_ros.errors import BackendError

DEVICE = "CPU"
_TYPES = {"fp32": ov.Type.f32, "bf16": ov.Type.bf16}
# What has weights: from the first of these on, bfloat16 is exact enough.
_LAYERS = ("Convolution", "ConvolutionBackpropData", "MatMul")


def build(config: BackendConfig) -> GraphBackend:
    """Compiles the graphs for this CPU; bfloat16 takes the graphs in float32 too.

    Raises:
        BackendError: Another device or precision is asked for than there is.
        CheckpointError: The graphs are missing or broken.
    """
    if config.device != DEVICE.lower():
        raise BackendError(f"device {config.device!r}: OpenVINO runs on {DEVICE.lower()} here")
    if config.precision not in _TYPES:
        raise BackendError(f"OpenVINO runs in {', '.join(_TYPES)} here, not in {config.precision}")
    core = ov.Core()
    able = core.get_property(DEVICE, properties.device.capabilities)
    if config.precision == "bf16" and "BF16" not in able:
        raise BackendError("precision bf16: this CPU has no instructions for it")
    folder = open_graphs(config)
    encoder, decoder = (_open(core, folder, name, config) for name in GRAPHS)
    info = BackendInfo(
        name="openvino",
        device="cpu",
        model=folder.model.name,
        model_sha256=folder.model.sha256,
        precision=config.precision,
        version=ov.__version__,
    )
    return GraphBackend(folder, encoder, decoder, info)


def _open(core: ov.Core, folder: GraphFolder, name: str, config: BackendConfig) -> Run:
    graph, outputs = folder.graph("fp32", name), folder.outputs(name)
    try:
        model = core.read_model(str(graph))
        if config.precision == "fp32":
            parts = [(model, "fp32")]
        else:
            geometry, layers = _cut(model)
            parts = [(geometry, "fp32"), (layers, config.precision)]
        requests = [
            _compile(core, part, precision, config.threads).create_infer_request()
            for part, precision in parts
        ]
    except RuntimeError as error:
        raise BackendError(f"OpenVINO cannot compile {graph}: {error}") from error

    def run(inputs: Arrays) -> Arrays:
        given: dict[str, Any] = dict(inputs)
        try:
            for request in requests:
                wanted = {port.any_name for port in request.model_inputs}
                found = request.infer({key: given[key] for key in wanted})
                given |= {key: found[port] for port in found for key in port.names}
        except RuntimeError as error:
            raise BackendError(f"OpenVINO failed: {error}") from error
        return {key: given[key] for key in outputs}

    return run


def _compile(core: ov.Core, model: ov.Model, precision: str, threads: int) -> ov.CompiledModel:
    options = {
        properties.hint.inference_precision: _TYPES[precision],
        properties.hint.performance_mode: properties.hint.PerformanceMode.LATENCY,
    }
    if threads:
        options[properties.inference_num_threads] = threads
    compiled = core.compile_model(model, DEVICE, options)
    # The library may choose another precision than it was asked for.
    if compiled.get_property(properties.hint.inference_precision) != _TYPES[precision]:
        raise BackendError(f"OpenVINO does not run in {precision} here")
    return compiled


def _cut(model: ov.Model) -> tuple[ov.Model, ov.Model]:
    """Geometry and the encoding of positions, which need float32, and the layers after them."""
    nodes = model.get_ordered_ops()
    varying, layered = _sorted(nodes)
    crossing: dict[tuple[str, int], Any] = {}
    consumers = []
    for node in nodes:
        for port in node.inputs() if node.get_friendly_name() in layered else ():
            source = port.get_source_output()
            key = source.get_node().get_friendly_name(), source.get_index()
            if key[0] in varying - layered:
                crossing[key] = source
                consumers.append((port, key))
    results = model.get_results()
    ends = [node for node in results if node.get_friendly_name() not in layered]
    entries = {}
    for index, (key, source) in enumerate(crossing.items()):
        kind = source.get_element_type()
        end = opset13.convert(source, kind.get_type_name())
        entries[key] = opset13.parameter(source.get_partial_shape(), kind)
        for node in (end, entries[key]):
            node.output(0).get_tensor().set_names({f"crossing_{index}"})
        ends.append(opset13.result(end))
    geometry = ov.Model(ends, model.get_parameters(), "geometry")
    for port, key in consumers:
        port.replace_source_output(entries[key].output(0))
    others = [node for node in results if node.get_friendly_name() in layered]
    return geometry, ov.Model(others, list(entries.values()), "layers")


def _sorted(nodes: list[Any]) -> tuple[set[str], set[str]]:
    """Names of nodes that depend on the inputs, and of those among them that are in layers."""
    positions = _ancestors([node for node in nodes if node.get_type_name() in ("Sin", "Cos")])
    varying: set[str] = set()
    layered: set[str] = set()
    for node in nodes:
        kind, name = node.get_type_name(), node.get_friendly_name()
        sources = {
            port.get_source_output().get_node().get_friendly_name() for port in node.inputs()
        }
        if kind == "Parameter" or sources & varying:
            varying.add(name)
            if sources & layered or (kind in _LAYERS and name not in positions):
                layered.add(name)
    return varying, layered


def _ancestors(nodes: list[Any]) -> set[str]:
    found: set[str] = set()
    while nodes:
        node = nodes.pop()
        found.add(node.get_friendly_name())
        nodes += [port.get_source_output().get_node() for port in node.inputs()]
    return found
