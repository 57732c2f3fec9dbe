"""Training targets: centres on their objects, prompts on what they name, exact masks."""

from __future__ import annotations

import torch

from repsam_ros.adaptation.targets import STRIDE, centre_targets, prompt_masks, sample_prompts


def split_object() -> torch.Tensor:
    """One object seen on both sides of a bar, a second one that is the bar, a sliver."""
    ids = torch.zeros((1, 120, 160), dtype=torch.int64)
    ids[0, 40:80, 20:140] = 1
    ids[0, 20:100, 70:90] = 2
    ids[0, 2:6, 2:6] = 3
    return ids


def test_centre_lies_on_the_visible_object() -> None:
    centres = centre_targets(split_object(), max_objects=5)
    assert centres.present[0].tolist() == [True, True, False, False, False]
    for index in range(2):
        x, y = centres.cells[0, index].tolist()
        assert centres.masks[0, index, y, x]
        assert centres.heatmap[0, y, x] == 1
    assert centres.weight[0].min() == 0, "slivers are not punished"


def test_heatmap_has_one_maximum_an_object() -> None:
    heatmap = centre_targets(split_object(), max_objects=5).heatmap
    assert int((heatmap == 1).sum()) == 2


def test_prompts_lie_on_the_object_they_name() -> None:
    ids = split_object().repeat(3, 1, 1)
    centres = centre_targets(ids, max_objects=5)
    prompts = sample_prompts(centres, 40, 0.2, torch.Generator().manual_seed(0))
    cell = (prompts.points_px / STRIDE).long()
    coarse = ids[:, STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
    named = coarse[prompts.image_index, cell[:, 1], cell[:, 0]]
    assert torch.equal(named, prompts.object_ids)
    assert 0 < int((prompts.object_ids == 0).sum()) < 60
    assert set(prompts.object_ids.tolist()) == {0, 1, 2}


def test_prompt_masks_cover_the_whole_object() -> None:
    ids = split_object()
    centres = centre_targets(ids, max_objects=5)
    prompts = sample_prompts(centres, 10, 0.3, torch.Generator().manual_seed(1))
    masks = prompt_masks(ids, prompts)
    for mask, name in zip(masks, prompts.object_ids.tolist(), strict=True):
        expected = 0 if name == 0 else int((ids == name).sum())
        assert float(mask.sum()) * 4 == expected


def test_an_empty_picture_asks_for_nothing() -> None:
    centres = centre_targets(torch.zeros((1, 40, 40), dtype=torch.int64), max_objects=3)
    prompts = sample_prompts(centres, 4, 0.1, torch.Generator().manual_seed(2))
    assert prompts.object_ids.tolist() == [0, 0, 0, 0]
    assert centres.heatmap.max() == 0
