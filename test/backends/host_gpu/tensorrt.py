"""TensorRT's interface and the CUDA driver's over host memory, for machines without a GPU.

An "engine" is its ONNX file, which ONNX Runtime computes. As on a GPU, what is queued runs when
the stream is waited for and not before, memory holds junk until it is written, and a graph that is
captured computes nothing while it is. Written after the documentation of TensorRT 10, whose builder
knows no targets.
"""

from __future__ import annotations

import ctypes
import enum
from pathlib import Path

import numpy as np
import onnxruntime

__version__ = "10.3.0"
_PROMPTS = ((1, 2), (8, 2), (40, 2))


class HostDriver:
    """What is used of ``libcuda``."""

    def __init__(self, *, capture_fails: bool = False) -> None:
        self.memory: dict[int, object] = {}
        self.queue: list = []
        self.captured: list | None = None
        self.graphs: dict[int, list] = {}
        self.handles: set[int] = set()
        self.launches = self.copied_back_bytes = 0
        self.capture_fails = capture_fails

    def enqueue(self, work) -> None:
        (self.queue if self.captured is None else self.captured).append(work)

    def _handle(self, pointer, content=None) -> int:
        handle = 1000 + len(self.handles) + len(self.graphs)
        while handle in self.handles or handle in self.graphs:
            handle += 1
        pointer._obj.value = handle
        if content is None:
            self.handles.add(handle)
        else:
            self.graphs[handle] = content
        return 0

    def _set(self, pointer, value) -> int:
        pointer._obj.value = value
        return 0

    def cuInit(self, flags) -> int:
        return 0

    def cuDriverGetVersion(self, pointer) -> int:
        return self._set(pointer, 12060)

    def cuDeviceGetCount(self, pointer) -> int:
        return self._set(pointer, 1)

    def cuDeviceGet(self, pointer, ordinal) -> int:
        return self._set(pointer, ordinal)

    def cuDeviceGetName(self, name, length, device) -> int:
        name.value = b"Host"
        return 0

    def cuDeviceGetAttribute(self, pointer, attribute, device) -> int:
        return self._set(pointer, {16: 16, 75: 8, 76: 9}[attribute])

    def cuDeviceTotalMem_v2(self, pointer, device) -> int:
        return self._set(pointer, 8 << 30)

    def cuDevicePrimaryCtxRetain(self, pointer, device) -> int:
        return self._handle(pointer)

    def cuDevicePrimaryCtxRelease_v2(self, device) -> int:
        return 0

    def cuCtxSetCurrent(self, context) -> int:
        return 0

    def _allocate(self, pointer, size) -> int:
        buffer = (ctypes.c_ubyte * size)(*([0xAB] * size))
        pointer._obj.value = ctypes.addressof(buffer)
        self.memory[ctypes.addressof(buffer)] = buffer
        return 0

    def cuMemAlloc_v2(self, pointer, size) -> int:
        return self._allocate(pointer, size)

    def cuMemFree_v2(self, address) -> int:
        del self.memory[address]
        return 0

    def cuMemHostAlloc(self, pointer, size, flags) -> int:
        return self._allocate(pointer, size)

    def cuMemFreeHost(self, pointer) -> int:
        del self.memory[pointer.value]
        return 0

    def cuMemcpyHtoDAsync_v2(self, target, source, size, stream) -> int:
        self.enqueue(lambda: ctypes.memmove(target, source, size))
        return 0

    def cuMemcpyDtoHAsync_v2(self, target, source, size, stream) -> int:
        self.copied_back_bytes += size
        self.enqueue(lambda: ctypes.memmove(target, source, size))
        return 0

    def cuStreamCreate(self, pointer, flags) -> int:
        return self._handle(pointer)

    def cuStreamSynchronize(self, stream) -> int:
        queue, self.queue = self.queue, []
        for work in queue:
            work()
        return 0

    def cuStreamDestroy_v2(self, stream) -> int:
        self.handles.remove(stream)
        return 0

    def cuStreamBeginCapture_v2(self, stream, mode) -> int:
        self.captured = []
        return 0

    def cuStreamEndCapture(self, stream, pointer) -> int:
        content, self.captured = self.captured, None
        if self.capture_fails:
            return 901
        return self._handle(pointer, content)

    def cuGraphInstantiateWithFlags(self, pointer, graph, flags) -> int:
        return self._handle(pointer, self.graphs[graph.value])

    def cuGraphLaunch(self, graph, stream) -> int:
        self.launches += 1
        for work in self.graphs[graph.value]:
            self.enqueue(work)
        return 0

    def cuGraphDestroy(self, graph) -> int:
        del self.graphs[graph.value]
        return 0

    def cuGraphExecDestroy(self, graph) -> int:
        del self.graphs[graph.value]
        return 0

    def cuGetErrorString(self, code, pointer) -> int:
        pointer._obj.value = b"operation failed due to a previous error during capture"
        return 0


driver = HostDriver()


class NetworkDefinitionCreationFlag(enum.IntEnum):
    STRONGLY_TYPED = 1


