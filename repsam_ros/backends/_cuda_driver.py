"""Memory, streams and graphs of one CUDA device, through the driver's own library.

``libcuda`` comes with every driver, on desktops and on Jetson, and its functions have not changed
since CUDA 11.4. So a robot needs neither PyTorch nor a CUDA run-time of the right version, and what
is allocated here lies in the context that TensorRT and PyTorch use too.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint, c_ulonglong, c_void_p
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import BackendError

_LIBRARY = "libcuda.so.1"
_NON_BLOCKING = 1
_CAPTURE_THREAD_LOCAL = 1  # work of other threads, such as PyTorch's, goes on meanwhile
_MULTIPROCESSORS, _MAJOR, _MINOR = 16, 75, 76  # CUdevice_attribute

_pointer = ctypes.POINTER
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuInit": (c_uint,),
    "cuDriverGetVersion": (_pointer(c_int),),
    "cuDeviceGetCount": (_pointer(c_int),),
    "cuDeviceGet": (_pointer(c_int), c_int),
    "cuDeviceGetName": (c_char_p, c_int, c_int),
    "cuDeviceGetAttribute": (_pointer(c_int), c_int, c_int),
    "cuDeviceTotalMem_v2": (_pointer(c_size_t), c_int),
    "cuDevicePrimaryCtxRetain": (_pointer(c_void_p), c_int),
    "cuDevicePrimaryCtxRelease_v2": (c_int,),
    "cuCtxSetCurrent": (c_void_p,),
    "cuMemAlloc_v2": (_pointer(c_ulonglong), c_size_t),
    "cuMemFree_v2": (c_ulonglong,),
    "cuMemHostAlloc": (_pointer(c_void_p), c_size_t, c_uint),
    "cuMemFreeHost": (c_void_p,),
    "cuMemcpyHtoDAsync_v2": (c_ulonglong, c_void_p, c_size_t, c_void_p),
    "cuMemcpyDtoHAsync_v2": (c_void_p, c_ulonglong, c_size_t, c_void_p),
    "cuStreamCreate": (_pointer(c_void_p), c_uint),
    "cuStreamSynchronize": (c_void_p,),
    "cuStreamDestroy_v2": (c_void_p,),
    "cuStreamBeginCapture_v2": (c_void_p, c_int),
    "cuStreamEndCapture": (c_void_p, _pointer(c_void_p)),
    "cuGraphInstantiateWithFlags": (_pointer(c_void_p), c_void_p, c_ulonglong),
    "cuGraphLaunch": (c_void_p, c_void_p),
    "cuGraphDestroy": (c_void_p,),
    "cuGraphExecDestroy": (c_void_p,),
    "cuGetErrorString": (c_int, _pointer(c_char_p)),
}


@dataclass(frozen=True)
class GpuAttributes:
    """What an engine that was built for a GPU depends on.

    Attributes:
        driver: CUDA version that the driver is for, 12060 = 12.6.
    """

    name: str
    capability: tuple[int, int]
    multiprocessors: int
    memory_bytes: int
    driver: int

    @property
    def target(self) -> str:
        """Compute capability as TensorRT-RTX writes it, ``SM86``."""
        return f"SM{self.capability[0]}{self.capability[1]}"

    def plain(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return {**asdict(self), "capability": list(self.capability)}


@cache
def _load_driver() -> Any:
    """The library with its signatures set; they hold for all of the process.

    Raises:
        BackendError: There is no NVIDIA driver, or an old one.
    """
    try:
        library = ctypes.CDLL(_LIBRARY)
        for name, types in _SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = types, c_int
    except (OSError, AttributeError) as error:
        raise BackendError(f"no NVIDIA driver: {error}") from error
    return library


class CudaDevice:
    """One GPU with one stream. Not thread-safe, but threads may take turns."""

    def __init__(self, ordinal: int, library: Any = None) -> None:
        """Opens a device.

        Args:
            library: The driver; found by itself where it is not given.

        Raises:
            BackendError: No driver, or no device of that number.
        """
        self._library = _load_driver() if library is None else library
        self._frees: list[Callable[[], None]] = []
        self._call("cuInit", 0)
        count = c_int()
        self._call("cuDeviceGetCount", byref(count))
        if ordinal >= count.value:
            raise BackendError(f"no CUDA device {ordinal}: the driver sees {count.value}")
        device, context, stream = c_int(), c_void_p(), c_void_p()
        self._call("cuDeviceGet", byref(device), ordinal)
        self._device = device.value
        self._call("cuDevicePrimaryCtxRetain", byref(context), self._device)
        self._context = context
        self._frees.append(lambda: self._call("cuDevicePrimaryCtxRelease_v2", self._device))
        self.make_current()
        self._call("cuStreamCreate", byref(stream), _NON_BLOCKING)
        self.stream = int(stream.value or 0)
        self._frees.append(lambda: self._call("cuStreamDestroy_v2", self.stream))

    def _call(self, name: str, *arguments: Any) -> None:
        """Raises BackendError unless the driver says that all is well."""
        code = getattr(self._library, name)(*arguments)
        if code != 0:
            text = c_char_p()
            self._library.cuGetErrorString(code, byref(text))
            reason = (text.value or b"unknown").decode()
            raise BackendError(f"{name}: CUDA error {code}: {reason}")

    def make_current(self) -> None:
        """Makes this thread's CUDA calls, TensorRT's too, go to this device."""
        self._call("cuCtxSetCurrent", self._context)

    def attributes(self) -> GpuAttributes:
        """What the driver says of the device."""
        name, memory, driver = ctypes.create_string_buffer(256), c_size_t(), c_int()
        self._call("cuDeviceGetName", name, len(name), self._device)
        self._call("cuDeviceTotalMem_v2", byref(memory), self._device)
        self._call("cuDriverGetVersion", byref(driver))
        return GpuAttributes(
            name=name.value.decode(),
            capability=(self._attribute(_MAJOR), self._attribute(_MINOR)),
            multiprocessors=self._attribute(_MULTIPROCESSORS),
            memory_bytes=memory.value,
            driver=driver.value,
        )

    def _attribute(self, which: int) -> int:
        value = c_int()
        self._call("cuDeviceGetAttribute", byref(value), which, self._device)
        return value.value

    def allocate(self, size: int) -> int:
        """Address of ``size`` bytes on the device, freed by :meth:`close`."""
        address = c_ulonglong()
        self._call("cuMemAlloc_v2", byref(address), size)
        self._frees.append(lambda: self._call("cuMemFree_v2", address.value))
        return address.value

    def pinned(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """An array in page-locked memory, which copies to and from without a detour.

        It is gone after :meth:`close`: hand out copies only.
        """
        address, count = c_void_p(), int(np.prod(shape))
        self._call("cuMemHostAlloc", byref(address), count * dtype.itemsize, 0)
        self._frees.append(lambda: self._call("cuMemFreeHost", address))
        buffer = (ctypes.c_byte * (count * dtype.itemsize)).from_address(int(address.value or 0))
        return np.ndarray(shape, dtype, memoryview(buffer))

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Queues a copy of a pinned array to the device."""
        self._call("cuMemcpyHtoDAsync_v2", address, array.ctypes.data, array.nbytes, self.stream)

    def download(self, array: NDArray[Any], address: int) -> None:
        """Queues a copy from the device into a pinned array."""
        self._call("cuMemcpyDtoHAsync_v2", array.ctypes.data, address, array.nbytes, self.stream)

    def synchronise(self) -> None:
        """Waits for all that was queued."""
        self._call("cuStreamSynchronize", self.stream)

    def capture(self, queue_work: Callable[[], None]) -> Callable[[], None]:
        """Records what ``queue_work`` queues as a CUDA graph; calling the result queues it again.

        Raises:
            BackendError: The work cannot be captured.
        """
        graph, runnable = c_void_p(), c_void_p()
        self._call("cuStreamBeginCapture_v2", self.stream, _CAPTURE_THREAD_LOCAL)
        try:
            queue_work()
        finally:
            self._call("cuStreamEndCapture", self.stream, byref(graph))
        try:
            self._call("cuGraphInstantiateWithFlags", byref(runnable), graph, 0)
        finally:
            self._call("cuGraphDestroy", graph)
        self._frees.append(lambda: self._call("cuGraphExecDestroy", runnable))
        return lambda: self._call("cuGraphLaunch", runnable, self.stream)

    def close(self) -> None:
        """Frees everything, the newest first."""
        if self._frees:
            self.make_current()
        while self._frees:
            self._frees.pop()()


def open_device(name: str) -> CudaDevice:
    """The device ``cuda`` or ``cuda:1``.

    Raises:
        BackendError: Another kind of device, no driver, or no device of that number.
    """
    kind, _, number = name.partition(":")
    if kind != "cuda" or not (number or "0").isdigit():
        raise BackendError(f"device {name!r}: TensorRT runs on cuda or cuda:N only")
    return CudaDevice(int(number or 0))
