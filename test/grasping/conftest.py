"""Solids on a table, seen by one ray-cast depth camera, with the truth about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pytest

from repsam_ros.perception.clouds import CloudSettings, build_cloud, unproject
from repsam_ros.structures import Grasp, Instances, Intrinsics, Plane, RgbdFrame, SceneCloud

INTRINSICS = Intrinsics(fx=525.0, fy=525.0, cx=319.5, cy=239.5, width=640, height=480)


class Solid(Protocol):
    def hit_m(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """(H, W) distance along each ray, inf where it misses."""

    def depth_inside_m(self, points: np.ndarray) -> np.ndarray:
        """(...,) how deep points lie inside, negative outside."""


@dataclass(frozen=True)
class Box:
    """A box standing on the table, turned about the vertical."""

    size_m: tuple[float, float, float]
    at_m: tuple[float, float] = (0.0, 0.0)
    yaw_rad: float = 0.0

    def _local(self, vectors: np.ndarray) -> np.ndarray:
        c, s = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        return vectors @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])

    def _centre(self) -> np.ndarray:
        return np.array([*self.at_m, self.size_m[2] / 2])

    def axis(self, index: int) -> np.ndarray:
        """Unit vector of the box's side in the world."""
        c, s = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]])[index]

    def hit_m(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        half = np.array(self.size_m) / 2
        start, along = self._local(origin - self._centre()), self._local(rays)
        along = np.where(np.abs(along) < 1e-12, 1e-12, along)
        near, far = (-half - start) / along, (half - start) / along
        entry = np.minimum(near, far).max(axis=-1)
        return np.where(entry <= np.maximum(near, far).min(axis=-1), entry, np.inf)

    def depth_inside_m(self, points: np.ndarray) -> np.ndarray:
        half = np.array(self.size_m) / 2
        return (half - np.abs(self._local(points - self._centre()))).min(axis=-1)


@dataclass(frozen=True)
class Cylinder:
    """A cylinder standing on the table."""

    radius_m: float
    height_m: float
    at_m: tuple[float, float] = (0.0, 0.0)

    def hit_m(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        start = origin - np.array([*self.at_m, 0.0])
        a = (rays[..., :2] ** 2).sum(axis=-1)
        b = (rays[..., :2] * start[:2]).sum(axis=-1)
        root = b**2 - a * ((start[:2] ** 2).sum() - self.radius_m**2)
        side = (-b - np.sqrt(np.maximum(root, 0))) / a
        height = start[2] + side * rays[..., 2]
        side = np.where((root > 0) & (height >= 0) & (height <= self.height_m), side, np.inf)
        top = (self.height_m - start[2]) / np.where(rays[..., 2] == 0, 1e-12, rays[..., 2])
        offset = start[:2] + top[..., None] * rays[..., :2]
        reached = (np.linalg.norm(offset, axis=-1) <= self.radius_m) & (top > 0)
        return np.minimum(side, np.where(reached, top, np.inf))

    def depth_inside_m(self, points: np.ndarray) -> np.ndarray:
        radial = self.radius_m - np.linalg.norm(points[..., :2] - self.at_m, axis=-1)
        return np.minimum(radial, np.minimum(points[..., 2], self.height_m - points[..., 2]))


@dataclass(frozen=True)
class View:
    """A scene, its cloud and the camera's pose in the world (table at z = 0, z up)."""

    solids: tuple[Solid, ...]
    cloud: SceneCloud
    world_from_camera: np.ndarray
    camera_m: np.ndarray

    def in_world(self, grasp: Grasp) -> tuple[np.ndarray, np.ndarray]:
        """Position and rotation of a grasp in the world."""
        rotation = self.world_from_camera @ grasp.rotation
        return self.world_from_camera @ grasp.position_m + self.camera_m, rotation


def look_at_scene(
    *solids: Solid,
    elevation_rad: float = 0.8,
    distance_m: float = 0.75,
    noise_m: float = 0.001,
    table: bool = True,
    settings: CloudSettings | None = None,
) -> View:
    """The cloud of a camera that looks at the world's origin along +y and down."""
    forward = np.array([0.0, np.cos(elevation_rad), -np.sin(elevation_rad)])
    right = np.array([1.0, 0.0, 0.0])
    rotation = np.stack((right, np.cross(forward, right), forward), axis=1)
    camera_m = -forward * distance_m + (0, 0, 0.03)
    rays = unproject(np.ones((480, 640), np.float32), INTRINSICS).astype(np.float64) @ rotation.T
    hits = [solid.hit_m(camera_m, rays) for solid in solids]
    below = np.where(rays[..., 2] < -1e-9, rays[..., 2], -1e-9)
    depth = np.stack([-camera_m[2] / below if table else np.full(rays.shape[:2], np.inf), *hits])
    labels = depth.argmin(axis=0).astype(np.uint16)
    nearest = depth.min(axis=0)
    labels[~np.isfinite(nearest)] = 0
    nearest[nearest > 3] = 0
    nearest += np.random.default_rng(1).normal(0, noise_m, nearest.shape) * (nearest > 0)
    count = len(solids)
    frame = RgbdFrame(np.zeros((480, 640, 3), np.uint8), nearest.astype(np.float32), INTRINSICS)
    instances = Instances(labels, np.ones(count, np.float32), np.zeros((count, 2), np.float32))
    cloud = build_cloud(frame, instances, settings or CloudSettings())
    return View(solids, cloud, rotation, camera_m)


def moved(cloud: SceneCloud, rotation: np.ndarray, offset_m: np.ndarray) -> SceneCloud:
    """The same cloud in another frame."""
    plane = cloud.support_plane
    if plane is not None:
        normal = rotation @ plane.normal
        plane = Plane(normal, float(plane.offset_m - normal @ offset_m))
    points = cloud.points_m.astype(np.float64) @ rotation.T + offset_m
    return SceneCloud(
        points_m=points.astype(np.float32),
        colors=cloud.colors,
        instance_ids=cloud.instance_ids,
        scores=cloud.scores,
        flags=cloud.flags,
        stamp_ns=cloud.stamp_ns,
        frame_id="elsewhere",
        support_plane=plane,
        viewpoint_m=rotation @ cloud.viewpoint_m + offset_m,
    )


@dataclass(frozen=True)
class Scenes:
    box: type[Box] = Box
    cylinder: type[Cylinder] = Cylinder
    view: Callable[..., View] = look_at_scene
    moved: Callable[[SceneCloud, np.ndarray, np.ndarray], SceneCloud] = moved


@pytest.fixture(scope="session")
def scenes() -> Scenes:
    return Scenes()
