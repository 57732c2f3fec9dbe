"""Rendered pictures between the renderer and the camera: made small, moved and mirrored."""

from __future__ import annotations

import torch
from torch import Tensor

from repsam_ros.simulation.rendering import Rendered
from repsam_ros.simulation.sensor import SensedScene


def to_planes(rendered: Rendered) -> dict[str, Tensor]:
    """Small arrays of a batch: colour in 8 bits, depth in full."""
    sight = rendered.sight
    small = {"incidence_rad": torch.float16, "dropout": torch.float16}
    planes = {name: value.to(small.get(name, value.dtype)) for name, value in vars(sight).items()}
    planes["color"] = (rendered.color * 255).round().to(torch.uint8)
    planes["ids"] = rendered.ids.to(torch.uint8)
    planes["intrinsics"] = rendered.intrinsics
    return planes


def from_planes(planes: dict[str, Tensor]) -> Rendered:
    """What :func:`to_planes` made small."""
    sight = {
        name: value.float() if value.is_floating_point() else value
        for name, value in planes.items()
        if name not in ("color", "ids", "intrinsics")
    }
    color, ids = planes["color"].float() / 255, planes["ids"].long()
    return Rendered(color, SensedScene(**sight), ids, planes["intrinsics"])


def moved(rendered: Rendered, device: torch.device) -> Rendered:
    """The batch on ``device``."""
    sight = SensedScene(**{name: value.to(device) for name, value in vars(rendered.sight).items()})
    return Rendered(
        rendered.color.to(device), sight, rendered.ids.to(device), rendered.intrinsics.to(device)
    )


def mirrored(rendered: Rendered, draw: torch.Generator) -> Rendered:
    """A random half of the batch is mirrored left to right, its cameras with it."""
    ids = rendered.ids
    flip = torch.rand(len(ids), generator=draw, device=ids.device) < 0.5

    def mirror(value: Tensor) -> Tensor:
        shape = (-1, *[1] * (value.ndim - 1))
        return torch.where(flip.reshape(shape), value.flip(-1), value)

    intrinsics = rendered.intrinsics.clone()
    width = ids.shape[-1]
    intrinsics[:, 2] = torch.where(flip, width - 1 - intrinsics[:, 2], intrinsics[:, 2])
    sight = SensedScene(**{name: mirror(value) for name, value in vars(rendered.sight).items()})
    return Rendered(mirror(rendered.color), sight, mirror(ids), intrinsics)
