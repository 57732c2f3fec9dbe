"""Archives of arrays: whole, or refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from repsam_ros.array_files import read_arrays
from repsam_ros.errors import DatasetError


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "kept.npz"
    values = np.random.default_rng(0).random((200, 3))
    np.savez_compressed(path, values=values, names=np.array(["one", "two"]))
    return path


def test_arrays_come_back_by_name(archive: Path) -> None:
    arrays = read_arrays(archive)
    assert arrays["values"].shape == (200, 3) and arrays["names"].tolist() == ["one", "two"]


def test_every_kind_of_damage_is_a_dataset_error(archive: Path) -> None:
    whole = archive.read_bytes()
    random = np.random.default_rng(1)
    refused = 0
    for trial in range(1500):
        if trial % 2:
            damaged = bytearray(whole[: int(random.integers(len(whole)))])
        else:
            damaged = bytearray(whole)
            for place in random.integers(len(whole), size=3):
                damaged[place] = int(random.integers(256))
        archive.write_bytes(damaged)
        try:
            read_arrays(archive)
        except DatasetError as error:
            refused += "kept.npz" in str(error)
    assert refused > 1300


def test_a_single_array_has_no_name(tmp_path: Path) -> None:
    np.save(tmp_path / "single.npy", np.arange(3))
    assert read_arrays(tmp_path / "single.npy")[""].tolist() == [0, 1, 2]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"absent\.npz: No such file"):
        read_arrays(tmp_path / "absent.npz")
