"""The stock encoder and generator are the authors' code with our weights."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

from repsam_ros.evaluation.latency.crowded_table import crowded_table  # noqa: E402
from repsam_ros.evaluation.latency.segment_anything import (  # noqa: E402
    StockEncoder,
    StockGenerator,
)
from repsam_ros.evaluation.latency.stages import FRAME  # noqa: E402
from repsam_ros.network import sam  # noqa: E402
from repsam_ros.network.build import NetworkConfig, RepSam, build_network  # noqa: E402
from repsam_ros.network.sam import BackboneSpec, FusedAttention, normalise  # noqa: E402


@pytest.fixture(params=[0, 3], ids=["one mask", "three masks"])
def network(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> RepSam:
    spec = BackboneSpec((64, 96), 32, 2, 2, (1,), 3, True, 32, 32, request.param, 8)
    monkeypatch.setitem(sam.BACKBONES, "small", spec)
    torch.manual_seed(0)
    network = build_network(NetworkConfig("small"))
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return network


def test_the_encoder_computes_what_ours_computes_without_depth(network: RepSam) -> None:
    stock = StockEncoder(network, "cpu")
    color = torch.randint(0, 256, (1, 3, 64, 96)).float()
    with torch.inference_mode():
        tokens = network.image_encoder.embed(normalise(color))
        for block in network.image_encoder.blocks:
            tokens = block(tokens)
        expected = network.image_encoder.neck(tokens.permute(0, 3, 1, 2))
        assert torch.allclose(stock._encoder(normalise(color)), expected, atol=1e-4)
    frame, _ = crowded_table(64, 48)
    assert stock.run(frame)["encoder"] > 0
    # Ours is left as it was.
    assert type(network.image_encoder.blocks[0].attn) is FusedAttention


def test_the_generator_prompts_a_grid_of_points(
    network: RepSam, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = StockGenerator(network, "cpu")
    prompted = []
    decode = stock._generator.predictor.model.mask_decoder.forward

    def count(**inputs: torch.Tensor) -> object:
        prompted.append(len(inputs["sparse_prompt_embeddings"]))
        return decode(**inputs)

    monkeypatch.setattr(stock._generator.predictor.model.mask_decoder, "forward", count)
    frame, _ = crowded_table(64, 48)
    assert np.isfinite(stock.run(frame)[FRAME])
    assert sum(prompted) == 1024


def test_smaller_masks_of_the_generator_lie_on_larger_ones(
    network: RepSam, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = StockGenerator(network, "cpu")
    frame, _ = crowded_table(64, 48)
    masks = {name: np.zeros((48, 64), bool) for name in ("small", "background", "large")}
    masks["small"][20:24, 20:24] = masks["large"][18:40, 18:30] = masks["background"][10:] = True
    thresholds = []

    def generate(_: np.ndarray) -> list[dict[str, object]]:
        generator = stock._generator
        thresholds.append((generator.pred_iou_thresh, generator.stability_score_thresh))
        return [{"segmentation": mask, "area": int(mask.sum())} for mask in masks.values()]

    monkeypatch.setattr(stock._generator, "generate", generate)
    labels = stock.label_map(frame, 0.3, 0.5)
    assert np.array_equal(labels == 2, masks["small"])
    assert np.array_equal(labels > 0, masks["large"])
    stock.run(frame)
    assert thresholds == [(0.3, 0.5), (0.88, 0.95)]


def test_an_encoder_of_another_package_has_no_stock_code(network: RepSam) -> None:
    network.spec = object()
    with pytest.raises(ValueError, match="not segment-anything's"):
        StockEncoder(network, "cpu")
