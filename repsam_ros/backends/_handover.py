"""A backend that serves at once with what is there, and later with something better."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from repsam_ros.backends import Backend, BackendInfo, Decoded, Encoded
from repsam_ros.backends._engine_build import BuildWatch
from repsam_ros.errors import BackendError, RepsamError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Served:
    """The state of an image, and whose it is."""

    backend: Backend
    encoded: Encoded


class HandoverBackend:
    """Serves with one backend while another is opened in a thread, then with the other.

    The other takes over at the next image, so that an image is never encoded by one and decoded by
    the other. Where it cannot be opened, the first goes on and :attr:`failure` says why.
    """

    def __init__(self, first: Backend, open_second: Callable[[BuildWatch], Backend]) -> None:
        """Starts opening the second; ``open_second`` checks it before it returns."""
        self._serving = first
        self._second: Backend | None = None
        self._failure: Exception | None = None
        self._watch = BuildWatch()
        self._open_second = open_second
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._open, name="backend handover", daemon=True)
        self._thread.start()

    def _open(self) -> None:
        try:
            second = self._open_second(self._watch)
        except Exception as error:  # noqa: BLE001  the first one serves whatever happens here
            self._fail(error)
            return
        with self._lock:
            wanted = not self._watch.cancelled
            if wanted and second.canvas_px == self._serving.canvas_px:
                self._second = second
                return
        second.close()
        if wanted:
            self._fail(
                BackendError(
                    f"its canvas is {second.canvas_px}, that of {self._serving.info().name} "
                    f"is {self._serving.canvas_px}"
                )
            )

    def _fail(self, error: Exception) -> None:
        self._failure = error
        if not self._watch.cancelled:
            # An error that nobody raises on purpose is a fault of the program: show where.
            trace = None if isinstance(error, RepsamError) else error
            name = self._serving.info().name
            _log.error("%s goes on serving: %s", name, error, exc_info=trace)

    @property
    def progress(self) -> tuple[float, str] | None:
        """Fraction of the second's engines that is built, and which; None once it is decided."""
        return self._watch.progress if self._thread.is_alive() else None

    @property
    def failure(self) -> Exception | None:
        """Why the second does not serve; None while it may, or does."""
        return self._failure

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether it is decided within that time which backend serves from the next image on."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def canvas_px(self) -> tuple[int, int]:
        """(height, width) of the image that the network sees."""
        return self._serving.canvas_px

    def encode(
        self,
        color: NDArray[np.uint8],
        depth_m: NDArray[np.float32],
        intrinsics: NDArray[np.float32],
    ) -> Encoded:
        """See :meth:`repsam_ros.backends.Backend.encode`."""
        with self._lock:
            second, self._second = self._second, None
        if second is not None:
            before, self._serving = self._serving, second
            _log.info("%s takes over from %s", second.info().name, before.info().name)
            before.close()
        encoded = self._serving.encode(color, depth_m, intrinsics)
        return Encoded(encoded.heatmap, _Served(self._serving, encoded))

    def decode(self, encoded: Encoded, points_px: NDArray[np.float32]) -> Decoded:
        """See :meth:`repsam_ros.backends.Backend.decode`.

        Raises:
            BackendError: The backend that encoded the image has been replaced since.
        """
        state = cast(_Served, encoded.state)
        if state.backend is not self._serving:
            raise BackendError("this image was encoded before another backend took over")
        return self._serving.decode(state.encoded, points_px)

    def info(self) -> BackendInfo:
        """What is really running now."""
        return self._serving.info()

    def close(self) -> None:
        """Stops the build and frees both."""
        self._watch.cancel()
        self._thread.join()
        with self._lock:
            second, self._second = self._second, None
        if second is not None:
            second.close()
        self._serving.close()
