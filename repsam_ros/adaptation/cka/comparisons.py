"""What is compared: twins of one scene, unpaired data sets, or two networks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from repsam_ros.adaptation.cka.configuration import SOURCE_TWIN, CkaConfig
from repsam_ros.adaptation.cka.estimator import ratio
from repsam_ros.adaptation.cka.pictures import ScenePictures, open_pictures
from repsam_ros.adaptation.cka.recorder import BlockRecorder, Rows, random_tokens
from repsam_ros.adaptation.cka.report import ROWS, CkaReport, LayerValues, layer_values
from repsam_ros.adaptation.cka.sums import (
    MIN_SCENES,
    PairedSums,
    UnpairedSums,
    cka_of,
    covariance_alignment_of_halves,
)
from repsam_ros.adaptation.loader import made_in_order
from repsam_ros.config import to_plain
from repsam_ros.errors import ConfigError
from repsam_ros.methods import load_model
from repsam_ros.network.build import NetworkConfig, RepSam, build_network
from repsam_ros.network.sam import PATCH_PX
from repsam_ros.network.weights import ModelFile, load_weights
from repsam_ros.progress import track

_AHEAD = 2
_CKA, _ALIGNMENT = "debiased linear CKA", "feature-covariance alignment"
_INDEPENDENT = "scenes of the two sets of features are independent"
_ONE_COVARIANCE = "source and target features have one covariance"
# Features of one set of pictures: (L, S, k, D) by row definition.
Features = dict[str, Tensor]
Values = dict[str, LayerValues]
# The pictures of one scene, as :class:`ScenePictures` makes them.
Views = dict[str, Tensor]


@dataclass
class _Clock:
    """Where the time goes."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, what: str, since_s: float) -> None:
        self.seconds[what] = self.seconds.get(what, 0.0) + time.perf_counter() - since_s


