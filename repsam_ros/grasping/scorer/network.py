"""The scorer's network in NumPy, so that a planner needs no PyTorch, and its weights on disk.

Three convolutions of 3 x 3 with stride 2 over the picture; what they give and the numbers go
through one hidden layer to the logit of success. :mod:`repsam_ros.trials.scorer.training` holds
the same network for training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repsam_ros.errors import CheckpointError, ConfigError
from repsam_ros.grasping.scorer.crops import CHANNELS, COLUMNS, NUMBERS, ROWS, Crops
from repsam_ros.model_files import listed_files, verified_file
from repsam_ros.paths import file_sha256
from repsam_ros.tensor_files import opened_tensors

CONVOLUTIONS = ("conv1", "conv2", "conv3")
# Of what crops hold; weights for others are refused.
FORMAT = f"grasp-scorer-{ROWS}x{COLUMNS}x{CHANNELS}-{NUMBERS}"


class GraspScorer:
    """Probabilities of success of the crops of grasps.

    Args:
        weights: By name: ``conv1.weight`` (O, C, 3, 3), ``conv1.bias`` (O,) and so on to
            ``conv3``, ``hidden.weight`` (H, F), ``hidden.bias``, ``logit.weight`` (1, H) and
            ``logit.bias``; F is the last convolution's (rows, columns, channels) and the numbers.

    Raises:
        CheckpointError: The shapes do not belong together.
    """

    def __init__(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        _check_shapes(weights)
        self._weights = dict(weights)
        self._kernels = {
            # (3 * 3 * C, O): rows in the order of the windows.
            name: weights[f"{name}.weight"].transpose(2, 3, 1, 0).reshape(-1, _out(weights, name))
            for name in CONVOLUTIONS
        }

    def __call__(self, crops: Crops) -> NDArray[np.float64]:
        """(G,) probabilities, to four decimals: what lies beyond depends on the machine."""
        weights = self._weights
        values = crops.pictures.astype(np.float32) / np.float32(255)
        for name in CONVOLUTIONS:
            values = np.maximum(_windows(values) @ self._kernels[name] + weights[f"{name}.bias"], 0)
        features = np.concatenate((values.reshape(len(values), -1), crops.numbers), axis=1)
        hidden = features @ weights["hidden.weight"].T + weights["hidden.bias"]
        logits = np.maximum(hidden, 0) @ weights["logit.weight"][0] + weights["logit.bias"][0]
        chances: NDArray[np.float64] = 1 / (1 + np.exp(-logits.astype(np.float64)))
        return np.round(chances, 4)


def _windows(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(G, H, W, C) -> (G, H / 2, W / 2, 9 C): neighbourhoods, with zeros round the picture."""
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows, columns = values.shape[1], values.shape[2]
    parts = [
        padded[:, row : row + rows : 2, column : column + columns : 2]
        for row in range(3)
        for column in range(3)
    ]
    return np.concatenate(parts, axis=-1)


def _out(weights: Mapping[str, NDArray[np.float32]], name: str) -> int:
    return len(weights[f"{name}.weight"])


def _check_shapes(weights: Mapping[str, NDArray[np.float32]]) -> None:
    try:
        channels = CHANNELS
        wanted: dict[str, tuple[int, ...]] = {}
        for name in CONVOLUTIONS:
            out = _out(weights, name)
            wanted |= {f"{name}.weight": (out, channels, 3, 3), f"{name}.bias": (out,)}
            channels = out
        places = math.prod(-(-size // 2 ** len(CONVOLUTIONS)) for size in (ROWS, COLUMNS))
        hidden = _out(weights, "hidden")
        wanted |= {
            "hidden.weight": (hidden, places * channels + NUMBERS),
            "hidden.bias": (hidden,),
            "logit.weight": (1, hidden),
            "logit.bias": (1,),
        }
    except KeyError as error:
        raise CheckpointError(f"weights of a grasp scorer lack {error}") from error
    shapes = {name: value.shape for name, value in weights.items()}
    if shapes != wanted:
        raise CheckpointError(f"a grasp scorer has {wanted}, the weights have {shapes}")


def open_scorer(name_or_path: str) -> GraspScorer:
    """The scorer of this name in models/manifest.yaml, or of a safetensors file.

    Raises:
        CheckpointError: The file is missing, broken, not what the manifest says, or holds other
            numbers than float32 or weights for other crops.
        ConfigError: No such name and no such file.
    """
    path, _ = find_scorer(name_or_path)
    with opened_tensors(path, "np") as stream:
        crops = (stream.metadata() or {}).get("format")
        if crops != FORMAT:
            raise CheckpointError(f"{path} is for {crops}, this version makes {FORMAT}")
        names = list(stream.keys())
        kinds = {stream.get_slice(name).get_dtype() for name in names}
        if others := sorted(kinds - {"F32"}):
            raise CheckpointError(f"{path}: a grasp scorer is in F32, not {', '.join(others)}")
        return GraspScorer({name: stream.get_tensor(name) for name in names})


def find_scorer(name_or_path: str) -> tuple[Path, str]:
    """File of a scorer and its SHA-256, by its name in models/manifest.yaml or by path.

    Raises:
        CheckpointError: The file is missing or not what the manifest says.
        ConfigError: No such name and no such file.
    """
    known = listed_files("grasp_scorers")
    if name_or_path not in known:
        path = Path(name_or_path)
        if not path.is_file():
            names = ", ".join(known)
            raise ConfigError(f"{name_or_path}: no such file, and no grasp scorer ({names})")
        return path, file_sha256(path)
    return verified_file(known[name_or_path])
