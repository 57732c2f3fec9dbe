"""OpenVINO: exported graphs on CPUs, in float32 or bfloat16."""

from __future__ import annotations

import openvino as ov
from openvino import properties

from repsam_ros.backends import BackendConfig, BackendInfo
from repsam_ros.backends._graph_backend import Arrays, GraphBackend, Run
from repsam_ros.backends._graph_folder import GraphFolder, open_graphs
from repsam_ros.errors import BackendError

DEVICE = "CPU"
# Both run the graphs in float32; the library rounds to bfloat16 itself.
_TYPES = {"fp32": ov.Type.f32, "bf16": ov.Type.bf16}


def build(config: BackendConfig) -> GraphBackend:
    """Compiles the graphs for this CPU.

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
    encoder, decoder = (_compile(core, folder, name, config) for name in ("encoder", "decoder"))
    info = BackendInfo(
        name="openvino",
        device="cpu",
        model=folder.model.name,
        model_sha256=folder.model.sha256,
        precision=config.precision,
        version=ov.__version__,
    )
    return GraphBackend(folder, encoder, decoder, info)


def _compile(core: ov.Core, folder: GraphFolder, name: str, config: BackendConfig) -> Run:
    graph, outputs = folder.graph("fp32", name), folder.outputs(name)
    kind = _TYPES[config.precision]
    options = {
        properties.hint.inference_precision: kind,
        properties.hint.performance_mode: properties.hint.PerformanceMode.LATENCY,
    }
    if config.threads:
        options[properties.inference_num_threads] = config.threads
    try:
        compiled = core.compile_model(str(graph), DEVICE, options)
    except RuntimeError as error:
        raise BackendError(f"OpenVINO cannot compile {graph}: {error}") from error
    if compiled.get_property(properties.hint.inference_precision) != kind:
        raise BackendError(f"OpenVINO does not run {graph.name} in {config.precision}")
    request = compiled.create_infer_request()

    def run(inputs: Arrays) -> Arrays:
        try:
            found = request.infer(dict(inputs))
        except RuntimeError as error:
            raise BackendError(f"OpenVINO failed: {error}") from error
        return {name: found[name] for name in outputs}

    return run
