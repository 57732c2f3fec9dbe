"""From pixels to points, one for each object and voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from repsam_ros.structures import FLAG_MASK_EDGE, Intrinsics, RgbdFrame


@dataclass(frozen=True)
class Points:
    """Points of one voxel size; all arrays are of one length.

    Attributes:
        points: (N, 3) metres, camera optical frame.
        colors: (N, 3) RGB.
        ids: (N,) instance, 0 = context.
        flags: (N,) as in :class:`repsam_ros.structures.SceneCloud`.
    """

    points: NDArray[np.float32]
    colors: NDArray[np.uint8]
    ids: NDArray[np.uint32]
    flags: NDArray[np.uint8]

    def where(self, keep: NDArray[np.bool_]) -> Points:
        """Those that are to be kept."""
        index = np.flatnonzero(keep)
        return Points(
            self.points.take(index, axis=0),  # several times faster than an index in brackets
            self.colors.take(index, axis=0),
            self.ids.take(index),
            self.flags.take(index),
        )

    def __add__(self, other: Points) -> Points:
        return Points(
            np.concatenate((self.points, other.points)),
            np.concatenate((self.colors, other.colors)),
            np.concatenate((self.ids, other.ids)),
            np.concatenate((self.flags, other.flags)),
        )

    def as_context(self) -> Points:
        """The same points as part of no object."""
        return Points(self.points, self.colors, np.zeros_like(self.ids), np.zeros_like(self.flags))


def pixel_rays(intrinsics: Intrinsics) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """x / z of each column of pixels and y / z of each row."""
    columns = (np.arange(intrinsics.width) - intrinsics.cx) / intrinsics.fx
    rows = (np.arange(intrinsics.height) - intrinsics.cy) / intrinsics.fy
    return columns.astype(np.float32), rows.astype(np.float32)


def gather(
    frame: RgbdFrame,
    labels: NDArray[np.uint16],
    edge_px: NDArray[np.bool_],
    pixels: NDArray[np.bool_],
) -> Points:
    """The points of (H, W) ``pixels``, all of which have depth."""
    flat = np.flatnonzero(pixels)
    row = flat // frame.intrinsics.width
    column = flat - row * frame.intrinsics.width  # a third of the time of divmod
    columns, rows = pixel_rays(frame.intrinsics)
    # Each coordinate lies in one piece, as voxels take them.
    points_m = np.empty((3, len(flat)), np.float32)
    depth = frame.depth_m.reshape(-1).take(flat)
    np.multiply(depth, columns.take(column), out=points_m[0])
    np.multiply(depth, rows.take(row), out=points_m[1])
    points_m[2] = depth
    return Points(
        points_m.T,
        frame.color.reshape(-1, 3).take(flat, axis=0),
        labels.reshape(-1).take(flat).astype(np.uint32),
        edge_px.reshape(-1).take(flat) * np.uint8(FLAG_MASK_EDGE),
    )


def voxelise(cloud: Points, voxel_m: float) -> Points:
    """One point per id and voxel: the mean position, one pixel's colour, all flags."""
    if not len(cloud.points):
        return cloud
    key, order = _sorted(_voxel_keys(cloud, voxel_m))
    starts = np.concatenate(([True], key[1:] != key[:-1]))
    first = order.take(np.flatnonzero(starts))
    voxel = np.empty(len(key), np.intp)  # of each point
    voxel[order] = np.cumsum(starts) - 1
    lengths = np.bincount(voxel)
    means = np.empty((len(first), 3), np.float32)
    for axis in range(3):
        means[:, axis] = np.bincount(voxel, cloud.points[:, axis]) / lengths
    flags = np.zeros(len(first), np.uint8)
    present = np.bitwise_or.reduce(cloud.flags)
    for bit in present & (1 << np.arange(8)).astype(np.uint8):
        if bit:
            flags[voxel.take(np.flatnonzero(cloud.flags & bit))] |= bit
    return Points(means, cloud.colors.take(first, axis=0), cloud.ids.take(first), flags)


def _voxel_keys(cloud: Points, voxel_m: float) -> NDArray[np.int64]:
    """(N,) one number for each id and voxel, by id first."""
    key = cloud.ids.astype(np.int64)
    for column in cloud.points.T:
        cell = np.floor(column * np.float32(1 / voxel_m)).astype(np.int32)
        low = cell.min()
        key *= int(cell.max()) - int(low) + 1
        key += cell - low
    return key


def _sorted(key: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The keys in order, and where each stood; equal ones stay in their order."""
    bits = len(key).bit_length()
    if int(key.max()).bit_length() + bits > 63:
        order = np.argsort(key, kind="stable")
        return key.take(order), order
    # A key with its place in its low bits: plain sorts of numbers are ten times as fast.
    packed = (key << bits) | np.arange(len(key))
    packed.sort()
    return packed >> bits, packed & ((1 << bits) - 1)
