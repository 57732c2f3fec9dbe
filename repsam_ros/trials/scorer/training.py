"""The scorer's network in PyTorch, fitted to how executed grasps ended."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from repsam_ros.config import to_plain, write_yaml
from repsam_ros.errors import DatasetError
from repsam_ros.grasping.gripper import Gripper
from repsam_ros.grasping.scorer.crops import CHANNELS, COLUMNS, NUMBERS, ROWS, Cropper
from repsam_ros.grasping.scorer.network import CONVOLUTIONS, FORMAT
from repsam_ros.paths import atomic_path, file_sha256, write_text
from repsam_ros.progress import track
from repsam_ros.simulation.workers import one_thread
from repsam_ros.trials.rows import write_rows
from repsam_ros.trials.scorer.card import make_card
from repsam_ros.trials.scorer.collection import CLOUDS, check_examples, example_files
from repsam_ros.trials.scorer.examples import load_examples
from repsam_ros.trials.scorer.measures import Measures, measure
from repsam_ros.trials.scorer.settings import ScorerConfig, TrainingSettings

logger = logging.getLogger(__name__)

WEIGHTS, CARD = "grasp_scorer.safetensors", "grasp_scorer.md"
_WARM_SHARE = 0.05
# Share of the filled cells that an example loses while it is learned from.
_LOST = 0.1


@dataclass(frozen=True)
class EpochRow:
    """Mean losses of an epoch, cross-entropy in nats.

    Attributes:
        epoch: From 1.
        loss: While it was learned from.
        validation_loss: After the epoch.
    """

    epoch: int
    loss: float
    validation_loss: float


@dataclass(frozen=True)
class Examples:
    """N crops with what came of the grasps.

    Attributes:
        pictures: (N, CHANNELS, ROWS, COLUMNS) uint8.
        numbers: (N, NUMBERS) float32.
        succeeded: (N,) float32, 0 or 1.
        cloud: (N,) int64, row of the cloud in its scene.
        glass: (N,) bool.
        scene: (N,) int64, number of the scene.
    """

    pictures: Tensor
    numbers: Tensor
    succeeded: Tensor
    cloud: NDArray[np.int64]
    glass: NDArray[np.bool_]
    scene: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.succeeded)

    def take(self, keep: NDArray[np.bool_]) -> Examples:
        rows = torch.from_numpy(np.flatnonzero(keep))
        return Examples(
            self.pictures[rows],
            self.numbers[rows],
            self.succeeded[rows],
            self.cloud[keep],
            self.glass[keep],
            self.scene[keep],
        )


class ScorerNetwork(nn.Module):
    """The network of :class:`repsam_ros.grasping.scorer.network.GraspScorer`, to be trained."""

    def __init__(self, settings: TrainingSettings) -> None:
        super().__init__()
        sizes = (CHANNELS, *settings.channels)
        for name, inside, outside in zip(CONVOLUTIONS, sizes, sizes[1:], strict=False):
            self.add_module(name, nn.Conv2d(inside, outside, 3, stride=2, padding=1))
        places = -(-ROWS // 8) * -(-COLUMNS // 8)
        self.hidden = nn.Linear(places * sizes[-1] + NUMBERS, settings.hidden)
        self.dropout = nn.Dropout(settings.dropout)
        self.logit = nn.Linear(settings.hidden, 1)

    def forward(self, pictures: Tensor, numbers: Tensor) -> Tensor:
        """(N,) logits of (N, CHANNELS, ROWS, COLUMNS) pictures from 0 to 1 and their numbers."""
        values = pictures
        for name in CONVOLUTIONS:
            values = torch.relu(self.get_submodule(name)(values))
        features = torch.cat((values.permute(0, 2, 3, 1).flatten(1), numbers), dim=1)
        hidden = self.dropout(torch.relu(self.hidden(features)))
        logits: Tensor = self.logit(hidden)[:, 0]
        return logits


def read_examples(files: Sequence[Path], gripper: Gripper) -> Examples:
    """Crops of all grasps in all clouds that show their object.

    Raises:
        DatasetError: A file is broken, or there is no example.
    """
    parts: list[tuple[Any, ...]] = []
    for number, path in enumerate(track(files, len(files), "crops")):
        scene = load_examples(path)
        for place, cloud in enumerate(scene.clouds):
            crop = Cropper(cloud, gripper)
            rows, grasps = scene.shown(place)
            for instance in np.unique(scene.instances[place, rows]):
                mine = np.flatnonzero(scene.instances[place, rows] == instance)
                crops = crop([grasps[index] for index in mine])
                ended = scene.succeeded[rows[mine]], scene.glass[rows[mine]]
                parts.append((crops, *ended, place, number))
    if not parts:
        raise DatasetError("there are no examples; repsam scorer collect makes them")
    pictures = np.concatenate([crops.pictures for crops, *_ in parts]).transpose(0, 3, 1, 2)
    counts = [len(succeeded) for _, succeeded, *_ in parts]
    return Examples(
        torch.from_numpy(np.ascontiguousarray(pictures)),
        torch.from_numpy(np.concatenate([crops.numbers for crops, *_ in parts])),
        torch.from_numpy(np.concatenate([each[1] for each in parts]).astype(np.float32)),
        np.repeat([each[3] for each in parts], counts).astype(np.int64),
        np.concatenate([each[2] for each in parts]),
        np.repeat([each[4] for each in parts], counts).astype(np.int64),
    )


def train_scorer(config: ScorerConfig, out: Path) -> str:
    """Trains on the examples that ``out`` holds; writes weights, log and validation.

    Returns:
        The model card.

    Raises:
        ConfigError: The examples are of another configuration or of other weights.
        DatasetError: There are too few examples.
    """
    check_examples(config, out)
    files = [path for path in example_files(config, out) if path.is_file()]
    examples = read_examples(files, config.execution.hand.shape)
    kept = np.array([_validates(config, path) for path in files])[examples.scene]
    learned, validation = examples.take(~kept), examples.take(kept)
    if not len(learned) or not len(validation):
        raise DatasetError(f"{out}: too few scenes to learn from and to validate on")
    logger.info("%d examples to learn from, %d to validate on", len(learned), len(validation))
    with one_thread():
        network, log = fit(learned, validation, config.training)
        measured = _measured(predict(network, validation), validation)
    save_scorer(out / WEIGHTS, network)
    about = {
        "sha256": file_sha256(out / WEIGHTS),
        "parameters": sum(value.numel() for value in network.parameters()),
        "scenes": {"learned": _scenes(learned), "validation": _scenes(validation)},
        "examples": {"learned": len(learned), "validation": len(validation)},
        "measured": measured,
    }
    write_rows(out / "training.csv", log, EpochRow)
    write_text(out / "validation.json", json.dumps(about, indent=1) + "\n")
    write_yaml(out / "config.yaml", to_plain(config))
    card = make_card(config, about)
    write_text(out / CARD, card)
    return card


def fit(
    learned: Examples, validation: Examples, settings: TrainingSettings
) -> tuple[ScorerNetwork, list[EpochRow]]:
    """The trained network, and losses of each epoch; equal input gives equal output."""
    torch.manual_seed(settings.seed)
    rng = torch.Generator().manual_seed(settings.seed)
    network = ScorerNetwork(settings)
    steps = settings.epochs * -(-len(learned) // settings.batch)
    optimizer = torch.optim.AdamW(
        network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=steps, pct_start=_WARM_SHARE
    )
    log = []
    for epoch in track(range(settings.epochs), settings.epochs, "epochs"):
        network.train()
        total = 0.0
        for rows in torch.randperm(len(learned), generator=rng).split(settings.batch):
            pictures = learned.pictures[rows].float() / 255
            pictures *= torch.rand(pictures.shape, generator=rng) >= _LOST
            logits = network(pictures, learned.numbers[rows])
            loss = nn.functional.binary_cross_entropy_with_logits(logits, learned.succeeded[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(rows)
        known = torch.from_numpy(predict(network, validation)).float().clamp(1e-6, 1 - 1e-6)
        checked = nn.functional.binary_cross_entropy(known, validation.succeeded)
        log.append(EpochRow(epoch + 1, total / len(learned), float(checked)))
    return network, log


def predict(network: ScorerNetwork, examples: Examples) -> NDArray[np.float64]:
    """(N,) probabilities of success."""
    network.eval()
    with torch.no_grad():
        parts = [
            torch.sigmoid(network(pictures.float() / 255, numbers))
            for pictures, numbers in zip(
                examples.pictures.split(512), examples.numbers.split(512), strict=True
            )
        ]
    return torch.cat(parts).numpy().astype(np.float64)


def save_scorer(path: Path, network: ScorerNetwork) -> None:
    """Writes what :func:`repsam_ros.grasping.scorer.network.open_scorer` reads."""
    tensors = {name: value.detach().contiguous() for name, value in network.state_dict().items()}
    # One entry alone: safetensors writes several in any order, and equal weights are equal bytes.
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {"format": FORMAT})


def _measured(probabilities: NDArray[np.float64], examples: Examples) -> dict[str, Measures]:
    """Figures by the kind of cloud and the object's material."""
    succeeded = examples.succeeded.numpy() > 0.5
    parts = {"all": np.ones(len(examples), bool)}
    parts |= {name: examples.cloud == place for place, name in enumerate(CLOUDS)}
    parts |= {"opaque object": ~examples.glass, "glass object": examples.glass}
    return {
        name: measure(probabilities[part], succeeded[part])
        for name, part in parts.items()
        if part.any()
    }


def _scenes(examples: Examples) -> int:
    return len(np.unique(examples.scene))


def _validates(config: ScorerConfig, path: Path) -> bool:
    """Whether a scene is kept for validation."""
    stratum, _, seed = path.stem.rpartition("-")
    place = int(seed) - config.strata[stratum].first_seed
    return place % config.training.validation_every == config.training.validation_every - 1
