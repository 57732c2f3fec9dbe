"""The part of TensorRT that this package uses, and where its editions differ.

``tensorrt`` 10.x (Jetson), 11.x (desktop) and ``tensorrt_rtx`` share these names. All networks are
strongly typed: precision lies in the graph, since 11 knows no other way and 10 allows it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

from repsam_ros.errors import BackendError

# NVIDIA's own wheel first: where both are there, someone installed it for this machine's GPU.
MODULES = ("tensorrt", "tensorrt_rtx")

Shape = tuple[int, ...]


class Tensor(Protocol):
    """An input or output of a network that is being built."""

    name: str
    shape: Sequence[int]


class NetworkDefinition(Protocol):
    """A parsed graph."""

    num_inputs: int

    def get_input(self, index: int) -> Tensor:
        """Input by position."""


class OptimizationProfile(Protocol):
    """Sizes that an engine is built for."""

    def set_shape(self, name: str, smallest: Shape, usual: Shape, largest: Shape) -> None:
        """Bounds of one input."""


class BuilderConfig(Protocol):
    """How an engine is built."""

    progress_monitor: object

    def add_optimization_profile(self, profile: OptimizationProfile) -> int:
        """Its index; -1 where its shapes contradict each other."""

    def clear_flag(self, flag: object) -> None:
        """Switches something off."""


class Builder(Protocol):
    """Makes engines."""

    def create_network(self, flags: int) -> NetworkDefinition:
        """An empty network."""

    def create_builder_config(self) -> BuilderConfig:
        """Default settings."""

    def create_optimization_profile(self) -> OptimizationProfile:
        """An empty profile."""

    def build_serialized_network(
        self, network: NetworkDefinition, config: BuilderConfig
    ) -> memoryview | None:
        """The engine's bytes; None after a failure, which the logger heard of."""


class OnnxParser(Protocol):
    """Reads ONNX files."""

    num_errors: int

    def parse_from_file(self, path: str) -> bool:
        """Whether the file could be read whole; external data is found beside it."""

    def get_error(self, index: int) -> object:
        """What went wrong."""


class ExecutionContext(Protocol):
    """Runs an engine."""

    def set_input_shape(self, name: str, shape: Shape) -> bool:
        """Whether the profile allows it."""

    def get_tensor_shape(self, name: str) -> Sequence[int]:
        """Shape for the inputs as they are set."""

    def set_tensor_address(self, name: str, address: int) -> bool:
        """Where on the GPU the tensor lies."""

    def execute_async_v3(self, stream: int) -> bool:
        """Queues one run."""


class CudaEngine(Protocol):
    """A deserialised engine."""

    num_io_tensors: int

    def get_tensor_name(self, index: int) -> str:
        """Name by position."""

    def get_tensor_mode(self, name: str) -> object:
        """``TensorIOMode.INPUT`` or ``OUTPUT``."""

    def get_tensor_dtype(self, name: str) -> Any:
        """A ``DataType``."""

    def get_tensor_shape(self, name: str) -> Sequence[int]:
        """Shape with -1 where it is dynamic."""

    def get_tensor_profile_shape(self, name: str, profile: int) -> Sequence[Sequence[int]]:
        """Smallest, usual and largest shape of an input."""

    def create_execution_context(self) -> ExecutionContext | None:
        """None where its memory cannot be had."""


class Runtime(Protocol):
    """Loads engines."""

    def deserialize_cuda_engine(self, engine: bytes) -> CudaEngine | None:
        """None after a failure, which the logger heard of."""


class TensorRt(Protocol):
    """The module."""

    __name__: str
    __version__: str
    ILogger: Any
    IProgressMonitor: Any
    Builder: Callable[[object], Builder]
    OnnxParser: Callable[[NetworkDefinition, object], OnnxParser]
    Runtime: Callable[[object], Runtime]
    NetworkDefinitionCreationFlag: Any
    BuilderFlag: Any
    TensorIOMode: Any
    DataType: Any


def load_tensorrt(*, for_targets: bool = False) -> TensorRt:
    """The first edition of TensorRT that is installed.

    Args:
        for_targets: Only one that builds for GPUs which are not there.

    Raises:
        BackendError: There is none; the message says what to install.
    """
    problems = []
    for name in MODULES:
        try:
            module = cast(TensorRt, importlib.import_module(name))
        except ImportError as error:
            problems.append(f"{name}: {error}")
            continue
        except OSError as error:  # a library that its wheel does not bring
            problems.append(f"{name}: {error}")
            continue
        if not for_targets or target_names(module):
            return module
        problems.append(f"{name} {module.__version__} builds for this machine's GPU only")
    hint = "pip install tensorrt-rtx-cu13 (desktop), or the tensorrt of JetPack (Jetson)"
    raise BackendError(f"no usable TensorRT ({'; '.join(problems)}); {hint}")


def strongly_typed(trt: TensorRt) -> int:
    """Flags of ``create_network``; 10.x builds weakly typed networks without them."""
    return 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)


def target_names(trt: TensorRt) -> tuple[str, ...]:
    """Compute capabilities that engines can be built for ahead of time, ``SM86`` ...

    TensorRT-RTX has them; TensorRT builds for the GPU of the machine alone.
    """
    members = getattr(getattr(trt, "ComputeCapability", None), "__members__", {})
    return tuple(name for name in members if name.startswith("SM"))


def set_target(trt: TensorRt, config: BuilderConfig, target: str) -> None:
    """Builds for a GPU by its compute capability, ``SM86``, which need not be there.

    Raises:
        BackendError: This edition cannot build for it.
    """
    known = target_names(trt)
    if target not in known:
        raise BackendError(
            f"{trt.__name__} {trt.__version__} cannot build for {target}; "
            f"it can for {', '.join(known) or 'the GPU of this machine only'}"
        )
    rtx: Any = config
    rtx.num_compute_capabilities = 1
    rtx.set_compute_capability(getattr(cast(Any, trt).ComputeCapability, target), 0)


def make_logger(trt: TensorRt, hear: Callable[[str, str], None]) -> object:
    """TensorRT's logger that calls ``hear`` with severity (``WARNING`` ...) and message."""

    class Logger(trt.ILogger):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            hear(severity.name, message)

    return Logger()
