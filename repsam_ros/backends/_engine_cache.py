"""Engines on disk: built once, by one process, and never believed without their hash."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from repsam_ros.backends._engine_build import (
    BUILD_TIMEOUT_S,
    BuildReport,
    BuildWatch,
    EngineRequest,
    build_engine,
)
from repsam_ros.errors import BackendError
from repsam_ros.paths import atomic_path, file_sha256, least_recently_used, write_text

_log = logging.getLogger(__name__)
_FORMAT = 1
_POLL_S = 0.1
# Engines are tens of megabytes; a model in one precision has two.
_MOST_ENGINES = 16


@dataclass(frozen=True)
class CachedEngine:
    """An engine whose bytes are the ones that were built.

    Attributes:
        path: Its file.
        sha256: Of the file.
        report: What its build said.
    """

    path: Path
    sha256: str
    report: BuildReport


def graph_sha256(onnx: Path) -> str:
    """SHA-256 of a graph and of the external data beside it, ``NAME.onnx*``."""
    digest = hashlib.sha256()
    for path in sorted(onnx.parent.glob(f"{onnx.name}*")):
        digest.update(path.name.encode() + b"\0" + file_sha256(path).encode())
    return digest.hexdigest()


def built_for(request: EngineRequest, version: str, gpu: dict[str, Any]) -> dict[str, Any]:
    """All that an engine depends on, as plain values.

    Args:
        version: Of TensorRT.
        gpu: Attributes of the GPU, empty where the engine is for a target.
    """
    return {
        "graph_sha256": graph_sha256(request.onnx),
        "module": request.module,
        "version": version,
        "profiles": {name: [list(s) for s in shapes] for name, shapes in request.profiles.items()},
        "target": request.target,
        "gpu": gpu,
    }


class EngineCache:
    """A folder of engines, ``KEY.engine`` with ``KEY.json`` beside it.

    Attributes:
        folder: Where; made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get_or_build(
        self,
        request: EngineRequest,
        version: str,
        gpu: dict[str, Any],
        watch: BuildWatch | None = None,
        timeout_s: float = BUILD_TIMEOUT_S,
    ) -> CachedEngine:
        """The engine; built where it is not there or is not what it should be.

        Raises:
            BackendError: See :func:`build_engine`; or the cache cannot be written.
        """
        watch = watch or BuildWatch()
        wanted = built_for(request, version, gpu)
        key = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:32]
        found = self._find(key, wanted)
        if isinstance(found, CachedEngine):
            with suppress(OSError):  # a cache that is only read keeps no order of use
                os.utime(self._paths(key)[1])
            return found
        with self.writing(), self._locked(key, request.onnx.name, watch, timeout_s):
            # Another process may have built it while this one waited.
            found = self._find(key, wanted)
            if isinstance(found, CachedEngine):
                return found
            if found:
                engine, _ = self._paths(key)
                _log.warning("%s is not used and built anew: %s", engine, found)
            self._remove_leftovers(key)
            built = self._build(key, wanted, request, watch, timeout_s)
            self._remove_unused()
            return built

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Names the folder where the block cannot write."""
        try:
            yield
        except OSError as error:
            raise BackendError(
                f"engine cache {self.folder} cannot be written: {error.strerror or error}"
            ) from error

    def _paths(self, key: str) -> tuple[Path, Path]:
        return self.folder / f"{key}.engine", self.folder / f"{key}.json"

    def _find(self, key: str, wanted: dict[str, Any]) -> CachedEngine | str | None:
        """The entry; None where there is none; text where it cannot be used."""
        engine, sidecar = self._paths(key)
        if not engine.exists() and not sidecar.exists():
            return None
        try:
            content = json.loads(sidecar.read_text())
            if content["format"] != _FORMAT or content["built_for"] != wanted:
                raise ValueError("built for something else")
            if file_sha256(engine) != content["engine_sha256"]:
                raise ValueError("its bytes are not the ones that were built")
            said = content["build"]
            report = BuildReport(**{**said, "warnings": tuple(said["warnings"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            return str(error) or type(error).__name__
        return CachedEngine(engine, content["engine_sha256"], report)

    def _build(
        self,
        key: str,
        wanted: dict[str, Any],
        request: EngineRequest,
        watch: BuildWatch,
        timeout_s: float,
    ) -> CachedEngine:
        engine, sidecar = self._paths(key)
        _log.info("building an engine from %s with %s", request.onnx, request.module)
        with atomic_path(engine) as temporary:
            report = build_engine(request, temporary, watch, timeout_s)
            digest = file_sha256(temporary)
        content = {
            "format": _FORMAT,
            "built_for": wanted,
            "engine_sha256": digest,
            "bytes": engine.stat().st_size,
            "build": asdict(report),
        }
        write_text(sidecar, json.dumps(content, indent=2) + "\n")
        _log.info("built %s in %.0f s", engine, report.seconds)
        return CachedEngine(engine, digest, report)

    def _remove_leftovers(self, key: str) -> None:
        """Temporary files of a process that was killed; the lock says that none is at work."""
        for path in self.folder.glob(f".{key}.*"):
            path.unlink(missing_ok=True)

    def _remove_unused(self) -> None:
        """Engines that were not used for longest: of other models and old versions mostly."""
        whole = [
            path for path in self.folder.glob("*.json") if path.with_suffix(".engine").exists()
        ]
        for sidecar in least_recently_used(whole, _MOST_ENGINES):
            engine, _ = self._paths(sidecar.stem)
            _log.info("%s is removed: %d others were used since", engine, _MOST_ENGINES)
            for path in (engine, sidecar):
                path.unlink(missing_ok=True)

    @contextmanager
    def _locked(self, key: str, what: str, watch: BuildWatch, timeout_s: float) -> Iterator[None]:
        """Holds the key's lock, which the system frees when its holder ends, however it ends."""
        self.folder.mkdir(parents=True, exist_ok=True)
        end_s = time.monotonic() + timeout_s
        waiting = False
        with (self.folder / f"{key}.lock").open("w") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    watch.check(what)
                    if time.monotonic() > end_s:
                        raise BackendError(
                            f"another process holds {lock.name} for over {timeout_s:g} s"
                        ) from error
                    if not waiting:
                        waiting = True
                        _log.info("another process builds %s, waiting for it", what)
                    time.sleep(_POLL_S)
            yield