class BuilderFlag(enum.Enum):
    TF32 = 7


class TensorIOMode(enum.Enum):
    INPUT = 1
    OUTPUT = 2


class DataType(enum.Enum):
    FLOAT = "tensor(float)"
    HALF = "tensor(float16)"
    INT64 = "tensor(int64)"
    UINT8 = "tensor(uint8)"


NUMPY = {"FLOAT": "float32", "HALF": "float16", "INT64": "int64", "UINT8": "uint8"}


class ILogger:
    class Severity(enum.Enum):
        ERROR = 1
        WARNING = 2
        INFO = 3


class IProgressMonitor:
    pass


class Network:
    path = ""

    def __init__(self, flags: int) -> None:
        assert flags == 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED

    def _inputs(self):
        return onnxruntime.InferenceSession(self.path).get_inputs()

    @property
    def num_inputs(self) -> int:
        return len(self._inputs())

    def get_input(self, index: int):
        tensor = self._inputs()[index]
        tensor_shape = tuple(-1 if isinstance(size, str) else size for size in tensor.shape)
        return type("Tensor", (), {"name": tensor.name, "shape": tensor_shape})


class OnnxParser:
    num_errors = 0

    def __init__(self, network: Network, logger: ILogger) -> None:
        self.network = network

    def parse_from_file(self, path: str) -> bool:
        self.network.path = path
        return True


class Config:
    progress_monitor = None

    def clear_flag(self, flag: BuilderFlag) -> None:
        pass

    def add_optimization_profile(self, profile: dict) -> int:
        return 0


class Profile(dict):
    def set_shape(self, name, *shapes) -> None:
        assert shapes == _PROMPTS


class Builder:
    def __init__(self, logger: ILogger) -> None:
        self.logger = logger

    create_network = staticmethod(Network)
    create_builder_config = staticmethod(Config)
    create_optimization_profile = staticmethod(Profile)

    def build_serialized_network(self, network: Network, config: Config) -> bytes:
        config.progress_monitor.phase_start("build", None, 2)
        config.progress_monitor.step_complete("build", 0)
        config.progress_monitor.phase_finish("build")
        self.logger.log(ILogger.Severity.INFO, "Total Activation Memory: 12345 bytes")
        return Path(network.path).read_bytes()


class Context:
    def __init__(self, engine: Engine) -> None:
        self.engine, self.session = engine, engine.session
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape) -> bool:
        allowed = self.engine.get_tensor_shape(name)
        fits = len(shape) == len(allowed) and all(
            1 <= size <= 40 if limit == -1 else size == limit
            for size, limit in zip(shape, allowed, strict=True)
        )
        if fits:
            self.shapes[name] = tuple(shape)
        else:
            self.engine.logger.log(ILogger.Severity.ERROR, f"{name}: shape {shape} not allowed")
        return fits

    def get_tensor_shape(self, name: str):
        prompts = self.shapes.get("points_px", (-1,))[0]
        return tuple(prompts if size == -1 else size for size in self.engine.get_tensor_shape(name))

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def _array(self, name: str):
        shape = self.get_tensor_shape(name)
        dtype = np.dtype(NUMPY[self.engine.get_tensor_dtype(name).name])
        size = int(np.prod(shape)) * dtype.itemsize
        buffer = (ctypes.c_ubyte * size).from_address(self.addresses[name])
        return np.frombuffer(buffer, dtype).reshape(shape)

    def execute_async_v3(self, stream: int) -> bool:
        assert stream in driver.handles
        inputs = {value.name: self._array(value.name) for value in self.session.get_inputs()}
        outputs = {value.name: self._array(value.name) for value in self.session.get_outputs()}

        def compute() -> None:
            results = self.session.run(list(outputs), inputs)
            for array, result in zip(outputs.values(), results, strict=True):
                array[...] = result

        driver.enqueue(compute)
        return True


class Engine:
    def __init__(self, data: bytes, logger: ILogger) -> None:
        self.session, self.logger = onnxruntime.InferenceSession(data), logger
        tensors = [*self.session.get_inputs(), *self.session.get_outputs()]
        self.tensors = {tensor.name: tensor for tensor in tensors}
        self.num_io_tensors = len(tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        names = {tensor.name for tensor in self.session.get_inputs()}
        return TensorIOMode.INPUT if name in names else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType(self.tensors[name].type)

    def get_tensor_shape(self, name: str):
        return tuple(-1 if isinstance(s, str) else s for s in self.tensors[name].shape)

    def get_tensor_profile_shape(self, name: str, profile: int):
        assert (name, profile) == ("points_px", 0)
        return _PROMPTS

    def create_execution_context(self) -> Context:
        return Context(self)


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        self.logger = logger

    def deserialize_cuda_engine(self, data: bytes) -> Engine | None:
        if not data.startswith(b"\x08"):
            self.logger.log(ILogger.Severity.ERROR, "the plan's magic tag does not match")
            return None
        return Engine(data, self.logger)
