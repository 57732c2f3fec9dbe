"""What the network should answer on a picture: prompt centres, foreground, masks of prompts."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

STRIDE = 4
# Objects of which fewer cells (STRIDE x STRIDE pixels) are seen are not asked for nor punished.
MIN_CELLS = 3
NOWHERE = -1


class Centres(NamedTuple):
    """Targets at stride 4 of B pictures with up to O objects.

    Attributes:
        heatmap: (B, h, w) in [0, 1], 1 at each centre.
        weight: (B, h, w), 0 where too little of an object is seen to ask for it and where there is
            no truth.
        foreground: (B, h, w) in {0, 1}.
        known: (B, h, w) in {0, 1}, 0 where there is no truth.
        clear: (B, h, w) bool, cells of which all pixels have truth.
        masks: (B, O, h, w) bool.
        cells: (B, O, 2) int64, x and y of the centre.
        present: (B, O) bool.
        extent: (B, O) square root of the visible area, cells.
    """

    heatmap: Tensor
    weight: Tensor
    foreground: Tensor
    known: Tensor
    clear: Tensor
    masks: Tensor
    cells: Tensor
    present: Tensor
    extent: Tensor


def centre_targets(ids: Tensor, max_objects: int, ignore: Tensor | None = None) -> Centres:
    """Centres of (B, H, W) visible ids; ``ignore`` (B, H, W) marks pixels without truth.

    A centre is the visible point that is near the visible centroid and well inside the mask, so
    that it never lies on the occluder of an object or in the hole of a bowl's rim.
    """
    coarse = _at_stride(ids)
    if ignore is None:
        ignore = torch.zeros_like(ids, dtype=torch.bool)
    known = ~_at_stride(ignore)
    names = torch.arange(1, max_objects + 1, device=ids.device)
    masks = coarse[:, None] == names[None, :, None, None]
    height, width = coarse.shape[1:]
    area = masks.sum(dim=(2, 3)).float()
    present = area >= MIN_CELLS
    x = torch.arange(width, device=ids.device, dtype=torch.float32)
    y = torch.arange(height, device=ids.device, dtype=torch.float32)
    dense = masks.float()
    mean_x = (dense.sum(2) * x).sum(-1) / area.clamp(min=1)
    mean_y = (dense.sum(3) * y).sum(-1) / area.clamp(min=1)
    # Clipped distance to the mask's border by repeated erosion.
    inside, depth = dense, dense.clone()
    for _ in range(5):
        inside = -F.max_pool2d(-inside, 3, 1, 1)
        depth = depth + inside
    extent = area.sqrt()
    away = torch.hypot(
        x[None, None, None, :] - mean_x[:, :, None, None],
        y[None, None, :, None] - mean_y[:, :, None, None],
    )
    merit = torch.where(masks, 0.12 * depth * extent[:, :, None, None] - away, -1e6)
    best = merit.flatten(2).argmax(-1)
    cells = torch.stack([best % width, best // width], -1)
    sigma = (0.1 * extent).clamp(1.0, 4.0)[:, :, None, None]
    squared = (x[None, None, None, :] - cells[..., 0, None, None]) ** 2
    squared = squared + (y[None, None, :, None] - cells[..., 1, None, None]) ** 2
    peaks = torch.exp(-squared / (2 * sigma * sigma)) * present[:, :, None, None]
    slivers = (masks & ~present[:, :, None, None]).any(1)
    return Centres(
        heatmap=peaks.amax(1),
        weight=(known & ~slivers).float(),
        foreground=(coarse > 0).float(),
        known=known.float(),
        clear=F.max_pool2d(ignore[:, None].float(), STRIDE)[:, 0] == 0,
        masks=masks,
        cells=cells,
        present=present,
        extent=extent,
    )


def _at_stride(plane: Tensor) -> Tensor:
    return plane[:, STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]


class PromptBatch(NamedTuple):
    """N prompts over B pictures.

    Attributes:
        image_index: (N,) int64.
        points_px: (N, 2) x, y on the canvas.
        object_ids: (N,) int64; 0 = background, where nothing should be found; NOWHERE = the
            picture has neither object nor background to put it on.
    """

    image_index: Tensor
    points_px: Tensor
    object_ids: Tensor


def sample_prompts(
    centres: Centres, per_image: int, background_share: float, draw: torch.Generator
) -> PromptBatch:
    """Half random points of a mask, half jittered centres, and a few points on the background.

    None lies on a pixel without truth.
    """
    batch, _, height, width = centres.masks.shape
    device = centres.masks.device

    def rand(*shape: int) -> Tensor:
        return torch.rand(shape, generator=draw, device=device)

    clear = centres.clear[:, None]
    reachable = centres.present & (centres.masks & clear).flatten(2).any(2)
    chances = reachable.float() + 1e-6
    chosen = torch.multinomial(chances, per_image, replacement=True, generator=draw)
    exists = reachable.gather(1, chosen)
    background = (rand(batch, per_image) < background_share) | ~exists
    index = chosen[:, :, None, None].expand(-1, -1, height, width)
    masks = centres.masks.gather(1, index)
    empty = (centres.foreground < 0.5)[:, None].expand_as(masks)
    allowed = torch.where(background[:, :, None, None], empty, masks) & clear
    anywhere = rand(*masks.shape).masked_fill(~allowed, -1).flatten(2).argmax(-1)
    cells = centres.cells.gather(1, chosen[:, :, None].expand(-1, -1, 2)).float()
    spread = 0.12 * centres.extent.gather(1, chosen)[:, :, None]
    noise = torch.randn(cells.shape, generator=draw, device=device)
    jittered = (cells + spread * noise).round().long()
    jittered_x = jittered[..., 0].clamp(0, width - 1)
    jittered_y = jittered[..., 1].clamp(0, height - 1)
    flat = jittered_y * width + jittered_x
    on_object = allowed.flatten(2).gather(2, flat[:, :, None])[:, :, 0]
    use_centre = (rand(batch, per_image) < 0.5) & on_object & ~background
    flat = torch.where(use_centre, flat, anywhere)
    points = torch.stack([flat % width, flat // width], -1) * STRIDE + (STRIDE - 1) * rand(
        batch, per_image, 2
    )
    image_index = torch.arange(batch, device=device)[:, None].expand(-1, per_image)
    object_ids = torch.where(background, 0, chosen + 1)
    object_ids = torch.where(allowed.flatten(2).any(2), object_ids, NOWHERE)
    return PromptBatch(image_index.flatten(), points.flatten(0, 1), object_ids.flatten())


def prompt_masks(
    ids: Tensor, prompts: PromptBatch, ignore: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """What each prompt asks for, and where it counts, in 2 x 2 cells.

    Returns:
        (N, H/2, W/2) share of the cell's known pixels that the prompted object covers, and
        (N, H/2, W/2) share of pixels that are known, 0 everywhere for a prompt that lies nowhere.
    """
    asked = (prompts.object_ids != NOWHERE).float()[:, None, None]
    known = torch.ones_like(ids, dtype=torch.bool) if ignore is None else ~ignore
    known = _halved(known).index_select(0, prompts.image_index)
    own = ids.index_select(0, prompts.image_index) == prompts.object_ids[:, None, None]
    own = own & (prompts.object_ids > 0)[:, None, None]
    return _halved(own) / known.clamp(min=0.25), known * asked


def _halved(plane: Tensor) -> Tensor:
    # Quarters are exact in 16 bits.
    return F.avg_pool2d(plane[:, None].to(torch.bfloat16), 2)[:, 0].float()