class _Encoder:
    """One network whose blocks are recorded."""

    def __init__(self, network: RepSam, config: CkaConfig, clock: _Clock, stack: ExitStack) -> None:
        self._network, self._config, self._clock = network, config, clock
        self._device = next(network.parameters()).device
        height, width = network.spec.canvas_px
        recorder = BlockRecorder(
            network.image_encoder.blocks, (height // PATCH_PX, width // PATCH_PX)
        )
        self._recorder = stack.enter_context(recorder)

    def rows(self, pictures: Views, number: int) -> Rows:
        """Rows of the pictures of scene ``number``; the same tokens of each."""
        color = pictures["color"].to(self._device).permute(0, 3, 1, 2).float()
        depth_m = pictures["depth_m"].to(self._device)
        if not self._config.depth:
            depth_m = torch.zeros_like(depth_m)
        intrinsics = pictures["intrinsics"].to(self._device)
        # A token that sees any padding is left out.
        grids = torch.clamp(pictures["inner_px"] // PATCH_PX, min=1).tolist()
        inner = [(rows, columns) for rows, columns in grids]
        seed = (self._config.seed, number)
        chosen = [random_tokens(seed, size, self._config.tokens) for size in inner]
        start_s = time.perf_counter()
        rows = self._recorder.record(
            lambda: self._network.encode(color, depth_m, intrinsics), inner, chosen
        )
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self._clock.add("forward", start_s)
        return rows


class _Controls:
    """What is known beforehand, measured on the source with the same code."""

    def __init__(self, comparison: str) -> None:
        self._sums: dict[tuple[str, str], Tensor] = {}
        self._is_covariance = comparison == "covariance"
        self.expected = {
            "identical": "1",
            "split_halves": "1" if self._is_covariance else "0: unpaired halves of one set",
            "permuted_rows": "0",
        }

    def add(self, source: Features, again: Features | None) -> None:
        """Adds a batch; ``again`` are its first pictures, encoded once more."""
        for rows, x in source.items():
            half = x.shape[1] // 2
            found = {"permuted_rows": cka_of(x, x.roll(1, 1))}
            if self._is_covariance:
                found["split_halves"] = covariance_alignment_of_halves(x)
            else:
                found["split_halves"] = cka_of(x[:, :half], x[:, half : 2 * half])
            if again is not None:
                found["identical"] = cka_of(x[:, :MIN_SCENES], again[rows])
            for name, sums in found.items():
                self._sums[name, rows] = self._sums.get((name, rows), 0) + sums

    def values(self) -> dict[str, dict[str, list[float]]]:
        """By control and row definition."""
        return {
            name: {rows: ratio(*self._sums[name, rows]).cpu().tolist() for rows in ROWS}
            for name in self.expected
        }


def compare(config: CkaConfig, device: torch.device) -> CkaReport:
    """Runs one comparison.

    Raises:
        CheckpointError: A model cannot be loaded.
        ConfigError: Too few scenes.
        DatasetError: A data set cannot be read.
    """
    network, model = _load(config.model, config.backbone)
    other = None
    if config.finetuned_model is not None:
        other, other_model = _load(config.finetuned_model, config.backbone)
        if other.spec != network.spec:
            raise ConfigError("finetuned_model has another backbone than model")
    clock, controls = _Clock(), _Controls(config.comparison)
    with ExitStack() as stack:
        encoder = _Encoder(network.to(device), config, clock, stack)
        if config.comparison == "paired":
            batches = _paired(encoder, config, network.spec.canvas_px, clock)
        elif other is None:
            batches = _unpaired(encoder, config, network.spec.canvas_px, clock)
        else:
            second = _Encoder(other.to(device), config, clock, stack)
            batches = _finetuned((encoder, second), config, network.spec.canvas_px, clock)
        rows, factors = _measured(config, batches, controls, clock)
    return CkaReport(
        comparison=config.comparison,
        measure=_ALIGNMENT if config.comparison == "covariance" else _CKA,
        p_of=_ONE_COVARIANCE if config.comparison == "covariance" else _INDEPENDENT,
        rows=rows,
        factors=factors,
        controls=controls.values(),
        expected=controls.expected,
        model=model.name,
        model_sha256=model.sha256,
        finetuned_sha256=None if other is None else other_model.sha256,
        config=to_plain(config),
        seconds={name: round(value, 3) for name, value in clock.seconds.items()},
    )


def _load(name: str, backbone: str | None) -> tuple[RepSam, ModelFile]:
    if backbone is None:
        return load_model(name)
    network = build_network(NetworkConfig(backbone))
    return network, load_weights(network, name)


@dataclass(frozen=True)
class _Batch:
    """Features of one batch of scenes.

    Attributes:
        first: That the others are compared with.
        others: By name.
        source: That the controls are taken on.
        again: The first of the source encoded once more, in one batch.
    """

    first: Features
    others: dict[str, Features]
    source: Features
    again: Features | None


def _measured(
    config: CkaConfig, batches: Iterator[_Batch], controls: _Controls, clock: _Clock
) -> tuple[Values, dict[str, Values]]:
    """The comparison itself, and that of each factor."""
    is_covariance = config.comparison == "covariance"
    paired = {rows: PairedSums(config.seed, config.resamples) for rows in ROWS}
    unpaired = {rows: UnpairedSums(config.seed, config.resamples) for rows in ROWS}
    scenes, counts = 0, dict.fromkeys(ROWS, 0)
    for batch in batches:
        start_s = time.perf_counter()
        controls.add(batch.source, batch.again)
        scenes += batch.first[ROWS[0]].shape[1]
        for rows, x in batch.first.items():
            counts[rows] = x.shape[2]
            if is_covariance:
                unpaired[rows].add(x, batch.others["target"][rows])
            else:
                paired[rows].add(x, {name: one[rows] for name, one in batch.others.items()})
        clock.add("statistics", start_s)
    by_name: dict[str, Values] = {}
    for rows in ROWS:
        n = scenes * counts[rows]
        found = (
            {"target": unpaired[rows].estimates()} if is_covariance else paired[rows].estimates()
        )
        for name, estimates in found.items():
            by_name.setdefault(name, {})[rows] = layer_values(estimates, n, scenes)
    if config.comparison == "paired":
        return by_name[SOURCE_TWIN], by_name
    (values,) = by_name.values()
    return values, {}


def _paired(
    encoder: _Encoder, config: CkaConfig, canvas_px: tuple[int, int], clock: _Clock
) -> Iterator[_Batch]:
    maker = open_pictures(config.target, canvas_px, config.scenes, config.seed, config.factors)
    names = ["robot", *config.factors]
    for batch in _batches([maker], config, clock):
        rows = [(number, encoder.rows(views, number)) for number, (views,) in batch]
        streams = {
            name: _stacked([_view(one, k) for _, one in rows]) for k, name in enumerate(names)
        }
        k = names.index(SOURCE_TWIN)
        sources = [(n, {key: v[k : k + 1] for key, v in views.items()}) for n, (views,) in batch]
        again = _again(encoder, sources)
        yield _Batch(streams.pop("robot"), streams, streams[SOURCE_TWIN], again)


def _unpaired(
    encoder: _Encoder, config: CkaConfig, canvas_px: tuple[int, int], clock: _Clock
) -> Iterator[_Batch]:
    assert config.source is not None
    makers = [
        open_pictures(settings, canvas_px, config.scenes, config.seed)
        for settings in (config.source, config.target)
    ]
    for batch in _batches(makers, config, clock):
        sources = [(number, pair[0]) for number, pair in batch]
        source = _encoded(encoder, sources)
        target = _encoded(encoder, [(number, pair[1]) for number, pair in batch])
        if source["tokens"].shape != target["tokens"].shape:
            raise ConfigError("source and target must have as many images per scene")
        yield _Batch(source, {"target": target}, source, _again(encoder, sources))


def _finetuned(
    encoders: tuple[_Encoder, _Encoder],
    config: CkaConfig,
    canvas_px: tuple[int, int],
    clock: _Clock,
) -> Iterator[_Batch]:
    maker = open_pictures(config.target, canvas_px, config.scenes, config.seed)
    for batch in _batches([maker], config, clock):
        scenes = [(number, views) for number, (views,) in batch]
        before, after = (_encoded(encoder, scenes) for encoder in encoders)
        yield _Batch(before, {"finetuned": after}, before, _again(encoders[0], scenes))


def _batches(
    makers: list[ScenePictures], config: CkaConfig, clock: _Clock
) -> Iterator[list[tuple[int, tuple[Views, ...]]]]:
    """Number and pictures, by maker, of the scenes of each batch."""
    count = min(maker.scenes for maker in makers)
    if count < MIN_SCENES:
        raise ConfigError(f"{count} scenes; at least {MIN_SCENES} are needed")
    # As equal as can be: each batch counts alike.
    parts = np.array_split(np.arange(count), max(1, count // config.batch))
    with ExitStack() as stack:
        streams = [
            stack.enter_context(closing(made_in_order(maker, 0, config.workers, _AHEAD, False)))
            for maker in makers
        ]
        scenes = iter(track(enumerate(zip(*streams, strict=True)), count, "scenes"))
        for part in parts:
            start_s = time.perf_counter()
            batch = list(islice(scenes, len(part)))
            clock.add("pictures", start_s)
            yield batch


def _encoded(encoder: _Encoder, scenes: list[tuple[int, Views]]) -> Features:
    return _stacked([encoder.rows(views, number) for number, views in scenes])


def _again(encoder: _Encoder, scenes: list[tuple[int, Views]]) -> Features | None:
    """The very first scenes once more; more of them would only cost time."""
    return _encoded(encoder, scenes[:MIN_SCENES]) if scenes[0][0] == 0 else None


def _view(rows: Rows, view: int) -> Rows:
    return Rows(rows.image_mean[:, view : view + 1], rows.tokens[:, view : view + 1])


def _stacked(scenes: list[Rows]) -> Features:
    """All rows of a scene side by side."""
    means = torch.stack([one.image_mean for one in scenes], 1)
    tokens = torch.stack([one.tokens.flatten(1, 2) for one in scenes], 1)
    return {"image_mean": means, "tokens": tokens}
