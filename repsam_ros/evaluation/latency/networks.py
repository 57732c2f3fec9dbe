"""Networks and backends of one model, from weights as well as from a folder of graphs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from repsam_ros.backends import Backend, BackendConfig, open_backend
from repsam_ros.backends._graph_folder import GraphFolder
from repsam_ros.config import build_config
from repsam_ros.errors import CheckpointError

if TYPE_CHECKING:
    from repsam_ros.network.build import RepSam
    from repsam_ros.network.weights import ModelFile


def open_any(config: BackendConfig) -> Backend:
    """Opens a backend; PyTorch takes a folder of graphs too, through what it was exported from.

    Raises:
        BackendError, CheckpointError, ConfigError: See :func:`repsam_ros.backends.open_backend`.
    """
    if config.name != "torch" or not Path(config.model).is_dir():
        return open_backend(config)
    from repsam_ros.backends.torch import build

    return build(config, network_of)


def network_of(model: str) -> tuple[RepSam, ModelFile]:
    """The network behind a model's name, weights, or graphs.

    Raises:
        CheckpointError: The graphs are of weights that are not there any more.
    """
    from repsam_ros.export.export import ExportConfig, load_exported
    from repsam_ros.methods import load_model

    path = Path(model)
    if not path.is_dir():
        return load_model(model)
    folder = GraphFolder(path)
    command = build_config(ExportConfig, folder.manifest["command"], str(path))
    network, found = load_exported(command)
    if found.sha256 != folder.model.sha256:
        raise CheckpointError(f"{path}: its graphs are of other weights than {found.name} has now")
    return network, found
