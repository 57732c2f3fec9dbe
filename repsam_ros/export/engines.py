"""TensorRT engines ahead of time, for GPUs that this machine need not have."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from repsam_ros.backends._engine_build import EngineError, EngineRequest, build_engine
from repsam_ros.backends._engine_cache import built_for
from repsam_ros.backends._graph_folder import GRAPHS, MANIFEST, GraphFolder
from repsam_ros.backends._tensorrt_api import TensorRt, load_tensorrt, target_names
from repsam_ros.backends.tensorrt import prompt_profiles
from repsam_ros.errors import BackendError, ConfigError
from repsam_ros.paths import atomic_path, file_sha256, write_text
from repsam_ros.progress import track

_log = logging.getLogger(__name__)


def check_targets(targets: Sequence[str]) -> TensorRt:
    """The TensorRT that builds for these compute capabilities, ``SM86`` ...

    Raises:
        BackendError: None is installed that builds for GPUs which are not there.
        ConfigError: No target, or one that it does not know.
    """
    trt = load_tensorrt(for_targets=True)
    known = target_names(trt)
    if unknown := [target for target in targets if target not in known]:
        raise ConfigError(
            f"{trt.__name__} {trt.__version__} cannot build for {unknown[0]!r}; "
            f"it can for {', '.join(known)}"
        )
    if not targets:
        raise ConfigError(f"no target given; there are {', '.join(known)}")
    return trt


def write_engines(path: Path, targets: Sequence[str]) -> list[dict[str, Any]]:
    """Builds an engine of every graph in a folder for every target, and lists them in its manifest.

    They are compiled, not run: the backend checks them on the machine that has the GPU. Since
    nobody can before, a warning of the compiler is an error here.

    Returns:
        What the manifest says of each.

    Raises:
        BackendError: A graph does not compile, or not without warnings; nothing is written then.
        ConfigError: See :func:`check_targets`.
        CheckpointError: The folder is not one of graphs.
    """
    trt, folder = check_targets(targets), GraphFolder(path)
    wanted = [
        (precision, graph, target)
        for target in targets
        for precision in folder.precisions
        for graph in GRAPHS
    ]
    entries: list[dict[str, Any]] = []
    files = [path / f"{g}.{p}.{t.lower()}.engine" for p, g, t in wanted]
    try:
        for (precision, graph, target), file in zip(
            track(wanted, len(wanted), "engines"), files, strict=True
        ):
            onnx = folder.graph(precision, graph)
            profiles = prompt_profiles(graph, folder.canvas_px)
            request = EngineRequest(onnx, trt.__name__, profiles, target)
            entry = {"graph": graph, "precision": precision, "target": target}
            entries.append(entry | _write_engine(request, trt, file))
    except BackendError:
        for file in files:
            file.unlink(missing_ok=True)
        raise
    content = {**folder.manifest, "engines": entries}
    write_text(path / MANIFEST, json.dumps(content, indent=1) + "\n")
    return entries


def _write_engine(request: EngineRequest, trt: TensorRt, file: Path) -> dict[str, Any]:
    _log.info("compiling %s for %s", request.onnx.name, request.target)
    with atomic_path(file) as temporary:
        report = build_engine(request, temporary)
        if report.warnings:
            raise EngineError(
                f"{request.onnx.name} compiles for {request.target} with "
                f"{len(report.warnings)} warnings, the first is: {report.warnings[0]}"
            )
    return {
        "file": file.name,
        "sha256": file_sha256(file),
        "bytes": file.stat().st_size,
        "seconds": report.seconds,
        "module": request.module,
        "version": report.version,
        "warnings": len(report.warnings),
        "activation_bytes": report.activation_bytes,
        "built_for": built_for(request, trt.__version__, {}),
    }
