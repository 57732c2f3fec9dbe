"""ONNX Runtime: exported graphs on CPUs, and on NVIDIA GPUs through CUDA or TensorRT."""

from __future__ import annotations

import onnxruntime as ort

from repsam_ros.backends import BackendConfig, BackendInfo
from repsam_ros.backends._graph_backend import Arrays, GraphBackend, Run
from repsam_ros.backends._graph_folder import GRAPHS, GraphFolder, open_graphs
from repsam_ros.errors import BackendError

# What each device asks of the library; the later ones take the operators that the first has not.
PROVIDERS = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
}
_ERRORS_ONLY = 3


def build(config: BackendConfig) -> GraphBackend:
    """Opens the graphs on the device: ``cpu``, ``cuda``, ``tensorrt``, or ``cuda:1``.

    Raises:
        BackendError: The library has no such device or does not use it, or there are no graphs in
            the precision.
        CheckpointError: The graphs are missing or broken.
    """
    device, _, index = config.device.partition(":")
    if device not in PROVIDERS or not (index or "0").isdecimal():
        raise BackendError(
            f"device {config.device!r}: for ONNX Runtime there are {', '.join(PROVIDERS)}"
        )
    provider = PROVIDERS[device][0]
    if provider not in ort.get_available_providers():
        have = ", ".join(ort.get_available_providers())
        raise BackendError(f"device {config.device!r}: ONNX Runtime has no {provider}, only {have}")
    folder = open_graphs(config)
    encoder, decoder = (_open(folder, name, config, device, index or "0") for name in GRAPHS)
    info = BackendInfo(
        name="onnxruntime",
        device=provider.removesuffix("ExecutionProvider").lower(),
        model=folder.model.name,
        model_sha256=folder.model.sha256,
        precision=config.precision,
        version=ort.__version__,
    )
    return GraphBackend(folder, encoder, decoder, info)


def _open(folder: GraphFolder, name: str, config: BackendConfig, device: str, index: str) -> Run:
    graph, outputs = folder.graph(config.precision, name), folder.outputs(name)
    providers = PROVIDERS[device]
    given = [{} if name == "CPUExecutionProvider" else {"device_id": index} for name in providers]
    options = ort.SessionOptions()
    options.intra_op_num_threads = config.threads
    options.log_severity_level = _ERRORS_ONLY
    try:
        session = ort.InferenceSession(str(graph), options, providers, given)
    except Exception as error:  # the library raises a class of its own for each of its codes
        raise BackendError(f"ONNX Runtime cannot open {graph}: {error}") from error
    # The library goes on with the next provider where the first cannot start.
    if (active := session.get_providers()[0]) != providers[0]:
        raise BackendError(f"ONNX Runtime runs {graph.name} on {active}, not on {providers[0]}")
    session.disable_fallback()

    def run(inputs: Arrays) -> Arrays:
        try:
            return dict(zip(outputs, session.run(outputs, dict(inputs)), strict=True))
        except Exception as error:  # as above
            raise BackendError(f"ONNX Runtime failed: {error}") from error

    return run
