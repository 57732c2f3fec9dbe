"""The check tells a backend that computes the same from one that does not."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from repsam_ros.backends import BackendConfig  # noqa: E402
from repsam_ros.backends._check import check_backend, fixed_scene  # noqa: E402
from repsam_ros.backends.torch import TorchBackend, build  # noqa: E402


@pytest.fixture(scope="module")
def reference() -> TorchBackend:
    return build(BackendConfig())


def altered(change) -> TorchBackend:
    """The default model in another backend, after ``change(name, weight)`` to each weight."""
    from repsam_ros.methods import load_model

    network, model = load_model("repsam_tiny")
    with torch.no_grad():
        for name, weight in network.named_parameters():
            change(name, weight)
    return TorchBackend(network, model, "fp32")


def test_the_scene_shows_the_network_what_it_can_find(reference):
    scene = fixed_scene(reference.canvas_px)
    encoded = reference.encode(scene.color, scene.depth_m, scene.intrinsics)
    masks = reference.decode(encoded, scene.points_px)
    found = (masks.mask_logits > 0).sum((1, 2))
    assert (found[:4] > 300).all() and found[4] == 0  # the last point is on the table


def test_lower_precision_passes_within_its_own_limits(reference):
    report = check_backend(build(BackendConfig(precision="bf16")), reference)
    assert report.passed and 0 < report.relative_error < 0.05


def test_attention_that_is_wrong_in_one_block_fails(reference):
    def drop(name, weight):
        if "image_encoder.blocks.3.attn.proj" in name:
            weight.zero_()

    report = check_backend(altered(drop), reference)
    assert report.finite and not report.passed
    assert "mask IoU" in str(report)


def test_outputs_that_are_not_finite_fail(reference):
    def poison(name, weight):
        if name == "mask_decoder.iou_token.weight":
            weight.fill_(torch.nan)

    report = check_backend(altered(poison), reference)
    assert not report.passed and str(report) == "outputs are not finite"
