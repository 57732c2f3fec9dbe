"""Losses: zero for the right answer, larger for worse ones."""

from __future__ import annotations

import math

import pytest
import torch

from repsam_ros.adaptation.losses import foreground_loss, heatmap_loss, mask_losses

ALL = torch.ones((2, 8, 8))


def test_a_perfect_mask_costs_nothing() -> None:
    target = torch.zeros((2, 8, 8))
    target[0, 2:6, 2:6] = 1
    target[1, :3] = 1
    losses = mask_losses((target * 2 - 1) * 30, torch.ones(2), target, ALL)
    assert float(losses.focal) < 1e-6
    assert float(losses.dice) < 1e-3
    assert float(losses.quality) == 0
    assert losses.iou.tolist() == [1, 1]


def test_quality_is_regressed_to_the_true_iou() -> None:
    target = torch.zeros((1, 4, 4))
    target[0, :2] = 1
    logits = torch.full((1, 4, 4), -5.0)
    logits[0, 0] = 5
    losses = mask_losses(logits, torch.tensor([0.5]), target, torch.ones((1, 4, 4)))
    assert float(losses.iou) == 0.5
    assert float(losses.quality) == 0


def test_an_empty_target_asks_for_an_empty_mask() -> None:
    empty = torch.zeros((1, 4, 4))
    good = mask_losses(torch.full((1, 4, 4), -9.0), torch.zeros(1), empty, empty + 1)
    bad = mask_losses(torch.full((1, 4, 4), 9.0), torch.zeros(1), empty, empty + 1)
    assert float(good.focal) < 1e-6 < float(bad.focal)
    assert float(bad.dice) == 0, "dice has no meaning without a true mask"


def test_heatmap_loss_orders_answers() -> None:
    target = torch.zeros((1, 8, 8))
    target[0, 3, 3] = 1
    weight = torch.ones((1, 8, 8))
    right = torch.full((1, 8, 8), -8.0)
    right[0, 3, 3] = 8
    beside = torch.full((1, 8, 8), -8.0)
    beside[0, 6, 6] = 8
    blank = torch.full((1, 8, 8), -8.0)
    costs = [float(heatmap_loss(x, target, weight)) for x in (right, blank, beside)]
    assert costs[0] < 0.01 < costs[1] < costs[2]


def test_weightless_cells_do_not_count() -> None:
    target, weight = torch.zeros((1, 4, 4)), torch.ones((1, 4, 4))
    logits = torch.full((1, 4, 4), -8.0)
    logits[0, 0, 0] = 8
    assert float(heatmap_loss(logits, target, weight)) > 1
    weight[0, 0, 0] = 0
    assert float(heatmap_loss(logits, target, weight)) < 0.01


def test_pixels_that_do_not_count_change_nothing() -> None:
    draw = torch.Generator().manual_seed(0)
    target = (torch.rand((2, 8, 8), generator=draw) > 0.5).float()
    weight = (torch.rand((2, 8, 8), generator=draw) > 0.3).float()
    logits = torch.randn((2, 8, 8), generator=draw)
    iou = torch.rand(2, generator=draw)
    other = torch.where(weight > 0, logits, -3 * logits)
    other_target = torch.where(weight > 0, target, 1 - target)
    for a, b in zip(
        mask_losses(logits, iou, target, weight),
        mask_losses(other, iou, other_target, weight),
        strict=True,
    ):
        assert torch.equal(a, b)
    for loss in (heatmap_loss, foreground_loss):
        leaf = logits.clone().requires_grad_()
        loss(leaf, target, weight).backward()
        assert leaf.grad is not None
        assert torch.equal(leaf.grad != 0, weight > 0)
        assert torch.allclose(loss(other, target, weight), loss(logits, target, weight))


def test_a_mask_that_does_not_count_is_no_part_of_the_means() -> None:
    draw = torch.Generator().manual_seed(1)
    target = (torch.rand((2, 8, 8), generator=draw) > 0.5).float()
    logits, iou = torch.randn((2, 8, 8), generator=draw), torch.rand(2, generator=draw)
    one = mask_losses(logits[:1], iou[:1], target[:1], ALL[:1])
    weight = torch.stack([torch.ones((8, 8)), torch.zeros((8, 8))])
    both = mask_losses(logits, iou, target, weight)
    for a, b in zip(one[:3], both[:3], strict=True):
        assert torch.allclose(a, b)
    nothing = mask_losses(logits, iou, target, torch.zeros((2, 8, 8)))
    assert [float(value) for value in nothing[:3]] == [0, 0, 0]


def test_the_foreground_loss_is_a_mean_cross_entropy() -> None:
    logits, target = torch.zeros((1, 2, 2)), torch.ones((1, 2, 2))
    assert float(foreground_loss(logits, target, target)) == pytest.approx(math.log(2))
