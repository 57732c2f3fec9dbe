"""The fastest backend of this machine that computes what the reference computes."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import statistics
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from repsam_ros import __version__
from repsam_ros.backends import Backend, BackendConfig, backend_names, open_backend
from repsam_ros.backends._check import check_backend, fixed_scene
from repsam_ros.backends._graph_folder import model_sha256
from repsam_ros.errors import BackendError, RepsamError
from repsam_ros.paths import cache_dir, write_text

_log = logging.getLogger(__name__)

# Distributions whose version may change which backend is the fastest.
_PACKAGES = ("onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt", "tensorrt-rtx-cu13", "torch")
_REFERENCES = ("torch", "onnxruntime")
_WARM_FRAMES, _TIMED_FRAMES = 2, 5


def build(config: BackendConfig) -> Backend:
    """Opens what was the fastest last time, or finds out.

    The choice is kept in the cache, for this machine, these versions and this model.

    Raises:
        BackendError: None can be opened and passes its check.
    """
    remembered = _memory(config)
    if (name := _read(remembered)) is not None:
        try:
            backend = open_backend(replace(config, name=name))
        except RepsamError as error:
            _log.warning("auto: %s was the fastest here, but: %s", name, error)
        else:
            _log.info("auto: %s, as found before (%s)", name, remembered)
            return backend
    backend = _fastest(config)
    try:
        write_text(remembered, json.dumps({"backend": backend.info().name}) + "\n")
    except OSError as error:
        reason = error.strerror or error
        _log.warning("auto: looked for anew at each start, %s: %s", remembered, reason)
    return backend


def _fastest(config: BackendConfig) -> Backend:
    times_s: dict[str, float] = {}
    problems: dict[str, str] = {}
    with closing(_reference(config)) as reference:
        for name in backend_names():
            if name == __name__.rpartition(".")[2]:
                continue
            try:
                times_s[name] = _checked_frame_s(replace(config, name=name), reference)
            except RepsamError as error:
                problems[name] = str(error)
    order = sorted(times_s, key=lambda name: times_s[name])
    found = ", ".join(f"{name} {1e3 * times_s[name]:.0f} ms" for name in order)
    for name in order:
        try:
            backend = open_backend(replace(config, name=name))
        except RepsamError as error:
            problems[name] = str(error)
            continue
        unused = f"; not {_listed(problems)}" if problems else ""
        _log.info("auto: %s is the fastest: %s a frame%s", name, found, unused)
        return backend
    raise BackendError(f"no backend works here: {_listed(problems)}")


def _checked_frame_s(config: BackendConfig, reference: Backend) -> float:
    """Time of a frame; the backend is closed again, so that one at a time takes memory.

    Raises:
        RepsamError: It cannot be opened, fails, or computes something else than the reference.
    """
    with closing(open_backend(config)) as backend:
        report = check_backend(backend, reference)
        if not report.passed:
            raise BackendError(str(report))
        return _frame_s(backend)


def _reference(config: BackendConfig) -> Backend:
    """PyTorch in float32 on the CPU, else the graphs that were held against it on export."""
    problems: dict[str, str] = {}
    for name in _REFERENCES:
        wanted = replace(config, name=name, device="cpu", precision="fp32", compile=False)
        try:
            return open_backend(wanted)
        except RepsamError as error:
            problems[name] = str(error)
    raise BackendError(f"no backend works here: {_listed(problems)}")


def _frame_s(backend: Backend) -> float:
    """Median time of one image with a handful of prompts."""
    scene = fixed_scene(backend.canvas_px)
    times_s = []
    for _ in range(_WARM_FRAMES + _TIMED_FRAMES):
        start_s = time.perf_counter()
        encoded = backend.encode(scene.color, scene.depth_m, scene.intrinsics)
        backend.decode(encoded, scene.points_px)
        times_s.append(time.perf_counter() - start_s)
    return statistics.median(times_s[_WARM_FRAMES:])


def _memory(config: BackendConfig) -> Path:
    """The file that keeps the choice."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = ""
    machine = [platform.node(), platform.machine(), platform.processor(), os.cpu_count()]
    subject = [__version__, machine, versions, model_sha256(config.model), vars(config)]
    digest = hashlib.sha256(json.dumps(subject, sort_keys=True).encode()).hexdigest()
    return cache_dir() / "backends" / f"{digest[:32]}.json"


def _read(path: Path) -> str | None:
    try:
        name = json.loads(path.read_text())["backend"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("auto: %s cannot be read: %s", path, error)
        return None
    return name if name in backend_names() else None


def _listed(problems: Mapping[str, str]) -> str:
    """In one line; what run-times say may have several."""
    return "; ".join(f"{name}: {' '.join(what.split())}" for name, what in problems.items())
