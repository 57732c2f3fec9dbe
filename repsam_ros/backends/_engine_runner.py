"""One TensorRT engine with its tensors on the GPU."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.backends._cuda_driver import CudaDevice
from repsam_ros.backends._tensorrt_api import Shape, TensorRt, make_logger
from repsam_ros.errors import BackendError

_log = logging.getLogger(__name__)

# TensorRT's names. bf16 has no NumPy type; such tensors never leave the GPU.
_DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "BF16": "uint16",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "BOOL": "bool",
}


@dataclass(frozen=True)
class DeviceTensor:
    """Where a tensor lies on the GPU.

    Attributes:
        shape: The largest that it can take.
        dtype: TensorRT's name, ``HALF``.
    """

    address: int
    shape: Shape
    dtype: str


class EngineRunner:
    """Loads an engine once and runs it many times, without allocating anything in between."""

    def __init__(
        self,
        trt: TensorRt,
        device: CudaDevice,
        engine: bytes,
        *,
        kept: Collection[str] = (),
        given: Mapping[str, DeviceTensor] | None = None,
    ) -> None:
        """Loads an engine.

        Args:
            kept: Outputs that stay on the GPU.
            given: Inputs that lie there already, by name.

        Raises:
            BackendError: The engine cannot be loaded here, or a given input does not fit.
        """
        self._device, self._heard = device, ""
        device.make_current()
        self._logger = make_logger(trt, self._hear)
        self._runtime = trt.Runtime(self._logger)
        loaded = self._runtime.deserialize_cuda_engine(engine)
        if loaded is None:
            raise BackendError(f"{trt.__name__} cannot load the engine: {self._heard}")
        self._engine = loaded
        context = loaded.create_execution_context()
        if context is None:
            raise BackendError(f"{trt.__name__} cannot set up the engine: {self._heard}")
        self._context = context
        names = [loaded.get_tensor_name(index) for index in range(loaded.num_io_tensors)]
        inputs = [name for name in names if loaded.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        self._outputs = [name for name in names if name not in inputs and name not in kept]
        self._host: dict[str, NDArray[Any]] = {}
        self.tensors: dict[str, DeviceTensor] = {}
        # Inputs first: outputs of dynamic size have none before.
        for name in (*inputs, *(name for name in names if name not in inputs)):
            self._place(name, name in inputs, name in kept, (given or {}).get(name))
        self._launch = self._execute

    def _hear(self, severity: str, message: str) -> None:
        if severity.endswith("ERROR"):
            self._heard = message
            _log.error("TensorRT: %s", message)
        elif severity == "WARNING":
            _log.warning("TensorRT: %s", message)

    def _place(self, name: str, is_input: bool, kept: bool, given: DeviceTensor | None) -> None:
        """Gives a tensor its place on the GPU, and in host memory where it is copied."""
        dtype = self._engine.get_tensor_dtype(name).name
        if dtype not in _DTYPES:
            raise BackendError(f"tensor {name} has type {dtype}, which is not supported")
        if is_input:
            shape = tuple(self._engine.get_tensor_shape(name))
            if -1 in shape:
                shape = tuple(self._engine.get_tensor_profile_shape(name, 0)[2])
            self._set_shape(name, shape)
        else:
            shape = tuple(self._context.get_tensor_shape(name))
        tensor = given
        if tensor is None:
            plain = np.dtype(_DTYPES[dtype])
            size = int(np.prod(shape)) * plain.itemsize
            tensor = DeviceTensor(self._device.allocate(size), shape, dtype)
            if not kept:
                self._host[name] = self._device.pinned((int(np.prod(shape)),), plain)
        elif (tensor.shape, tensor.dtype) != (shape, dtype):
            raise BackendError(
                f"tensor {name} is {tensor.dtype} {tensor.shape} where it comes from, "
                f"{dtype} {shape} where it goes"
            )
        self.tensors[name] = tensor
        if not self._context.set_tensor_address(name, tensor.address):
            raise BackendError(f"tensor {name} cannot be bound: {self._heard}")

    def _set_shape(self, name: str, shape: Shape) -> None:
        if not self._context.set_input_shape(name, shape):
            raise BackendError(f"input {name} cannot have shape {shape}: {self._heard}")

    def _execute(self) -> None:
        if not self._context.execute_async_v3(self._device.stream):
            raise BackendError(f"the engine failed: {self._heard}")

    def record(self) -> None:
        """From now on, runs are one CUDA graph; for engines without dynamic sizes."""
        self._device.make_current()
        # TensorRT allocates in the first run, which a graph cannot hold.
        self._execute()
        self._device.synchronise()
        try:
            self._launch = self._device.capture(self._execute)
        except BackendError as error:
            _log.warning("runs without a CUDA graph: %s", error)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Copies inputs in, runs, and returns copies of the outputs that are not kept."""
        self._device.make_current()
        for name, array in inputs.items():
            self._set_shape(name, array.shape)
            host = self._host[name][: array.size].reshape(array.shape)
            host[...] = array
            self._device.upload(self.tensors[name].address, host)
        self._launch()
        results = {}
        for name in self._outputs:
            shape = tuple(self._context.get_tensor_shape(name))
            results[name] = self._host[name][: int(np.prod(shape))].reshape(shape)
            self._device.download(results[name], self.tensors[name].address)
        self._device.synchronise()
        return {name: array.copy() for name, array in results.items()}

    def close(self) -> None:
        """Lets TensorRT free what it holds; the tensors go with the device."""
        self._device.make_current()
        del self._launch, self._context, self._engine, self._runtime
