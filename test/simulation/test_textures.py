"""Texture atlases: one format, the same bytes for a seed, and each texture its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from repsam_ros.simulation.source_textures import source_atlas
from repsam_ros.simulation.textures import TEXTURE_PX, texture_atlas

Atlas = Callable[[int, int], NDArray[np.uint8]]


@pytest.mark.parametrize("atlas", [texture_atlas, source_atlas])
def test_an_atlas_follows_from_its_seed_and_starts_alike_at_any_length(atlas: Atlas) -> None:
    textures = atlas(3, 20)
    assert textures.shape == (20, TEXTURE_PX, TEXTURE_PX, 3)
    assert textures.dtype == np.uint8
    assert np.array_equal(textures[:5], atlas(3, 5))
    assert not np.array_equal(textures, atlas(4, 20))
    assert len({texture.tobytes() for texture in textures}) == 20


def test_source_textures_span_plain_to_busy_and_dark_to_light() -> None:
    textures = source_atlas(1, 68).astype(np.float64)
    contrast = textures.std(axis=(1, 2)).max(1)
    brightness = textures.mean(axis=(1, 2, 3))
    assert contrast.min() < 6 and contrast.max() > 70
    assert brightness.min() < 60 and brightness.max() > 190
