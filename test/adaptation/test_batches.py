"""Training batches: the same whoever makes them, and from wherever they start."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from repsam_ros.adaptation.augmentation import AugmentationSettings
from repsam_ros.adaptation.batches import LoaderSettings, training_batches
from repsam_ros.adaptation.pictures import PictureMaker, SamplePictures, SourcePictures
from repsam_ros.errors import ConfigError, DatasetError
from repsam_ros.images import write_png
from repsam_ros.simulation.rendering import Pictures
from repsam_ros.simulation.views import MAX_OBJECTS

CANVAS = (48, 64)
COUNT = 5
CPU = torch.device("cpu")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A mOSD folder in which frame ``i`` is ``i + 1`` metres away."""
    rng = np.random.default_rng(0)
    for index in range(COUNT):
        label = np.full((60, 80), 1, np.uint16)
        label[5:40, 10:50], label[:3] = 20, 0
        name = f"frame{index}.png"
        write_png(tmp_path / "rgb" / name, rng.integers(0, 255, (60, 80, 3)).astype(np.uint8))
        write_png(tmp_path / "depth" / name, np.full((60, 80), 1000 * (index + 1), np.uint16))
        write_png(tmp_path / "label" / name, label)
    return tmp_path


def varied(root: Path) -> SamplePictures:
    return SamplePictures("mosd", root, None, CANVAS, 7, AugmentationSettings())


def plain(root: Path) -> SamplePictures:
    return SamplePictures("mosd", root, None, CANVAS, 7, None)


def take(
    maker: PictureMaker, steps: int, workers: int = 0, first: int = 0, size: int = 3
) -> list[Pictures]:
    settings = LoaderSettings(batch_size=size, workers=workers)
    with closing(training_batches(maker, settings, CPU, first)) as batches:
        return list(islice(batches, steps))


def assert_equal(first: list[Pictures], second: list[Pictures]) -> None:
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        for name, value in vars(a).items():
            assert torch.equal(value, getattr(b, name)), name


def test_the_number_of_workers_changes_nothing(root: Path) -> None:
    state = torch.get_rng_state()
    assert_equal(take(varied(root), 4), take(varied(root), 4, workers=2))
    assert torch.equal(state, torch.get_rng_state()), "the network's own draws must not move"
    assert not multiprocessing.active_children(), "workers end with the stream"


def test_a_resumed_run_gets_the_batches_of_an_uninterrupted_one(root: Path) -> None:
    assert_equal(take(varied(root), 6)[4:], take(varied(root), 2, first=4))


def test_batches_are_of_the_simulators_type_on_the_canvas(root: Path) -> None:
    batch = take(varied(root), 1)[0]
    assert batch.color.shape == (3, 3, *CANVAS) and batch.color.dtype == torch.float32
    assert batch.color.min() >= 0 and 0.5 < batch.color.max() <= 1
    assert batch.depth_m.shape == (3, *CANVAS) and batch.depth_m.dtype == torch.float32
    assert batch.ids.dtype == torch.int64 and batch.ids.max() == 1
    assert batch.ignore.dtype == torch.bool and batch.intrinsics.shape == (3, 4)
    assert not batch.ids[batch.ignore].any()


def test_each_epoch_takes_each_sample_once_in_a_new_order(root: Path) -> None:
    batches = take(plain(root), 12, size=5)
    epochs = [batch.depth_m.amax((1, 2)).round().int().tolist() for batch in batches]
    assert all(sorted(epoch) == [1, 2, 3, 4, 5] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 6
    assert batches[0].ignore.any() and batches[0].ids.any()


def test_processes_that_train_together_share_each_batch(root: Path) -> None:
    settings = LoaderSettings(batch_size=4, workers=0)
    whole = next(training_batches(varied(root), settings, CPU, first_step=3))
    for rank in range(2):
        part = next(training_batches(varied(root), settings, CPU, first_step=3, share=(rank, 2)))
        assert torch.equal(part.color, whole.color[rank::2])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_file_is_named(root: Path, workers: int) -> None:
    broken = root / "depth" / "frame2.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(DatasetError, match="frame2.png") as failure:
        take(plain(root), 2, workers=workers, size=5)
    assert "\n" not in str(failure.value)
    assert not multiprocessing.active_children()


def test_workers_end_with_a_killed_training() -> None:
    code = (
        "import torch\n"
        "from repsam_ros.adaptation.batches import LoaderSettings, training_batches\n"
        "from repsam_ros.adaptation.pictures import SourcePictures\n"
        "maker = SourcePictures((48, 64), 3, None, False)\n"
        "batches = training_batches(maker, LoaderSettings(2, workers=1), torch.device('cpu'))\n"
        "for _ in batches: print('batch', flush=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"batch\n"
    process.kill()
    # The stream ends when the last process that could write to it has ended.
    process.communicate(timeout=30)


def test_a_missing_data_set_and_impossible_settings_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere"):
        plain(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="batch_size"):
        LoaderSettings(batch_size=0)


def test_source_pictures_have_instances_and_no_depth() -> None:
    maker = SourcePictures(CANVAS, 3, AugmentationSettings(), True)
    first = take(maker, 2)
    assert_equal(first[1:], take(maker, 1, first=1))
    assert first[0].ids.amax((1, 2)).min() >= 1 and first[0].ids.max() <= MAX_OBJECTS
    assert not first[0].depth_m.any() and first[0].depth_m.shape == first[0].ids.shape
    assert not first[0].ids[first[0].ignore].any()
    unvaried = take(SourcePictures(CANVAS, 3, None, False), 1)[0]
    assert torch.equal(unvaried.ids, first[0].ids)
    assert not torch.equal(unvaried.color, first[0].color)
    assert first[0].ignore.any() and not unvaried.ignore.any()


def test_real_frames_become_batches(shared_data: Path) -> None:
    maker = SamplePictures(
        "mosd", shared_data / "mosd_learn", None, (240, 320), 0, AugmentationSettings()
    )
    batch = take(maker, 1, size=6)[0]
    assert batch.ids.max() >= 2
    measured = batch.depth_m[batch.depth_m > 0]
    assert 0.4 < measured.median() < 2.5
    focal_px = 525 / 2
    assert (batch.intrinsics[:, 0] > 0.99 * focal_px).all()
    assert (batch.intrinsics[:, 0] < 1.61 * focal_px).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_batches_on_a_gpu_are_those_of_the_cpu(root: Path) -> None:
    settings = LoaderSettings(batch_size=3, workers=1)
    there = next(training_batches(varied(root), settings, torch.device("cuda")))
    here = take(varied(root), 1)[0]
    for name, value in vars(there).items():
        assert value.is_cuda and torch.allclose(value.cpu(), getattr(here, name)), name
