"""What counts as the same computation, and what does not."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

from repsam_ros.backends._check import fixed_scene  # noqa: E402
from repsam_ros.backends.torch import TorchBackend  # noqa: E402
from repsam_ros.errors import BackendError  # noqa: E402
from repsam_ros.export.parity import (  # noqa: E402
    Parity,
    _least_iou,
    _prompts,
    check_parity,
    measure_parity,
)
from repsam_ros.network import sam  # noqa: E402
from repsam_ros.network.build import NetworkConfig, RepSam, build_network  # noqa: E402
from repsam_ros.network.sam import BackboneSpec  # noqa: E402
from repsam_ros.network.weights import ModelFile  # noqa: E402

GOOD = Parity(
    heatmap=1e-6, mask_logits=1e-6, predicted_iou=1e-6, mask_iou=1.0, mask_iou_min=1.0, cases=1
)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("heatmap", 2e-5),
        ("mask_logits", np.nan),
        ("predicted_iou", 1.0),
        ("mask_iou", 0.99),
        ("mask_iou_min", 0.99),
    ],
)
def test_each_value_of_parity_counts(field: str, value: float) -> None:
    check_parity(GOOD, "fp32")
    with pytest.raises(BackendError, match="fp32"):
        check_parity(dataclasses.replace(GOOD, **{field: value}), "fp32")


@pytest.mark.parametrize(("logit", "iou"), [(1e-5, 1.0), (-1e-5, 1.0), (1e-3, 0.99), (-1e-3, 0.99)])
def test_only_a_pixel_within_rounding_may_change_sides(logit: float, iou: float) -> None:
    """A mask of 100 pixels at logits of 10, and an empty one."""
    wanted = np.full((2, 20, 20), -10, np.float32)
    wanted[0, :10, :10] = 10
    wanted[0, 3, 3] = logit
    got = wanted.copy()
    assert _least_iou(got, wanted, 1e-5) == 1
    got[0, 3, 3] = -logit
    assert _least_iou(got, wanted, 1e-5) == pytest.approx(iou)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> RepSam:
    spec = BackboneSpec((64, 96), 32, 2, 2, (1,), 3, True, 32, 32, 3, 8)
    monkeypatch.setitem(sam.BACKBONES, "small", spec)
    torch.manual_seed(0)
    return build_network(NetworkConfig("small"))


def as_backend(network: RepSam) -> TorchBackend:
    return TorchBackend(network, ModelFile("small", Path(), "0" * 64), "fp32")


def test_another_network_is_told_from_the_same_one(network: RepSam) -> None:
    reference = as_backend(network)
    same = measure_parity(as_backend(copy.deepcopy(network)), reference)
    assert same == Parity(0, 0, 0, mask_iou=1, mask_iou_min=1, cases=12)
    other = copy.deepcopy(network)
    with torch.no_grad():
        other.mask_detail.up2.bias += 1e-3
        other.mask_detail.hyper.layers[-1].bias += 1
    parity = measure_parity(as_backend(other), reference)
    assert parity.heatmap == 0 and parity.mask_logits > 1e-5
    assert parity.mask_iou_min <= parity.mask_iou < 1
    with pytest.raises(BackendError, match="do not compute what the network computes"):
        check_parity(parity, "fp32")


@pytest.mark.parametrize(
    ("canvas_px", "counts"), [((240, 320), [1, 7, 40]), ((1024, 1024), [1, 7, 8])]
)
def test_prompts_begin_on_a_box(canvas_px: tuple[int, int], counts: list[int]) -> None:
    scene = fixed_scene(canvas_px)
    prompts = list(_prompts(scene))
    assert [len(points) for points in prompts] == counts
    for points in prompts:
        assert points.dtype == np.float32 and np.array_equal(points[0], scene.points_px[0])
    # Beside the picture as well.
    assert prompts[1].min() < 0 and prompts[1][:, 0].max() > canvas_px[1]
