"""Training targets: centres on their objects, prompts on what they name, exact masks."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from repsam_ros.adaptation.targets import (
    NOWHERE,
    STRIDE,
    centre_targets,
    prompt_masks,
    sample_prompts,
)


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
    masks, counted = prompt_masks(ids, prompts)
    assert counted.min() == 1
    for mask, name in zip(masks, prompts.object_ids.tolist(), strict=True):
        expected = 0 if name == 0 else int((ids == name).sum())
        assert float(mask.sum()) * 4 == expected


def test_an_empty_picture_asks_for_nothing() -> None:
    centres = centre_targets(torch.zeros((1, 40, 40), dtype=torch.int64), max_objects=3)
    prompts = sample_prompts(centres, 4, 0.1, torch.Generator().manual_seed(2))
    assert prompts.object_ids.tolist() == [0, 0, 0, 0]
    assert centres.heatmap.max() == 0


@given(st.integers(0, 2**31), st.floats(0, 1), st.floats(0, 1))
def test_prompts_never_lie_where_truth_is_missing(
    seed: int, lost: float, background_share: float
) -> None:
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 4, (2, 10, 14), generator=draw).repeat_interleave(8, 1)
    ids = ids.repeat_interleave(8, 2)
    ignore = torch.rand((2, 20, 28), generator=draw) < lost
    ignore = ignore.repeat_interleave(4, 1).repeat_interleave(4, 2).roll((1, 2), (1, 2))
    ids = ids.masked_fill(ignore, 0)
    centres = centre_targets(ids, 5, ignore)
    prompts = sample_prompts(centres, 12, background_share, draw)
    asked = prompts.object_ids != NOWHERE
    for corner in (torch.floor, torch.ceil):
        x, y = corner(prompts.points_px[asked]).long().unbind(-1)
        assert not ignore[prompts.image_index[asked], y, x].any()
    x, y = prompts.points_px[asked].div(STRIDE).long().mul(STRIDE).add(STRIDE // 2).unbind(-1)
    under = ids[prompts.image_index[asked], y, x]
    assert torch.equal(under, prompts.object_ids[asked])
    counted = prompt_masks(ids, prompts, ignore)[1]
    assert not counted[~asked].any() and counted[asked].flatten(1).any(1).all()


def test_a_picture_without_truth_asks_and_punishes_nothing() -> None:
    ids = torch.zeros((1, 40, 40), dtype=torch.int64)
    ignore = torch.ones_like(ids, dtype=torch.bool)
    centres = centre_targets(ids, 3, ignore)
    assert not centres.weight.any() and not centres.known.any()
    prompts = sample_prompts(centres, 4, 0.1, torch.Generator().manual_seed(2))
    assert prompts.object_ids.tolist() == [NOWHERE] * 4


def test_targets_are_shares_of_the_pixels_with_truth() -> None:
    ids = split_object()
    ignore = torch.zeros_like(ids, dtype=torch.bool)
    ignore[0, 40:80, 20:31] = True
    ignored = ids.masked_fill(ignore, 0)
    prompts = sample_prompts(centre_targets(ignored, 5, ignore), 10, 0, torch.Generator())
    first = prompts.object_ids == 1
    target, counted = (part[first][0] for part in prompt_masks(ignored, prompts, ignore))
    assert target.unique().tolist() == [0, 1], "a cell of which half is known is covered whole"
    assert counted[20:40, 10:15].max() == 0 and (counted[20:40, 15] == 0.5).all()
    assert (4 * target * counted).sum() == (ignored == 1).sum()
