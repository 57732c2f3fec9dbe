"""Which ignore mask and which prompt hold for a frame."""

from __future__ import annotations

import numpy as np
import pytest

from repsam_ros.errors import FrameError
from repsam_ros.perception.hints import HintStore
from repsam_ros.structures import Intrinsics, RgbdFrame

CLICK = np.array([[3, 2]], np.float32)


def frame(height: int = 6, width: int = 8) -> RgbdFrame:
    return RgbdFrame(
        np.zeros((height, width, 3), np.uint8),
        np.zeros((height, width), np.float32),
        Intrinsics(5, 5, 4, 3, width, height),
        1,
        "optical",
    )


def mask(height: int = 6, width: int = 8) -> np.ndarray:
    return np.ones((height, width), bool)


def test_a_hint_holds_until_the_next_of_its_kind() -> None:
    store = HintStore()
    first, second = mask(), ~mask()
    store.add_mask(first, "optical")
    store.add_outline(CLICK, "")
    for _ in range(2):
        guidance = store.guidance(frame())
        assert guidance.ignored is first and guidance.outline_px is CLICK
    store.add_mask(second, "/optical")
    assert store.guidance(frame()).ignored is second
    assert store.guidance(frame()).outline_px is CLICK
    assert store.description() == {"prompt": "point at (3, 2)", "ignored": "0.0 %"}


def test_an_empty_polygon_ends_the_prompt_and_clear_ends_all() -> None:
    store = HintStore()
    store.add_mask(mask(), "")
    store.add_outline(CLICK, "")
    store.guidance(frame())
    store.add_outline(np.zeros((0, 2), np.float32), "")
    guidance = store.guidance(frame())
    assert guidance.outline_px is None and guidance.ignored is not None
    store.clear()
    assert store.guidance(frame()).ignored is None
    assert store.description() == {"prompt": "none", "ignored": "none"}


@pytest.mark.parametrize("good_first", [True, False])
def test_a_hint_that_does_not_fit_is_counted_once_and_the_one_before_stays(
    good_first: bool,
) -> None:
    said: list[str] = []
    store = HintStore(lambda cause, message: said.append(message))
    good = mask()
    if good_first:
        store.add_mask(good, "")
        store.add_outline(CLICK, "")
        store.guidance(frame())
    store.add_mask(mask(3, 4), "")
    store.add_outline(np.array([[9, 2]], np.float32), "")
    for _ in range(3):
        guidance = store.guidance(frame())
        assert guidance.ignored is (good if good_first else None)
        assert guidance.outline_px is (CLICK if good_first else None)
    assert store.rejected() == {"ignore_mask_size": 1, "bad_prompt": 1}
    assert "4x3, expected 8x6" in said[0]
    store.clear()
    assert not store.rejected()


def test_pixels_of_another_frame_are_refused() -> None:
    store = HintStore()
    store.add_outline(CLICK, "base_link")
    store.add_mask(mask(), "depth")
    guidance = store.guidance(frame())
    assert guidance.ignored is None and guidance.outline_px is None
    assert store.rejected() == {"bad_prompt": 1, "ignore_mask_frame": 1}


def test_of_many_between_two_frames_the_newest_counts() -> None:
    store = HintStore()
    for _ in range(5):
        store.add_mask(mask(3, 4), "")
        store.add_outline(CLICK, "")
    store.add_mask(mask(), "")
    assert store.guidance(frame()).ignored is not None
    assert not store.rejected()


def test_frames_are_refused_once_the_mask_in_force_no_longer_fits() -> None:
    store = HintStore()
    store.add_mask(mask(), "")
    store.guidance(frame())
    with pytest.raises(FrameError) as error:
        store.guidance(frame(12, 16))
    assert error.value.cause == "ignore_mask_size"
    store.add_mask(mask(12, 16), "")
    assert store.guidance(frame(12, 16)).ignored is not None
