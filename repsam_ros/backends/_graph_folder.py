"""The only reader of a folder of graphs, as ``repsam export`` writes it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from repsam_ros.backends import BackendConfig
from repsam_ros.errors import BackendError, CheckpointError, ConfigError
from repsam_ros.model_files import listed_files
from repsam_ros.paths import cache_dir, file_sha256, least_recently_used

_log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
FORMAT = 1
GRAPHS = ("encoder", "decoder")
# What the graphs of weights follow from: the code that makes networks and puts adapters onto them,
# that which writes graphs, and the packages below both.
_SOURCES = ("network", "methods", "export")
_PACKAGES = (
    "onnx",
    "onnx-ir",
    "onnxscript",
    "peft",
    "segment-anything",
    "timm",
    "torch",
    "torchvision",
    "transformers",
)
# Tens of megabytes for the compact model, over a gigabyte for large backbones; each revision of the
# code has graphs of its own.
MOST_CACHED = 6


@dataclass(frozen=True)
class GraphModel:
    """Whose graphs these are.

    Attributes:
        name: Of the model.
        sha256: Of its weights' file.
    """

    name: str
    sha256: str


class GraphFolder:
    """Graphs of one model in one or more precisions.

    Attributes:
        path: The folder.
        manifest: What ``manifest.json`` holds.
        model: Whose graphs.
        canvas_px: (height, width) of the image that the encoder sees.
        precisions: That there are graphs in.
        state: Names of the tensors that go from the encoder to the decoder.
        engines: What the manifest says of engines built ahead of time.
    """

    def __init__(self, path: Path) -> None:
        """Reads the manifest.

        Raises:
            CheckpointError: There is none, or not one that this version reads.
        """
        self.path = path
        try:
            self.manifest: dict[str, Any] = json.loads((path / MANIFEST).read_text())
        except OSError as error:
            raise CheckpointError(
                f"{path} is no folder of graphs: {MANIFEST}: {error.strerror}"
            ) from error
        except ValueError as error:
            raise CheckpointError(f"{path / MANIFEST}: not JSON: {error}") from error
        if not isinstance(self.manifest, dict) or self.manifest.get("format") != FORMAT:
            raise CheckpointError(f"{path / MANIFEST}: not of format {FORMAT}")
        try:
            model = self.manifest["model"]
            self.model = GraphModel(str(model["name"]), str(model["sha256"]))
            height, width = model["canvas_px"]
            self.canvas_px = (int(height), int(width))
            self.precisions = tuple(self.manifest["graphs"])
            self.state = tuple(self.manifest["state"])
            self.engines: list[dict[str, Any]] = list(self.manifest.get("engines", []))
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path / MANIFEST}: lacks an entry: {error}") from error

    def require(self, precision: str) -> None:
        """Raises a BackendError where there are no graphs in this precision."""
        if precision not in self.precisions:
            have = ", ".join(self.precisions)
            raise BackendError(f"{self.path} has no graphs in {precision}, it has {have}")

    def graph(self, precision: str, graph: str) -> Path:
        """The file of the ``encoder`` or the ``decoder``; its bytes are those of the manifest.

        Raises:
            BackendError: There are no graphs in this precision.
            CheckpointError: The file is missing or another one.
        """
        self.require(precision)
        entry = self.manifest["graphs"][precision][graph]
        for name, wanted in {entry["file"]: entry["sha256"], **entry["data"]}.items():
            path = self.path / name
            if not path.is_file():
                raise CheckpointError(f"{path} is missing")
            if (digest := file_sha256(path)) != wanted:
                raise CheckpointError(f"{path}: sha256 is {digest}, the manifest says {wanted}")
        return self.path / str(entry["file"])

    def outputs(self, graph: str) -> tuple[str, ...]:
        """Names of what the ``encoder`` or the ``decoder`` gives."""
        return ("heatmap", *self.state) if graph == "encoder" else ("mask_logits", "predicted_iou")


def open_graphs(config: BackendConfig) -> GraphFolder:
    """The graphs that ``config.model`` names; those of weights are exported once, to the cache.

    Raises:
        BackendError: They have to be exported, and what that takes is not installed.
        CheckpointError: The folder or the weights are missing or broken.
        ConfigError: No such model.
    """
    path = Path(config.model)
    if path.is_dir():
        return GraphFolder(path)
    folder = cache_folder(config.model)
    if not (folder / MANIFEST).is_file():
        try:
            _export_once(config, folder)
        except OSError as error:
            reason = error.strerror or error
            raise BackendError(f"{folder} for graphs cannot be written: {reason}") from error
        remove_unused(folder.parent)
    with suppress(OSError):  # a cache that is only read keeps no order of use
        os.utime(folder / MANIFEST)
    return GraphFolder(folder)


def remove_unused(cache: Path, most: int = MOST_CACHED) -> None:
    """Removes the folders of graphs that were not used for longest.

    Args:
        cache: The folder that they are in.
        most: How many stay.
    """
    for manifest in least_recently_used(cache.glob(f"*/{MANIFEST}"), most):
        _log.info("%s is removed: %d others were used since", manifest.parent, most)
        manifest.unlink(missing_ok=True)  # first, so that no one opens half a folder
        shutil.rmtree(manifest.parent, ignore_errors=True)


def cache_folder(model: str) -> Path:
    """Where the graphs of weights are kept: other code or packages have another folder."""
    package = Path(__file__).parents[1]
    sources = sorted(path for part in _SOURCES for path in (package / part).rglob("*.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources))
    for name in _PACKAGES:
        try:
            digest.update(f"{name} {metadata.version(name)} ".encode())
        except metadata.PackageNotFoundError:
            continue
    return cache_dir() / "graphs" / f"{model_sha256(model)[:32]}-{digest.hexdigest()[:16]}"


def _export_once(config: BackendConfig, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        # Held by another process while it exports; the system frees it however that ends.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / MANIFEST).is_file():
            _export(config, folder)


def _export(config: BackendConfig, folder: Path) -> None:
    try:
        from repsam_ros.export.export import ExportConfig, export_model
    except ImportError as error:
        raise BackendError(
            f"the graphs of {config.model} have to be exported, which needs {error.name}: run "
            "'repsam export' on a machine that has it and give its folder as the model"
        ) from error
    _log.info("exporting the graphs of %s to %s, once", config.model, folder)
    export_model(ExportConfig(model=config.model), folder)


def model_sha256(model: str) -> str:
    """Of a model's weights, by name or file, or of a folder of graphs.

    Raises:
        CheckpointError: The folder has no manifest.
        ConfigError: No such model.
    """
    models = listed_files()
    path = Path(model)
    if path.is_dir():
        return GraphFolder(path).model.sha256
    if model in models:
        return str(models[model]["sha256"])
    if not path.is_file():
        known = ", ".join(models)
        raise ConfigError(f"{model}: no such file or folder, and no model of that name ({known})")
    return file_sha256(path)
