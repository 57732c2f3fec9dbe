"""Films as files; what they show is tested with the command that writes them."""

from __future__ import annotations

import resource
from pathlib import Path

import cv2
import numpy as np
import pytest

from repsam_ros.errors import BackendError
from repsam_ros.trials.pictures import write_film

PICTURES = [np.random.default_rng(k).integers(0, 255, (60, 80, 3), np.uint8) for k in range(4)]


def test_a_film_has_all_its_pictures_and_rests_at_its_end(tmp_path: Path) -> None:
    write_film(tmp_path / "film.webp", PICTURES)
    found, film = cv2.imreadanimation(str(tmp_path / "film.webp"))
    assert found and len(film.frames) == len(PICTURES)
    assert list(film.durations) == [100, 100, 100, 1500]
    # Compressed, with red in red's place.
    for one, other in zip(PICTURES, film.frames, strict=True):
        assert np.abs(one.mean(axis=(0, 1)) - other[..., 2::-1].mean(axis=(0, 1))).max() < 10


def test_a_film_that_does_not_fit_says_so(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(BackendError, match=r"film\.webp: could not be written"):
            write_film(tmp_path / "film.webp", PICTURES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())
