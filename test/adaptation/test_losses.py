"""Losses: zero for the right answer, larger for worse ones."""

from __future__ import annotations

import torch

from repsam_ros.adaptation.losses import heatmap_loss, mask_losses


def test_a_perfect_mask_costs_nothing() -> None:
    target = torch.zeros((2, 8, 8))
    target[0, 2:6, 2:6] = 1
    target[1, :3] = 1
    losses = mask_losses((target * 2 - 1) * 30, torch.ones(2), target)
    assert float(losses.focal) < 1e-6
    assert float(losses.dice) < 1e-3
    assert float(losses.quality) == 0
    assert losses.iou.tolist() == [1, 1]


def test_quality_is_regressed_to_the_true_iou() -> None:
    target = torch.zeros((1, 4, 4))
    target[0, :2] = 1
    logits = torch.full((1, 4, 4), -5.0)
    logits[0, 0] = 5
    losses = mask_losses(logits, torch.tensor([0.5]), target)
    assert float(losses.iou) == 0.5
    assert float(losses.quality) == 0


def test_an_empty_target_asks_for_an_empty_mask() -> None:
    empty = torch.zeros((1, 4, 4))
    good = mask_losses(torch.full((1, 4, 4), -9.0), torch.zeros(1), empty)
    bad = mask_losses(torch.full((1, 4, 4), 9.0), torch.zeros(1), empty)
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
